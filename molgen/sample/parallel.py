"""Batches side by side on the cores of a CPU.

An operation on a batch of molecules is too small to be shared by many cores. So every core gets a batch of its own: threads, whose
operations use one core each, share the network and leave Python's lock while they compute.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Barrier, Event, Lock, get_native_id
from types import TracebackType
from typing import TypeVar

import numpy as np
import torch

MOST = 8  # threads; Python takes 7 % of the time of a batch of qm9_small and lets in one thread at a time
OFTEN = 0.1  # seconds after which a waiting thread looks whether it was interrupted
LOWEST_RATE = 0.2  # share of draws that are taken to pass, however few did
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Progress = Callable[[int, int], object]
"""Is told how many draws are made, and how many are planned."""
LARGEST_WINDOW, LARGEST_WORK, SMALLEST_WINDOW = 256, 4_000_000, 16
"""Draws, and pairs times steps, made together on a CPU: what is lost at most when a run is interrupted, half a minute on two cores."""


def quiet(drawn: int, planned: int) -> None:
    """Progress that shows nothing."""


def wanted(num: int, kept: int, drawn: int) -> int:
    """How many further draws should bring ``num`` items, where ``kept`` of ``drawn`` passed."""
    return math.ceil((num - kept) / max(LOWEST_RATE, (kept + 1) / (drawn + 1)))


def affordable(sizes: Sequence[int], steps: int, room: int, candidates: int = 1) -> int:
    """How many of these draws, from the first on, are made together, each with so many candidates; ``room`` is 1 on a CPU.

    No clock decides it, so that a seed gives the same file whatever else the machine does. (Which draws are computed together moves
    the last bits of float32; in bfloat16 it can make another molecule.)
    """
    work = np.cumsum(np.square(sizes) * steps * candidates)
    return min(len(sizes), max(SMALLEST_WINDOW // candidates, 1, int(np.searchsorted(work, room * LARGEST_WORK))))


def cut(sizes: Sequence[int], pairs: int, share: int = 1) -> list[list[int]]:
    """Positions sorted by size, cut into batches of about equal cost.

    Args:
        sizes: number of nodes of every sample.
        pairs: about so many pairs ``b n^2`` make the largest batch.
        share: the number of batches is a multiple of this one, if there are as many samples.
    """
    order = sorted(range(len(sizes)), key=lambda g: sizes[g])
    cost = np.array([sizes[g] ** 2 for g in order], dtype=np.float64)
    middle = cost.cumsum() - cost / 2
    count = math.ceil(cost.sum() / pairs / share) * share
    batches: dict[int, list[int]] = {}
    for g, place in zip(order, (middle * count / cost.sum()).astype(int).tolist(), strict=True):
        batches.setdefault(place, []).append(g)
    return list(batches.values())


class Stopped(Exception):
    """Nobody waits for the result any more."""


ONE_AT_A_TIME = [Lock()]
"""Held while threads start. A process that is forked meanwhile gets one of its own: the thread that holds the other is not in it."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: ONE_AT_A_TIME.__setitem__(0, Lock()))


TASKS = Path("/proc/self/task")
"""Where Linux lists the threads of this process by number."""


def await_end(threads: Sequence[int], seconds: float = 1.0) -> None:
    """Waits until the system has done with threads (their native numbers) that Python has done with, where it tells.

    Until then they may hold locks of torch's libraries. A process that is forked in that moment gets such a lock closed and hangs at its
    next matrix product, as one of a hundred did on a busy machine.
    """
    until = time.monotonic() + seconds
    while any((TASKS / str(thread)).exists() for thread in threads) and time.monotonic() < until:
        time.sleep(0.001)


def pool_of(count: int, share: int, threads: list[int]) -> ThreadPoolExecutor:
    """So many threads whose operations use ``share`` cores each; their native numbers are added to ``threads``.

    `torch.set_num_threads` also says with how many cores threads start that are new to torch. They get as many as before: a thread that
    starts here knows their number, and sets it again as soon as the threads of the pool have their own.
    """
    started = Barrier(count + 1)

    def settle() -> None:
        torch.get_num_threads()  # else the first operation of the thread would undo the next line
        torch.set_num_threads(share)
        threads.append(get_native_id())
        started.wait()

    def start() -> ThreadPoolExecutor:
        before, pool = torch.get_num_threads(), ThreadPoolExecutor(count, "batch", settle)
        try:
            for _ in range(count):
                pool.submit(torch.get_num_threads)
            started.wait()
        except BaseException:
            started.abort()
            raise
        finally:
            torch.set_num_threads(before)
        return pool

    with ONE_AT_A_TIME[0], ThreadPoolExecutor(1) as new:
        return new.submit(start).result()


class Cores:
    """Threads that share the cores which torch would use for one operation, for as long as the context lasts.

    Other threads keep the number of cores that they have, or would start with.

    Args:
        device: on another one than the CPU everything is done in the calling thread.
    """

    def __init__(self, device: torch.device):
        cores = torch.get_num_threads()
        self.count = min(cores, MOST) if device.type == "cpu" else 1
        self._stopped = Event()
        self._threads: list[int] = []
        self._pool = pool_of(self.count, cores // self.count, self._threads) if self.count > 1 else None

    def __enter__(self) -> "Cores":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._stopped.set()
            self._pool.shutdown(cancel_futures=True)
            await_end(self._threads)

    def go_on(self) -> None:
        """To be called by long work from time to time.

        Raises:
            Stopped: the context was left.
        """
        if self._stopped.is_set():
            raise Stopped

    def map(self, work: Callable[[Chunk], Result], chunks: Sequence[Chunk]) -> Iterator[Result]:
        """Results in the order of the chunks."""
        if self._pool is None:
            yield from map(work, chunks)
            return
        futures = [self._pool.submit(work, chunk) for chunk in chunks]
        waiting = set(futures)
        for future in futures:
            while not future.done():  # an endless wait could not be interrupted
                finished, waiting = wait(waiting, OFTEN, FIRST_EXCEPTION)
                for other in finished:
                    other.result()  # raises its error at once
            yield future.result()
