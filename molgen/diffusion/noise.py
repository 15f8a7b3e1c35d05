"""Sources of randomness for padded batches.

Every draw of a process or sampler goes through one of two sources. :class:`SharedNoise` uses one generator for the whole batch: fast,
for training. :class:`PerSampleNoise` makes the numbers of a sample from its seed alone, so that a sample does not depend on the batch, its
order or its padding. Draws are needed for nodes (b, n) and for unordered pairs; a pair draw is symmetric.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from molgen.types import Float, Int, NodeMask, Tensor

GOLDEN = -0x61C8864680B583EB
"""2^64 / golden ratio as a signed integer: the step between counters."""


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
    i, j = torch.triu_indices(n, n, offset=1, device=values.device)
    out = values.new_zeros(values.shape[0], n, n)
    out[:, i, j] = values
    return out + out.transpose(1, 2)


class SharedNoise(Noise):
    """One generator for the whole batch."""

    def __init__(self, generator: torch.Generator | None = None):
        self.generator = generator

    def normal(self, mask: NodeMask, width: int, dtype: torch.dtype) -> Float[Tensor, "b n width"]:
        return torch.randn(*mask.shape, width, generator=self.generator, device=mask.device, dtype=dtype)

    def uniform(self, mask: NodeMask, pairs: bool) -> Tensor:
        b, n = mask.shape
        draw = torch.rand(b, n * (n - 1) // 2 if pairs else n, generator=self.generator, device=mask.device)
        return _mirror(draw, n) if pairs else draw


def scramble(x: Int[Tensor, "*s"]) -> Int[Tensor, "*s"]:
    """A bijection of 64-bit integers that turns counters into random bits (Stafford's mix 13, as in SplitMix64, Steele et al. 2014)."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * factor  # a shift that fills with zeros; products wrap
    return x ^ ((x >> 31) & ((1 << 33) - 1))


class PerSampleNoise(Noise):
    """Numbers that depend on a sample's seed, the count of draws before, and the node or pair, and on nothing else.

    They are the same in any batch, at any padding, in any order and on any device: the only state is that count, every number is a hash of
    where it belongs.
    """

    def __init__(self, seeds: Sequence[int]):
        self.keys = scramble(torch.tensor([seed % 2**63 for seed in seeds]))

    def _bits(self, first: Int[Tensor, "n"], second: Int[Tensor, "k"]) -> Int[Tensor, "b n k"]:
        """64 random bits for every pair of indices."""
        self.keys = self.keys.to(first.device) + GOLDEN
        place = scramble((first[:, None] << 32) + second + GOLDEN)
        return scramble(scramble(self.keys)[:, None, None] + place)

    def normal(self, mask: NodeMask, width: int, dtype: torch.dtype) -> Float[Tensor, "b n width"]:
        nodes, columns = (torch.arange(size, device=mask.device) for size in (mask.shape[1], width))
        upper = (self._bits(nodes, columns) >> 12) & ((1 << 52) - 1)
        return torch.special.ndtri((upper.double() + 0.5) * 2.0**-52).to(dtype)

    def uniform(self, mask: NodeMask, pairs: bool) -> Tensor:
        nodes = torch.arange(mask.shape[1], device=mask.device)
        bits = self._bits(nodes, nodes if pairs else nodes[:1])
        numbers = ((bits >> 40) & ((1 << 24) - 1)).float() * 2.0**-24
        return torch.triu(numbers, 1) + torch.triu(numbers, 1).transpose(1, 2) if pairs else numbers.squeeze(-1)
