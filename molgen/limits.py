"""Ranges of parameters, written once in their types: pydantic keeps them in configurations, :class:`Limited` in constructors."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field

from molgen.errors import InputError

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, lt=math.inf)]
NotNegative = Annotated[float, Field(ge=0, lt=math.inf)]
Layers = Annotated[int, Field(gt=0, le=1000)]
Width = Annotated[int, Field(gt=0, le=4096)]
"""Of a network: a file may claim any, and building it comes before its weights are found not to fit."""

BOUNDS = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
}
"""Bound in the metadata of a type -> its words, and whether a value keeps it."""


class Limited:
    """A dataclass whose constructor refuses values outside of the ranges that the types of its fields state.

    In configurations its unknown keys are errors.

    Raises:
        InputError: with the class, the parameter, its range and the value.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            if get_origin(hint) is tuple:
                hint, members = get_args(hint)[0], value
            elif get_origin(hint) is Mapping:
                hint, members = get_args(hint)[1], value.values()
            else:
                members = (value,)
            for one in members:
                if broken := _broken(hint, one):
                    raise InputError(f"{type(self).__name__}.{name}: expected {broken}, got {value!r}")


def _broken(hint: Any, value: Any) -> str:
    """The range of a type in words if the value lies outside of it, as NaN does, else nothing."""
    if get_origin(hint) is Literal:
        return "" if value in get_args(hint) else " or ".join(map(repr, get_args(hint)))
    bounds = list(_bounds(hint))
    kept = all(BOUNDS[kind][1](value, bound) for kind, bound in bounds)
    return "" if kept else " and ".join(f"{BOUNDS[kind][0]} {bound:g}" for kind, bound in bounds)


def _bounds(hint: Any) -> Iterator[tuple[str, float]]:
    """Kind and value of the bounds in the metadata of a type."""
    for item in getattr(hint, "__metadata__", ()):
        for part in getattr(item, "metadata", (item,)):
            yield from ((kind, bound) for kind in BOUNDS if (bound := getattr(part, kind, None)) is not None)
