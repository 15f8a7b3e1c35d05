"""Batches of samples of similar size, in an order that depends on a seed and the step alone.

Within a shuffled window samples are sorted by size and cut into batches whose padded pair count ``b n^2`` stays below a budget, so that
every batch costs the same and little is padding. The batches of epoch e depend on (seed, e) alone; step g of the whole run is therefore a
function of g, and a run can resume anywhere.

Programs that are made for one shape (:mod:`molgen.train.graphs`) need batches of few: then the samples of a whole epoch are divided at
some sizes, chosen so that padding costs least, and every batch but the last of the epoch is full. What is left of a division joins the next
larger one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from molgen.errors import InputError

WINDOW = 64
"""Batches whose samples are sorted together."""


class Buckets:
    """Batches of similar size as a function of the step number.

    Args:
        sizes: (M,) number of nodes of every sample.
        pair_budget: largest ``b n^2`` of a batch; a single larger sample makes a batch of its own.
        seed: of the shuffling.
        shapes: most shapes (b, n) of full batches; 0 for as many as come.

    Attributes:
        shapes: (b, n) of full batches, by n, where their number is bounded.
    """

    def __init__(self, sizes: np.ndarray, pair_budget: int, seed: int = 0, shapes: int = 0):
        if pair_budget < 1:
            raise InputError(f"train.pair_budget must be positive, got {pair_budget}")
        self.sizes, self.pair_budget, self.seed = np.asarray(sizes), pair_budget, seed
        self.shapes = [(max(1, pair_budget // n**2), n) for n in divide(self.sizes, shapes)] if shapes else []
        self.epoch = lru_cache(maxsize=2)(self._epoch)
        self._lengths: list[int] = []

    def nodes(self, batch: np.ndarray) -> int:
        """Number of nodes that a batch is padded to."""
        largest = int(self.sizes[batch].max())
        return next((n for count, n in self.shapes if count == len(batch) and n >= largest), largest)

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.sizes))
        batches = self._few(order) if self.shapes else self._many(order)
        return [batches[k] for k in rng.permutation(len(batches))]

    def _few(self, order: np.ndarray) -> list[np.ndarray]:
        division = np.searchsorted([n for _, n in self.shapes], self.sizes[order])
        batches, left = [], order[:0]
        for number, (count, _) in enumerate(self.shapes):
            members = np.concatenate([left, order[division == number]])
            full = len(members) // count * count
            batches += list(members[:full].reshape(-1, count))
            left = members[full:]
        return batches + [left] * bool(len(left))

    def _many(self, order: np.ndarray) -> list[np.ndarray]:
        per_window = max(1, int(WINDOW * self.pair_budget / np.square(self.sizes.astype(np.int64)).mean()))
        batches = []
        for start in range(0, len(order), per_window):
            group = order[start : start + per_window]
            group = group[np.argsort(self.sizes[group], kind="stable")]
            first = 0
            while first < len(group):
                # sizes ascend, so the largest member of group[first:stop] is its last
                counts = np.arange(1, len(group) - first + 1)
                fits = counts * np.square(self.sizes[group[first:]].astype(np.int64)) <= self.pair_budget
                stop = first + max(1, int(fits.sum()))
                batches.append(group[first:stop])
                first = stop
        return batches

    def stream(self, step: int, rank: int = 0, world: int = 1) -> Iterator[np.ndarray]:
        """Sample numbers of batch ``step * world + rank`` and every ``world``-th batch after it, without end."""
        number, epoch = step * world + rank, 0
        while number >= self._length(epoch):
            number -= self._length(epoch)
            epoch += 1
        while True:
            batches = self.epoch(epoch)
            while number < len(batches):
                yield batches[number]
                number += world
            number -= len(batches)
            epoch += 1

    def _length(self, epoch: int) -> int:
        """Batches of an epoch; remembered, since a run that goes on passes all epochs before."""
        while len(self._lengths) <= epoch:
            self._lengths.append(len(self.epoch(len(self._lengths))))
        return self._lengths[epoch]


def divide(sizes: np.ndarray, parts: int) -> list[int]:
    """At most this many sizes, ascending, such that samples padded to the next of them have the fewest pairs ``sum_i n_i^2``."""
    values, counts = np.unique(sizes, return_counts=True)
    below = np.cumsum(counts)
    squares = np.square(values.astype(float))
    best, back = squares * below, []  # pairs of the samples up to each value, which is the last of so many sizes
    for _ in range(1, min(parts, len(values))):
        cost = best[:, None] + squares * (below - below[:, None])
        cost[np.tril_indices(len(values))] = np.inf
        back.append(cost.argmin(0))
        best = cost.min(0)
    chosen = [len(values) - 1]
    for last in reversed(back):
        chosen.append(int(last[chosen[-1]]))
    return [int(values[k]) for k in reversed(chosen)]
