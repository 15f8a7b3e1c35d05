"""What is asked of a model: sizes, properties, steps, seed; and what a sampling run counts.

Draw k of a run is a function of (seed, k): :func:`draw_seed` seeds the generator from which its size and every random number on its way
come. Sizes follow the training histogram p(n); where properties y are asked for, Bayes' rule gives ``p(n | y) ~ p(n) prod_y p(y | n)`` with
the density of y among training samples of n nodes. A range of a property is a number for every draw, uniform in the range.
"""

from __future__ import annotations

import hashlib
import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from molgen.diffusion.sampler import Walks
from molgen.domain import Constraint, Filters, Guide, Item
from molgen.errors import InputError, got, is_whole
from molgen.known import Known, fingerprint
from molgen.ranges import MOST_CANDIDATES, MOST_STEPS, Range
from molgen.statistics import Statistics
from molgen.tags import REQUESTED, Value, called

STEERING = 1.0
"""Usual scale of guidance by an estimator."""

EXPECTED = {
    "steps": (Integral | None, "a whole number"),
    "seed": (Integral, "a whole number"),
    "sizes": (Sequence, "a list of numbers such as [18]"),
    "properties": (Mapping, "values by name such as {'logp': 1.0}"),
    "guides": (Sequence, "a list"),
    "guidance": (Real | None, "a number"),
    "candidates": (Integral | None, "a whole number"),
    "steering": (Real, "a number"),
}
"""What arguments have to be, and in words."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to sample.

    Args:
        properties: requested values by name of the label, in physical units or as the name of a class; a pair (low, high) asks each draw
            for a value of its own, uniform between them.
        guidance: scale of classifier-free guidance; 1 is the plain conditional model. By default 1 where the nearest of several
            candidates is taken, which is worth more than the second network call of guidance, else what suits the domain (molecules 2,
            clouds 1.5, latent clouds 1).
        candidates: walks towards the properties of a draw, at most 1000; the nearest by measuring is taken. By default 4 if all properties
            can be measured on what is made, else 1.
        steering: scale of guidance by the model's estimator of properties, where it has one; 1 is Bayes' rule, 0 none.
        sizes: numbers of nodes, a list or an array, to choose from with the frequencies of the training data; all by default. At most
            1000 atoms, 100,000 points.
        steps: network calls of a walk (twice as many with guidance), at most 10,000; by default 50 of molecules and 30 of shapes.
        sampler: what walks; by default that of the model.
        seed: of everything random.
        keep_invalid: hand out items that fail the check as well.
        filters: which of the items that pass the check are handed out; the domain's own by default.
        guides: guidance by scores, the first one innermost.
        own_guides: whether the domain's own guides apply too, inside of these.
        precision: of matrix products: fp32, or bf16 where the processor multiplies it (:mod:`molgen.diffusion.rounding`).
        constraint: what samples have in common with a given item.

    Numbers of numpy become those of Python; anything with ``items()`` names properties, and arrays of one dimension are sizes, such as a
    Series of pandas.
    """

    properties: Mapping[str, float | str | tuple[float, float]] = field(default_factory=dict)
    guidance: float | None = None
    candidates: int | None = None
    steering: float = STEERING
    sizes: Sequence[int] | np.ndarray = ()
    steps: int | None = None
    sampler: Walks | None = None
    seed: int = 0
    keep_invalid: bool = False
    filters: Filters | None = None
    guides: Sequence[Guide] = ()
    own_guides: bool = True
    precision: str = "fp32"
    constraint: Constraint | None = None

    def __post_init__(self) -> None:
        for name in ("guidance", "candidates", "steering", "steps", "seed"):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        if hasattr(self.properties, "items") and not isinstance(self.properties, type):
            object.__setattr__(self, "properties", {name: _plain(value) for name, value in self.properties.items()})
        if hasattr(self.sizes, "__array__") and np.ndim(self.sizes) == 1:
            object.__setattr__(self, "sizes", np.asarray(self.sizes).tolist())
        elif isinstance(self.sizes, list | tuple):
            object.__setattr__(self, "sizes", [*map(_plain, self.sizes)])

    def check(self) -> None:
        """Refuses what makes no sense for any model.

        Raises:
            InputError: naming the argument and what was expected.
        """
        for name, (kind, expected) in EXPECTED.items():
            if not isinstance(value := getattr(self, name), kind) or isinstance(value, (str, bytes, bool)):
                raise InputError(f"{name}: expected {expected}, got {got(value)}")
        if self.sampler is not None and not _is(self.sampler, Walks):
            raise InputError(f"sampler: expected one of molgen.diffusion.sampler such as Ddim(), got {self.sampler!r}")
        for size in self.sizes:
            if not is_whole(size):
                raise InputError(f"sizes: expected whole numbers, got {size!r}")
        for guide in self.guides:
            if not _is(guide, Guide):
                raise InputError(f"guides: {guide!r} is no guidance; a score has to be wrapped, molgen.guidance.Gradient(score)")
        if self.filters is not None and not _is(self.filters, Filters):
            raise InputError(f"filters: expected molgen.Filters(where=[...]), got {self.filters!r}")
        if self.constraint is not None and not _is(self.constraint, Constraint):
            raise InputError(f"constraint: expected molgen.Keep, Around or Conformers, got {self.constraint!r}")
        for name, number, most in (("steps", self.steps, MOST_STEPS), ("candidates", self.candidates, MOST_CANDIDATES)):
            if number is not None and not 1 <= number <= most:
                raise InputError(f"{name}: expected {'at least 1' if number < 1 else f'at most {most}'}, got {number}")
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision: expected fp32 or bf16, got {self.precision!r}")
        for name, value in self.properties.items():
            if not isinstance(name, str):
                raise InputError(f"properties: expected values by name such as {{'logp': 1.0}}, got {got({name: value})}")
            if isinstance(value, str):
                continue
            ends = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(end, Real) for end in ends):
                raise InputError(f"{name}: expected a number, a range (low, high) or the name of a class, got {got(value)}")
            if isinstance(value, tuple) and not (len(value) == 2 and value[0] <= value[1]):
                raise InputError(f"{name}: expected (low, high), got {value}")
        for name, scale in (("guidance", self.guidance), ("steering", self.steering)):
            if scale is not None and not 0 <= scale <= sys.float_info.max:
                raise InputError(f"{name}: expected a number of at least 0, got {scale}")

    def named(self, known: Iterable[str]) -> Request:
        """The request with a model's own names of properties, see :func:`own_names`."""
        return replace(self, properties=own_names(self.properties, [*known]))

    @property
    def walks(self) -> int:
        """Candidates of a draw: as many as are asked for, or one."""
        return self.candidates or 1

    @property
    def ranged(self) -> bool:
        """Whether a property is asked for as a range."""
        return any(isinstance(value, tuple) for value in self.properties.values())

    def values(self, seed: int) -> dict[str, float | str]:
        """Requested values of the draw with this seed."""
        return {name: _drawn(Range(*v), seed, name) if isinstance(v, tuple) else v for name, v in self.properties.items()}

    def of(self, number: int) -> Request:
        """The request of one draw, with values and a constraint of its own; the same one where all draws share both."""
        constraint = None if self.constraint is None else self.constraint.for_draw(number)
        if constraint is self.constraint and not self.ranged:
            return self
        return replace(self, properties=self.values(draw_seed(self.seed, number)), constraint=constraint)

    def tags(self, model: str, number: int) -> dict[str, Value]:
        """What the record of a draw says about its settled request, and what a resumed run must have in common with it."""
        tags: dict[str, Value] = {"seed": self.seed, "model": model}
        if self.steps is not None:
            tags["steps"] = self.steps
        if self.properties:
            if self.guidance is not None:
                tags["guidance"] = self.guidance
            if self.walks > 1:
                tags["candidates"] = self.walks
            if self.steering != STEERING:
                tags["steering"] = self.steering
        if self.sizes:
            tags["size"] = _ranges(self.sizes)
        if self.sampler is not None:
            tags["sampler"] = called(self.sampler)
        if self.keep_invalid:
            tags["keep_invalid"] = True
        if self.filters is not None and self.filters.describe():
            tags["filters"] = self.filters.describe()
        if self.guides:
            tags["guides"] = "; ".join(guide.describe() for guide in self.guides)
        if not self.own_guides:
            tags["own_guides"] = False
        if self.precision != "fp32":
            tags["precision"] = self.precision
        if self.constraint is not None:
            tags |= self.constraint.tags()
        return tags | {f"{REQUESTED}{name}": value for name, value in self.values(draw_seed(self.seed, number)).items()}


@dataclass
class Tally:
    """Counts of a sampling run."""

    drawn: int = 0
    kept: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    smiles: array[int] = field(default_factory=lambda: array("Q"))

    def draw(self, failure: str) -> None:
        """Counts a draw, with the reason why it fails if it does."""
        self.drawn += 1
        if failure:
            self.failures[failure] += 1

    def keep(self, item: Item) -> None:
        """Counts an item that is handed out; 8 bytes each are kept to tell how many are different."""
        self.kept += 1
        self.recall(item.properties)

    def add(self, other: Tally) -> None:
        """Takes in the counts of a part of the run."""
        self.drawn += other.drawn
        self.kept += other.kept
        self.failures += other.failures
        self.withheld += other.withheld
        self.smiles += other.smiles

    def recall(self, tags: Mapping[str, Value]) -> None:
        """Takes in the SMILES among the tags of a molecule that passed, also of one that an earlier run wrote."""
        if "smiles" in tags and tags.get("passed", True):
            self.smiles.append(fingerprint(str(tags["smiles"])))

    @property
    def unique(self) -> int:
        """Different molecules among those that passed the check."""
        return len(set(self.smiles))

    def novel(self, known: Known) -> int:
        """Different molecules among those that passed the check that are not in a set."""
        distinct = np.unique(np.array(self.smiles, np.uint64))
        return int((~known.holds(distinct)).sum())

    @property
    def valid(self) -> int:
        """Draws that passed the check."""
        return self.drawn - sum(self.failures.values())


def size_probabilities(statistics: Statistics, request: Request) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and their probabilities.

    The training histogram times, for each requested property, its density among samples of that size.

    Raises:
        InputError: if a requested size is not positive, or none fits the constraint.
    """
    wanted = sorted(set(request.sizes))
    if request.constraint is not None:
        wanted = request.constraint.sizes(statistics, wanted)
    wanted = wanted or sorted(statistics.sizes)
    if wanted[0] < 1:
        raise InputError(f"expected a positive size, got {wanted[0]}")
    weight = np.array([statistics.sizes.get(n, 0) for n in wanted], dtype=np.float64)
    if weight.sum() == 0:
        weight[:] = 1
    for name, value in request.properties.items():
        assert not isinstance(value, tuple), "a range has many values: ask for the size of one draw"
        weight = weight * np.array([statistics.density(name, n, value) for n in wanted])
    if weight.sum() == 0 or not np.isfinite(weight).all():
        weight = np.array([statistics.sizes.get(n, 0) or 1e-9 for n in wanted], dtype=np.float64)
    return np.array(wanted), weight / weight.sum()


def own_names(values: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Requested values under the names that a model has for them, which are found in any case where only one fits; others as they are.

    Raises:
        InputError: two values are meant for one name.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        alike = [name] if name in known else [own for own in known if own.lower() == name.lower()]
        own = alike[0] if len(alike) == 1 else name
        if own in found:
            raise InputError(f"{name}: {own} is given twice")
        found[own] = value
    return found


def _is(value: object, kind: Any) -> bool:
    """Whether this is of a protocol; a class whose instances are is not."""
    return isinstance(value, kind) and not isinstance(value, type)


def _plain(value: Any) -> Any:
    """A number of numpy or another library as Python's own, also in a pair; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if type(value) not in (bool, int, float) and isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def _ranges(sizes: Sequence[int] | np.ndarray) -> str:
    """Numbers in words, such as ``12-20`` or ``12,14``."""
    numbers = sorted(set(sizes))
    whole = len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{numbers[0]}-{numbers[-1]}" if whole else ",".join(map(str, numbers))


def _drawn(wish: Range, seed: int, name: str) -> float:
    """A number of the range: a function of the draw's seed and the name, whatever else is asked for."""
    value, width = float(np.random.default_rng(draw_seed(seed, name)).uniform(*wish)), wish.high - wish.low
    digits = max(6, 6 - math.floor(math.log10(width))) if width > 0 else 15
    return min(max(round(value, digits), wish.low), wish.high)


def draw_seed(seed: int, draw: int | str) -> int:
    """Seed of the generator of one draw, from the seed of the run and the number of the draw, or of what else is drawn by its name."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{draw}".encode(), digest_size=7).digest(), "big")
