"""Guidance by an estimator, and what estimators learn, where both are known in closed form."""

import math

import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.categorical import Discrete, Marginal
from molgen.diffusion.condition import Conditions, Scalar
from molgen.diffusion.estimation import LARGEST_TILT, OUTLIER, RATIOS, Estimation, Steered, standardised
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Ddim
from molgen.diffusion.schedule import VarianceExploding
from molgen.diffusion.space import Categorical, SymmetricCategorical
from molgen.geometry import random_rotation
from molgen.nn.estimator import PropertyEstimator

from .space import Euclidean

SPREAD = 0.7
LABEL = Conditions((Scalar("y", 3.0, 2.0, -10.0, 10.0),))
PROCESS = Joint(
    {
        "pos": Gaussian(VarianceExploding(), Euclidean(), SPREAD),
        "kind": Discrete(Marginal(), Categorical(3), torch.tensor([0.5, 0.3, 0.2])),
        "link": Discrete(Marginal(), SymmetricCategorical(2), torch.tensor([0.8, 0.2])),
    }
)


def fields(count, nodes):
    zeros = torch.zeros(count, nodes, dtype=torch.long)
    return {"pos": torch.zeros(count, nodes, 3), "kind": zeros, "link": torch.zeros(count, nodes, nodes, dtype=torch.long)}


def predicting(kind, link):
    def denoiser(batch, t, condition, previous=None):
        r = PROCESS["pos"].ratio(t)[:, None, None]
        return {"pos": batch["pos"] * SPREAD**2 / (SPREAD**2 + r**2), "kind": kind, "link": link}

    return denoiser


def open_classes(count, nodes):
    return torch.zeros(count, nodes, 3), torch.zeros(count, nodes, nodes, 2)


def test_labels_are_standardised_and_missing_ones_are_not_a_number():
    conditions = Conditions((*LABEL.members, Scalar("z", 0.0, 1.0, -1.0, 1.0)))
    found = standardised(conditions, {"y": torch.tensor([5.0, 3.0])})
    torch.testing.assert_close(found, torch.tensor([[1.0, math.nan], [0.0, math.nan]]), equal_nan=True)


def test_a_label_that_is_linear_in_gaussian_coordinates_gives_the_exact_conditional_distribution():
    # y = w.x + e with x ~ N(0, c^2) and e ~ N(0, s^2): w.x given y is normal around y c^2 |w|^2 / (s^2 + c^2 |w|^2)
    count, noise, asked = 3000, 0.4, 0.8
    w = torch.tensor([[0.5, 0.0, -0.2], [0.3, 0.4, 0.0], [0.0, -0.6, 0.1]])
    size = float(w.square().sum())

    def estimator(positions, nodes, pairs, mask, ratio):
        left = (ratio * SPREAD).square() / (ratio.square() + SPREAD**2)  # variance of x given the guess
        return (positions * w).sum((1, 2)).unsqueeze(1), (noise**2 + left * size).sqrt().unsqueeze(1)

    guided = Steered(predicting(*open_classes(count, 3)), PROCESS, estimator, LABEL, ("y",))
    torch.manual_seed(5)
    condition = {"y": torch.full((count,), 3.0 + 2.0 * asked)}
    with torch.no_grad():
        like = Batch(fields(count, 3), mask_of([3] * count))
        *_, last = Ddim(settle=False).walk(guided, PROCESS, like, condition, SharedNoise(), 100)
    found = (last.batch["pos"] * w).sum((1, 2))
    variance = SPREAD**2 * size
    assert float(found.mean()) == pytest.approx(asked * variance / (noise**2 + variance), abs=0.02)
    assert float(found.std()) == pytest.approx(math.sqrt(variance * noise**2 / (noise**2 + variance)), rel=0.05)
    across = last.batch["pos"][:, 0] @ torch.tensor([0.2, 1.0, 0.5])  # at right angles to w: nothing is said about it
    assert float(across.mean()) == pytest.approx(0, abs=0.04)
    assert float(across.std()) == pytest.approx(SPREAD * math.sqrt(1.29), rel=0.05)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_open_classes_follow_bayes_rule(scale):
    noise, asked = 0.8, 1.1
    values, bonus = torch.tensor([-1.0, 0.3, 2.0]), 0.7  # of the classes of node 0, of a link between nodes 0 and 1

    def estimator(positions, nodes, pairs, mask, ratio):
        mean = nodes[:, 0] @ values + bonus * (pairs[:, 0, 1, 1] + pairs[:, 1, 0, 1]) / 2
        return mean.unsqueeze(1), torch.full((len(mask), 1), noise)

    kind, link = torch.randn(1, 2, 3), torch.zeros(1, 2, 2, 2)
    link[0, 0, 1] = link[0, 1, 0] = torch.tensor([0.4, -0.3])
    batch, t = Batch(fields(1, 2), mask_of([2])), torch.tensor([0.5])
    plain = predicting(kind, link)
    found = Steered(plain, PROCESS, estimator, LABEL, scale=scale)(batch, t, {"y": torch.tensor([3.0 + 2.0 * asked])})
    there = link[0, 0, 1].softmax(-1)
    rest = bonus * float(there[1])
    likelihood = torch.exp(-scale * (asked - values - rest).square() / (2 * noise**2))
    expected = kind[0, 0].softmax(-1) * likelihood
    assert torch.allclose(found["kind"][0, 0].softmax(-1), expected / expected.sum(), atol=1e-5)
    assert torch.allclose(found["kind"][0, 1].softmax(-1), kind[0, 1].softmax(-1), atol=1e-6)
    rest = float(kind[0, 0].softmax(-1) @ values)
    likelihood = torch.exp(-scale * (asked - rest - torch.tensor([0.0, bonus])).square() / (2 * noise**2))
    expected = there * likelihood
    for i, j in ((0, 1), (1, 0)):
        assert torch.allclose(found["link"][0, i, j].softmax(-1), expected / expected.sum(), atol=1e-5)


def test_who_asks_for_nothing_is_left_alone():
    def estimator(positions, nodes, pairs, mask, ratio):
        return positions.sum((1, 2)).unsqueeze(1) + nodes[..., 0].sum(1, keepdim=True), torch.ones(len(mask), 1)

    torch.manual_seed(0)
    batch, t = Batch({**fields(2, 3), "pos": torch.randn(2, 3, 3)}, mask_of([3, 3])), torch.full((2,), 0.5)
    denoiser = predicting(*open_classes(2, 3))
    guided = Steered(denoiser, PROCESS, estimator, LABEL)
    plain = denoiser(batch, t, {})
    assert all(torch.equal(value, plain[name]) for name, value in guided(batch, t, {}).items())
    half = guided(batch, t, {"y": torch.tensor([math.nan, 99.0])})
    assert torch.equal(half["pos"], plain["pos"])  # the label is not said to hang on the geometry
    assert torch.equal(half["kind"][0], plain["kind"][0])
    assert not torch.allclose(half["kind"][1], plain["kind"][1], atol=1e-3)
    moved = Steered(denoiser, PROCESS, estimator, LABEL, ("y",))(batch, t, {"y": torch.tensor([math.nan, 99.0])})
    assert torch.equal(moved["pos"][0], plain["pos"][0])
    assert (moved["pos"][1] > plain["pos"][1] + 1e-4).all()  # every coordinate adds to the label, of which more is asked for


def test_the_likelihood_is_best_at_the_mean_and_the_deviation_of_the_labels():
    labels = torch.tensor([1.0, 2.0, 6.0, math.nan])
    standard = (labels[:3] - 3.0) / 2.0
    clean = Batch(fields(4, 2), mask_of([2] * 4), {"y": labels})
    seen = []

    def slopes(mean, deviation):
        m, s = (torch.tensor(value, requires_grad=True) for value in (mean, deviation))

        def estimator(positions, nodes, pairs, mask, ratio):
            seen.append(ratio)
            return m.expand(4, 1), s.expand(4, 1)

        loss = Estimation(self_condition=0.0).loss(
            estimator, LABEL, predicting(*open_classes(4, 2)), PROCESS, clean, torch.Generator().manual_seed(0)
        )
        return [float(g) for g in torch.autograd.grad(loss, (m, s))]

    mean, deviation = float(standard.mean()), float(standard.std(correction=0))
    assert slopes(mean, deviation) == pytest.approx([0, 0], abs=1e-6)
    # the slope of (y - m)^2 / 2 s, s held fixed where it weighs: (m - y) / s
    assert slopes(mean + 0.3, 0.9)[0] == pytest.approx(0.3 / 0.9)
    assert slopes(mean, deviation / 2)[1] < 0 < slopes(mean, 2 * deviation)[1]
    assert slopes(mean - 2 * OUTLIER, 1.0)[0] == 0  # nothing is learned from what is that far off
    assert RATIOS[0] <= float(seen[0].min()) < float(seen[0].max()) <= RATIOS[1]


def test_guesses_are_made_at_noise_that_the_schedule_has():
    end = Gaussian(VarianceExploding(sigma_max=0.35), Euclidean(), SPREAD)
    process, seen = Joint({**PROCESS.processes, "pos": end}), []

    def denoiser(batch, t, condition, previous=None):
        seen.append(t)
        return dict(zip(("pos", "kind", "link"), (batch["pos"], *open_classes(len(t), 2)), strict=True))

    def estimator(positions, nodes, pairs, mask, ratio):
        seen.append(ratio)
        return torch.zeros(64, 1), torch.ones(64, 1)

    clean = Batch(fields(64, 2), mask_of([2] * 64), {"y": torch.zeros(64)})
    Estimation(self_condition=0.0).loss(estimator, LABEL, denoiser, process, clean, torch.Generator().manual_seed(0))
    time, ratio = seen
    assert float(time.max()) == 1
    assert float(ratio.max()) == pytest.approx(0.35, rel=1e-4)


def test_estimates_do_not_depend_on_pose_numbering_or_padding():
    torch.manual_seed(1)
    network = PropertyEstimator(width=16, channels=8, layers=2).build(5, 4, 3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    b, n = 2, 7
    x, nodes, pairs = torch.randn(b, n, 3), torch.rand(b, n, 5), torch.rand(b, n, n, 4)
    x, pairs, mask, ratio = x - x.mean(1, keepdim=True), pairs + pairs.transpose(1, 2), mask_of([n, n]), torch.tensor([0.1, 2.0])
    with torch.no_grad():
        expected = network(x, nodes, pairs, mask, ratio)
        turn, order = random_rotation(1)[0] * -1, torch.randperm(n)  # a rotation and a reflection
        moved = network((x @ turn)[:, order], nodes[:, order], pairs[:, order][:, :, order], mask, ratio)
        wide = torch.zeros(b, n + 3, n + 3, 4)
        wide[:, :n, :n] = pairs
        pad = [torch.cat([value, torch.zeros(b, 3, value.shape[-1])], 1) for value in (x, nodes)]
        padded = network(*pad, wide, mask_of([n, n], n + 3), ratio)
        shifted = network(x + 50, nodes, pairs, mask, ratio)
        other = network(1.3 * x, nodes, pairs, mask, ratio)
    for found in (moved, padded):
        for value, wanted in zip(found, expected, strict=True):
            assert torch.allclose(value, wanted, atol=1e-4)
    for value, wanted in zip(shifted, expected, strict=True):
        assert torch.allclose(value, wanted, atol=1e-3, rtol=1e-3)  # coordinates have lost two digits
    assert not torch.allclose(other[0], expected[0], atol=1e-2)


def test_a_share_of_the_batches_is_read_as_it_is():
    torch.manual_seed(2)
    clean = Batch(
        {**fields(2, 3), "pos": torch.randn(2, 3, 3), "kind": torch.tensor([[0, 2, 1], [1, 1, 2]])}, mask_of([3, 3]), {"y": torch.ones(2)}
    )
    guesses, exact = [], []
    denoiser = predicting(*open_classes(2, 3))

    def counted(*inputs):
        guesses.append(inputs)
        return denoiser(*inputs)

    def estimator(positions, nodes, pairs, mask, ratio):
        if torch.equal(positions, clean["pos"]):
            exact.append(ratio)
            assert torch.equal(nodes.argmax(-1), clean["kind"])
            assert set(nodes.unique().tolist()) == set(pairs.unique().tolist()) == {0.0, 1.0}
            assert torch.equal(nodes.sum(-1), torch.ones(2, 3))
        return torch.zeros(2, 1), torch.ones(2, 1)

    objective, generator = Estimation(self_condition=0.0, truth=0.75), torch.Generator().manual_seed(0)
    for _ in range(400):
        objective.loss(estimator, LABEL, counted, PROCESS, clean, generator)
    assert len(guesses) + len(exact) == 400
    assert 75 < len(guesses) < 125  # 100, deviation 8.7
    assert torch.equal(torch.stack(exact), torch.full((len(exact), 2), RATIOS[0]))


def test_deviations_are_widened_and_nothing_else():
    torch.manual_seed(8)
    network = PropertyEstimator(layers=1).build(4, 3, 2).eval()
    guess = torch.randn(6, 5, 3), torch.rand(6, 5, 4), torch.rand(6, 5, 5, 3), torch.ones(6, 5, dtype=torch.bool), torch.full((6,), 0.3)
    with torch.no_grad():
        mean, deviation = network(*guess)
        network.widen(torch.tensor([1.5, 1.0]))
        after, widened = network(*guess)
    torch.testing.assert_close(after, mean)
    torch.testing.assert_close(widened / deviation, torch.tensor([[1.5, 1.0]]).expand(6, 2))


def test_steering_goes_no_farther_than_its_bounds():
    told = []

    def estimator(positions, nodes, pairs, mask, level):
        told.append(level)
        return 100 * positions[:, 0, :1] + 100 * nodes[:, 0, :1], torch.full((len(mask), 1), 1e-6)

    kind, link = open_classes(1, 3)
    steered = Steered(lambda *_: {"pos": torch.zeros(1, 3, 3), "kind": kind, "link": link}, PROCESS, estimator, LABEL, ("y",))
    for level in (1e-3, 0.5, 30.0):
        t = PROCESS["pos"].schedule.time(torch.tensor([level]))
        found = steered(Batch(fields(1, 3), mask_of([3])), t, {"y": torch.tensor([1e6])})
        assert float(found["pos"].norm(dim=-1).max()) == pytest.approx(level * SPREAD / math.hypot(level, SPREAD), rel=1e-3)
        assert float(found["kind"].abs().max()) == LARGEST_TILT
    torch.testing.assert_close(torch.cat(told), torch.tensor([RATIOS[0], 0.5, RATIOS[1]]), rtol=1e-4, atol=0)


def test_a_factor_multiplies_the_scale_of_one_label():
    """Twice the factor at half the scale is the same guidance; a label without a factor has none."""

    def estimator(positions, nodes, pairs, mask, ratio):
        return positions.sum((1, 2))[:, None] / 9, torch.ones(len(positions), 1)

    batch, plain = Batch(fields(2, 3), mask_of([3, 3])), predicting(*open_classes(2, 3))
    t, asked = torch.full((2,), 0.5), {"y": torch.tensor([4.0, -2.0])}

    def moved(scale, factors):
        return Steered(plain, PROCESS, estimator, LABEL, ("y",), scale, factors)(batch, t, asked)["pos"]

    assert torch.allclose(moved(0.05, {"y": 2.0}), moved(0.1, None))
    assert not torch.allclose(moved(0.05, {"y": 2.0}), moved(0.05, None))
    assert torch.equal(moved(0.05, {}), plain(batch, t, asked)["pos"])
