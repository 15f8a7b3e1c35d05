"""Types and shapes of arguments and results are checked by beartype in the first calls of every function of a test.

A walk of 50 steps calls the same functions thousands of times, and checks of every call cost more than the walk.
"""

import functools
import sys
from collections import Counter
from collections.abc import Callable

from beartype import beartype

MOST = 4  # checked calls of a function in a test: arguments and result are two checks
_seen: Counter[tuple[str, str]] = Counter()
_let_off: list[Callable] = []


def checked(function: Callable) -> Callable:
    """A type checker for jaxtyping: beartype, until the function was called often enough in this test."""
    strict = functools.cache(lambda: beartype(function))  # made at the first call: of most functions a process of tests needs none
    place = function.__module__, function.__qualname__

    @functools.wraps(function)
    def check(*args, **kwargs):
        _seen[place] += 1
        if _seen[place] == 2 * MOST:
            _let_off_layers(_find(*place))
        return strict()(*args, **kwargs)

    return check


def start_anew() -> None:
    """Every function is checked again."""
    _seen.clear()
    while _let_off:
        vars(_let_off.pop()).pop("__no_type_check__", None)


def _find(module: str, qualname: str):
    """What bears the name, or None: a function within a function has none that leads to it."""
    thing = sys.modules.get(module)
    for name in qualname.split("."):
        thing = getattr(thing, "__dict__", {}).get(name)
    return thing


def _let_off_layers(thing) -> None:
    """Marks a function and all that it wraps, down to the one without checks."""
    for inner in ("fget", "func", "__func__", "__wrapped__"):  # of a property, a cached one, a class or static method, a decorated function
        if hasattr(thing, inner):
            _let_off_layers(getattr(thing, inner))
    if hasattr(thing, "__wrapped__"):
        thing.__no_type_check__ = True
        _let_off.append(thing)
