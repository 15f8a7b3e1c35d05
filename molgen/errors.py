"""The two kinds of expected errors, and what they say about a value or an unknown name.

Whatever the user can mend is an `InputError`; its text is one line that names the file, the record, what was expected,
what came and how to mend it. A run that cannot go on although its input was right is a `RunError`. The command line prints
either as ``molgen: error: <line>`` and exits with status 2 or 1. Everything else is a defect of molgen.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any


class InputError(ValueError):
    """Bad input: a file, a record, an option or a configuration that the user can mend (exit status 2)."""


class OutputError(InputError):
    """What was asked for cannot be written, for want of space or of content; work that is finished by then stays (exit status 2)."""


class RunError(RuntimeError):
    """A run that had to stop although its input was valid, such as a loss that is no longer finite (exit status 1)."""


def got(value: object) -> str:
    """What came in the place of what was expected, in one line of 60 characters at most."""
    return f"{' '.join(repr(value).split()):.60}"


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, of Python or NumPy; True is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int | None = None) -> None:
    """Refuses what is no whole number, or too small a one.

    Raises:
        InputError: naming the argument.
    """
    if not is_whole(value) or (least is not None and value < least):
        raise InputError(f"{name}: expected a whole number{'' if least is None else f' of at least {least}'}, got {value!r}")


def nearest(name: str, known: Sequence[str], most: int = 3) -> list[str]:
    """The known names that are most like an unknown one, capital letters ignored; none where all are unlike it."""
    lower = {one.lower(): one for one in known}
    return [lower[one] for one in get_close_matches(name.lower(), lower, n=most)]


def suggest(name: str, known: Sequence[str]) -> str:
    """What to try instead of an unknown name: the nearest of the known ones, or all of them."""
    if close := nearest(name, known):
        return f"did you mean {' or '.join(close)}?"
    return f"known are {', '.join(known)}" if known else "none is known"
