"""Properties of finished items, as the estimators of a model tell them: no measurement, a network's opinion with its deviation."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint
from molgen.domain import Item
from molgen.errors import InputError, got
from molgen.sample.modes import own_modes
from molgen.sample.parallel import Cores, cut

TOGETHER = 256
"""Items that are read at once."""


class Estimate(NamedTuple):
    """What an estimator says about a property: the value and its standard deviation, in the unit of the property."""

    value: float
    deviation: float


def listed(items: Any, what: str) -> list[Any]:
    """The items that a list, a column of a table or a generator hands out; ``what`` they are called is for errors.

    Raises:
        InputError: there is a single one, or something else.
    """
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        advice = "; write [item]" if isinstance(items, Item) else "; read the file first" * isinstance(items, str)
        raise InputError(f"items: expected a list of {what}, got {type(items).__name__}{advice}")
    found = [*items]
    for number, item in enumerate(found, 1):
        if not isinstance(item, Item):
            raise InputError(f"items: expected {what}, number {number} is {got(item)}")
    return found


def predict(checkpoint: Checkpoint, items: Sequence[Any], device: torch.device) -> list[Mapping[str, Estimate]]:
    """What the estimators of a model say about finished items, by name of the property; nothing where the model has none.

    Raises:
        InputError: the vocabulary of the model lacks something of an item.
    """
    domain, process = checkpoint.experiment.domain, checkpoint.denoiser.process
    found: list[dict[str, Estimate]] = [{} for _ in items]
    if not checkpoint.estimators or not items:
        return [*found]

    def encode(first: int) -> Batch:
        with own_modes(device.type):
            return domain.encode(items[first : first + TOGETHER], checkpoint.statistics, first + 1)

    def read(whole: Batch, rows: list[int]) -> dict[str, list[list[float]]]:
        with own_modes(device.type):
            clean = whole.take(rows).to(device)
            told = [each for estimator in checkpoint.estimators for each in estimator.tell(process, clean).items()]
            return {name: [column.tolist() for column in columns] for name, columns in told}

    with Cores(device) as cores:  # a process that is forked off would wait for ever for the threads that torch shares an operation among
        for first in range(0, len(items), TOGETHER):
            (whole,) = cores.map(encode, [first])
            groups = cut(whole.sizes.tolist(), domain.pairs_per_batch)
            for rows, told in zip(groups, cores.map(partial(read, whole), groups), strict=True):
                for name, columns in told.items():
                    for row, value, deviation in zip(rows, *columns, strict=True):
                        found[first + row][name] = Estimate(value, deviation)
    return [*found]
