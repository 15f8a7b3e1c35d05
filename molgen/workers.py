"""Work on the chunks of a source in this process or in several, always in the order of the source."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, TypeVar

from molgen.errors import RunError

AHEAD = 4  # chunks in flight for each worker: bounds memory, keeps workers busy while results are written
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

_work: Callable[[Any], Any]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    for one in signal.Signals:
        if one.name in ("SIGINT", "SIGHUP"):  # Ctrl-C and a closed terminal are the main process's business
            signal.signal(one, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends a worker when its main process is gone, also one that was killed and could not tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(chunk: Any) -> Any:
    return _work(chunk)


def in_order(
    work: Callable[[Chunk], Result],
    chunks: Iterable[Chunk],
    workers: int,
    finished: Callable[[Chunk], Result | None] = lambda chunk: None,
) -> Iterator[tuple[Chunk, Result, bool]]:
    """Yields every chunk with its result, in order, and whether the result was computed now.

    Args:
        work: what to do; picklable, every worker gets it once.
        chunks: what to do it to; read as the work proceeds.
        workers: processes; 1 works in this one.
        finished: the result of a chunk that an earlier run left, else None.

    Raises:
        RunError: a worker process died.
    """
    remaining = iter(chunks)
    head = list(islice(remaining, 2))
    remaining = chain(head, remaining)
    if workers == 1 or len(head) < 2:
        for chunk in remaining:
            old = finished(chunk)
            yield (chunk, work(chunk), True) if old is None else (chunk, old, False)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=(work,))
    pending: deque[tuple[Chunk, Result | Future[Result]]] = deque()

    def first() -> tuple[Chunk, Result, bool]:
        chunk, result = pending.popleft()
        return (chunk, result.result(), True) if isinstance(result, Future) else (chunk, result, False)

    try:
        for chunk in remaining:
            old = finished(chunk)
            pending.append((chunk, pool.submit(_call, chunk) if old is None else old))
            if len(pending) >= AHEAD * workers:
                yield first()
        while pending:
            yield first()
    except BrokenProcessPool as error:
        raise RunError("a worker process died (out of memory?); use fewer --workers and run the same command again") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Python waits at its end; a Ctrl-C while this waits would make that wait for ever
