"""Requested properties from what users write."""

from collections.abc import Mapping, Sequence
from typing import Any

from molgen.errors import InputError
from molgen.ranges import Range


def parse_properties(texts: tuple[str, ...]) -> dict[str, float | tuple[float, float]]:
    """Values of ``NAME=VALUE`` options, and ranges of ``NAME=LOW..HIGH``.

    Raises:
        InputError: for anything else, or a property given twice.
    """
    values: dict[str, float | tuple[float, float]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        try:
            number = Range.parse(value) if ".." in value else float(value)
        except InputError as error:
            raise InputError(f"--property {text}: {error}") from None
        except ValueError:
            sign = ""
        if not sign or not name:
            raise InputError(f"--property {text}: expected NAME=VALUE such as gap_xtb=6.0, or NAME=LOW..HIGH")
        if name in values:
            raise InputError(f"--property {text}: {name} is given twice")
        values[name] = number
    return values


def closed(values: Mapping[str, Any], known: Sequence[Any]) -> dict[str, Any]:
    """Requested values with the open ends of ranges closed by the range of the training data."""
    ends = {member.name: Range(member.low, member.high) for member in known if hasattr(member, "low")}
    return {
        name: Range(*value).within(ends[name]) if isinstance(value, tuple) and name in ends else value for name, value in values.items()
    }
