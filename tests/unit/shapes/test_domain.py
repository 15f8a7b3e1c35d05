"""Shapes through the whole core: a packed data set of two classes, training, exact resume, sampling, interpolation."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint, build_denoiser, load_checkpoint
from molgen.config import build_experiment, load_experiment
from molgen.errors import InputError
from molgen.sample import Model, Request
from molgen.sample import interpolate as interpolation
from molgen.sample.interpolate import LARGEST_PAIRING, interpolate, slerp
from molgen.shapes.domain import ShapeFields, Shapes
from molgen.shapes.fields import ShapeStatistics

ROOT = Path(__file__).parents[3]
STATISTICS = ShapeStatistics(
    num_shapes=40, num_points=256, categories=("ball", "bar"), category_counts=(20, 20), coordinate_std=0.5, up="z"
)
TINY = {"kind": "point_unet", "scalars": 16, "vectors": 8, "levels": [16], "layers": 1, "neighbours": 6, "context": 16}


def clouds(seed=0):
    """Spheres of radius 0.9 and bars along z, 20 each."""
    rng = np.random.default_rng(seed)
    ball = rng.normal(size=(20, 256, 3))
    ball *= 0.9 / np.linalg.norm(ball, axis=-1, keepdims=True)
    bar = rng.uniform(-1, 1, (20, 256, 3)) * [0.05, 0.05, 0.9]
    return np.concatenate([ball, bar]).astype(np.float16)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    arrays = {
        "points": clouds(),
        "normals": np.zeros((40, 256, 3), np.int8),
        "category": np.repeat([0, 1], 20).astype(np.int16),
        "labels": np.zeros((40, 0), np.float32),
        "centre": np.zeros((40, 3)),
        "scale": np.ones(40),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "statistics.json").write_text(json.dumps(STATISTICS.to_dict()))
    return folder


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY, "data": {"conditions": ["category"]}}, "test")
    denoiser = build_denoiser(experiment, STATISTICS).eval()
    for name, parameter in denoiser.named_parameters():
        if not name.endswith("log_width"):
            torch.nn.init.normal_(parameter, std=0.1)
    return Model(Checkpoint("tiny", experiment, STATISTICS, denoiser), "cpu")


def test_view_is_a_random_centred_part_of_the_same_clouds():
    domain = Shapes(ShapeFields(points=(32, 64)))
    batch = Batch({"pos": torch.from_numpy(clouds().astype(np.float32))}, torch.ones(40, 256, dtype=torch.bool))
    sizes = set()
    for seed in range(20):
        view = domain.view(batch, torch.Generator().manual_seed(seed))
        sizes.add(view.mask.shape[1])
        assert view["pos"].mean(1).abs().max() < 1e-5
        offset = view["pos"][:, :1] - view["pos"][:, 1:2]
        gaps = batch["pos"][:, :, None] - batch["pos"][:, None]
        assert (gaps - offset[:, None]).abs().sum(-1).flatten(1).amin(1).max() < 1e-5  # both are points of the cloud
    assert min(sizes) >= 32
    assert max(sizes) <= 64
    assert len(sizes) > 8
    again = domain.view(batch, torch.Generator().manual_seed(19))
    torch.testing.assert_close(again["pos"], view["pos"], rtol=0, atol=0)


def test_bad_data_settings_give_one_line(packed):
    with pytest.raises(InputError, match=r"fields.points: expected a range within the 256 points stored"):
        Shapes(ShapeFields(points=(64, 512))).open(packed, ["category"])
    with pytest.raises(InputError, match="unknown property 'legs'"):
        Shapes(ShapeFields(points=(64, 128))).open(packed, ["legs"])


def test_a_draw_does_not_depend_on_the_window_and_has_the_points_asked_for(model):
    request = Request(steps=4, seed=5, sizes=[40], properties={"category": "bar"})

    def first(count, window):
        return [shape for shape, _ in itertools.islice(model.draws(request, window=lambda start: window), count)]

    one, many = first(5, 1), first(5, 5)
    for a, b in zip(one, many, strict=True):
        assert a.points.shape == (40, 3)
        assert a.properties["requested_category"] == "bar"
        np.testing.assert_allclose(a.points, b.points, atol=1e-4)


def test_unknown_classes_and_strange_sizes_are_told(model):
    with pytest.raises(InputError, match="unknown category 'bal'; did you mean ball"):
        model.sample(1, properties={"category": "bal"})
    assert model.warnings(Request(sizes=[256])) == []
    assert "fewer than half" in model.warnings(Request(sizes=[20]))[0]


def test_checks_name_what_is_wrong():
    domain = Shapes()
    shape = domain.decode(Batch({"pos": torch.randn(1, 30, 3)}, torch.ones(1, 30, dtype=torch.bool)), STATISTICS)[0]
    assert domain.check(shape).reason == ""
    for points, reason in ((np.full((9, 3), np.nan), "not finite"), (np.eye(3) * 9, "farther"), (np.ones((9, 3)), "collapsed")):
        assert reason in domain.check(type(shape)(points)).reason


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_training_learns_and_a_resumed_run_has_the_weights_of_an_uninterrupted_one(packed, tmp_path):
    from molgen.train import fit

    def run(name, steps):
        settings = [f"data.path={packed}", f"train.out={tmp_path / name}", f"train.max_steps={steps}", "train.validate_every=20"]
        small = ["fields.points=[32,48]", "train.pair_budget=600000", "train.decay_from=1.0", "train.learning_rate=3e-3", "train.ema=0.9"]
        fit(load_experiment(ROOT / "configs/debug_shape.yaml", [*settings, *small]))
        return load_checkpoint(tmp_path / name).denoiser.state_dict()

    whole, _, resumed = run("a", 40), run("b", 15), run("b", 40)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [line.split(",") for line in (tmp_path / "a" / "metrics.csv").read_text().splitlines()]
    place = rows[0].index("valid_loss")
    losses = [float(row[place]) for row in rows[1:] if row[place]]
    assert losses[-1] < losses[0] < 0.9  # the exact denoiser of a Gaussian, with which it starts, has 1


def test_slerp_keeps_norms_and_reaches_both_ends():
    a, b = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    b = 2 * b
    path = slerp(a, b, torch.linspace(0, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    torch.testing.assert_close(path[2].norm(), (a.norm() + b.norm()) / 2)


def test_interpolation_reconstructs_its_ends():
    """With a fresh network, which is the exact denoiser of a Gaussian, the flow is a scaling that running down undoes."""
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    statistics = replace(STATISTICS, normalisation="global")  # of shapes of any size
    model = Model(Checkpoint("fresh", experiment, statistics, build_denoiser(experiment, statistics).eval()), "cpu")
    first, second = clouds()[[0, 30]].astype(np.float64)
    path = np.stack([*interpolate(model, first, second, 3, steps=80)])
    first, second = first - first.mean(0), second - second.mean(0)
    gaps = np.linalg.norm(path[:, :, None] - np.stack([first, second, second])[:, None], axis=-1).min(-1)
    assert gaps[0].max() < 0.02
    assert gaps[2].max() < 0.02
    with pytest.raises(InputError, match="as many points"):
        next(interpolate(model, first, second[:40], 3))
    many = np.random.default_rng(0).normal(size=(LARGEST_PAIRING + 1, 3))
    with pytest.raises(InputError, match=f"give --points {LARGEST_PAIRING} or fewer"):
        next(interpolate(model, many, many, 3))


def test_interpolation_flows_in_chunks_that_change_nothing(monkeypatch):
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY}, "test")
    statistics = replace(STATISTICS, normalisation="global")  # of shapes of any size
    model = Model(Checkpoint("fresh", experiment, statistics, build_denoiser(experiment, statistics).eval()), "cpu")
    together: list[int] = []
    model.denoiser.register_forward_pre_hook(lambda _, inputs: together.append(len(inputs[0])))
    first, second = clouds()[[0, 30], :32].astype(np.float64)
    walk = interpolate(model, first, second, 150, steps=4)
    found = [next(walk)]
    assert set(together) == {2, 64}  # both ends up, and no more down than is asked for
    found += walk
    assert set(together) == {2, 64, 150 - 2 * 64}
    monkeypatch.setattr(interpolation, "LARGEST_CHUNK", 150)
    np.testing.assert_allclose(found, [*interpolate(model, first, second, 150, steps=4)], atol=1e-5)
    assert max(together) == 150
