"""Worker processes that survive what they work on.

Each item has a time limit. A check that hangs inside compiled code cannot be interrupted from Python, so the worker that runs it
is killed and a new one takes over the rest of its items; a worker that dies (out of memory, a crash in compiled code) is replaced the
same way. The lost item yields a reason instead of a result. Results come in the order of the items, and only a bounded number of
items is in memory.

A worker takes about a second to start, longer the more start at once. So there is one for every `ENOUGH` items to begin with, and as many
again whenever work has waited for longer than the last start took: never long behind what the best number of them would have done.
"""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from molgen.errors import RunError

CHUNK = 20
"""Items sent to a worker at once."""
ENOUGH = 200
"""Items worth the start of a worker: the usual checks of so many small molecules take about as long."""
STARTUP = 180.0
"""Seconds that a worker may take to import its libraries."""


@dataclass(frozen=True)
class Lost:
    """An item without a result.

    Args:
        reason: why, for example "timed out after 60 s".
    """

    reason: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    items: deque[tuple[int, Any]] = field(default_factory=deque)
    started: float = field(default_factory=time.monotonic)
    deadline: float = float("inf")
    ready: bool = False


def run(function: Callable[[Any], Any], items: Iterable[Any], workers: int, timeout: float | int) -> Iterator[Any]:
    """Applies a function to items in other processes and yields results, or `Lost`, in order.

    Args:
        function: picklable; is called once with None in each new worker, to import what it needs outside the time limit.
        items: picklable; drawn as needed.
        workers: processes at most; 0 computes here, without time limit.
        timeout: seconds for one item.

    Raises:
        RunError: workers die before they could start.
    """
    if workers == 0:
        yield from map(function, items)
        return
    items = iter(items)
    head = list(islice(items, workers * ENOUGH))
    pool = _Pool(function, workers, timeout)
    try:
        pool.grow(-(-len(head) // ENOUGH))
        yield from pool.results(chain(head, items))
    finally:
        pool.stop()


class _Pool:
    """The state of one `run`."""

    def __init__(self, function: Callable[[Any], Any], workers: int, timeout: float | int) -> None:
        self._function, self._most, self._timeout = function, workers, timeout
        self._context = multiprocessing.get_context("spawn")
        self._done: dict[int, Any] = {}
        self._failed_starts = 0
        self._growth = float("inf")  # when work that still waits is worth more workers
        self._workers: list[_Worker] = []

    def grow(self, number: int) -> None:
        """Starts so many more workers, within what is allowed."""
        self._growth = float("inf")
        for _ in range(min(number, self._most - len(self._workers))):
            self._workers.append(self._start())

    def results(self, items: Iterable[Any]) -> Iterator[Any]:
        """Results in order."""
        numbered = enumerate(items)
        chunk = list(islice(numbered, CHUNK))
        following = 0
        while True:
            while following in self._done:
                yield self._done.pop(following)
                following += 1
            for worker in self._workers:
                # wait for the slowest item rather than pile up results behind it
                if chunk and worker.ready and not worker.items and len(self._done) < 20 * CHUNK * len(self._workers):
                    self._send(worker, chunk)
                    chunk = list(islice(numbered, CHUNK))
            if not chunk and not any(worker.items for worker in self._workers):
                if following not in self._done:
                    return
                continue
            waits = bool(chunk) and all(worker.items for worker in self._workers)
            if waits and time.monotonic() >= self._growth:
                self.grow(len(self._workers))
            self._listen(self._growth if waits else float("inf"))

    def stop(self) -> None:
        """Ends every worker."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, self._function), daemon=True)
        process.start()
        there.close()
        return _Worker(process, here, deadline=time.monotonic() + STARTUP)

    def _send(self, worker: _Worker, chunk: list[tuple[int, Any]]) -> None:
        worker.items = deque(chunk)
        worker.deadline = time.monotonic() + self._timeout
        try:
            worker.pipe.send([item for _, item in chunk])
        except OSError:
            self._replace(worker, "worker process died")

    def _listen(self, until: float) -> None:
        """Takes in what workers have sent, at the latest at a moment, then replaces those that are over time."""
        now = time.monotonic()
        first = min(until, *(worker.deadline for worker in self._workers))
        pipes = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(pipes), timeout=max(0.0, min(first - now, 3600.0))):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._replace(worker, "worker process died")
                continue
            if not worker.ready:
                worker.ready, self._failed_starts = True, 0
                if all(other.ready for other in self._workers) and len(self._workers) < self._most:
                    self._growth = 2 * time.monotonic() - worker.started
                worker.deadline = time.monotonic() + self._timeout if worker.items else float("inf")
                if worker.items:
                    self._send(worker, list(worker.items))
                continue
            number, _ = worker.items.popleft()
            self._done[number] = message
            worker.deadline = time.monotonic() + self._timeout if worker.items else float("inf")
        for worker in list(self._workers):
            if time.monotonic() > worker.deadline:
                self._replace(worker, f"timed out after {self._timeout:g} s")

    def _replace(self, worker: _Worker, reason: str) -> None:
        """Gives up the item that the worker was at and hands the rest to a new worker."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts > 3:
                raise RunError("worker processes end before they can start; run with --workers 0 to see why")
        elif worker.items:
            number, _ = worker.items.popleft()
            self._done[number] = Lost(reason)
        fresh = self._start()
        fresh.items = worker.items
        self._workers[self._workers.index(worker)] = fresh


def _work(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Loop of a worker process."""
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        function(None)
        pipe.send("ready")
        while True:
            for item in pipe.recv():
                pipe.send(function(item))
    except (EOFError, OSError, KeyboardInterrupt):
        return
