"""Shapes by latent clouds: autoencoder and diffusion trained, the model complete in its folder, any number of points, exact resume."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from molgen.batch import Batch, mask_of
from molgen.buckets import Buckets
from molgen.checkpoint import load_checkpoint
from molgen.cli import main
from molgen.cli.sample_shapes import usual_points
from molgen.config import load_experiment
from molgen.diffusion.denoiser import Preconditioned
from molgen.diffusion.field import expand
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import Cosine, VarianceExploding
from molgen.diffusion.space import Centered, Features, Whole
from molgen.errors import InputError
from molgen.files import shipped
from molgen.nn.point_autoencoder import LatentCloud
from molgen.sample import Draw, Model, Request, load
from molgen.sample.interpolate import interpolate
from molgen.shapes.data import PackedShapes
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.joined import longest_link
from molgen.shapes.latent import LatentFields, PackedLatents, ShapeLatents
from molgen.shapes.latent_statistics import LatentStatistics, load_autoencoder
from molgen.shapes.metrics import chamfer
from molgen.shapes.part import Cells, Part
from molgen.shapes.shape import Shape
from molgen.train import fit
from molgen.train.state import StateFiles, find_state
from molgen.train.stream import Stream

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
ROOT = Path(__file__).parents[3]
FAST = (
    "train.decay_from=1.0",
    "train.checkpoint_every=100",
    "train.validate_every=100",
    "train.accelerator=cpu",
    "data.valid_fraction=0.1",
)
CODEC = ("fields.points=[256,256]", "objective.points=[64,128]", "objective.targets=64", "model.latents=8", "model.shape=4",
         "model.hidden=16", "model.scalars=16", "model.vectors=8", "model.layers=1", "train.pair_budget=600000",
         "train.max_steps=4")  # fmt: skip
LATENT = ("fields.points=128", "model.scalars=16", "model.vectors=8", "model.layers=1", "model.context=16", "train.pair_budget=640")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Spheres and bars along z, 20 each, of 256 points."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    ball = rng.normal(size=(20, 256, 3))
    ball *= 0.9 / np.linalg.norm(ball, axis=-1, keepdims=True)
    bar = rng.uniform(-1, 1, (20, 256, 3)) * [0.05, 0.05, 0.9]
    arrays = {"points": np.concatenate([ball, bar]).astype(np.float16), "normals": np.zeros((40, 256, 3), np.int8),
              "category": np.repeat([0, 1], 20).astype(np.int16), "labels": np.zeros((40, 0), np.float32), "centre": np.zeros((40, 3)),
              "scale": np.ones(40)}  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    found = ShapeStatistics(num_shapes=40, num_points=256, categories=("ball", "bar"), category_counts=(20, 20), coordinate_std=0.5, up="z")
    (folder / "statistics.json").write_text(json.dumps(found.to_dict()))
    return folder


@pytest.fixture(scope="module")
def codec(packed, tmp_path_factory):
    """The folder of a hardly trained autoencoder."""
    folder = tmp_path_factory.mktemp("codec") / "run"
    fit(load_experiment(ROOT / "configs/shape_autoencoder.yaml", [f"data.path={packed}", f"train.out={folder}", *CODEC, *FAST]))
    return folder


def test_a_trained_autoencoder_is_saved_with_the_moments_of_its_features(codec):
    saved, live = load_file(codec / "model.safetensors"), StateFiles().load_checkpoint(find_state(codec))["state_dict"]
    for name in ("mean", "std", "shape_mean", "shape_std"):
        torch.testing.assert_close(saved[name], live[f"denoiser.{name}"], rtol=0, atol=0)
    assert saved["mean"].abs().max() > 0


def latent(data, codec, out, steps):
    names = [
        f"data.path={data}",
        "data.conditions=[category]",
        f"train.out={out}",
        f"fields.autoencoder={codec}",
        f"train.max_steps={steps}",
    ]
    return load_experiment(ROOT / "configs/shapes_latent.yaml", [*names, *LATENT, *FAST])


@pytest.fixture(scope="module")
def run(packed, codec, tmp_path_factory):
    """A run whose autoencoder's own folder is gone: the model keeps a copy."""
    own = tmp_path_factory.mktemp("moved") / "codec"
    shutil.copytree(codec, own)
    folder = fit(latent(packed, own, tmp_path_factory.mktemp("run") / "run", 6))
    shutil.rmtree(own)
    return folder


def test_clouds_are_encoded_once(packed, codec):
    domain = ShapeLatents(LatentFields(autoencoder=str(codec), points=128))
    data = domain.open(packed, ["category"])
    made = next(packed.glob("latents_*_128/positions.npy"))
    before = made.stat().st_mtime_ns
    again = domain.open(packed, ["category"])
    assert made.stat().st_mtime_ns == before
    assert again.statistics == data.statistics
    buckets = Buckets(data.sizes, 640)  # 10 shapes of 8 latent points, not of 256 stored ones
    batch = next(iter(Stream(data, np.arange(40), buckets, 1, lambda: (0, 0, 1))))
    assert batch["pos"].shape == (10, 8, 3)
    assert batch.mask.all()
    batch = again.batch([3, 30])
    assert batch["pos"].shape == (2, 8, 3)
    assert batch["feature"].shape == (2, 8, 9)
    assert batch.labels["category"].tolist() == [0, 1]
    assert batch["pos"].mean(1).abs().max() < 1e-6
    clouds = data.shapes.batch([3, 30], points=128)
    expected = data.statistics.autoencoder.encode(clouds["pos"], clouds.mask)
    assert (batch["pos"] - expected[0]).abs().max() < 2e-3  # float16
    assert (batch["feature"] - expected[1]).abs().max() < 1e-2
    assert (batch["shape"] - expected[2]).abs().max() < 1e-2


def test_statistics_of_latent_clouds_are_measured_once(packed, codec):
    domain = ShapeLatents(LatentFields(autoencoder=str(codec), points=96))
    data = domain.open(packed, [])
    points = torch.from_numpy(data.positions.astype(np.float64))
    assert data.statistics.coordinate_std == float(points.square().mean().sqrt())
    assert data.statistics.reach == float(longest_link(points, torch.ones(40, 8, dtype=torch.bool)).quantile(0.95))
    scales = next(packed.glob("latents_*_96/scales.json"))
    kept = scales.read_text()
    scales.write_text(json.dumps({"coordinate_std": 0.25, "reach": 2.5}))
    found = domain.open(packed, []).statistics
    assert (found.coordinate_std, found.reach) == (0.25, 2.5)
    scales.unlink()  # as earlier versions left the folder
    assert domain.open(packed, []).statistics == data.statistics
    assert scales.read_text() == kept


def test_latent_clouds_of_other_shapes_are_refused(packed, codec, tmp_path):
    domain = ShapeLatents(LatentFields(autoencoder=str(codec), points=96))
    domain.open(packed, [])
    place = next(packed.glob("latents_*_96"))
    shutil.copytree(place, tmp_path / place.name)
    np.save(tmp_path / place.name / "features.npy", np.zeros((39, 8, 9), np.float16))
    with pytest.raises(InputError, match="does not belong to the data set; delete the folder"):
        PackedLatents(PackedShapes(packed), tmp_path / place.name, codec)


def test_data_in_which_another_axis_points_up_are_refused_before_they_are_encoded(packed, codec, tmp_path):
    shutil.copytree(packed, tmp_path / "data", ignore=shutil.ignore_patterns("latents_*"))
    path = tmp_path / "data/statistics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"up": "y"}))
    domain = ShapeLatents(LatentFields(autoencoder=str(codec), points=96))
    with pytest.raises(InputError, match="y points up in the data, z in the shapes that the model knows; prepare them anew with --up y"):
        domain.open(path.parent, [])
    assert not list(path.parent.glob("latents_*"))


def test_a_latent_cloud_that_diverged_makes_a_cloud_that_fails_the_check(packed, codec):
    domain = ShapeLatents(LatentFields(autoencoder=str(codec), points=128))
    data = domain.open(packed, ["category"])
    batch = data.batch([3, 30])
    batch["feature"][1] = torch.nan
    batch.labels["points"] = torch.tensor([200, 200])
    first, second = domain.decode(batch, data.statistics)
    assert [len(shape.points) for shape in (first, second)] == [200, 200]
    assert [domain.check(shape).reason == "" for shape in (first, second)] == [True, False]


def test_a_model_is_complete_in_its_folder_and_makes_any_number_of_points(run):
    model = Model(load_checkpoint(run), "cpu")
    items = model.run([Draw(0, 100, 1), Draw(1, 300, 2), Draw(2, 8, 3)], Request(steps=3, properties={"category": "bar"}))
    assert [len(item) for item in items] == [100, 300, 8]
    assert all(np.isfinite(item.points).all() for item in items)
    again = model.run([Draw(0, 300, 2)], Request(steps=3, properties={"category": "bar"}))
    np.testing.assert_allclose(again[0].points, items[1].points, atol=1e-5)  # whatever the batch


def test_a_run_in_two_parts_has_the_weights_of_one(packed, codec, run, tmp_path):
    fit(latent(packed, codec, tmp_path / "run", 3))
    fit(latent(packed, codec, tmp_path / "run", 6))
    first, second = (load_checkpoint(folder).denoiser.state_dict() for folder in (run, tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_autoencoder_in_two_parts_has_the_weights_and_moments_of_one(packed, codec, tmp_path):
    names = [f"data.path={packed}", f"train.out={tmp_path / 'run'}", *CODEC, *FAST]
    for steps in (2, 4):
        fit(load_experiment(ROOT / "configs/shape_autoencoder.yaml", [*names, f"train.max_steps={steps}"]))
    first, second = (load_file(folder / "model.safetensors") for folder in (codec, tmp_path / "run"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_decoder_trained_on_keeps_the_encoder_and_with_it_the_latent_clouds(packed, codec, tmp_path):
    names = [f"data.path={packed}", f"train.out={tmp_path / 'run'}", f"train.start={codec}", *CODEC, *FAST]
    path = ROOT / "configs/shape_autoencoder.yaml"
    for steps in (2, 4):
        fit(load_experiment(path, [*names, f"train.max_steps={steps}"]))
    fit(load_experiment(path, [*names, f"train.out={tmp_path / 'once'}"]))
    before, once, after = (load_file(folder / "model.safetensors") for folder in (codec, tmp_path / "once", tmp_path / "run"))
    assert all(torch.equal(once[name], after[name]) for name in once)
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"scalars_in", "vectors_in", "attend", "mix", "known", "place", "clock", "trust", "move"}
    first, second = (load_autoencoder(folder) for folder in (codec, tmp_path / "run"))
    assert first.fingerprint == second.fingerprint
    domains = [ShapeLatents(LatentFields(autoencoder=str(folder), points=128)) for folder in (codec, tmp_path / "run")]
    assert len({domain.open(packed, []).positions.filename for domain in domains}) == 1
    with pytest.raises(InputError, match=r"autoencoder with model\.layers=1, not 2"):
        fit(load_experiment(path, [*names, f"train.out={tmp_path / 'other'}", "model.layers=2"]))


def test_a_model_goes_on_with_more_latent_points_of_the_same_encoder(packed, codec, run, tmp_path):
    path, more = ROOT / "configs/shape_autoencoder.yaml", tmp_path / "more"
    fit(load_experiment(path, [f"data.path={packed}", *CODEC, *FAST, f"train.start={codec}", f"train.out={more}", "model.latents=12"]))
    old, new = load_autoencoder(codec), load_autoencoder(more)
    assert (new.config.latents, new.meaning == old.meaning, new.fingerprint == old.fingerprint) == (12, True, False)
    experiment = latent(packed, more, tmp_path / "model", 1)
    fit(replace(experiment, train=replace(experiment.train, start=str(run), learning_rate=1e-30)))
    model, before = Model(load_checkpoint(tmp_path / "model"), "cpu"), load_checkpoint(run)
    assert model.checkpoint.statistics.latents == 12
    assert model.checkpoint.statistics.coordinate_std == before.statistics.coordinate_std  # in whose unit the network sees distances
    for name, value in model.checkpoint.denoiser.state_dict().items():
        torch.testing.assert_close(value, before.denoiser.state_dict()[name])
    assert len(model.sample(1, steps=2, keep_invalid=True)[0].points) == 256


def test_a_given_part_has_the_features_of_a_whole_cloud_where_it_stands(packed, codec):
    """Encoding two parts far from each other together or one by one gives the same latent points, if each has its share of them."""
    network = load_autoencoder(codec)
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 128, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.3, 0.3, 0.1])
    away = torch.tensor([3.0, 0.0, 0.0])
    cloud = torch.cat([first, second + away])
    centre = cloud.mean(0)
    part = Cells(cloud[:128], 256, network)
    k = part.points.shape[1]
    assert k == network.config.latents // 2
    whole = cloud.float().unsqueeze(0) - centre.float()
    points = torch.cat([part.points - centre.float(), part.points - centre.float() + away], 1)
    mask, exists = torch.ones(1, 256, dtype=torch.bool), torch.ones(1, 2 * k, dtype=torch.bool)
    expected = (network.describe(whole, mask, points, network.nearest(whole, points, exists), exists) - network.mean) / network.std
    moved = part.describe(points)
    torch.testing.assert_close(moved[..., -1], expected[:, :k, -1])  # mass: the share of all points
    torch.testing.assert_close(moved, expected[:, :k], atol=2e-3, rtol=2e-3)
    mass = (moved[..., -1] * network.std[-1] + network.mean[-1]).exp().sum()
    assert mass.item() == pytest.approx(0.5, rel=1e-5)


def test_completed_clouds_hold_the_given_points_to_the_bit_and_new_ones_elsewhere(run):
    model = Model(load_checkpoint(run), "cpu")
    given = np.random.default_rng(0).normal(size=(40, 3)) * 0.2 + [5.0, 0.0, 0.0]
    requests = (Request(sizes=[n], steps=3, constraint=Part(given)) for n in (100, 100, 300))
    first, again, large = (next(model.stream(1, request)).points for request in requests)
    assert len(first) == 100
    assert len(large) == 300
    np.testing.assert_array_equal(first[:40], given)
    np.testing.assert_array_equal(first, again)
    assert not (first[40:, None] == given[None]).all(-1).any()


def test_the_first_points_of_a_sample_are_an_even_choice_of_all(packed, codec):
    domain = ShapeLatents(LatentFields(autoencoder=str(codec), points=128))
    data = domain.open(packed, [])
    batch = replace(data.batch([3]), labels={"points": torch.tensor([512])})
    (shape,) = domain.decode(batch, data.statistics)
    latent = LatentCloud(batch["pos"], batch["feature"], batch["shape"], batch.mask)
    plain = data.statistics.autoencoder(latent, 512)[0].double().numpy()
    plain -= plain.mean(0)
    np.testing.assert_allclose(np.sort(shape.points, axis=0), np.sort(plain, axis=0), atol=1e-6)
    assert chamfer(shape.points[:128], shape.points) < 0.4 * chamfer(plain[:128], plain)


def test_interpolation_reaches_both_ends_as_the_decoder_sees_them(packed, run):
    data = PackedShapes(packed)
    first, second = (data.batch([k], points=128)["pos"][0].double().numpy() for k in (3, 30))
    model = Model(load_checkpoint(run), "cpu")
    path = np.stack([*interpolate(model, first, second, 3, steps=60)])
    assert path.shape == (3, 128, 3)
    decoded = model.decode(model.encode([Shape(first), Shape(second)]))
    for found, expected in zip(path[[0, 2]], decoded, strict=True):
        gaps = np.linalg.norm(found[:, None] - expected.points[None], axis=-1)
        assert gaps.min(1).mean() < 0.25 * np.linalg.norm(expected.points, axis=-1).mean()


@pytest.mark.skipif(not (shipped("weights") / "shapes" / "model.safetensors").is_file(), reason="no weights in this tree")
def test_interpolation_with_the_weights_that_ship_ends_where_it_began():
    """Guesses that are conditioned on earlier ones, which differ on the way up and down, made a bed of this goblet."""
    model = load("shapes")
    ends = [model.sample(1, seed=11, properties={"category": name})[0].points for name in ("bed", "goblet")]
    path = [*interpolate(model, *(end - end.mean(0) for end in ends), 2, steps=50)]
    for end, found in zip(ends, path, strict=True):
        assert chamfer(end - end.mean(0), found - found.mean(0)) < 0.06**2


def test_sampling_from_the_command_line(run, tmp_path):
    found = CliRunner().invoke(
        main, ["sample", str(run), "--num", "2", "--points", "64", "--steps", "2", "--class", "ball", "--out", str(tmp_path / "out")]
    )
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ball_0000.ply", "ball_0001.ply"]
    network = load(run, "cpu")
    assert [usual_points(network, meshes) for meshes in (False, True)] == [256, 8192]


def test_what_cannot_be_done_is_said(packed, codec, run, tmp_path):
    with pytest.raises(InputError, match="nothing to sample"):
        load_checkpoint(codec)
    with pytest.raises(InputError, match="no trained autoencoder"):
        fit(latent(packed, tmp_path / "none", tmp_path / "run", 1))
    with pytest.raises(InputError, match="not an autoencoder"):
        fit(latent(packed, run, tmp_path / "run", 1))
    for text, why in (
        ("model: {", "ParserError: .*"),
        ("fields: {}", "KeyError: 'model'"),
        ("model: {kind: point_autoencoder, latents: 0}", ".*latents: .*"),
    ):
        (tmp_path / "damaged").mkdir(exist_ok=True)
        (tmp_path / "damaged" / "config.yaml").write_text(text)
        with pytest.raises(InputError, match=rf"damaged/config\.yaml: not the configuration of a run \({why}\); copy the whole folder"):
            load_autoencoder(tmp_path / "damaged")
    with pytest.raises(InputError, match="empty: give the folder"):
        fit(latent(packed, "", tmp_path / "run", 1))
    with pytest.raises(InputError, match=r"fields\.points=300: .* stores 256 points of a shape; give at most 256"):
        bad = latent(packed, codec, tmp_path / "run", 1)
        fit(replace(bad, fields=replace(bad.fields, points=300)))
    with pytest.raises(InputError, match="go together"):
        fit(
            load_experiment(
                ROOT / "configs/shape_autoencoder.yaml", [f"data.path={packed}", "train.out=x", *CODEC[:1], "objective={}", *FAST]
            )
        )
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    raw = json.loads((moved / "statistics.json").read_text())
    del raw["latent"]
    (moved / "statistics.json").write_text(json.dumps(raw))
    with pytest.raises(InputError, match="no statistics of latent clouds"):
        LatentStatistics.load(moved / "statistics.json")


@pytest.mark.parametrize("schedule", [VarianceExploding(sigma_min=0.01, sigma_max=50.0), Cosine()])
def test_a_fresh_denoiser_of_features_is_the_exact_one_of_a_gaussian(schedule):
    """With F = 0, D is the posterior mean of Gaussian data: ``z d^2 / (r^2 + d^2)`` for positions and features, each with its own d."""
    from molgen.diffusion.condition import Conditions
    from molgen.nn.point_transformer import PointTransformer

    process = Joint(
        {
            "pos": Gaussian(schedule, Centered(), 0.3),
            "feature": Gaussian(schedule, Features(4), 1.5),
            "shape": Gaussian(schedule, Whole(6), 0.8),
        }
    )
    conditions = Conditions()
    backbone = PointTransformer(scalars=16, layers=1, context=16).build(*Preconditioned.widths(process, conditions.width))
    mask, generator = mask_of([5, 3]), torch.Generator().manual_seed(0)
    shapes = {"pos": (2, 5, 3), "feature": (2, 5, 4), "shape": (2, 6)}
    draws = {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}
    batch = Batch({name: process[name].space.project(value, mask) for name, value in draws.items()}, mask)
    t = torch.tensor([0.3, 0.8])
    with torch.no_grad():
        found = Preconditioned(backbone, process, conditions)(batch, t, {})
    for name, d in (("pos", 0.3), ("feature", 1.5), ("shape", 0.8)):
        alpha, sigma = (expand(scale(t), batch[name]) for scale in (schedule.alpha, schedule.sigma))
        expected = batch[name] * alpha * d**2 / (sigma**2 + alpha**2 * d**2)
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)
