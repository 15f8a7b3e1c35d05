"""Radial functions against their formula."""

import math

import pytest
import torch

from molgen.batch import mask_of
from molgen.nn.embed import Context, RadialBasis


@pytest.mark.parametrize("size", [4, 16, 32])
def test_radial_functions_are_gaussians_of_the_exponential_of_the_distance(size):
    """``exp(-beta (exp(-d) - mu_k)^2)``, mu from exp(-5) to 1, ``beta = (2 (1 - exp(-5)) / K)^-2`` (Unke and Meuwly 2019, eq. 7)."""
    low = math.exp(-5)
    beta = (2 / size * (1 - low)) ** -2
    distances = [0.0, 0.3, 1.0, 2.5, 5.0, 20.0]
    found = RadialBasis(size)(torch.tensor(distances, dtype=torch.float64))
    expected = [[math.exp(-beta * (math.exp(-d) - (low + k * (1 - low) / (size - 1))) ** 2) for k in range(size)] for d in distances]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_neighbouring_functions_overlap_and_leave_no_gap(size):
    """At the middle of a function it is 1, its neighbours ``exp(-(K / (2 (K - 1)))^2)``, near exp(-1/4); their sum is nearly even."""
    basis = RadialBasis(size)
    at_centres = basis(-basis.centers.double().log())
    torch.testing.assert_close(at_centres.diagonal(), torch.ones(size, dtype=torch.float64), atol=1e-5, rtol=0)
    neighbour = math.exp(-((size / (2 * (size - 1))) ** 2))
    torch.testing.assert_close(at_centres.diagonal(1), torch.full((size - 1,), neighbour, dtype=torch.float64), atol=1e-3, rtol=0)
    inner = basis(-torch.linspace(0.45, 0.55, 200, dtype=torch.float64).log()).sum(-1) if size > 8 else at_centres[size // 2].sum()[None]
    # sampled at the spacing delta a Gaussian of this width sums to sqrt(pi / (beta delta^2)), even to one part in 10,000
    delta = (1 - math.exp(-5)) / (size - 1)
    assert inner.numpy() == pytest.approx(math.sqrt(math.pi / basis.sharpness) / delta, rel=2e-3)


def test_a_context_sees_the_noise_level_in_waves_and_the_size_by_its_logarithm():
    context, seen = Context(4, 2), []
    context.mix.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    level, condition = torch.tensor([0.3, -1.2]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    context(level, condition, mask_of([3, 7]))
    frequencies = 10 ** (1.5 * torch.arange(16) / 15)
    phase = level[:, None] * frequencies
    expected = [phase.sin(), phase.cos(), level[:, None], torch.tensor([[3.0], [7.0]]).log() / 3, condition]
    torch.testing.assert_close(seen[0], torch.cat(expected, -1))
