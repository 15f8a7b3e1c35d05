"""Named conditions, each a value or null.

A condition reaches the network as ``(value - mean) / std``, a presence flag and its complement, so that null is a learned input and not a
number. In training each condition is dropped independently and sometimes all together: one set of weights then serves the unconditional
model and every subset of conditions, which classifier-free guidance needs (Ho and Salimans 2022, arXiv 2207.12598).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from molgen.types import Float, Tensor


@dataclass(frozen=True)
class Scalar:
    """A real condition in physical units with the statistics of the training data."""

    name: str
    mean: float
    std: float
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Conditions:
    """The conditions of a model, in a fixed order."""

    scalars: Sequence[Scalar] = ()

    @property
    def names(self) -> list[str]:
        """Names in the order of the network's input."""
        return [scalar.name for scalar in self.scalars]

    @property
    def width(self) -> int:
        """Number of input features of the network."""
        return 3 * len(self.scalars)

    def encode(self, values: Mapping[str, Tensor], count: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "b q"]:
        """Network input (b, width) from physical values (b,); a name that is missing or NaN is null."""
        columns = []
        for scalar in self.scalars:
            raw = values.get(scalar.name)
            value = torch.full((count,), math.nan, device=device) if raw is None else raw.to(device)
            known = ~value.isnan()
            standard = torch.where(known, (value - scalar.mean) / max(scalar.std, 1e-6), 0).to(dtype)
            columns += [standard, known.to(dtype), (~known).to(dtype)]
        return torch.stack(columns, -1) if columns else torch.zeros(count, 0, device=device, dtype=dtype)


def drop(values: Mapping[str, Tensor], each: float, all_together: float, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Sets each condition to null with probability ``each``, and all of a sample with probability ``all_together``."""
    if not values:
        return {}
    stacked = torch.stack(list(values.values()), -1)
    lost = torch.rand(stacked.shape, generator=generator, device=stacked.device) < each
    lost |= torch.rand(stacked.shape[0], 1, generator=generator, device=stacked.device) < all_together
    return dict(zip(values, stacked.masked_fill(lost, math.nan).unbind(-1), strict=True))
