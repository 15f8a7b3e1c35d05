"""What a model must know of its training data, whatever the domain: labels, their moments, and the file ``statistics.json``.

Standard deviations are those of the population (division by the count): 0 for a single value.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from molgen.errors import InputError, suggest
from molgen.trees import Unreadable, parse_json, read_text

VERSION = 1
"""Of the content of ``statistics.json``."""

Content = TypeVar("Content")


@dataclass(frozen=True)
class Label:
    """A number that samples of a data set have: unit, moments and range of its known values.

    ``by_size`` holds the moments by number of nodes, ``{size: (count, mean, std)}``; None where that number tells nothing.
    """

    name: str
    unit: str
    count: int
    mean: float
    std: float
    min: float
    max: float
    by_size: Mapping[int, tuple[float, float, float]] | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Label:
        """Reads a label of ``statistics.json``.

        Raises:
            ValueError: a number of it is none.
        """
        sizes = raw.get("by_size")
        by_size = None if sizes is None else {int(size): _moments(size, found) for size, found in sizes.items()}
        for name in ("count", "mean", "std", "min", "max"):
            number(f"label {raw['name']}: {name}", raw[name], 0.0 if name in ("count", "std") else -math.inf)
        return cls(**{**raw, "by_size": by_size})

    def to_dict(self) -> dict[str, Any]:
        """A label of ``statistics.json``: the inverse of :meth:`from_dict`."""
        return {name: value for name, value in asdict(self).items() if name != "by_size" or value is not None}


def number(name: str, value: Any, low: float = -math.inf) -> Any:
    """A value of ``statistics.json`` that has to be a finite number, at least ``low``.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= low):
        least = f" of at least {low:g}" if math.isfinite(low) else ""
        raise ValueError(f"{name}: expected a number{least}, got {reprlib.repr(value)}")
    return value


def _moments(size: str, found: Any) -> tuple[float, float, float]:
    count, mean, std = found
    name = f"by_size {size}"
    return float(number(name, count, 0.0)), float(number(name, mean)), float(number(name, std, 0.0))


@runtime_checkable
class Statistics(Protocol):
    """What a model must know of its training data."""

    @property
    def sizes(self) -> Mapping[int, int]:
        """How many samples of the data have how many nodes."""
        ...

    @property
    def vocabulary(self) -> Mapping[str, tuple[Any, ...]]:
        """What two data sets must share so that one model reads both, by name."""
        ...

    @property
    def classes(self) -> Mapping[str, tuple[Any, ...]]:
        """What the classes of each discrete field stand for, in their order."""
        ...

    def relatives(self, field: str, name: Any, known: Sequence[Any]) -> list[Any]:
        """Which of the known classes a new class of a field starts from in fine-tuning; at least one."""
        ...

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions that the data can teach."""
        ...

    def label(self, name: str) -> Label:
        """The label of this name.

        Raises:
            InputError: if there is no such label.
        """
        ...

    def inherit(self, source: Any) -> Statistics:
        """These statistics with the coordinate scale of a model's of the same domain, which goes on from it.

        Raises:
            InputError: if the data do not fit the model, whatever its weights.
        """
        ...

    @property
    def companions(self) -> Mapping[str, Path]:
        """Folders of other trained networks that a model needs, by the names of their copies in its folder.

        The fields of an experiment name each of these folders under the same name.
        """
        ...

    def density(self, name: str, size: int, value: Any) -> float:
        """How often samples of this size have this value of a label, up to a factor that is the same for all sizes.

        Raises:
            InputError: if there is no such label.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """The content of ``statistics.json``."""
        ...


def moments(column: np.ndarray, sizes: np.ndarray | None = None) -> dict[str, Any]:
    """Count, moments and range of the known values of a label, all 0 without any, as ``statistics.json`` has them.

    Args:
        column: (n,) values, NaN where unknown.
        sizes: (n,) numbers of nodes, for the moments by size.
    """
    known = np.isfinite(column)
    values = column[known].astype(np.float64)
    count = len(values)
    figures = (values.mean(), values.std(), values.min(), values.max()) if count else (0.0,) * 4
    found: dict[str, Any] = {"count": count, **dict(zip(("mean", "std", "min", "max"), map(float, figures), strict=True))}
    if sizes is not None:
        groups = {str(size): values[sizes[known] == size] for size in np.unique(sizes[known])}
        found["by_size"] = {size: [len(group), float(group.mean()), float(group.std())] for size, group in groups.items()}
    return found


def find_label(labels: Sequence[Label], name: str) -> Label:
    """The label of this name.

    Raises:
        InputError: there is none, with the nearest labels there are.
    """
    for label in labels:
        if label.name == name:
            return label
    raise InputError(f"unknown property {name!r}; {suggest(name, [label.name for label in labels])}")


def read_statistics(path: Path, domain: str, parse: Callable[[Mapping[str, Any]], Content]) -> Content:
    """Reads a ``statistics.json``.

    Args:
        path: the file.
        domain: what its samples have to be, in the singular.
        parse: makes statistics of its content; may raise ValueError with what is wrong with it.

    Raises:
        InputError: if the file is missing, broken, of another version or of another domain.
    """
    try:
        raw = parse_json(read_text(path))
        if raw["domain"] != domain:
            raise InputError(f"{path.parent}: holds {raw['domain']}s; this model is one of {domain}s, give data of such")
        if raw["version"] != VERSION:
            raise InputError(f"{path}: expected version {VERSION} of the statistics, got {raw['version']}; prepare the data again")
        return parse(raw)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; make a data set with `molgen prepare SOURCE --out {path.parent}`") from None
    except InputError as error:
        raise InputError(str(error) if str(path.parent) in str(error) else f"{path}: {error}") from None
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        reason = str(error) if type(error) in (Unreadable, ValueError) else " ".join(f"{type(error).__name__}: {error}".split())
        fix = "prepare the data again, or copy the model again"
        raise InputError(f"{path}: not a statistics file of molgen ({reason}); {fix}") from None
