"""Reference directions of data in a canonical pose.

A pose has directions that mean something: the axis that points up leaves rotations about it, the whole frame leaves none. Networks see
reference directions as further vectors, and coordinates along them as scalars with their waves.
"""

import math
from typing import Literal

import torch

from molgen.types import Float, Tensor

Frame = Literal["none", "x", "y", "z", "full"]
FREQUENCIES = (0.5, 1.0, 2.0)  # waves along a reference direction, per unit length of a cloud of unit deviation


def directions(frame: Frame) -> list[list[float]]:
    """Reference directions as unit vectors."""
    axes = {"x": [1.0, 0.0, 0.0], "y": [0.0, 1.0, 0.0], "z": [0.0, 0.0, 1.0]}
    return [direction for name, direction in axes.items() if frame in (name, "full")]


def waves(along: Float[Tensor, "*s f"]) -> Float[Tensor, "*s features"]:
    """Coordinates along reference directions, and sines and cosines of them."""
    return torch.cat([along, *(wave(2 * math.pi * f * along) for f in FREQUENCIES for wave in (torch.sin, torch.cos))], -1)
