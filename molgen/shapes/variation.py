"""Samples near a given shape: its fields are corrupted up to a time and walked back (SDEdit, Meng et al. 2022, arXiv 2108.01073).

Strength 0 gives the shape as the model represents it, 1 a free sample. What it is to be in between is read off a measured curve: the mean
distance of a point of one cloud to the nearest of the other, from that of the shape to its representation (0) to that of free samples (1),
rises evenly with the strength. `NOISE` holds the noise at strengths 0, 0.1, ... 1 (benchmarks/quality_vary_shapes.py prints it), in units
of the deviation of the training shapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Walks
from molgen.domain import Constraint
from molgen.errors import InputError
from molgen.shapes.domain import Shapes
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.latent import DETAIL, ShapeLatents
from molgen.shapes.latent_statistics import LatentStatistics
from molgen.shapes.shape import Shape, check_points, check_readable, cloud
from molgen.strength import check_strength, noise_at
from molgen.tags import Value

NOISE = (0.0, 1.15, 1.65, 2.28, 2.86, 3.4, 3.91, 4.48, 5.39, 6.6, math.inf)
"""Deviation of the noise of positions at the start, for strengths in steps of a tenth, in units of the deviation of the data."""

STRENGTH = 0.2
"""Usual strength of a variation."""


@dataclass(frozen=True, eq=False)
class Variation(Constraint):
    """Samples near a given shape, in its place; models of points make no more points than are given.

    Args:
        points: (n, 3) of a whole shape in the unit of the model, mostly the unit sphere (:func:`molgen.shapes.points.unit_sphere`).
        strength: from 0, the shape as the model represents it, to 1, a free sample.
        source: name of the shape in messages and tags.

    Raises:
        InputError: points that are no (n, 3) numbers, not finite or mostly copies, or another strength.

    Example:
        >>> variants = molgen.load("shapes").sample(4, constraint=molgen.Variation(unit_sphere(points), strength=0.2))
    """

    points: np.ndarray
    strength: float = STRENGTH
    source: str = "shape"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", cloud(self.points, self.source))
        check_strength(self.strength)
        check_points(self.points, self.source)

    def start(self, process: Joint) -> float:
        return process.clock.time_at(process.clock.data_std * noise_at(self.strength, NOISE))

    def sampler(self, own: Walks) -> Walks:
        return own

    def restarts(self, process: Joint) -> Sequence[float]:
        return ()

    def sizes(self, statistics: Any, wanted: Sequence[int]) -> list[int]:
        if not isinstance(statistics, ShapeStatistics | LatentStatistics):
            raise InputError(f"{self.source}: is a cloud of points; use a model of shapes, or molgen.Around for a molecule")
        fewest = statistics.latents if isinstance(statistics, LatentStatistics) else 1
        check_readable(self.points, statistics.normalisation, fewest, self.source)
        sizes, count = sorted(set(wanted)) or sorted(statistics.sizes), len(self.points)
        if isinstance(statistics, ShapeStatistics) and sizes[-1] > count:
            given = f"{count} points are given and {sizes[-1]} asked for"
            raise InputError(f"{self.source}: {given}; variants of this model have no more points than are given, ask for fewer")
        return sizes

    def batch(self, statistics: ShapeStatistics | LatentStatistics, sizes: Sequence[int]) -> Batch:
        order = np.random.default_rng(0).permutation(len(self.points))
        if isinstance(statistics, ShapeStatistics):
            return Shapes().encode([Shape(self.points[np.sort(order[:size])]) for size in sizes], statistics)
        one = ShapeLatents().encode([Shape(self.points[np.sort(order[:DETAIL])])], statistics)
        return replace(one.select([0] * len(sizes)), labels={"points": torch.as_tensor(list(sizes))})

    def guide(self, denoiser: Denoiser, process: Joint, statistics: ShapeStatistics | LatentStatistics, known: Batch) -> Denoiser:
        return denoiser

    def restore(self, shape: Shape) -> Shape:
        return replace(shape, points=shape.points + self.points.mean(0))

    def failure(self, shape: Shape) -> str:
        return ""

    def tags(self) -> dict[str, Value]:
        return {"around": self.source, "strength": self.strength}
