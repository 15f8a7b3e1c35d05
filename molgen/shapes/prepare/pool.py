"""Reading the records of a source in this process or in several, always in the order of the source."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np

from molgen.errors import RunError
from molgen.shapes.prepare.records import Entry, Record, Rejected, Source

CHUNK = 32
AHEAD = 3  # chunks in flight for each worker
Chunk = Sequence[tuple[int, Entry]]
Outcome = Record | str
"""A record, or the reason why it is rejected."""


@dataclass(frozen=True)
class Reader:
    """All that a worker needs: where records come from, how many points to draw, and the seed."""

    source: Source
    points: int
    seed: int

    def __call__(self, chunk: Chunk) -> list[Outcome]:
        """Reads some numbered records."""
        return [self.one(k, entry) for k, entry in chunk]

    def one(self, number: int, entry: Entry) -> Outcome:
        """Reads one record, or says why not."""
        try:
            return self.source.read(entry, self.points, np.random.default_rng([self.seed, number, 1]))
        except Rejected as reason:
            return str(reason)


_reader: Reader


def _start(reader: Reader) -> None:
    global _reader
    _reader = reader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business


def _work(chunk: Chunk) -> list[Outcome]:
    return _reader(chunk)


def outcomes(reader: Reader, entries: Sequence[Entry], workers: int) -> Iterator[tuple[Chunk, list[Outcome]]]:
    """Outcomes of all records chunk by chunk, in order, from this process or from a pool.

    Raises:
        RunError: a worker process died.
    """
    numbered = list(enumerate(entries))
    chunks = [numbered[start : start + CHUNK] for start in range(0, len(numbered), CHUNK)]
    if workers == 1 or len(chunks) < 2:
        for chunk in chunks:
            yield chunk, reader(chunk)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=(reader,))
    pending: deque[tuple[Chunk, Future[list[Outcome]]]] = deque()
    try:
        for chunk in chunks:
            pending.append((chunk, pool.submit(_work, chunk)))
            if len(pending) >= AHEAD * workers:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()
    except BrokenProcessPool as error:
        raise RunError("a worker process died (out of memory?); use fewer --workers and run the same command again") from error
    finally:
        pool.shutdown(cancel_futures=True)
