"""Sources of randomness for padded batches.

Every draw of a process or sampler goes through one of two sources. :class:`SharedNoise` uses one generator for the whole batch: fast,
for training. :class:`PerSampleNoise` gives each sample its own generator and draws only for real nodes, so that a sample depends on its
seed and not on the batch, its order or its padding. Draws are needed for nodes (b, n) and for unordered pairs; a pair draw is symmetric.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from molgen.geometry import upper_triangle
from molgen.types import Float, NodeMask, Tensor


@runtime_checkable
class Noise(Protocol):
    """Source of standard normal and uniform numbers shaped like the fields of a batch."""

    def normal(self, mask: NodeMask, width: int, dtype: torch.dtype) -> Float[Tensor, "b n width"]:
        """Standard normal numbers for every node; padded entries are arbitrary."""
        ...

    def uniform(self, mask: NodeMask, pairs: bool) -> Tensor:
        """Uniform numbers in [0, 1) per node (b, n), or per unordered pair as a symmetric (b, n, n); padding is arbitrary."""
        ...


def _mirror(values: Tensor, n: int) -> Float[Tensor, "b n n"]:
    i, j = upper_triangle(n, values.device)
    out = values.new_zeros(values.shape[0], n, n)
    out[:, i, j] = values
    return out + out.transpose(1, 2)


class SharedNoise:
    """One generator for the whole batch."""

    def __init__(self, generator: torch.Generator | None = None):
        self.generator = generator

    def normal(self, mask: NodeMask, width: int, dtype: torch.dtype) -> Float[Tensor, "b n width"]:
        return torch.randn(*mask.shape, width, generator=self.generator, device=mask.device, dtype=dtype)

    def uniform(self, mask: NodeMask, pairs: bool) -> Tensor:
        b, n = mask.shape
        draw = torch.rand(b, n * (n - 1) // 2 if pairs else n, generator=self.generator, device=mask.device)
        return _mirror(draw, n) if pairs else draw


class PerSampleNoise:
    """One CPU generator a sample: the numbers of a sample are the same in any batch, at any padding, on any device."""

    def __init__(self, seeds: Sequence[int]):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def normal(self, mask: NodeMask, width: int, dtype: torch.dtype) -> Float[Tensor, "b n width"]:
        out = torch.zeros(*mask.shape, width, dtype=dtype)
        for row, size, generator in zip(out, mask.sum(-1).tolist(), self.generators, strict=True):
            row[:size] = torch.randn(size, width, generator=generator, dtype=torch.float64).to(dtype)
        return out.to(mask.device)

    def uniform(self, mask: NodeMask, pairs: bool) -> Tensor:
        b, n = mask.shape
        out = torch.zeros((b, n, n) if pairs else (b, n))
        for row, size, generator in zip(out, mask.sum(-1).tolist(), self.generators, strict=True):
            if pairs:
                row[:size, :size] = _mirror(torch.rand(1, size * (size - 1) // 2, generator=generator), size)[0]
            else:
                row[:size] = torch.rand(size, generator=generator)
        return out.to(mask.device)
