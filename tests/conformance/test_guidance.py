"""Gradient guidance with exact denoisers: the tilted distribution is known in closed form."""

import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.categorical import Discrete, Marginal
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.guidance import Gradient
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Ancestral, Ddim, Heun
from molgen.diffusion.schedule import Cosine, VarianceExploding
from molgen.diffusion.space import Categorical, Centered, SymmetricCategorical

from .space import Euclidean

SPREAD = 0.7
CLASSES = torch.tensor([0.6, 0.3, 0.1])


KINDS = {"kind": Categorical(3), "link": SymmetricCategorical(3)}


def joint(schedule, space=Euclidean(), classes=()):
    return Joint({"pos": Gaussian(schedule, space, SPREAD), **{name: Discrete(Marginal(), KINDS[name], CLASSES) for name in classes}})


def exact(process):
    def denoiser(batch, t, condition, previous=None):
        r = process["pos"].ratio(t)[:, None, None]
        z = batch["pos"] / process["pos"].schedule.alpha(t)[:, None, None]
        fields = [name for name in KINDS if name in process.processes]
        logits = {name: CLASSES.log() + process[name].likelihood(batch[name], t).clamp(min=1e-30).log() for name in fields}
        return {"pos": z * SPREAD**2 / (SPREAD**2 + r**2), **logits}

    return denoiser


def empty(count, nodes=4):
    fields = {
        "pos": torch.zeros(count, nodes, 3),
        "kind": torch.zeros(count, nodes, dtype=torch.long),
        "link": torch.zeros(count, nodes, nodes, dtype=torch.long),
    }
    return Batch(fields, mask_of([nodes] * count))


def samples(score, schedule=VarianceExploding(), sampler=Ddim(settle=False), steps=50, count=1200, space=Euclidean(), classes=()):
    torch.manual_seed(3)
    process = joint(schedule, space, classes)
    with torch.no_grad():
        *_, last = sampler.walk(Gradient(exact(process), process, score), process, empty(count), {}, SharedNoise(), steps)
    return last.batch


@pytest.mark.parametrize(
    ("sampler", "schedule", "steps"),
    [
        (Ddim(settle=False), VarianceExploding(), 80),
        (Heun(settle=False), Cosine(), 60),
        (Ancestral(settle=False), VarianceExploding(), 160),
    ],
    ids=lambda x: getattr(x, "kind", ""),
)
def test_quadratic_score_of_a_gaussian(sampler, schedule, steps):
    # N(0, c^2) exp(-k (x - a)^2 / 2) is N(k a / (k + 1/c^2), 1 / (k + 1/c^2))
    k, a = 6.0, 1.5
    found = samples(lambda clean, mask: -k / 2 * (clean["pos"] - a).square().sum((-1, -2)), schedule, sampler, steps)["pos"]
    precision = k + SPREAD**-2
    assert float(found.mean()) == pytest.approx(k * a / precision, abs=0.03)
    assert float(found.std()) == pytest.approx(precision**-0.5, rel=0.05)


def test_linear_score_shifts_a_gaussian_and_keeps_its_width():
    found = samples(lambda clean, mask: 2 * clean["pos"][..., 0].sum(-1))["pos"]
    assert float(found[..., 0].mean()) == pytest.approx(2 * SPREAD**2, abs=0.03)
    assert float(found[..., 1:].mean()) == pytest.approx(0, abs=0.03)
    assert float(found[..., 0].std()) == pytest.approx(SPREAD, rel=0.04)


def test_score_linear_in_the_classes_multiplies_their_odds():
    w = torch.tensor([0.0, 1.0, 2.0])
    found = samples(lambda clean, mask: (clean["kind"] @ w).sum(-1), sampler=Ancestral(settle=False), steps=8, count=2500, classes=KINDS)
    expected = CLASSES * w.exp() / (CLASSES * w.exp()).sum()
    torch.testing.assert_close(torch.bincount(found["kind"].flatten(), minlength=3) / found["kind"].numel(), expected, atol=0.02, rtol=0)
    untouched = torch.bincount(found["link"][:, 0, 1:].flatten(), minlength=3) / (3 * len(found))
    torch.testing.assert_close(untouched, CLASSES, atol=0.02, rtol=0)


def test_score_of_pairs_counts_each_unordered_pair_once():
    # every pair stands twice in the matrix: half of the sum over the matrix is the sum over pairs
    w = torch.tensor([0.0, 1.0, 2.0])
    found = samples(
        lambda clean, mask: (clean["link"] @ w).triu(1).sum((-1, -2)), sampler=Ancestral(settle=False), steps=8, count=2500, classes=KINDS
    )
    expected = CLASSES * w.exp() / (CLASSES * w.exp()).sum()
    pairs = found["link"][:, *torch.triu_indices(4, 4, 1)]
    torch.testing.assert_close(torch.bincount(pairs.flatten(), minlength=3) / pairs.numel(), expected, atol=0.02, rtol=0)
    assert torch.equal(found["link"], found["link"].transpose(1, 2))


def test_half_the_sum_over_the_matrix_tilts_every_pair_by_its_whole_slope():
    process, batch, t = joint(VarianceExploding(), classes=KINDS), empty(1, nodes=3), torch.tensor([0.5])
    plain = exact(process)(batch, t, {})
    found = Gradient(exact(process), process, lambda clean, mask: clean["link"][..., 1].sum((-1, -2)) / 2)(batch, t, {})
    torch.testing.assert_close(found["link"] - plain["link"], torch.tensor([0.0, 1.0, 0.0]).expand(1, 3, 3, 3))


def test_a_score_of_classes_alone_is_asked_once_a_call():
    asked, process = [], joint(VarianceExploding(), classes=KINDS)

    def score(clean, mask):
        asked.append(clean)
        return clean["kind"][..., 0].sum(-1)

    Gradient(exact(process), process, score)(empty(2), torch.tensor([0.5, 0.5]), {})
    assert len(asked) == 1


def test_flat_score_changes_nothing_and_centred_samples_stay_centred():
    plain = samples(lambda clean, mask: clean["pos"].sum((-1, -2)) * 0, count=50, space=Centered(), steps=40)["pos"]
    torch.manual_seed(3)
    process = joint(VarianceExploding(), Centered())
    *_, last = Ddim(settle=False).walk(exact(process), process, empty(50), {}, SharedNoise(), 40)
    torch.testing.assert_close(plain, last.batch["pos"])
    shifted = samples(lambda clean, mask: 5 * clean["pos"][:, 0, 0], count=50, space=Centered(), steps=40)["pos"]
    torch.testing.assert_close(shifted.sum(1), torch.zeros(50, 3), atol=1e-4, rtol=0)
    assert float((shifted[:, 0, 0] - plain[:, 0, 0]).mean()) > 1


def test_a_score_without_a_finite_gradient_leaves_its_sample_alone():
    process = joint(VarianceExploding(), classes=KINDS)
    batch = empty(2).replace({"pos": torch.randn(2, 4, 3)})
    sign = torch.tensor([1.0, -1.0])

    def score(clean, mask):  # the root of a negative number for the second sample
        value = (sign * clean["kind"][..., 0].sum(-1)).sqrt() + clean["pos"][..., 0].sum(-1)
        return torch.where(value.isfinite(), value, torch.zeros_like(value))

    t = process["pos"].schedule.time(torch.full((2,), 0.5))
    plain, guided = exact(process)(batch, t, {}), Gradient(exact(process), process, score)(batch, t, {})
    assert torch.equal(guided["kind"][1], plain["kind"][1])
    assert bool((guided["kind"][0, :, 0] > plain["kind"][0, :, 0]).all())
    assert all(value.isfinite().all() for value in guided.values())


def test_guidance_begins_below_its_noise():
    process = joint(VarianceExploding())
    guided = Gradient(exact(process), process, lambda clean, mask: 9 * clean["pos"].sum((-1, -2)), below=0.5)
    batch = empty(3).replace({"pos": torch.randn(3, 4, 3)})
    for level, same in ((0.51, True), (0.49, False)):
        t = process["pos"].schedule.time(torch.full((3,), level))
        assert torch.equal(guided(batch, t, {})["pos"], exact(process)(batch, t, {})["pos"]) is same


def test_a_round_moves_three_standard_deviations_at_most():
    process, r = joint(VarianceExploding()), torch.tensor([0.1])
    steep = Gradient(exact(process), process, lambda clean, mask: 1e6 * clean["pos"].sum((-1, -2)), rounds=1)
    found = steep(empty(1), process["pos"].schedule.time(r), {})["pos"]
    torch.testing.assert_close(found, torch.full_like(found, 3 * float(process["pos"].remaining(r)) ** 0.5))


def test_steps_of_the_ascent_are_no_longer_than_the_variance():
    """On a convex score ``k x^2 / 2`` with ``k v = 1/2`` a step of v leads from x to ``c + x / 2``: 1.5 c, 1.75 c, towards 2 c."""
    process, r = joint(VarianceExploding()), torch.tensor([1.0])
    variance = float(process["pos"].remaining(r))
    batch = empty(1).replace({"pos": 0.1 * torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))})

    def score(clean, mask):
        return clean["pos"].square().sum((-1, -2)) / (4 * variance)

    t = process["pos"].schedule.time(r)
    center = exact(process)(batch, t, {})["pos"]
    for rounds, factor in ((1, 1.5), (2, 1.75), (3, 1.875)):
        found = Gradient(exact(process), process, score, rounds=rounds)(batch, t, {})["pos"]
        torch.testing.assert_close(found, factor * center, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rounds", range(1, 7))
def test_rounds_that_overshoot_a_peak_are_not_kept(rounds):
    process, batch, r = joint(VarianceExploding()), empty(1, nodes=1).replace({"pos": torch.full((1, 1, 3), 0.03)}), torch.tensor([1.0])

    def score(clean, mask):
        return -1000 * clean["pos"].abs().sum((-1, -2))

    t = process["pos"].schedule.time(r)
    start, found = exact(process)(batch, t, {})["pos"], Gradient(exact(process), process, score, rounds=rounds)(batch, t, {})["pos"]
    away = (found - start).square().sum() / (2 * process["pos"].remaining(r))
    assert float(score({"pos": found}, None) - away) >= float(score({"pos": start}, None))


def test_stiff_score_does_not_throw_samples_apart():
    # a spring 1,000 times stiffer than the data: the explicit shift v grad s would explode, the proximal point does not
    found = samples(lambda clean, mask: -2000 * ((clean["pos"][:, 0] - clean["pos"][:, 1]).norm(dim=-1) - 1).square(), steps=60)["pos"]
    length = (found[:, 0] - found[:, 1]).norm(dim=-1)
    assert float(length.mean()) == pytest.approx(1, abs=0.02)
    assert float(length.std()) < 0.06
    assert float(found[:, 2:].std()) == pytest.approx(SPREAD, rel=0.05)
