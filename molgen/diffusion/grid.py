"""Grids of times: descending from 1 to 0, one more than there are steps.

Noise-to-signal ratios r stand for times where the schedule is to make no difference.
"""

import itertools
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat

from molgen.alternatives import Alternatives
from molgen.diffusion.schedule import Schedule, ratio
from molgen.errors import InputError
from molgen.limits import Limited, Positive
from molgen.types import Float, Tensor

MOST_OF_FEW = 0.7
"""Share of the steps that :class:`StagedGrid` gives at most to reach its ``least``."""


@dataclass(frozen=True, kw_only=True)
class UniformGrid(Limited):
    """Times evenly spaced in t."""

    kind: Literal["uniform"] = "uniform"

    def times(self, steps: int, schedule: Schedule) -> Float[Tensor, "{steps}+1"]:
        """Descending times from 1 to 0."""
        return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class ArcsineGrid(Limited):
    """``t = (1 - rho) u + rho (2 / pi) arcsin(sqrt u)``: for rho > 1 steps gather in the middle of the schedule."""

    kind: Literal["arcsine"] = "arcsine"
    rho: Annotated[float, Field(ge=0, le=2.75)] = 2.0  # above the times would rise again

    def times(self, steps: int, schedule: Schedule) -> Float[Tensor, "{steps}+1"]:
        """Descending times from 1 to 0."""
        u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return (1 - self.rho) * u + self.rho * (2 / torch.pi) * torch.arcsin(u.sqrt())


@dataclass(frozen=True, kw_only=True)
class KarrasGrid(Limited):
    """``r^(1 / rho)`` evenly spaced between the ends, then 0 (Karras et al. 2022, eq. 5); a large rho is even in ln r."""

    kind: Literal["karras"] = "karras"
    rho: Positive = 7.0
    smallest: Positive = 0.01
    largest: PositiveFloat = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.smallest >= self.largest:
            raise InputError(f"expected smallest below largest, got {self.smallest} and {self.largest}")

    def times(self, steps: int, schedule: Schedule) -> Float[Tensor, "{steps}+1"]:
        """Descending times from 1 to 0; InputError where the grid lies above the schedule."""
        top = min(self.largest, _top(schedule, self.smallest))
        power = 1 / self.rho
        r = torch.linspace(top**power, self.smallest**power, steps, dtype=torch.float64) ** self.rho
        times = torch.cat([schedule.time(r), torch.zeros(1, dtype=torch.float64)])
        times[0] = 1.0
        return times


@dataclass(frozen=True, kw_only=True)
class StagedGrid(Limited):
    """``ln r`` piecewise linear: each stage, from one ratio to the next, gets its share of the steps; then 0.

    What is to be decided about a sample is decided in a narrow range of noise (of a QM9 molecule: r = 0.6 to 0.2, where neighbours become
    bonds), and steps are worth most there.

    Args:
        ratios: descending ends of the stages, in units of the data.
        shares: of the steps, one a stage; their sum is taken as 1.
        least: steps that the last stage gets at least, as far as they are no more than ``MOST_OF_FEW`` of all. What was decided wrongly
            above is mended there, which takes a number of steps rather than a share of them.
    """

    kind: Literal["staged"] = "staged"
    ratios: tuple[PositiveFloat, ...] = (40.0, 5.0, 0.6, 0.15, 0.03)
    shares: tuple[Positive, ...] = (0.04, 0.14, 0.34, 0.48)
    least: NonNegativeInt = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.ratios) != len(self.shares) + 1 or any(a <= b for a, b in itertools.pairwise(self.ratios)):
            raise InputError(f"expected descending ratios, one more than shares, got {self.ratios} and {self.shares}")

    def times(self, steps: int, schedule: Schedule) -> Float[Tensor, "{steps}+1"]:
        """Descending times from 1 to 0; InputError where the grid lies above the schedule."""
        top = _top(schedule, self.ratios[-1])
        ratios, shares = [min(top, r) for r in self.ratios], np.array(self.shares)  # stages above the schedule's end fall away
        first = max(k for k, r in enumerate(ratios) if k == 0 or r == ratios[0])
        ratios, shares = ratios[first:], shares[first:] / np.sum(shares[first:])
        if len(shares) > 1:
            last = max(shares[-1], min(self.least / steps, MOST_OF_FEW))
            shares = np.append(shares[:-1] * (1 - last) / (1 - shares[-1]), last)
        reached = np.concatenate([[0.0], np.cumsum(shares)])
        r = np.exp(np.interp(np.linspace(0, 1, steps), reached, np.log(ratios)))
        times = schedule.time(torch.from_numpy(r).clamp(max=top))
        times[0] = 1.0
        return torch.cat([times, torch.zeros(1, dtype=torch.float64)])


def _top(schedule: Schedule, lowest: float) -> float:
    """The largest ratio of a schedule, which the lowest of a grid has to be below."""
    top = float(ratio(schedule, torch.ones((), dtype=torch.float64)))
    if lowest >= top:
        raise InputError(f"sampler.grid: its lowest ratio {lowest:g} is not below the largest of the schedule, {top:g}; give lower ones")
    return top


_Grid = UniformGrid | ArcsineGrid | KarrasGrid | StagedGrid
GRIDS = Alternatives(_Grid, "times")
Grid = Annotated[_Grid, GRIDS]
