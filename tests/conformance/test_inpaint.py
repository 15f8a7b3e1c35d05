"""Inpainting: given entries come back exactly, the rest follows the conditional law, the guidance is the closed form."""

import math

import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.categorical import Discrete, Marginal, Masked
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Ancestral, Annealed, Ddim, DpmSolver, Heun
from molgen.diffusion.schedule import Cosine, VarianceExploding
from molgen.diffusion.space import Categorical, Centered, SymmetricCategorical

from .space import Euclidean

SAMPLERS = [Ancestral(), Ddim(), Heun(), DpmSolver(), DpmSolver(eta=1.0, above=0.2), Annealed()]
SPREAD, CORRELATION = 0.7, 0.8
SIZES = [5, 7, 5, 7]


def fields(space, noise=Marginal()):
    return Joint(
        {
            "pos": Gaussian(VarianceExploding(), space),
            "kind": Discrete(noise, Categorical(3), torch.tensor([0.6, 0.3, 0.1])),
            "link": Discrete(noise, SymmetricCategorical(2), torch.tensor([0.8, 0.2])),
        }
    )


def given(process, seed=0):
    """A clean batch, and which of its entries are given: the first three nodes of each sample and what is between them."""
    generator, mask = torch.Generator().manual_seed(seed), mask_of(SIZES)
    b, n = mask.shape
    clean = {
        "pos": process["pos"].space.project(torch.randn(b, n, 3, generator=generator), mask),
        "kind": process["kind"].space.project(torch.randint(0, 3, (b, n), generator=generator), mask),
        "link": process["link"].space.project(torch.randint(0, 2, (b, n, n), generator=generator), mask),
    }
    node = torch.zeros_like(mask)
    node[:, :3] = True
    pair = node.unsqueeze(1) & node.unsqueeze(2) & ~torch.eye(n, dtype=torch.bool)
    return Batch(clean, mask), {"pos": node, "kind": node, "link": pair}


def wild(process):
    """A denoiser that is differentiable and wrong about everything."""

    def denoiser(batch, t, condition, previous=None):
        x = batch["pos"]
        kinds, links = torch.cat([x, x], -1)[..., :3], (x.unsqueeze(1) - x.unsqueeze(2))[..., :2]
        return {
            "pos": process["pos"].space.project(torch.sin(x), batch.mask),
            "kind": kinds,
            "link": links + links.transpose(1, 2),
        }

    return denoiser


@pytest.mark.parametrize("noise", [Marginal(), Masked(), Masked(wrong=0.2)], ids=str)
@pytest.mark.parametrize("space", [Euclidean(), Centered()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s.kind)
@pytest.mark.parametrize("pull", [0.0, 2.0])
def test_given_entries_come_back_under_every_sampler(sampler, space, noise, pull):
    torch.manual_seed(0)
    process = fields(space, noise)
    clean, fixed = given(process)
    denoiser = Inpaint(wild(process), process, clean, fixed, pull=pull)
    *_, last = sampler.walk(denoiser, process, clean, {}, SharedNoise(), 6)
    assert torch.equal(last.batch["kind"][fixed["kind"]], clean["kind"][fixed["kind"]])
    assert torch.equal(last.batch["link"][fixed["link"]], clean["link"][fixed["link"]])
    found, known = last.batch["pos"][:, :3], clean["pos"][:, :3]
    if type(space) is Centered:
        assert last.batch["pos"].sum(1).abs().max() < 1e-5
        found, known = found - found.mean(1, keepdim=True), known - known.mean(1, keepdim=True)
    torch.testing.assert_close(found, known, atol=2e-6, rtol=0)
    assert not torch.allclose(last.batch["pos"][:, 3:5], clean["pos"][:, 3:5], atol=0.1)


def test_given_points_keep_their_forward_law_in_the_state():
    torch.manual_seed(1)
    process = fields(Centered())
    one, fixed = given(process)
    clean = Batch(
        {name: value[:1].repeat(1000, *(1,) * (value.dim() - 1)) for name, value in one.fields.items()}, one.mask[:1].repeat(1000, 1)
    )
    fixed = {name: value[:1].repeat(1000, *(1,) * (value.dim() - 1)) for name, value in fixed.items()}
    denoiser = Inpaint(wild(process), process, clean, fixed)
    known = clean["pos"][:, :3] - clean["pos"][:, :3].mean(1, keepdim=True)
    for step in list(Annealed().walk(denoiser, process, clean, {}, SharedNoise(), 12))[:-1]:
        t = torch.tensor([step.time])
        inner = step.batch["pos"][:, :3] - step.batch["pos"][:, :3].mean(1, keepdim=True)
        # three centred points: 2/3 of the variance of three free ones
        assert float((inner - known).std()) == pytest.approx(float(process["pos"].ratio(t)) * math.sqrt(2 / 3), rel=0.05)
        right = (step.batch["kind"][:, :3] == clean["kind"][:, :3]).float().mean(0)
        keep = process["kind"].keep(t)
        expected = keep + (1 - keep) * process["kind"].marginal[clean["kind"][0, :3]]
        torch.testing.assert_close(right, expected, atol=0.06, rtol=0)


def pair_process(schedule):
    return Joint({"pos": Gaussian(schedule, Euclidean(), SPREAD)})


@pytest.mark.parametrize("schedule", [VarianceExploding(), Cosine()], ids=lambda s: s.kind)
@pytest.mark.parametrize("sampler", [Ancestral(settle=False), Heun(settle=False), Annealed(gamma=0.03, settle=False)], ids=lambda s: s.kind)
def test_the_rest_follows_the_conditional_gaussian(sampler, schedule):
    # two points with correlated coordinates; the denoiser reads the first as it is, so it has to be shown without noise
    torch.manual_seed(2)
    process, count = pair_process(schedule), 3000
    remaining = SPREAD * math.sqrt(1 - CORRELATION**2)

    def denoiser(batch, t, condition, previous=None):
        z = batch["pos"] / process["pos"].schedule.alpha(t)[:, None, None]
        r = process["pos"].ratio(t)[:, None]
        expected = CORRELATION * z[:, 0]
        second = expected + remaining**2 / (remaining**2 + r**2) * (z[:, 1] - expected)
        return {"pos": torch.stack([torch.zeros_like(second), second], 1)}

    known = torch.tensor([[1.0, -0.5, 0.3], [9.0, 9.0, 9.0]]).repeat(count, 1, 1)
    clean = Batch({"pos": known}, mask_of([2] * count))
    fixed = {"pos": torch.tensor([[True, False]]).repeat(count, 1)}
    *_, last = sampler.walk(Inpaint(denoiser, process, clean, fixed), process, clean, {}, SharedNoise(), 120)
    torch.testing.assert_close(last.batch["pos"][:, 0], known[:, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(last.batch["pos"][:, 1].mean(0), CORRELATION * known[0, 0], atol=0.03, rtol=0)
    assert float(last.batch["pos"][:, 1].std(0).mean()) == pytest.approx(remaining, rel=0.08)  # lifts make Annealed narrower


@pytest.mark.parametrize("schedule", [VarianceExploding(), Cosine()], ids=lambda s: s.kind)
def test_pull_is_the_gradient_of_the_log_density(schedule):
    process = pair_process(schedule)
    covariance = SPREAD**2 * torch.tensor([[1.0, CORRELATION], [CORRELATION, 1.0]])
    t = torch.tensor([0.5])
    r, alpha = process["pos"].ratio(t), schedule.alpha(t)
    share = covariance @ torch.linalg.inv(covariance + r**2 * torch.eye(2))  # exact denoiser of the correlated pair

    def denoiser(batch, t, condition, previous=None):
        return {"pos": share @ (batch["pos"] / alpha)}

    known = torch.tensor([[[0.4, -0.2, 0.1], [0.0, 0.0, 0.0]]])
    state = torch.tensor([[[5.0, 5.0, 5.0], [0.3, 0.2, -0.4]]])
    fixed = {"pos": torch.tensor([[True, False]])}
    found = Inpaint(denoiser, process, Batch({"pos": known}, mask_of([2])), fixed, pull=1.5, farthest=1e9)(
        Batch({"pos": state}, mask_of([2])), t, {}
    )["pos"]
    shown = torch.stack([known[:, 0], state[:, 1] / alpha], 1)
    plain = share @ shown
    variance = (r * SPREAD) ** 2 / (r**2 + SPREAD**2)
    expected = plain[:, 1] - 1.5 * r**2 * share[0, 1] * (plain[:, 0] - known[:, 0]) / variance
    torch.testing.assert_close(found[:, 1], expected)
    assert torch.equal(found[:, 0], known[:, 0])


@pytest.mark.parametrize("farthest", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("schedule", [VarianceExploding(), Cosine()], ids=lambda s: s.kind)
def test_no_point_is_pulled_farther_than_what_the_noise_leaves_open(schedule, farthest):
    """Every point of every sample by itself: ``farthest`` deviations ``r d / sqrt(r^2 + d^2)`` at most, along the pull."""
    process = pair_process(schedule)
    weights = torch.tensor([0.9, 0.02, 0.6])  # how much the given point's prediction depends on each of three others
    t = torch.tensor([0.4, 0.6])

    def denoiser(batch, t, condition, previous=None):
        z = batch["pos"] / schedule.alpha(t)[:, None, None]
        first = (weights[:, None] * z[:, 1:]).sum(1, keepdim=True)
        return {"pos": torch.cat([first, z[:, 1:]], 1)}

    state = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(5))
    known, mask = torch.zeros(2, 4, 3), mask_of([4, 4])
    known[:, 0] = torch.tensor([[3.0, -1.0, 2.0], [-2.0, 1.0, 1.0]])
    fixed = {"pos": torch.tensor([[True, False, False, False]] * 2)}

    def predict(**pull):
        return Inpaint(denoiser, process, Batch({"pos": known}, mask), fixed, **pull)(Batch({"pos": state}, mask), t, {})["pos"][:, 1:]

    r = process["pos"].ratio(t)
    variance = (r * SPREAD) ** 2 / (r**2 + SPREAD**2)
    plain = predict()
    gap = known[:, 0] - (weights[:, None] * plain).sum(1)
    # a pull of such strength that the second of the three points stays within its range and the others do not
    free = (r**2 / variance)[:, None, None] * weights[:, None] * gap.unsqueeze(1)
    pull = float((0.5 * farthest * variance.sqrt() / free[:, 1].norm(dim=-1)).min())
    length, most = (pull * free).norm(dim=-1), farthest * variance.sqrt()[:, None]
    assert (length[:, 1] < most[:, 0]).all()
    assert (length[:, [0, 2]] > most).all()
    expected = pull * free * (most / length).clamp(max=1).unsqueeze(-1)
    torch.testing.assert_close(predict(pull=pull, farthest=farthest) - plain, expected, atol=1e-4, rtol=1e-4)


def test_samples_that_fit_are_spared_the_gradient_and_the_others_are_pulled_as_if_alone(monkeypatch):
    """Classes are given, coordinates tell them: nodes are of class 1 the farther out they are."""
    process = fields(Centered())
    clean, fixed = given(process)
    fixed = {"kind": torch.ones_like(fixed["kind"]) & clean.mask}
    calls = []

    def denoiser(batch, t, condition, previous=None):
        calls.append(len(batch))
        far = 400 * (batch["pos"].norm(dim=-1) - 1.2)
        logits = torch.stack([torch.zeros_like(far), far, torch.full_like(far, -99.0)], -1)
        heard = 0.1 * condition["y"][:, None, None] * batch["pos"] + 0.1 * previous["pos"]
        return {**wild(process)(batch, t, condition, previous), "pos": 0.5 * batch["pos"] + heard, "kind": logits}

    condition, previous = {"y": torch.arange(4.0)}, {"pos": process["pos"].space.project(clean["pos"].flip(0), clean.mask)}
    t = torch.full((4,), 0.3)
    fits = (denoiser(clean, t, condition, previous)["kind"].argmax(-1) * clean.mask).clone()
    kinds = fits.clone()
    kinds[1, 0] = 1 - kinds[1, 0]  # of one sample a class that does not fit
    noisy = clean.replace({"kind": kinds})
    calls.clear()
    found = Inpaint(denoiser, process, noisy, fixed, pull=1.0)(noisy, t, condition, previous)
    assert calls == [4, 1]
    plain = Inpaint(denoiser, process, noisy, fixed)(noisy, t, condition, previous)
    others = [0, 2, 3]
    assert torch.equal(found["pos"][others], plain["pos"][others])
    assert (found["pos"][1] - plain["pos"][1]).norm() > 0.01
    monkeypatch.setattr("molgen.diffusion.inpaint.NEGLIGIBLE", -1.0)  # all are pulled
    torch.testing.assert_close(
        Inpaint(denoiser, process, noisy, fixed, pull=1.0)(noisy, t, condition, previous)["pos"], found["pos"], atol=1e-4, rtol=0
    )


def test_nothing_given_and_no_pull_is_the_identity():
    process = fields(Centered())
    clean, fixed = given(process)
    t = torch.full((4,), 0.6)
    nothing = {name: torch.zeros_like(value) for name, value in fixed.items()}
    plain, wrapped = wild(process)(clean, t, {}), Inpaint(wild(process), process, clean, nothing)(clean, t, {})
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)


def test_barred_classes_never_come():
    torch.manual_seed(3)
    process = fields(Centered())
    clean, _ = given(process)
    barred = torch.zeros(4, 7, 3, dtype=torch.bool)
    barred[:, 4, :2] = True
    denoiser = Inpaint(wild(process), process, clean, {}, {"kind": barred})
    *_, last = Annealed().walk(denoiser, process, clean, {}, SharedNoise(), 6)
    assert (last.batch["kind"][:, 4] == 2).all()
    assert (last.batch["kind"][:, 3] != 2).any()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s.kind)
def test_a_walk_may_start_from_a_corrupted_batch(sampler):
    process = fields(Centered())
    clean, _ = given(process)
    perfect = {"pos": clean["pos"], **{n: 50.0 * torch.nn.functional.one_hot(clean[n], k) for n, k in (("kind", 3), ("link", 2))}}
    steps = list(sampler.walk(lambda *_: perfect, process, clean, {}, SharedNoise(), 20, start=0.5))
    assert 0 < len(steps) < 20
    assert steps[0].time < 0.5
    torch.testing.assert_close(steps[-1].batch["pos"], clean["pos"], atol=1e-4, rtol=0)
    assert not list(sampler.walk(lambda *_: perfect, process, clean, {}, SharedNoise(), 20, start=0.0))
