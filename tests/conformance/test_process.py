"""Properties of every process: identity at 0, prior at 1, chains that agree with closed forms, exact posteriors."""

import math

import pytest
import torch
from torch.nn import functional

from molgen.batch import mask_of
from molgen.diffusion.categorical import Discrete, Marginal, Masked, Uniform, draw
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.noise import PerSampleNoise, SharedNoise
from molgen.diffusion.schedule import Cosine, Linear, Polynomial, VarianceExploding, ratio
from molgen.diffusion.space import Categorical, Centered, Features, SymmetricCategorical, Whole

SIZES = [4, 7, 1, 7]
MASK = mask_of(SIZES)
MARGINAL = torch.tensor([0.5, 0.3, 0.2])
SCHEDULES = [VarianceExploding(), Cosine(), Linear(), Polynomial()]
NOISES = [Uniform(), Marginal(exponent=1.5), Masked(exponent=0.7), Masked(wrong=0.2)]


def discrete(noise, pairs=False):
    return Discrete(noise, SymmetricCategorical(3) if pairs else Categorical(3), MARGINAL)


def _processes():
    for schedule in SCHEDULES:
        for space, shape in ((Centered(), (7, 3)), (Features(5), (7, 5)), (Whole(5), (5,))):
            process = Gaussian(schedule, space)
            x0 = space.project(torch.randn(4, *shape, generator=torch.Generator().manual_seed(1)), MASK)
            yield pytest.param(process, x0, id=str(process))
    for noise in NOISES:
        for pairs in (False, True):
            process = discrete(noise, pairs)
            raw = torch.randint(0, 3, (4, 7, 7) if pairs else (4, 7), generator=torch.Generator().manual_seed(1))
            yield pytest.param(process, process.space.project(raw, MASK), id=f"{noise} pairs={pairs}")


PROCESSES = list(_processes())


@pytest.mark.parametrize(("process", "x0"), PROCESSES)
def test_corrupt_at_zero_is_the_identity_and_lift_of_nothing_too(process, x0):
    zero, half = torch.zeros(4), torch.full((4,), 0.5)
    assert torch.equal(process.corrupt(x0, zero, MASK, SharedNoise()), x0)
    torch.testing.assert_close(process.lift(x0, half, half, MASK, SharedNoise()), x0)


@pytest.mark.parametrize(("process", "x0"), PROCESSES)
def test_project_is_idempotent_and_corrupt_stays_in_the_space(process, x0):
    noisy = process.corrupt(x0, torch.full((4,), 0.6), MASK, SharedNoise())
    torch.testing.assert_close(process.space.project(noisy, MASK), noisy, atol=1e-5, rtol=1e-5)
    if noisy.shape[1] == MASK.shape[1]:  # what belongs to a sample as a whole has no padding
        assert (noisy.flatten(2)[~MASK] == 0).all() if noisy.dim() == 3 else (noisy[~MASK] == 0).all()


@pytest.mark.parametrize(("process", "x0"), PROCESSES)
def test_perfect_prediction_has_no_loss_and_settles_to_the_truth(process, x0):
    perfect = x0 if x0.is_floating_point() else 100.0 * functional.one_hot(x0, 3).float()
    assert process.loss(perfect, x0, torch.full((4,), 0.3), MASK).abs().max() < 1e-6
    assert torch.equal(process.settle(perfect, MASK), x0) or torch.allclose(process.settle(perfect, MASK), x0, atol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_gaussian_chain_has_the_moments_of_the_closed_form(schedule):
    process, mask = Gaussian(schedule, Centered()), mask_of([5] * 4000)
    x0 = process.space.project(torch.randn(1, 5, 3).expand(4000, 5, 3), mask)
    x = process.corrupt(x0, torch.full((4000,), 0.2), mask, SharedNoise())
    for s, t in ((0.2, 0.45), (0.45, 0.7)):
        x = process.lift(x, torch.full((4000,), s), torch.full((4000,), t), mask, SharedNoise())
    end = torch.tensor([0.7])
    sigma = float(schedule.sigma(end))
    assert (x.mean(0) - schedule.alpha(end) * x0[0]).abs().max() < 5 * sigma / 4000**0.5
    # centred noise of 5 points has variance 1 - 1/5 per coordinate
    assert float(x.var(0).mean()) == pytest.approx(sigma**2 * 0.8, rel=0.02)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_categorical_chain_has_the_frequencies_of_the_closed_form(noise):
    process, mask = discrete(noise), mask_of([20] * 5000)
    x0 = torch.ones(5000, 20, dtype=torch.long)
    x = process.corrupt(x0, torch.full((5000,), 0.2), mask, SharedNoise())
    for s, t in ((0.2, 0.5), (0.5, 0.8)):
        x = process.lift(x, torch.full((5000,), s), torch.full((5000,), t), mask, SharedNoise())
    keep = process.keep(torch.tensor(0.8))
    expected = keep * functional.one_hot(torch.tensor(1), process.states) + (1 - keep) * process.stationary
    found = torch.bincount(x.flatten(), minlength=process.states) / x.numel()
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize(("now", "then"), [(0.7, 0.4), (0.999, 0.995)])
def test_posterior_is_bayes_rule(noise, now, then):
    process = discrete(noise)
    t, s = torch.tensor([now]), torch.tensor([then])
    p0 = torch.tensor([0.2, 0.5, 0.3])
    keep_s, keep_t = float(process.keep(s)), float(process.keep(t))
    eye = torch.eye(process.states)
    to_s = keep_s * eye[:3] + (1 - keep_s) * process.stationary  # (x0, x_s)
    s_to_t = keep_t / keep_s * eye + (1 - keep_t / keep_s) * process.stationary  # (x_s, x_t)
    for x_t in range(process.states):
        joint = torch.einsum("as,s->as", to_s, s_to_t[:, x_t])  # q(x_s, x_t | x0)
        evidence = joint.sum(1, keepdim=True)
        terms = torch.where(evidence > 0, joint / evidence.clamp(min=1e-30), torch.zeros(()))
        weights = torch.where(evidence[:, 0] > 0, p0, torch.zeros(()))
        expected = (weights / weights.sum()) @ terms
        found = process.posterior(torch.tensor([[x_t]]), p0.expand(1, 1, 3), t, s)[0, 0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("noise", [Uniform(), Marginal(), Masked(wrong=0.2)], ids=str)
def test_the_evidence_of_an_entry_is_its_posterior(noise):
    """Counted: among the clean classes whose noisy class is j, class k is as frequent as the evidence says."""
    process, mask = discrete(noise), mask_of([20] * 20_000)
    x0 = draw(MARGINAL.expand(20_000, 20, 3), torch.rand(20_000, 20, generator=torch.Generator().manual_seed(2)))
    t = torch.full((20_000,), 0.6)
    x = process.corrupt(x0, t, mask, SharedNoise(torch.Generator().manual_seed(3)))
    for j in range(process.states):
        counted = torch.bincount(x0[x == j], minlength=3) / (x == j).sum()
        found = process.evidence(torch.tensor([[j]]), t[:1]).softmax(-1)[0, 0]
        torch.testing.assert_close(found, counted, atol=0.01, rtol=0)


def test_ancestral_gaussian_step_is_the_exact_posterior():
    process, mask = Gaussian(VarianceExploding(), Features(3)), mask_of([1] * 200_000)
    t, s = torch.full((200_000,), 0.6), torch.full((200_000,), 0.5)
    x0, x_t = torch.full((200_000, 1, 3), 0.3), torch.full((200_000, 1, 3), 1.1)
    r_t, r_s = (float(ratio(process.schedule, v[:1])) for v in (t, s))
    x_s = process.reverse(x_t, x0, t, s, mask, SharedNoise(), 1.0)
    assert float(x_s.mean()) == pytest.approx(0.3 + (r_s / r_t) ** 2 * 0.8, abs=4e-3 * r_s + 1e-4)
    assert float(x_s.var()) == pytest.approx(r_s**2 * (1 - (r_s / r_t) ** 2), rel=0.01)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_a_correction_is_the_trapezoidal_rule_and_none_at_the_end(schedule):
    process, mask, t, s = Gaussian(schedule, Features(3)), mask_of([2]), torch.tensor([0.6]), torch.tensor([0.4])
    x, start, end = torch.randn(3, 1, 2, 3, generator=torch.Generator().manual_seed(4)).unbind()
    r_t, r_s, z = process.ratio(t), process.ratio(s), x / schedule.alpha(t)
    there = start + r_s / r_t * (z - start)
    expected = schedule.alpha(s) * (z + (r_s - r_t) / 2 * ((z - start) / r_t + (there - end) / r_s))
    found = process.reverse(x, process.correct(start, end, t, s), t, s, mask, SharedNoise(), 0.0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(process.correct(start, end, t, torch.zeros(1)), start)


def test_draw_has_the_given_frequencies_and_never_a_class_of_no_weight():
    u = (torch.arange(10_000) + 0.5) / 10_000
    classes = draw(torch.tensor([0.0, 2.0, 0.0, 6.0]).expand(10_000, 4), u)
    assert torch.bincount(classes, minlength=4).tolist() == [0, 2500, 0, 7500]


def test_noise_of_a_sample_does_not_depend_on_its_batch():
    full, alone = PerSampleNoise([3, 4, 5, 6]), PerSampleNoise([4])
    for _ in range(2):
        a, b = full.normal(MASK, 3, torch.float32), alone.normal(mask_of([7]), 3, torch.float32)
        assert torch.equal(a[1], b[0])
        a, b = full.uniform(MASK, True), alone.uniform(mask_of([7]), True)
        assert torch.equal(a[1], b[0])
        assert torch.equal(a, a.transpose(1, 2))


@pytest.mark.parametrize("pairs", [False, True])
def test_padding_has_no_loss(pairs):
    process, mask = discrete(Marginal(), pairs), mask_of([4, 7])
    x0 = torch.zeros(2, *(7, 7)[: 1 + pairs], dtype=torch.long)
    logits = torch.zeros(*x0.shape, 3)
    logits[~process.space.present(mask)] = torch.tensor([-50.0, 0.0, 0.0])  # sure of the wrong class where nothing is
    torch.testing.assert_close(process.loss(logits, x0, torch.full((2,), 0.3), mask), torch.full((2,), math.log(3)))


def test_the_loss_is_a_mean_over_the_dimensions_of_each_sample():
    process, mask, t = Gaussian(VarianceExploding(), Centered(), 0.5), mask_of([2, 4]), torch.full((2,), 0.5)
    off = mask.unsqueeze(-1) * torch.ones(3)  # by 1 in each of 6 and 12 coordinates, of 3 and 9 dimensions without the centre
    r = float(process.ratio(t)[0])
    expected = (r**2 + 0.25) / (0.25 * r**2) * torch.tensor([6 / 3, 12 / 9])
    torch.testing.assert_close(process.loss(off, torch.zeros(2, 4, 3), t, mask), expected)


def test_the_probability_of_given_classes_counts_pairs_once():
    process = Discrete(Uniform(), SymmetricCategorical(4), torch.ones(4) / 4)
    fixed = torch.zeros(1, 5, 5, dtype=torch.bool)
    fixed[0, :3, :3] = ~torch.eye(3, dtype=torch.bool)  # three pairs of four classes
    found = process.log_probability(torch.zeros(1, 5, 5, 4), torch.zeros(1, 5, 5, dtype=torch.long), fixed, torch.ones(1))
    assert float(found) == pytest.approx(-3 * math.log(4))


def test_what_nothing_probable_explains_is_drawn_anew():
    """Unmasked and of probability 0, which rounding and a certain network can make of an entry: classes by their probabilities."""
    process, x = discrete(Masked()), torch.tensor([[0]])
    certain, t = torch.tensor([[[0.0, 0.25, 0.75]]]), torch.tensor([0.6])
    s = torch.tensor([0.3])
    keep = float(process.keep(s))
    found = process.posterior(x, certain, t, s)[0, 0]
    assert torch.allclose(found, torch.tensor([0.0, 0.25 * keep, 0.75 * keep, 1 - keep]))
    assert torch.allclose(process.posterior(x, certain, t, torch.zeros(1))[0, 0], torch.tensor([0.0, 0.25, 0.75, 0.0]))
    assert torch.equal(process.posterior(x, torch.tensor([[[0.5, 0.25, 0.25]]]), t, s)[0, 0], torch.tensor([1.0, 0.0, 0.0, 0.0]))


def test_corrections_far_from_the_prediction_are_left_out():
    """The share r_t / (2 r_s) of a second prediction: 1 from r = 2 to 1, none where it would be 50."""
    process, start, end = Gaussian(VarianceExploding(), Features(3)), torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    high, one, two, low = (process.schedule.time(torch.tensor([r], dtype=torch.float64)) for r in (40.0, 1.0, 2.0, 0.4))
    assert torch.allclose(process.correct(start, end, two, one), end.double(), atol=1e-5)
    assert torch.equal(process.correct(start, end, high, low), start)
    assert torch.equal(process.correct(start, end, two, torch.zeros(1, dtype=torch.float64)), start)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_what_stays_uncertain_is_the_posterior_of_gaussian_data(schedule):
    gaussian, t = Gaussian(schedule, Features(3), 0.7), torch.linspace(0.01, 1, 50, dtype=torch.float64)
    r, x0 = gaussian.ratio(t), torch.zeros(50, 2, 3, dtype=torch.float64)
    variance = 1 / (1 / r.square() + 1 / 0.7**2)
    torch.testing.assert_close(gaussian.remaining(r), variance)
    torch.testing.assert_close(gaussian.uncertainty(r).square(), variance)
    torch.testing.assert_close(gaussian.total(r).square(), r.square() + 0.7**2)
    there = torch.ones(50, 2, dtype=torch.bool)
    torch.testing.assert_close(gaussian.log_probability(x0 + 0.1, x0, there, t), -6 * 0.01 / (2 * variance))
    torch.testing.assert_close(gaussian.loss(x0 + 0.1, x0, t, there), 0.01 / variance)
