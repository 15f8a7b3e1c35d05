"""Embeddings: noise level, conditions and distances.

Distances enter as exponential-normal radial basis functions (Unke and Meuwly 2019, arXiv 1902.08408), whose resolution follows ``exp(-d)``:
fine where bonds are, coarse where molecules end.
"""

import math

import torch
from torch import nn

from molgen.types import Float, NodeMask, PerSample, Tensor

FREQUENCIES = 16
"""Fourier frequencies of the noise level."""


class RadialBasis(nn.Module):
    """Maps distances (...,) to features (..., size): ``exp(-beta (exp(-d) - mu_k)^2)`` with K = size.

    The ``mu_k`` are spaced evenly from ``exp(-5)`` to 1, and ``beta = (2 (1 - exp(-5)) / K)^-2``, so that neighbours overlap.
    """

    centers: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("centers", torch.linspace(math.exp(-5.0), 1.0, size, dtype=torch.float32), persistent=False)
        self.sharpness = (2 / size * (1 - math.exp(-5.0))) ** -2
        self.size = size

    def forward(self, distance: Float[Tensor, "*s"]) -> Float[Tensor, "*s size"]:
        offset = torch.exp(-distance).unsqueeze(-1) - self.centers.to(distance.dtype)
        return torch.exp(-self.sharpness * offset.square())


class Context(nn.Module):
    """One vector a sample from noise level, number of nodes and conditions.

    Args:
        width: length of the vector.
        conditions: number of condition features q.
    """

    frequencies: Tensor

    def __init__(self, width: int, conditions: int):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 1.5, FREQUENCIES, dtype=torch.float32), persistent=False)
        self.mix = nn.Sequential(nn.Linear(2 * FREQUENCIES + 2 + conditions, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, level: PerSample, condition: Float[Tensor, "b q"], mask: NodeMask) -> Float[Tensor, "b width"]:
        """Args: level: ``ln r / 4``; condition: encoded values; mask: real nodes."""
        phase = level.unsqueeze(-1) * self.frequencies.to(level.dtype)
        size = mask.sum(-1, keepdim=True).to(level.dtype).log() / 3
        return self.mix(torch.cat([phase.sin(), phase.cos(), level.unsqueeze(-1), size, condition], -1))
