"""Properties of every noise schedule."""

import pytest
import torch

from molgen.diffusion.schedule import Cosine, Linear, Polynomial, VarianceExploding, ratio

SCHEDULES = [
    VarianceExploding(),
    VarianceExploding(sigma_min=0.01, sigma_max=80.0),
    Cosine(),
    Linear(),
    Polynomial(),
    Polynomial(power=3.0),
]
T = torch.linspace(0, 1, 501, dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_clean_at_zero_and_noise_at_one(schedule):
    assert schedule.alpha(T)[0] == 1
    assert schedule.sigma(T)[0] == 0
    assert ratio(schedule, T)[-1] > 20


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_ratio_grows_strictly(schedule):
    assert (ratio(schedule, T).diff() > 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_time_inverts_ratio(schedule):
    torch.testing.assert_close(schedule.time(ratio(schedule, T)), T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", [Cosine(), Linear(), Polynomial()], ids=str)
def test_variance_preserving(schedule):
    torch.testing.assert_close(schedule.alpha(T) ** 2 + schedule.sigma(T) ** 2, torch.ones_like(T))


def test_linear_alpha_is_the_limit_of_the_discrete_product():
    schedule, steps = Linear(), 20_000
    beta = (schedule.beta_min + (schedule.beta_max - schedule.beta_min) * (torch.arange(steps, dtype=torch.float64) + 0.5) / steps) / steps
    product = torch.cumprod(1 - beta, 0)[steps // 2 - 1]
    torch.testing.assert_close(schedule.alpha(torch.tensor(0.5, dtype=torch.float64)) ** 2, product, rtol=1e-3, atol=0)
