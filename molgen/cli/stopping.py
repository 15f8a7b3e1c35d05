"""Ctrl-C, SIGTERM and the SIGHUP of a closed terminal that are not lost.

All raise a KeyboardInterrupt, so that a command cleans up. Two things may swallow it. Python code that is called from C, such as a
destructor or a hook, cannot pass an exception on; so the signal is remembered, and loops over :func:`until_stopped` raise it again. And
RDKit puts a handler of its own in place of Python's while it searches substructures, cuts the search short and tells nobody (of 200 signals
sent to a loop of searches Python saw 68); so these loops take the signals in a thread of their own, which no library can get at.
"""

import _thread
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

Thing = TypeVar("Thing")
OFTEN = 0.1  # seconds after which the thread looks whether the loop is over
STOPS = [one for one in signal.Signals if one.name in ("SIGINT", "SIGTERM", "SIGHUP")]
_asked, _over = threading.Event(), threading.Event()


def listen() -> None:
    """Takes over the signals, unless the parent process wants them ignored; worker processes still end at once by SIGTERM and SIGHUP."""
    _asked.clear()
    _over.clear()
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    for name in STOPS:
        if signal.getsignal(name) is signal.SIG_DFL:
            signal.signal(name, _stop)
            if hasattr(os, "register_at_fork"):  # where processes fork
                os.register_at_fork(after_in_child=partial(signal.signal, name, signal.SIG_DFL))


def end_at_once() -> None:
    """From now on a further signal ends the process, as an interrupted one; without this it would break what Python does at its end."""
    _over.set()


def _taken() -> set[signal.Signals]:
    """The signals that `_stop` handles."""
    return {name for name in STOPS if signal.getsignal(name) is _stop}


def _stop(number: int, frame: Any) -> NoReturn:
    if _over.is_set():
        os._exit(130)
    _asked.set()
    raise KeyboardInterrupt


def until_stopped(things: Iterable[Thing]) -> Iterator[Thing]:
    """Hands things on, one by one, as long as nobody has asked to stop; for loops that start no processes (:func:`apart`).

    Raises:
        KeyboardInterrupt: somebody has.
    """
    with apart():
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


@contextmanager
def apart(here: bool = True) -> Iterator[None]:
    """Keeps those signals that `_stop` handles from this thread, and lets one that waits for them tell it; where the system can.

    Args:
        here: the work is done in this process. Otherwise nothing is kept: processes that it starts would inherit the mask.
    """
    names = _taken()
    if not here or not names or not hasattr(signal, "sigtimedwait") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, over = signal.pthread_sigmask(signal.SIG_BLOCK, names), threading.Event()

    def wait() -> None:
        while not over.is_set():
            found = signal.sigtimedwait(names, OFTEN)
            if found is not None and found.si_signo in names:  # woken by Ctrl-Z and fg, Python hands on what nobody filled in
                _thread.interrupt_main(signal.Signals(found.si_signo))

    waiting = threading.Thread(target=wait, name="signals", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
