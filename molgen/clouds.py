"""What a domain of clouds of points can do beside what every domain does, see :mod:`molgen.domain`."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.process import Joint
from molgen.types import Float, Tensor


@runtime_checkable
class Part(Protocol):
    """A given part of a sample of one."""

    def guide(self, denoiser: Denoiser, process: Joint, like: Batch) -> Denoiser:
        """The denoiser of a sample, shaped like ``like``, made certain of the part."""
        ...

    def finish(self, batch: Batch) -> np.ndarray:
        """The points (n, 3) of a clean sample that was held to the part, the given ones first and to the bit."""
        ...


@runtime_checkable
class Clouds(Protocol):
    """What a domain of clouds of points can do besides."""

    def represent(self, clouds: np.ndarray, statistics: Any) -> Batch:
        """The clean fields of given clouds (s, n, 3), centred and in the unit of the model."""
        ...

    def part(self, given: Float[Tensor, "k 3"], size: int, statistics: Any) -> Part:
        """What holds samples of ``size`` points to given ones."""
        ...
