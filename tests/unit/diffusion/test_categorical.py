"""Classes along a walk: small times, where probabilities are near 0 and 1, and what a second look at the end of a step changes."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from molgen.diffusion.categorical import Discrete, Marginal, Masked, Uniform
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.schedule import Keep
from molgen.diffusion.space import Categorical

MARGINAL = torch.tensor([0.5, 0.3, 0.2])


def test_a_correction_is_the_mean_of_the_probabilities_at_both_ends():
    process, when = Discrete(Uniform(), Categorical(3), torch.ones(3) / 3), torch.tensor([0.5])
    start, end = torch.tensor([[0.8, 0.2, 0.0]]), torch.tensor([[0.1, 0.3, 0.6]])
    # logits are known up to a constant, which is another one at either end
    found = process.correct((start.log() + 2.0).unsqueeze(1), (end.log() - 1.0).unsqueeze(1), when, when)
    torch.testing.assert_close(found.exp(), torch.tensor([[[0.45, 0.25, 0.3]]]))


def closed_form(noise, x_t, p0, t, s):
    """``q(x_s | x_t)`` in float64, from ``1 - kappa(t) = t^nu`` and ratios of it alone: no difference of numbers near 1 is taken."""
    nu, k = noise.exponent, len(p0)
    prior = noise.prior(MARGINAL).double().numpy()
    kept, lost, share = 1 - s**nu, s**nu, (s / t) ** nu
    step = t**nu * -math.expm1(nu * math.log(s / t)) / kept  # of classes that are drawn anew from s to t
    found, possible = np.zeros(len(prior)), 0.0
    for clean in range(k):
        if clean != x_t and prior[x_t] == 0:
            continue  # such an entry cannot have become x_t
        possible += p0[clean]
        for x_s in range(len(prior)):
            here = kept * (x_s == clean) + lost * prior[x_s]
            if clean == x_t:
                term = ((1 - step) * (x_s == x_t) + step * prior[x_t]) * here / (1 - t**nu + t**nu * prior[x_t])
            elif x_s == x_t:
                term = share * (1 - step + step * prior[x_t])
            else:
                term = (1 - share) / kept * here
            found[x_s] += p0[clean] * term
    return found / possible


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("noise", [Uniform, Marginal, Masked, partial(Masked, wrong=0.2)])
@pytest.mark.parametrize("t", [1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.7])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_classes_change_at_all_times_as_the_posterior_says(noise, exponent, t, share):
    process = Discrete(noise(exponent=exponent), Categorical(3), MARGINAL)
    when = torch.tensor([t], dtype=torch.float32)
    before = torch.tensor([share * t], dtype=torch.float32)
    p0 = np.array([0.02, 0.9, 0.08])
    for x_t in range(process.states):
        found = process.posterior(torch.tensor([[x_t]]), torch.tensor(p0, dtype=torch.float32).expand(1, 1, 3), when, before)[0, 0]
        if share:
            expected = closed_form(noise(exponent=exponent), x_t, p0, float(when), float(before))
        else:  # at time 0 every class is a clean one
            evidence = process.likelihood(torch.tensor([[x_t]]), when)[0, 0].double().numpy()
            expected = np.append(p0 * (evidence > 0), np.zeros(process.states - 3)) / (p0 * (evidence > 0)).sum()
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 5.0])
def test_the_noise_of_small_times_keeps_its_digits(exponent):
    keep = Keep(exponent=exponent)
    t = torch.cat([torch.zeros(1), torch.logspace(-7, 0, 200)])
    wide = t.double()
    for found, expected in (
        (keep.lost(t), wide**exponent),
        (keep.lost_between(0.8 * t, t), (wide**exponent - (0.8 * t).double() ** exponent) / (1 - (0.8 * t).double() ** exponent)),
    ):
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(keep(t) + keep.lost(t), torch.ones_like(t))
    process = Discrete(Uniform(exponent=exponent), Categorical(3), MARGINAL)
    likelihood = process.likelihood(torch.zeros(201, 1, dtype=torch.long), t)[:, 0]
    torch.testing.assert_close(likelihood[:, 1].double(), wide**exponent / 3, rtol=1e-3, atol=0)


@pytest.mark.parametrize("exponent", [1.0, 3.0, 5.0])
def test_a_walk_below_a_thousandth_settles_where_the_prediction_is(exponent):
    """From t = 1e-3 to half of it, certain of another class: all but the share (s / t)^nu of the entries change."""
    process, count = Discrete(Uniform(exponent=exponent), Categorical(3), MARGINAL), 40_000
    mask, when = torch.ones(1, count, dtype=torch.bool), torch.tensor([1e-3])
    certain = torch.tensor([0.0, 40.0, 0.0]).expand(1, count, 3)
    x, noise = torch.zeros(1, count, dtype=torch.long), SharedNoise(torch.Generator().manual_seed(0))
    found = process.reverse(x, certain, when, when / 2, mask, noise, 0.0)
    assert float((found == 1).float().mean()) == pytest.approx(1 - 0.5**exponent, abs=0.01)
    assert int((found == 2).sum()) == 0 if exponent > 1 else int((found == 2).sum()) < 40
