"""Items to batches of a model and back."""

from collections.abc import Iterable
from typing import Any

import torch

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint
from molgen.errors import InputError, got
from molgen.sample.modes import own_modes
from molgen.sample.prediction import listed


def encode(checkpoint: Checkpoint, items: Iterable[Any], device: torch.device) -> Batch:
    """The clean batch of items, see :meth:`molgen.sample.Model.encode`."""
    domain = checkpoint.experiment.domain
    with own_modes(device.type):
        return domain.encode(listed(items, domain.items), checkpoint.statistics).to(device)


def decode(checkpoint: Checkpoint, batch: Batch, device: torch.device) -> list[Any]:
    """The items of a clean batch, see :meth:`molgen.sample.Model.decode`."""
    if not isinstance(batch, Batch):
        raise InputError(f"batch: expected one of model.encode, got {got(batch)}")
    wanted = checkpoint.denoiser.process.processes
    if missing := [name for name in wanted if name not in batch.fields]:
        raise InputError(f"batch: lacks the field {missing[0]!r}; it is of another model")
    lengths = {len(batch), *(len(batch[name]) for name in wanted), *map(len, batch.labels.values())}
    if len(lengths) > 1:
        raise InputError(
            f"batch: fields, mask and labels are of {' and '.join(map(str, sorted(lengths)))} items; batch.select chooses some"
        )
    with own_modes(device.type):
        return checkpoint.experiment.domain.decode(batch.to(device), checkpoint.statistics)
