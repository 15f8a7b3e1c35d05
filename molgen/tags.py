"""Names of the tags that records of samples carry beside those of their data, and whether tags are the same."""

from collections.abc import Mapping
from functools import partial
from typing import Any

Value = float | int | str | bool
"""Of tags."""

FOUND = ("index", "passed", "smiles")
"""Tags that tell what was drawn, beside those of measured and of predicted properties; all others tell what was asked for."""

REQUESTED = "requested_"
"""What the tags of requested properties begin with."""

MEASURED = "measured_"
"""What the tags of properties that were measured on the sample begin with."""

PREDICTED = "predicted_"
"""What the tags of properties begin with that an estimator of the model told of the finished sample."""

DEVIATION = "deviation_"
"""What the tags of the standard deviations begin with that an estimator states for what it predicts."""


def same_tags(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether these tags are equal; NaN equals itself."""
    return one.keys() == other.keys() and all(
        value == other[name] or (value != value and other[name] != other[name]) for name, value in one.items()
    )


def called(part: Any) -> str:
    """What records call a function or an object of one's own, in every run alike: its text, or its name where that holds an address."""
    if isinstance(part, partial):
        given = [*map(str, part.args), *(f"{name}={value}" for name, value in part.keywords.items())]
        return f"{called(part.func)}({', '.join(given)})"
    if name := getattr(part, "__qualname__", ""):
        return str(name)
    return type(part).__qualname__ if type(part).__repr__ is object.__repr__ else str(part)
