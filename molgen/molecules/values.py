"""Named values of molecules as files write them: which texts are numbers, and numbers that keep their text."""

import math
import re

from molgen.written import Written

Value = float | int | str | bool
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
