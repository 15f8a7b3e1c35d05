"""Every sampler with the exact denoiser of a known distribution: moments, frequencies and the order of convergence."""

import itertools
import math

import numpy as np
import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.categorical import Discrete, Marginal, Masked, Uniform
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.grid import ArcsineGrid, KarrasGrid, StagedGrid, UniformGrid
from molgen.diffusion.guidance import ClassifierFree
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Ancestral, Annealed, Ddim, DpmSolver, Heun
from molgen.diffusion.schedule import Cosine, VarianceExploding, ratio
from molgen.diffusion.space import Categorical
from molgen.errors import InputError

from .space import Euclidean

SPREAD = 0.7  # standard deviation of the Gaussian data
SAMPLERS = [
    Ancestral(settle=False),
    Ddim(settle=False),
    Heun(settle=False),
    DpmSolver(settle=False),
    DpmSolver(eta=1.0, above=0.4, settle=False),
    Annealed(gamma=0.03, sharpness=1.0, settle=False),
]
GRIDS = [UniformGrid(), ArcsineGrid(), KarrasGrid(smallest=0.004), StagedGrid()]


def joint(schedule, noise=Marginal()):
    return Joint({"pos": Gaussian(schedule, Euclidean(), SPREAD), "kind": Discrete(noise, Categorical(3), torch.tensor([0.6, 0.3, 0.1]))})


def exact(process, probabilities=(0.6, 0.3, 0.1)):
    """Posterior means and class posteriors of independent Gaussian coordinates and independent classes."""
    gaussian, classes = process["pos"], process["kind"]

    def denoiser(batch, t, condition, previous=None):
        r = gaussian.ratio(t)[:, None, None]
        z = batch["pos"] / gaussian.schedule.alpha(t)[:, None, None]
        logits = torch.tensor(probabilities).log() + classes.likelihood(batch["kind"], t).clamp(min=1e-30).log()
        return {"pos": z * SPREAD**2 / (SPREAD**2 + r**2), "kind": logits}

    return denoiser


def empty(count, nodes=4, dtype=torch.float32):
    return Batch(
        {"pos": torch.zeros(count, nodes, 3, dtype=dtype), "kind": torch.zeros(count, nodes, dtype=torch.long)}, mask_of([nodes] * count)
    )


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s.kind)
@pytest.mark.parametrize("schedule", [VarianceExploding(), Cosine()], ids=lambda s: s.kind)
def test_moments_and_frequencies(sampler, schedule):
    torch.manual_seed(0)
    process = joint(schedule)
    *_, last = sampler.walk(exact(process), process, empty(4000), {}, SharedNoise(), 160)
    assert last.time == 0
    assert float(last.batch["pos"].mean()) == pytest.approx(0, abs=0.02)
    assert float(last.batch["pos"].std()) == pytest.approx(SPREAD, rel=0.04)
    found = torch.bincount(last.batch["kind"].flatten(), minlength=3) / last.batch["kind"].numel()
    torch.testing.assert_close(found, torch.tensor([0.6, 0.3, 0.1]), atol=0.02, rtol=0)


@pytest.mark.parametrize("noise", [Uniform(), Marginal(exponent=2.0), Masked(), Masked(wrong=0.2)], ids=str)
def test_every_class_noise_gives_the_right_frequencies_in_few_steps(noise):
    torch.manual_seed(1)
    process = joint(VarianceExploding(), noise)
    *_, last = Ancestral(settle=False).walk(exact(process), process, empty(8000), {}, SharedNoise(), 8)
    found = torch.bincount(last.batch["kind"].flatten(), minlength=3) / last.batch["kind"].numel()
    torch.testing.assert_close(found, torch.tensor([0.6, 0.3, 0.1]), atol=0.015, rtol=0)


class Same:
    """The same starting noise for every number of steps; nothing else is drawn by a deterministic sampler."""

    def normal(self, mask, width, dtype):
        return torch.randn(*mask.shape, width, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)

    def uniform(self, mask, pairs):
        return torch.full(mask.shape, 0.5)


@pytest.mark.parametrize(
    ("sampler", "order"),
    [
        (Ddim(settle=False), 1),
        (Heun(settle=False), 2),
        (DpmSolver(settle=False), 2),
        *((Annealed(gamma=0.0, sharpness=1.0, calm=1.0, order=order, grid=UniformGrid(), settle=False), order) for order in (1, 2)),
    ],
    ids=lambda x: getattr(x, "kind", str(x)),
)
def test_order_of_convergence(sampler, order):
    # the exact flow maps x(1) to x(t) = x(1) sqrt((c^2 + r(t)^2) / (c^2 + r(1)^2)); the last step to 0 is Euler in every method,
    # so the error is measured where the step before it arrives
    process = joint(VarianceExploding(sigma_min=0.3, sigma_max=3.0))
    schedule = process["pos"].schedule
    errors = []
    for steps in (24, 48, 96):
        calls = 2 * steps - 1 if sampler.kind == "heun" else steps
        start = process.prior(empty(1, dtype=torch.float64), Same())["pos"]
        walk = list(sampler.walk(exact(process), process, empty(1, dtype=torch.float64), {}, Same(), calls))
        arrived = walk[-2]
        t = torch.tensor(arrived.time, dtype=torch.float64)
        growth = ((SPREAD**2 + ratio(schedule, t) ** 2) / (SPREAD**2 + ratio(schedule, torch.ones_like(t)) ** 2)).sqrt()
        errors.append(float((arrived.batch["pos"] - start * growth).abs().max()))
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(order - 0.35 < slope < order + 0.9 for slope in slopes), (errors, slopes)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_stochastic_steps_of_second_order_keep_the_width(eta):
    def error(sampler, steps):
        torch.manual_seed(0)
        process = joint(VarianceExploding())
        *_, last = sampler.walk(exact(process), process, empty(20_000), {}, SharedNoise(), steps)
        return abs(float(last.batch["pos"].std()) / SPREAD - 1)

    grid = KarrasGrid(smallest=0.02)
    few, many = (error(DpmSolver(eta=eta, grid=grid, settle=False), steps) for steps in (16, 48))
    assert many < few / 4  # 1/9 in the limit
    assert few < 0.1
    assert many < 0.25 * error(Ancestral(eta=eta, grid=grid, settle=False), 48)


def test_fresh_noise_ends_at_its_ratio():
    process = joint(VarianceExploding())
    like, grid = empty(3), StagedGrid()
    times = grid.times(12, process["pos"].schedule)
    border = float((ratio(process["pos"].schedule, times[6:8])).mean())
    walks = []
    for above in (border, math.inf):
        torch.manual_seed(0)
        walks.append(
            [
                step.batch["pos"]
                for step in DpmSolver(eta=1.0, above=above, grid=grid).walk(exact(process), process, like, {}, SharedNoise(), 12)
            ]
        )
    torch.manual_seed(0)
    plain = [step.batch["pos"] for step in DpmSolver(grid=grid).walk(exact(process), process, like, {}, SharedNoise(), 12)]
    assert torch.equal(walks[1][-1], plain[-1])
    # the exact flow takes x / sqrt(c^2 + r^2) through unchanged: with fresh noise it jumps, without it hardly moves
    r = ratio(process["pos"].schedule, times[1:])
    scaled = [step / (SPREAD**2 + float(level) ** 2) ** 0.5 for step, level in zip(walks[0], r, strict=True)]
    jumps = [float((b - a).abs().max()) for a, b in itertools.pairwise(scaled[:-1])]
    assert min(jumps[:6]) > 3 * max(jumps[6:])


@pytest.mark.parametrize("grid", GRIDS, ids=lambda g: g.kind)
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_grids_fall_from_one_to_zero(grid, steps):
    times = grid.times(steps, VarianceExploding())
    assert len(times) == steps + 1
    assert times[0] == 1
    assert times[-1] == 0
    assert (times.diff() < 0).all()


@pytest.mark.parametrize("largest", [3.0, 10.0, 20.0])
def test_stages_above_the_end_of_the_schedule_fall_away(largest):
    schedule = VarianceExploding(sigma_max=largest)
    times = StagedGrid(ratios=(40.0, 5.0, 0.6, 0.03), shares=(0.2, 0.3, 0.5)).times(100, schedule)
    assert (times.diff() < 0).all()
    r = ratio(schedule, times)
    of_first = 0.3 / 0.8 if largest < 5 else 0.5  # the steps down to 0.6
    assert int((r > 0.6).sum()) == pytest.approx(100 * of_first, abs=1)


def test_stages_get_their_shares_and_are_even_in_the_logarithm():
    grid = StagedGrid(ratios=(20.0, 2.0, 0.5, 0.01), shares=(1.0, 2.0, 1.0))
    r = ratio(VarianceExploding(), grid.times(401, VarianceExploding()))[1:-1]
    assert [int(((low <= r) & (r < high)).sum()) for low, high in ((1.999, 21.0), (0.4999, 1.999), (0.0, 0.4999))] == [100, 200, 100]
    inside = r[(r > 0.5) & (r < 2.0)].log().diff()
    torch.testing.assert_close(inside, torch.full_like(inside, math.log(0.5 / 2.0) / 200), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("steps", "last"), [(10, 7), (20, 14), (25, 16), (40, 20), (80, 40)])
def test_the_last_stage_gets_its_least_number_of_steps_and_the_others_keep_their_proportions(steps, last):
    # half of the steps by its share, 16 at least, 70 % at most: 10 -> 7 (70 %), 20 -> 14 (70 %), 25 -> 16, 40 and 80 -> half
    grid = StagedGrid(ratios=(20.0, 2.0, 0.5, 0.01), shares=(1.0, 1.0, 2.0), least=16)
    r = ratio(VarianceExploding(), grid.times(steps, VarianceExploding()))[:-1]
    evenly = np.interp(np.arange(steps) / (steps - 1), [0, (1 - last / steps) / 2, 1 - last / steps, 1], np.log(grid.ratios))
    torch.testing.assert_close(r[1:].log(), torch.from_numpy(evenly[1:]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("ratios", "shares"), [((1.0, 2.0), (1.0,)), ((2.0, 1.0), (0.5, 0.5))])
def test_stages_that_do_not_fit_are_refused(ratios, shares):
    with pytest.raises(ValueError, match="descending ratios, one more than shares"):
        StagedGrid(ratios=ratios, shares=shares)


def test_a_grid_that_would_rise_is_refused():
    with pytest.raises(ValueError, match="smallest below largest, got 50"):
        KarrasGrid(smallest=50.0)
    for grid in (KarrasGrid(smallest=50.0, largest=100.0), StagedGrid(ratios=(400.0, 300.0, 200.0), shares=(0.5, 0.5))):
        with pytest.raises(InputError, match=r"its lowest ratio (50|200) is not below the largest of the schedule, 40; give lower ones"):
            grid.times(5, VarianceExploding(sigma_max=40.0))


def test_lifts_and_sharpening_stay_below_their_noise_level():
    # above it the walk is that of Ddim to the last bit; below, a strong lift makes coordinates narrower
    process, like = joint(VarianceExploding()), empty(500)
    lifted = Annealed(gamma=1.0, sharpness=3.0, below=1.0, grid=UniformGrid(), settle=False)
    walks = []
    for sampler in (Ddim(settle=False), lifted):
        torch.manual_seed(3)
        walks.append(list(sampler.walk(exact(process), process, like, {}, SharedNoise(), 60)))
    start = 1.0
    for plain, low in zip(*walks, strict=True):
        above = float(ratio(process["pos"].schedule, torch.tensor(start))) > 1.0
        assert torch.equal(plain.batch["pos"], low.batch["pos"]) == above
        assert torch.equal(plain.batch["kind"], low.batch["kind"]) == above
        start = plain.time
    plain, low = (walk[-1].batch["pos"].std() for walk in walks)
    assert low < 0.97 * plain


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_sharpness_above_draws_from_a_power_of_the_probabilities(factor):
    # a single step from the mask: the posterior draw is one from the prediction itself
    torch.manual_seed(0)
    process = joint(VarianceExploding(), Masked())
    sampler = Annealed(gamma=0.0, below=1e-3, sharpness_above=factor, grid=UniformGrid(), settle=False)
    for condition, exponent in (({}, factor), ({"asked": torch.zeros(10_000)}, 1.0)):
        *_, last = sampler.walk(exact(process), process, empty(10_000), condition, SharedNoise(), 1)
        power = torch.tensor([0.6, 0.3, 0.1]) ** exponent
        found = torch.bincount(last.batch["kind"].flatten(), minlength=3) / 40_000
        assert torch.allclose(found, power / power.sum(), atol=0.01)


def test_guidance_scale_zero_and_one_are_the_plain_models_and_two_is_linear():
    def denoiser(batch, t, condition, previous=None):
        shift = condition["a"][:, None, None] if condition else 0.0
        return {"pos": batch["pos"] + shift, "kind": torch.zeros(2, 4, 3)}

    batch, t, condition = empty(2), torch.ones(2), {"a": torch.tensor([1.0, -2.0])}
    for scale in (0.0, 1.0, 2.0):
        found = ClassifierFree(denoiser, scale)(batch, t, condition)["pos"]
        torch.testing.assert_close(found, scale * condition["a"][:, None, None].expand(2, 4, 3))


def test_guided_gaussian_is_the_tilted_gaussian():
    # free N(0, c^2), bound N(m, c^2): the density bound^w free^(1-w) is N(w m, c^2)
    torch.manual_seed(2)
    process = joint(VarianceExploding())
    free = exact(process)

    def denoiser(batch, t, condition, previous=None):
        out = free(batch, t, {}, previous)
        if condition:
            share = process["pos"].ratio(t)[:, None, None] ** 2 / (SPREAD**2 + process["pos"].ratio(t)[:, None, None] ** 2)
            out["pos"] = out["pos"] + share * condition["m"][:, None, None]
        return out

    *_, last = Ddim(settle=False).walk(
        ClassifierFree(denoiser, 2.0), process, empty(4000), {"m": torch.full((4000,), 0.5)}, SharedNoise(), 100
    )
    assert float(last.batch["pos"].mean()) == pytest.approx(1.0, abs=0.03)
    assert float(last.batch["pos"].std()) == pytest.approx(SPREAD, rel=0.04)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s.kind)
def test_every_call_sees_the_prediction_of_the_one_before(sampler):
    process, calls = joint(VarianceExploding()), []

    def denoiser(batch, t, condition, previous=None):
        calls.append((previous, exact(process)(batch, t, condition)))
        return calls[-1][1]

    list(sampler.walk(denoiser, process, empty(2), {}, SharedNoise(), 7))
    assert calls[0][0] is None
    assert all(now[0] is before[1] for before, now in itertools.pairwise(calls))


def test_the_last_share_of_the_steps_is_calm():
    process, grid, seen = joint(VarianceExploding()), UniformGrid().times(10, VarianceExploding()), []

    def denoiser(batch, t, condition, previous=None):
        seen.append(float(t[0]))
        return exact(process)(batch, t, condition)

    list(Annealed(gamma=1.0, calm=0.5, grid=UniformGrid()).walk(denoiser, process, empty(2), {}, SharedNoise(), 10))
    assert [k for k, t in enumerate(seen) if t > float(grid[k]) + 1e-6] == [1, 2, 3, 4]


def test_grids_are_their_formulas():
    schedule = VarianceExploding()
    assert ArcsineGrid(rho=1.0).times(4, schedule).tolist() == pytest.approx([1, 2 / 3, 1 / 2, 1 / 3, 0])
    assert ratio(schedule, KarrasGrid(rho=2.0, smallest=1.0, largest=9.0).times(3, schedule))[1:].tolist() == pytest.approx([4, 1, 0])


@pytest.mark.parametrize("order", [1, 2])
def test_lifts_raise_the_noise_by_gamma_and_steps_of_second_order_know_it(order, monkeypatch):
    schedule, called, extrapolated = VarianceExploding(), [], []
    process = joint(schedule)
    believed, plain = exact(process), process.extrapolate

    def denoiser(batch, t, condition, previous=None):
        called.append(float(ratio(schedule, t[:1])))
        return believed(batch, t, condition, previous)

    def extrapolate(now, previous, t, t_before, s):
        extrapolated.append([float(ratio(schedule, v[:1])) for v in (t, t_before)])
        return plain(now, previous, t, t_before, s)

    monkeypatch.setattr(process, "extrapolate", extrapolate)
    sampler = Annealed(gamma=0.5, below=1.0, calm=0.2, order=order, grid=UniformGrid())
    torch.manual_seed(0)
    list(sampler.walk(denoiser, process, empty(4), {}, SharedNoise(), 20))
    grid = [float(ratio(schedule, t[None])) for t in UniformGrid().times(20, schedule)[:-1]]
    lifted = [k for k in range(20) if grid[k] <= 1 and 0 < k < 16]
    assert 3 < len(lifted) < 16
    expected = [1.5 * r if k in lifted else r for k, r in enumerate(grid)]
    assert called == pytest.approx(expected, rel=1e-4)
    second = [k for k in range(1, 20) if k not in lifted] if order == 2 else []
    assert [pair[0] for pair in extrapolated] == pytest.approx([expected[k] for k in second], rel=1e-4)
    assert [pair[1] for pair in extrapolated] == pytest.approx([expected[k - 1] for k in second], rel=1e-4)
