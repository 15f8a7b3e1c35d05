"""A data set in the memory of a GPU, so that no step waits for the host to make its batch.

All samples are padded to the largest, their classes stored in two bytes: QM9 takes 240 MB. A batch is a selection of
rows, cut to its own largest sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from molgen.batch import Batch, nodes_of
from molgen.domain import Dataset
from molgen.statistics import Statistics
from molgen.types import Tensor

LARGEST_SHARE = 0.25
"""Of a GPU's memory that data may take."""


class Resident:
    """The same batches as those of ``data``, made on ``device``."""

    def __init__(self, data: Dataset, device: torch.device, chunk: int = 4096):
        self.path, self.sizes, self.device, self._statistics = data.path, data.sizes, device, data.statistics
        n, parts = int(self.sizes.max()), []
        for start in range(0, len(data), chunk):
            batch = data.batch(np.arange(start, min(start + chunk, len(data)))).widen(n)
            parts.append(({name: compact(value) for name, value in batch.fields.items()}, batch.labels))
        self.kinds = {name: value.dtype for name, value in batch.fields.items()}
        self.fields = {name: torch.cat([fields[name] for fields, _ in parts]).to(device) for name in self.kinds}
        self.labels = {name: torch.cat([labels[name] for _, labels in parts]).to(device) for name in batch.labels}
        self.counts = torch.from_numpy(np.asarray(self.sizes, np.int64)).to(device)

    @property
    def statistics(self) -> Statistics:
        """Of the whole data set."""
        return self._statistics

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Padded batch of these samples, on the device."""
        chosen = np.asarray(indices)
        n, rows = int(self.sizes[chosen].max()), torch.from_numpy(chosen)
        rows = rows.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else rows
        fields = {}
        for name, value in self.fields.items():
            picked = value.index_select(0, rows)
            fields[name] = picked[(slice(None), *nodes_of(picked, n))].to(self.kinds[name]).contiguous()
        mask = torch.arange(n, device=self.device)[None, :] < self.counts.index_select(0, rows)[:, None]
        return Batch(fields, mask, {name: value.index_select(0, rows) for name, value in self.labels.items()})


def place(data: Dataset, device: torch.device) -> Dataset:
    """The data in the memory of a GPU where they fit there, else as they are."""
    if device.type != "cuda":
        return data
    largest = data.batch([int(np.argmax(data.sizes))])
    size = len(data) * sum(compact(value).nbytes for value in largest.fields.values())
    free, _ = torch.cuda.mem_get_info(device)
    return Resident(data, device) if size < LARGEST_SHARE * free else data


def compact(value: Tensor) -> Tensor:
    """Classes in two bytes."""
    return value if value.is_floating_point() else value.to(torch.int16)
