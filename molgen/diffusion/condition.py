"""Named conditions, each a value or null.

A scalar reaches the network as ``(value - mean) / std``, a presence flag and its complement, a category as one flag a class and one for
null, a vector as its standardised numbers with both flags, so that null is a learned input and not a number. In training each condition is
dropped independently and sometimes all together: one set of weights then serves the unconditional model and every subset of conditions,
which classifier-free guidance needs (Ho and Salimans 2022, arXiv 2207.12598).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from molgen.errors import InputError, suggest
from molgen.types import Float, PerSample, Tensor

LARGEST = 1e38
"""Requested value at most: networks compute in single precision."""
SMALLEST_STD = 1e-6
"""By which numbers are divided that are the same in all training data."""


@dataclass(frozen=True)
class Scalar:
    """A real condition in physical units with the statistics of the training data."""

    name: str
    mean: float
    std: float
    low: float
    high: float
    unit: str = ""

    @property
    def width(self) -> int:
        """Number of input features of the network."""
        return 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers that batches carry for a sample: one."""
        return ()

    @property
    def scale(self) -> float:
        """By which values are divided: the deviation of the training data, above zero."""
        return max(self.std, SMALLEST_STD)

    def standardise(self, value: PerSample) -> PerSample:
        """Values in units of their deviation in the training data."""
        return (value - self.mean) / self.scale

    def read(self, value: float | str) -> float:
        """A requested value as the number that batches carry.

        Raises:
            InputError: if it is not a finite number that single precision can hold.
        """
        if isinstance(value, (str, bool)) or not abs(value) <= LARGEST:
            limit = "" if isinstance(value, (str, bool)) or not abs(value) < math.inf else f" of at most {LARGEST:g}"
            raise InputError(f"property {self.name}: expected a number{limit}, got {value!r}")
        return float(value)

    def doubt(self, value: float | str) -> str:
        """A line if the value is outside the training range, else ""."""
        number = self.read(value)
        if self.low <= number <= self.high:
            return ""
        line = f"{self.name}={number:g} {self.unit} is outside the training range {self.low:g} to {self.high:g}"
        return line.replace("  ", " ")

    def encode(self, value: PerSample, dtype: torch.dtype) -> Float[Tensor, "b width"]:
        """Columns of the network's input; NaN is null."""
        known = ~value.isnan()
        standard = torch.where(known, self.standardise(value), 0).to(dtype)
        return torch.stack([standard, known.to(dtype), (~known).to(dtype)], -1)


@dataclass(frozen=True)
class Category:
    """One of several named classes; batches carry its position as a number."""

    name: str
    classes: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of input features of the network."""
        return len(self.classes) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers that batches carry for a sample: one."""
        return ()

    def read(self, value: float | str) -> float:
        """The position of a class by its name, in capital letters or not.

        Raises:
            InputError: for an unknown class, with the nearest names.
        """
        if value in self.classes:
            return float(self.classes.index(str(value)))
        lower = [name.lower() for name in self.classes]
        if lower.count(str(value).lower()) == 1:
            return float(lower.index(str(value).lower()))
        raise InputError(f"unknown {self.name} {value!r}; {suggest(str(value), self.classes)}")

    def doubt(self, value: float | str) -> str:
        """Nothing is doubtful about a known class."""
        self.read(value)
        return ""

    def encode(self, value: PerSample, dtype: torch.dtype) -> Float[Tensor, "b width"]:
        """Columns of the network's input; NaN is null."""
        place = torch.where(value.isnan(), len(self.classes), value).long()
        return functional.one_hot(place, self.width).to(dtype)


@dataclass(frozen=True)
class Vector:
    """Numbers that mean something only together, such as the vector of a sentence, which is what is asked for.

    Args:
        name: of the condition.
        mean: of the training data, one for each number.
        std: likewise.
        embed: what is asked for as numbers; raises InputError where it cannot.
    """

    name: str
    mean: tuple[float, ...] = field(repr=False)
    std: tuple[float, ...] = field(repr=False)
    embed: Callable[[str], Sequence[float]] = field(repr=False)

    @property
    def width(self) -> int:
        """Number of input features of the network."""
        return len(self.mean) + 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers that batches carry for a sample."""
        return (len(self.mean),)

    def read(self, value: float | str) -> Sequence[float]:
        """What is asked for as the numbers that batches carry.

        Raises:
            InputError: if it is not a text, or has no numbers.
        """
        if not isinstance(value, str):
            raise InputError(f"{self.name}: expected words, got {value}")
        return self.embed(value)

    def doubt(self, value: float | str) -> str:
        """Nothing is doubtful about what can be read."""
        self.read(value)
        return ""

    def encode(self, value: Float[Tensor, "b numbers"], dtype: torch.dtype) -> Float[Tensor, "b width"]:
        """Columns of the network's input; NaN is null."""
        known = ~value.isnan().any(-1, keepdim=True)
        mean, std = value.new_tensor(self.mean), value.new_tensor(self.std).clamp(min=SMALLEST_STD)
        return torch.cat([torch.where(known, (value - mean) / std, 0), known, ~known], -1).to(dtype)


Member = Scalar | Category | Vector


@dataclass(frozen=True)
class Conditions:
    """The conditions of a model, in a fixed order."""

    members: Sequence[Member] = ()

    @property
    def names(self) -> list[str]:
        """Names in the order of the network's input."""
        return [member.name for member in self.members]

    @property
    def width(self) -> int:
        """Number of input features of the network."""
        return sum(member.width for member in self.members)

    def __getitem__(self, name: str) -> Member:
        return {member.name: member for member in self.members}[name]

    def encode(self, values: Mapping[str, Tensor], count: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "b q"]:
        """Network input (b, width) from physical values (b, ...); a name that is missing or NaN is null, and others are for guidance."""
        columns = []
        for member in self.members:
            raw = values.get(member.name)
            value = torch.full((count, *member.shape), math.nan, dtype=dtype, device=device) if raw is None else raw.to(device)
            columns.append(member.encode(value, dtype))
        return torch.cat(columns, -1) if columns else torch.zeros(count, 0, device=device, dtype=dtype)


def drop(
    values: Mapping[str, Tensor], each: float, all_together: float, keep_one: float = 0.0, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Sets conditions to null.

    All of a sample with probability ``all_together``, all but one of them with probability ``keep_one``, otherwise each with
    probability ``each``. Independent dropping alone hardly ever leaves a single condition, which is what most people ask for.
    """
    if not values:
        return {}
    first, names = next(iter(values.values())), len(values)
    device, count = first.device, len(first)
    lost = torch.rand(count, names, generator=generator, device=device) < each
    case = torch.rand(count, 1, generator=generator, device=device)
    kept = torch.randint(names, (count, 1), generator=generator, device=device) == torch.arange(names, device=device)
    lost = torch.where(case < all_together + keep_one, ~kept | (case < all_together), lost)
    return {
        name: value.masked_fill(lost[:, k].view(-1, *(1,) * (value.dim() - 1)), math.nan) for k, (name, value) in enumerate(values.items())
    }
