"""A batch of samples of different sizes, padded to the largest.

A *sample* is a dict of tensors without padding: node fields (n, ...), pair fields (n, n, ...). A :class:`Batch` stacks samples:
``fields`` (b, n, ...) or (b, n, n, ...), ``mask`` (b, n) true at real nodes, ``labels`` (b,) or (b, w) physical values with NaN for
"not known". Padded entries of every field are zero. Coordinates are floating, classes are integers, and a batched integer field
with two node axes is a pair field; a floating field (b, k) belongs to samples as a whole. Nothing here knows more about what a field means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from molgen.geometry import pair_mask
from molgen.types import Int, NodeMask, PairMask, Tensor

Sample = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Padded fields, node mask and labels of ``b`` samples with at most ``n`` nodes.

    ``given`` is true at nodes that carry no noise although the batch does, because they are given; None where there are none.
    """

    fields: dict[str, Tensor]
    mask: NodeMask
    labels: dict[str, Tensor] = field(default_factory=dict)
    given: NodeMask | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self.fields[name]

    def __len__(self) -> int:
        return self.mask.shape[0]

    @property
    def sizes(self) -> Int[Tensor, "b"]:
        """Number of real nodes of each sample."""
        return self.mask.sum(-1)

    @property
    def pair_mask(self) -> PairMask:
        """True where two different real nodes of a sample meet."""
        return pair_mask(self.mask)

    def replace(self, fields: Mapping[str, Tensor]) -> Batch:
        """The same batch with some or all fields exchanged."""
        return replace(self, fields={**self.fields, **fields})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return self._changed(lambda value: value.to(device, non_blocking=non_blocking))

    def select(self, rows: Sequence[int] | Tensor) -> Batch:
        """Some of the samples, in this order, padded as they are."""
        chosen = torch.as_tensor(rows)
        return self._changed(lambda value: value[chosen])

    def take(self, rows: Sequence[int]) -> Batch:
        """Some of the samples, in this order, padded to the largest of them."""
        chosen = self.select(rows)
        n = int(chosen.sizes.max())
        return chosen._changed(lambda value: value[(slice(None), *nodes_of(value, n))], labels=False)

    def widen(self, n: int) -> Batch:
        """The same samples padded to n nodes."""
        if n == self.mask.shape[1]:
            return self

        def wide(value: Tensor) -> Tensor:
            axes = len(nodes_of(value, n))
            whole = value.new_zeros(len(value), *(n,) * axes, *value.shape[1 + axes :])
            whole[(slice(None), *(slice(size) for size in value.shape[1 : 1 + axes]))] = value
            return whole

        return self._changed(wide, labels=False)

    def _changed(self, change: Callable[[Tensor], Tensor], labels: bool = True) -> Batch:
        """The batch with every tensor changed in the same way, those of the labels too or not."""

        def each(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: change(value) for name, value in tensors.items()}

        given = None if self.given is None else change(self.given)
        return Batch(each(self.fields), change(self.mask), each(self.labels) if labels else self.labels, given)

    def split(self) -> list[Sample]:
        """Samples without padding, in order."""
        samples = []
        for index, size in enumerate(self.sizes.tolist()):
            sample = {}
            for name, value in self.fields.items():
                sample[name] = value[index][nodes_of(value, size)]
            samples.append(sample)
        return samples


def join(batches: Sequence[Batch]) -> Batch:
    """The samples of all these batches in their order, padded to the largest of them: fields and masks, nothing else."""
    largest = max(batch.mask.shape[1] for batch in batches)
    wide = [batch.widen(largest) for batch in batches]
    return Batch({name: torch.cat([batch[name] for batch in wide]) for name in wide[0].fields}, torch.cat([batch.mask for batch in wide]))


def nodes_of(value: Tensor, count: int) -> tuple[slice, ...]:
    """The first nodes along every node axis of a batched field."""
    if value.is_floating_point():
        return (slice(count),) if value.dim() > 2 else ()
    return (slice(count),) * (value.dim() - 1)


def mask_of(sizes: Sequence[int] | Tensor, length: int | None = None) -> NodeMask:
    """Node mask (b, n) of samples with these sizes, padded to ``length`` or to the largest."""
    sizes = torch.as_tensor(sizes)
    return torch.arange(length or int(sizes.max()))[None, :] < sizes[:, None]
