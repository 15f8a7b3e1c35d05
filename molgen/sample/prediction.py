"""Properties of finished items, as the estimators of a model tell them: no measurement, a network's opinion with its deviation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from molgen.checkpoint import Checkpoint
from molgen.sample.modes import own_modes
from molgen.sample.parallel import cut

TOGETHER = 256
"""Items that are read at once."""


class Estimate(NamedTuple):
    """What an estimator says about a property: the value and its standard deviation, in the unit of the property."""

    value: float
    deviation: float


def predict(checkpoint: Checkpoint, items: Sequence[Any], device: torch.device) -> list[Mapping[str, Estimate]]:
    """What the estimators of a model say about finished items, by name of the property; nothing where the model has none.

    Raises:
        InputError: the vocabulary of the model lacks something of an item.
    """
    domain, process = checkpoint.experiment.domain, checkpoint.denoiser.process
    found: list[dict[str, Estimate]] = [{} for _ in items]
    if not checkpoint.estimators or not items:
        return [*found]
    with own_modes(device.type):
        for first in range(0, len(items), TOGETHER):
            whole = domain.encode(items[first : first + TOGETHER], checkpoint.statistics, first + 1)
            for rows in cut(whole.sizes.tolist(), domain.pairs_per_batch):
                clean = whole.take(rows).to(device)
                for told in checkpoint.estimators:
                    for name, columns in told.tell(process, clean).items():
                        for row, value, deviation in zip(rows, *(column.tolist() for column in columns), strict=True):
                            found[first + row][name] = Estimate(value, deviation)
    return [*found]
