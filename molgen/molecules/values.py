"""Named values of molecules as files write them: which texts are numbers, numbers that keep their text, and what counts as missing."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from molgen.tags import Value
from molgen.written import Written

_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}")
_REAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_CODE = re.compile(r"[+-]?\d{20,}|\d+E\d+|\d[eE]\d\d")
"""What looks like a number and names something: long registry numbers, codes of the Protein Data Bank such as 3e63."""


def as_value(text: str) -> Value:
    """An int, float or bool if the text is written like one, else the text, as of identifiers: 0070, 3e63, more than 19 digits.

    Its text is the same again: numbers that Python writes in another way are `Written`.
    """
    if text in ("True", "False"):
        return text == "True"
    if _INTEGER.fullmatch(text):
        return int(text)
    stripped = text.strip()
    number = float(stripped) if _REAL.fullmatch(stripped) and not _CODE.fullmatch(stripped) else math.nan
    if not math.isfinite(number):
        return text
    return number if str(number) == text else Written(text)


def plain(value: Any) -> Any:
    """A property as Python has it: numbers of numpy become its own; None for what is missing, as NaN and the NA and NaT of pandas are.

    Numbers of fewer bits become what their text says: 0.1 of 32 bits is 0.1.
    """
    if isinstance(value, np.bool_ | np.integer | np.str_ | np.float64):
        value = value.item()
    elif isinstance(value, np.floating):
        value = float(str(value))
    try:
        return None if value is None or value != value else value
    except TypeError:  # neither true nor false: NA
        return None
    except ValueError:  # an array
        return value


def known(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that have a value, see :func:`plain`."""
    found = {name: plain(value) for name, value in properties.items()}
    return {name: value for name, value in found.items() if value is not None}
