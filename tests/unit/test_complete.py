"""Completion against the closed form: with the exact denoiser of a Gaussian the free points keep its law, the given ones their places."""

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch

from molgen.checkpoint import Checkpoint, build_denoiser, load_checkpoint
from molgen.config import build_experiment
from molgen.domain import Verdict
from molgen.errors import InputError
from molgen.sample import Draw, Model, Request, Tally, Vain, load
from molgen.sample.interpolate import interpolate
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.part import Part
from molgen.shapes.shape import Shape
from molgen.shapes.whole import Whole

STATISTICS = ShapeStatistics(num_shapes=1, num_points=64, categories=("all",), category_counts=(1,), coordinate_std=0.5)
TINY = {"kind": "point_unet", "scalars": 8, "vectors": 8, "levels": [8], "layers": 1, "neighbours": 4, "context": 8}


def complete(model: Model, given: np.ndarray, num: int, request: Request, tally: Tally | None = None, **options: int) -> list[np.ndarray]:
    """The points of so many shapes that contain the given ones."""
    return [shape.points for shape in model.stream(num, replace(request, constraint=Part(given)), tally=tally, **options)]


def test_free_points_have_the_law_of_the_model():
    """A fresh network is the exact denoiser of independent Gaussian points of deviation d, so free points have variance d^2."""
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY, "sampler": {"kind": "ancestral"}}, "test")
    model = Model(Checkpoint("fresh", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")
    given = np.random.default_rng(0).normal(size=(16, 3)) * 0.5
    free = np.stack([cloud[16:] - cloud[16:].mean(0) for cloud in complete(model, given, 6, Request(sizes=[64], steps=160))])
    assert free.shape == (6, 48, 3)
    # 6 * 47 * 3 = 846 degrees of freedom: relative deviation of the variance sqrt(2 / 846) = 4.9 %; steps of finite length take 4 %
    # (20 % with 40 steps, 11 % with 80)
    assert np.square(free).sum() / (6 * 47 * 3) == pytest.approx(0.25, rel=0.15)


def test_clouds_that_fail_the_check_are_drawn_anew():
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    wide = replace(STATISTICS, coordinate_std=2.2)  # some points are farther from the centre than the check allows
    model = Model(Checkpoint("fresh", experiment, wide, build_denoiser(experiment, wide).eval()), "cpu")
    given, request = np.random.default_rng(0).normal(size=(16, 3)) * 0.5, Request(sizes=[64], steps=6)
    every = complete(model, given, 8, replace(request, keep_invalid=True))
    passed = [cloud for cloud in every if not model.domain.check(Shape(cloud - cloud.mean(0))).reason]
    tally = Tally()
    found = complete(model, given, len(passed), request, tally)
    assert 2 <= len(passed) < len(every) - 2
    np.testing.assert_array_equal(found, passed)
    assert tally.kept == tally.valid == len(passed)
    assert set(tally.failures) == {"points farther than 4 from the centre"}


def test_clouds_are_the_same_side_by_side_and_one_by_one():
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    wide = replace(STATISTICS, coordinate_std=2.2)
    model = Model(Checkpoint("fresh", experiment, wide, build_denoiser(experiment, wide).eval()), "cpu")
    given, cores = np.random.default_rng(0).normal(size=(16, 3)) * 0.5, torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        try:
            tally = Tally()
            clouds = complete(model, given, 4, Request(sizes=[64], steps=6), tally)
        finally:
            torch.set_num_threads(cores)
        found.append((clouds, tally.drawn, tally.failures))
    (one, *counted), (many, *counted_too) = found
    assert counted == counted_too
    assert counted[0] > 4
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)


def test_clouds_of_different_sizes_and_classes_are_the_same_together_and_one_by_one():
    model = Model(load_checkpoint("shapes"), "cpu")
    given = np.random.default_rng(0).normal(size=(60, 3)) * [0.4, 0.02, 0.4] + [0.3, 0.0, 0.0]
    part = Part(given)
    request = Request(steps=2, properties={"category": "table"}, constraint=part)
    draws = [Draw(number, size, seed, constraint=part) for number, size, seed in ((0, 300, 3), (1, 100, 1), (2, 300, 2))]
    for draw, item in zip(draws, model.run(draws, request), strict=True):
        (alone,) = model.run([draw], request)
        assert item.points.shape == (draw.size, 3)
        np.testing.assert_array_equal(item.points[:60], given)
        np.testing.assert_allclose(item.points, alone.points, atol=1e-4)


def test_filters_apply_to_what_is_completed():
    class Nothing(Whole):
        def start(self, seen=(), trained=None, predicted=()):
            return lambda shape: "ruled out"

    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    model = Model(Checkpoint("fresh", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")
    given, tally = np.random.default_rng(0).normal(size=(16, 3)) * 0.5, Tally()
    with pytest.raises(Vain, match=r"5 draws in a row were ruled out \(most often: ruled out\)"):
        complete(model, given, 1, Request(sizes=[32], steps=1, filters=Nothing()), tally, patience=5)
    assert (tally.drawn, tally.kept, tally.withheld) == (5, 0, {"ruled out": 5})


def test_completed_shapes_say_what_they_contain():
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    model = Model(Checkpoint("fresh", experiment, replace(STATISTICS, up="z"), build_denoiser(experiment, STATISTICS).eval()), "cpu")
    given = np.random.default_rng(0).normal(size=(16, 3)) * 0.5
    (shape,) = model.stream(1, Request(sizes=[64], steps=2, constraint=Part(given[::-1], "half.ply")))
    assert (shape.up, shape.properties["contains"], shape.properties["index"], len(shape)) == ("z", "half.ply", 0, 64)
    np.testing.assert_array_equal(shape.points[:16], given[::-1])
    with pytest.raises(InputError, match=r"half\.ply: expected an array \(n, 3\), got \(16, 2\)"):
        Part(given[:, :2], "half.ply")
    with pytest.raises(InputError, match=r"half\.ply: expected points \(k, 3\), got none"):
        Part(given[:0], "half.ply")


def test_a_model_whose_clouds_all_fail_is_given_up():
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    model = Model(Checkpoint("broken", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")
    for weight in model.denoiser.parameters():
        weight.data.fill_(np.nan)
    given, tally = np.random.default_rng(0).normal(size=(16, 3)) * 0.5, Tally()
    with pytest.raises(Vain, match=r"100 draws in a row failed the check \(most often: coordinates are not finite\); take more steps"):
        complete(model, given, 1, Request(sizes=[32], steps=1), tally, patience=100)
    assert (tally.drawn, tally.kept) == (100, 0)


def test_failures_count_anew_after_a_cloud_that_passes(monkeypatch):
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    model = Model(Checkpoint("fresh", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")
    verdicts = cycle([Verdict("broken"), Verdict("")])
    monkeypatch.setattr(type(model.domain), "check", lambda domain, item: next(verdicts))
    given, tally = np.random.default_rng(0).normal(size=(16, 3)) * 0.5, Tally()
    assert len(complete(model, given, 3, Request(sizes=[32], steps=1), tally, patience=2)) == 3
    assert tally.failures == {"broken": 3}


def test_a_caller_in_inference_mode_gets_the_same_cloud():
    model = Model(load_checkpoint("shapes"), "cpu")
    given = np.random.default_rng(0).normal(size=(300, 3))
    given[:, 1] *= 0.02  # a plate, as wide as training shapes are
    given /= 2 * np.linalg.norm(given, axis=1).max()
    request = Request(sizes=[600], steps=3)
    (plain,) = complete(model, given, 1, request)
    with torch.inference_mode():
        (found,) = complete(model, given, 1, request)
    assert np.array_equal(found[:300], given)
    np.testing.assert_allclose(found, plain, atol=1e-5)


def test_a_request_that_makes_no_sense_is_refused():
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    model = Model(Checkpoint("fresh", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")
    given = np.random.default_rng(0).normal(size=(16, 3)) * 0.5
    for request, words in ((Request(sizes=[64], steps=0), "steps: expected"), (Request(sizes=[64], properties={"legs": 3.0}), "'legs'")):
        with pytest.raises(InputError, match=words):
            complete(model, given, 1, request)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.full((16, 3), np.nan), "coordinates are not finite"),
        (np.ones((16, 3)), "only 1 of 16 points are different; leave the copies away"),
        (np.repeat(np.random.default_rng(0).normal(size=(4, 3)) * 0.3, 4, axis=0), "only 4 of 16 points are different"),
    ],
)
def test_parts_that_describe_no_surface_are_refused(given, words):
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    model = Model(Checkpoint("fresh", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")
    with pytest.raises(InputError, match=words):
        Part(given)
    with pytest.raises(InputError, match=words):
        next(interpolate(model, given, given, 1))


def test_only_clouds_can_be_completed():
    with pytest.raises(InputError, match="only clouds of points can be completed"):
        complete(load("qm9_small", "cpu"), np.eye(3), 1, Request(sizes=[9]))
