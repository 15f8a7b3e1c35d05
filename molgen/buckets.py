"""Batches of samples of similar size, in an order that depends on a seed and the step alone.

Within a shuffled window samples are sorted by size and cut into batches whose padded pair count ``b n^2`` stays below a budget, so that
every batch costs the same and little is padding. The batches of epoch e depend on (seed, e) alone; step g of the whole run is therefore a
function of g, and a run can resume anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from molgen.errors import InputError


class Buckets:
    """Batches of similar size as a function of the step number.

    Args:
        sizes: (M,) number of nodes of every sample.
        pair_budget: largest ``b n^2`` of a batch; a single larger sample makes a batch of its own.
        seed: of the shuffling.
        window: batches whose samples are sorted together.
    """

    def __init__(self, sizes: np.ndarray, pair_budget: int, seed: int = 0, window: int = 64):
        if pair_budget < 1:
            raise InputError(f"train.pair_budget must be positive, got {pair_budget}")
        self.sizes, self.pair_budget, self.seed, self.window = np.asarray(sizes), pair_budget, seed, window
        self.epoch = lru_cache(maxsize=2)(self._epoch)
        self._lengths: list[int] = []

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.sizes))
        per_window = max(1, int(self.window * self.pair_budget / np.square(self.sizes.astype(np.int64)).mean()))
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
        return [batches[k] for k in rng.permutation(len(batches))]

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

    def padding(self, epoch: int = 0) -> float:
        """Share of padded node slots of an epoch that hold no node."""
        slots = sum(len(batch) * int(self.sizes[batch].max()) for batch in self.epoch(epoch))
        return 1 - int(self.sizes.sum()) / slots
