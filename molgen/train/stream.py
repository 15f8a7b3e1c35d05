"""Batches for training and validation, as functions of the step alone."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import IterableDataset

from molgen.batch import Batch
from molgen.buckets import Buckets
from molgen.domain import Dataset
from molgen.errors import InputError
from molgen.experiment import Experiment, Training
from molgen.known import packed_fingerprints
from molgen.packing import cut_between
from molgen.train.teacher import open_data

SHAPES = 8
"""Shapes of batches where steps are CUDA graphs: padding adds 4 % to the pairs of QM9, 7 % to those of lead-like molecules."""


def training_buckets(data: Dataset, chosen: np.ndarray, config: Training) -> Buckets:
    """What cuts the training samples into batches: of few shapes where steps are CUDA graphs."""
    return Buckets(data.sizes[chosen], config.pair_budget, config.seed, shapes=SHAPES if config.cuda_graphs else 0)


class Stream(IterableDataset[Batch]):
    """Batches of the run from its current step to the next validation.

    Args:
        data: all samples.
        chosen: numbers of those to train on.
        buckets: cut these into batches.
        every: steps from one validation to the next.
        position: tells step, rank and number of ranks.
    """

    def __init__(self, data: Dataset, chosen: np.ndarray, buckets: Buckets, every: int, position: Callable[[], tuple[int, int, int]]):
        self.data, self.chosen, self.buckets, self.every, self.position = data, chosen, buckets, every, position

    def __len__(self) -> int:
        return self.every

    def __iter__(self) -> Iterator[Batch]:
        step, rank, world = self.position()
        batches = self.buckets.stream(step, rank, world)
        for _ in range(step, (step // self.every + 1) * self.every):
            batch = next(batches)
            yield self.data.batch(self.chosen[batch]).widen(self.buckets.nodes(batch))


class Validation(IterableDataset[Batch]):
    """The validation samples in batches of similar size, always the same; an iterable, of which Lightning gives every rank all."""

    def __init__(self, data: Dataset, chosen: np.ndarray, pair_budget: int):
        self.data = data
        self.batches = [chosen[group] for group in Buckets(data.sizes[chosen], pair_budget, seed=0).epoch(0)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.data.batch, self.batches)


def split_validation(experiment: Experiment, data: Dataset) -> tuple[np.ndarray, Dataset, np.ndarray]:
    """Numbers of the training samples, validation data, numbers of the validation samples in it."""
    everything = np.arange(len(data))
    folder, beside = experiment.data.valid, data.path.parent / "valid"
    if not folder and data.path.name == "train" and (beside / "statistics.json").is_file():
        folder = str(beside)
    if folder:
        valid = open_data(experiment, folder)
        if valid.statistics.vocabulary != data.statistics.vocabulary:
            names = " or ".join(data.statistics.vocabulary)
            raise InputError(f"{folder}: {names} differ from those of {data.path}; split one data set with `molgen prepare --split`")
        return everything, valid, np.arange(len(valid))
    count = min(round(experiment.data.valid_fraction * len(data)), 2000)
    if count == len(data):
        raise InputError(
            f"data.valid_fraction={experiment.data.valid_fraction}: leaves none of the {len(data)} samples to train on; lower it"
        )
    order = np.random.default_rng(0).permutation(len(data))
    order, (_, end, _) = cut_between(order, _alike(data), np.array([0, count, len(data)]))
    chosen = np.sort(order[:end])
    return np.setdiff1d(everything, chosen), data, chosen


def _alike(data: Dataset) -> np.ndarray:
    """Numbers (n,) that are the same for samples of the same thing, as conformers of a molecule are."""
    everything, found = np.arange(len(data), dtype=np.uint64), np.array(packed_fingerprints(data.path), dtype=np.uint64)
    return everything if len(found) != len(everything) else np.where(found == 0, everything, found)
