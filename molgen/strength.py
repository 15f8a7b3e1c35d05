"""How far samples leave what their walk starts from: from 0, the start itself, to 1, free samples, along a measured curve of noise."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from molgen.errors import InputError


def check_strength(strength: Any) -> None:
    """Refuses what is no strength of a variation.

    Raises:
        InputError: it is no number from 0 to 1.
    """
    if not (isinstance(strength, Real) and 0 <= float(strength) <= 1):
        raise InputError(f"strength: expected a number from 0 to 1, got {strength!r}")


def noise_at(strength: float, curve: Sequence[float]) -> float:
    """Deviation of the noise at the start of a walk of this strength.

    Args:
        strength: from 0 to 1.
        curve: the deviations at evenly spaced strengths, from 0 at strength 0 to infinite at 1. Between them ``sigma / (1 + sigma)``, which
            is finite for free samples, is linear.
    """
    bounded = [sigma / (1 + sigma) if math.isfinite(sigma) else 1.0 for sigma in curve]
    found = float(np.interp(strength, np.linspace(0, 1, len(curve)), bounded))
    return found / (1 - found) if found < 1 else math.inf
