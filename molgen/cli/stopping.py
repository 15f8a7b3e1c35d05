"""Ctrl-C and SIGTERM that are not lost.

Both raise a KeyboardInterrupt, so that a command cleans up. Python code that is called from C, such as a destructor or a hook, cannot pass
an exception on: raised there, it is printed or dropped, and the command goes on (met once in about forty interrupted runs). So the signal
is remembered, and loops over :func:`until_stopped` raise it again.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeVar

Thing = TypeVar("Thing")
_asked = threading.Event()


def listen() -> None:
    """Takes over both signals, unless the parent process wants them ignored; worker processes still end at once by SIGTERM."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stop)
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _stop(number: int, frame: Any) -> NoReturn:
    _asked.set()
    raise KeyboardInterrupt


def until_stopped(things: Iterable[Thing]) -> Iterator[Thing]:
    """Hands things on, one by one, as long as nobody has asked to stop.

    Raises:
        KeyboardInterrupt: somebody has.
    """
    for thing in things:
        stop_if_asked()
        yield thing


def stop_if_asked() -> None:
    """Stops the command where somebody has asked to.

    Raises:
        KeyboardInterrupt: somebody has.
    """
    if _asked.is_set():
        raise KeyboardInterrupt
