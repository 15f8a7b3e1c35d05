"""`molgen sample` with a model of shapes: files of every format, classes, interpolation, and one line on bad input."""

import itertools
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
import trimesh
from click.testing import CliRunner

from molgen.checkpoint import build_denoiser, load_checkpoint, save_checkpoint
from molgen.cli import main
from molgen.config import build_experiment
from molgen.models import shipped
from molgen.shapes.fields import ShapeStatistics, turning
from molgen.shapes.given import read_points
from molgen.shapes.metrics import in_one_piece
from molgen.shapes.procedural import generate
from molgen.shapes.reading import read_named
from molgen.shapes.text import TextStatistics, embed
from molgen.statistics import Label

SIZES = {"kind": "point_unet", "scalars": 16, "vectors": 8, "levels": [16], "layers": 1, "neighbours": 6, "context": 16}
FAST = ("--steps", 3, "--points", 64, "--num", 2, "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model, which is the exact denoiser of a Gaussian: what is tested is the machinery."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    experiment = build_experiment(
        {"fields": {"kind": "shape", "points": [64, 128]}, "model": SIZES, "data": {"conditions": ["category"]}}, "test"
    )
    statistics = ShapeStatistics(
        num_shapes=4, num_points=128, categories=("chair", "table"), category_counts=(2, 2), coordinate_std=0.3, up="z"
    )
    save_checkpoint(folder, experiment, statistics, build_denoiser(experiment, statistics).state_dict(), {"description": "test"})
    return folder


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """An untrained model whose last layers are not zero, so that what it is asked for matters."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("model") / "listener"
    conditions = ["category", "text", "legs"]
    experiment = build_experiment(
        {"fields": {"kind": "shape", "points": [64, 128]}, "model": SIZES, "data": {"conditions": conditions}}, "t"
    )
    captions = ["a low table with four legs", "a chair without arms"]
    statistics = ShapeStatistics(
        num_shapes=4,
        num_points=128,
        categories=("chair", "table"),
        category_counts=(2, 2),
        coordinate_std=0.3,
        text=TextStatistics.of(captions, embed(captions)),
        labels=(Label("legs", "", 4, 3.5, 0.5, 3.0, 4.0),),
    )
    weights = {name: value + 0.03 * torch.randn(value.shape) for name, value in build_denoiser(experiment, statistics).state_dict().items()}
    save_checkpoint(folder, experiment, statistics, weights, {"description": "test"})
    return folder


@pytest.fixture(scope="module")
def diverged(model, tmp_path_factory):
    """A model whose training has diverged."""
    folder = tmp_path_factory.mktemp("model") / "diverged"
    loaded = load_checkpoint(model)
    weights = {name: torch.full_like(value, 1e30) for name, value in loaded.denoiser.state_dict().items()}
    save_checkpoint(folder, loaded.experiment, loaded.statistics, weights, {"description": "test"})
    return folder


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["sample", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("kind", ["ply", "npz"])
def test_clouds_are_written_and_the_same_seed_gives_the_same(model, tmp_path, kind):
    for name in ("a", "b"):
        status, output, error = invoke(model, *FAST, "--class", "chair", "--out", tmp_path / name, "--format", kind)
        assert (status, error) == (0, "")
        assert "wrote 2 shapes of 64 points, drawn 2, valid 2" in output
    files = sorted((tmp_path / "a").iterdir())
    assert [path.name for path in files] == [f"chair_0000.{kind}", f"chair_0001.{kind}"]
    first, second = (read_points(path) for path in files)
    assert first.shape == second.shape == (64, 3)
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(first, read_points(tmp_path / "b" / f"chair_0000.{kind}"))


def test_ply_is_read_by_others_and_carries_what_made_it(model, tmp_path):
    invoke(model, *FAST, "--class", "table", "--out", tmp_path / "a")
    path = tmp_path / "a" / "table_0001.ply"
    loaded = trimesh.load(path)
    assert isinstance(loaded, trimesh.PointCloud)
    assert b"comment requested_category table\n" in path.read_bytes()
    assert b"comment index 1\n" in path.read_bytes()


def test_meshes_are_closed_and_as_large_as_the_cloud(model, tmp_path):
    ball = np.random.default_rng(0).normal(size=(400, 3))
    np.savez(tmp_path / "ball.npz", points=ball / np.linalg.norm(ball, axis=-1, keepdims=True))
    options = ("--num", 1, "--points", 400, "--steps", 12, "--format", "obj", "--vertices", 500, "--out", tmp_path / "a")
    status, _, error = invoke(model, "--between", tmp_path / "ball.npz", tmp_path / "ball.npz", *options)
    assert (status, error) == (0, "")
    mesh = trimesh.load(tmp_path / "a" / "shape_0000.obj", force="mesh")
    assert mesh.is_watertight
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), 2, atol=0.25)  # few steps and few points shrink it


def test_a_mesh_that_needs_more_vertices_is_written_with_the_fewest(model, tmp_path):
    options = ("--num", 1, "--points", 400, "--steps", 12, "--format", "obj", "--vertices", 16, "--out", tmp_path / "a")
    status, output, error = invoke(model, *options)
    assert (status, "wrote 1 shape of 400 points" in output) == (0, True)
    line = r"molgen: warning: --vertices 16: too few for 1 shape to stay closed and in shape, written with up to (\d+)\n"
    mesh = trimesh.load(tmp_path / "a" / "shape_0000.obj", force="mesh")
    assert mesh.is_watertight
    assert 16 < len(mesh.vertices) == int(re.fullmatch(line, error)[1])


def test_only_whole_shapes_are_the_same_draws_without_those_that_fall_apart(model, tmp_path):
    options = ("--steps", 3, "--points", 64, "--device", "cpu", "--format", "npz")
    assert invoke(model, *options, "--num", 12, "--out", tmp_path / "all")[0] == 0
    drawn = [read_points(path) for path in sorted((tmp_path / "all").iterdir())]
    held = [k for k, cloud in enumerate(drawn) if in_one_piece(cloud)]
    assert 2 <= len(held) < held[-1] + 1  # some are whole, and one before the last of them is not
    status, output, error = invoke(model, *options, "--whole", "--num", len(held), "--out", tmp_path / "whole")
    assert (status, error) == (0, "")
    assert f"  withheld {held[-1] + 1 - len(held)}: not in one piece" in output
    for path, k in zip(sorted((tmp_path / "whole").iterdir()), held, strict=True):
        np.testing.assert_allclose(read_points(path), drawn[k], atol=1e-5)
    status, _, error = invoke(model, *options, "--whole", "--between", path, path, "--out", tmp_path / "more")
    assert status == 2
    assert "--whole: does not go with --between" in error


def test_of_completed_shapes_those_that_fall_apart_are_drawn_anew(model, tmp_path):
    np.savez(tmp_path / "part.npz", points=np.random.default_rng(0).normal(size=(16, 3)) * 0.1)
    options = ("--steps", 3, "--points", 64, "--device", "cpu", "--complete", tmp_path / "part.npz", "--format", "npz")
    assert invoke(model, *options, "--num", 12, "--out", tmp_path / "all")[0] == 0
    drawn = [read_points(path) for path in sorted((tmp_path / "all").iterdir())]
    held = [k for k, cloud in enumerate(drawn) if in_one_piece(cloud)]
    assert 2 <= len(held) < held[-1] + 1  # some are whole, and one before the last of them is not
    status, output, _ = invoke(model, *options, "--whole", "--num", len(held), "--out", tmp_path / "whole")
    assert status == 0
    assert f"  withheld {held[-1] + 1 - len(held)}: not in one piece" in output
    for path, k in zip(sorted((tmp_path / "whole").iterdir()), held, strict=True):
        np.testing.assert_allclose(read_points(path), drawn[k], atol=1e-5)


def test_default_number_of_points_is_that_of_the_data(model, tmp_path):
    status, output, _ = invoke(model, "--steps", 2, "--num", 1, "--out", tmp_path / "a")
    assert status == 0
    assert "1 shape of 128 points" in output


def test_way_between_two_clouds_ends_at_both(model, tmp_path):
    rng = np.random.default_rng(0)
    flat, tall = rng.normal(size=(90, 3)) * [1, 1, 0.1], rng.normal(size=(90, 3)) * [0.2, 0.2, 1]
    for name, cloud in (("flat", flat), ("tall", tall)):
        np.savez(tmp_path / f"{name}.npz", points=cloud)
    out = tmp_path / "way"
    options = ("--num", 3, "--points", 80, "--steps", 60, "--out", out, "--format", "npz")
    files = (tmp_path / "flat.npz", tmp_path / "tall.npz")
    status, _, error = invoke("--between", *files, model, *options)  # the model comes where it likes
    assert (status, error) == (0, "molgen: note: --between: flat.npz and tall.npz scaled to the unit sphere, the unit of samples\n")
    spans = [np.ptp(read_points(path), axis=0) for path in sorted(out.iterdir())]
    ratios = [span[2] / span[0] for span in spans]
    assert ratios[0] < 0.3
    assert ratios[0] < ratios[1] < ratios[2]
    assert ratios[2] > 2


def test_variants_of_a_shape_lie_near_it_and_say_so(model, tmp_path):
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(90, 3)) * [40, 40, 2]
    np.savez(tmp_path / "flat.npz", points=flat)
    spans = {}
    for strength in ("0", "0.03", "1"):
        out = tmp_path / strength
        options = ("--around", tmp_path / "flat.npz", "--strength", strength, "--steps", 40, "--points", 80, "--num", 2, "--out", out)
        status, output, error = invoke(model, *options)
        assert (status, error) == (0, "molgen: note: --around: flat.npz scaled to the unit sphere, the unit of samples\n")
        assert "wrote 2 shapes of 80 points, drawn 2, valid 2" in output
        first, second = sorted(out.iterdir())
        assert f"comment around flat.npz\ncomment strength {float(strength)}\n".encode() in first.read_bytes()
        spans[strength] = [float(read_points(path).std(0)[2] / read_points(path).std(0)[0]) for path in (first, second)]
    assert spans["0"] == pytest.approx([0.05] * 2, rel=0.3)
    assert spans["0"][0] == spans["0"][1]
    assert spans["0"][0] < min(spans["0.03"]) < max(spans["0.03"]) < 0.5 < min(spans["1"])  # the model knows balls alone
    (tmp_path / "in").mkdir()
    assert "does nothing without --around" in refused(tmp_path, model, *FAST, "--strength", 0.5, "--out", tmp_path / "in" / "a")


@pytest.mark.parametrize("option", ["--complete", "--around", "--between"])
def test_given_files_of_another_axis_are_turned(model, tmp_path, option):
    """The same tall cloud with z and with y up, the front towards -y and towards z: the samples are the same."""
    tall = np.random.default_rng(0).normal(size=(60, 3)) * [0.1, 0.05, 0.3]
    np.savez(tmp_path / "z.npz", points=tall)
    np.savez(tmp_path / "y.npz", points=tall @ [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    found = []
    for name, more in (("z.npz", ()), ("y.npz", ("--given-up", "y"))):
        given = [tmp_path / name] * (2 if option == "--between" else 1)
        options = ("--steps", 6, "--points", 61 if option == "--complete" else 60, "--num", 1, "--out", tmp_path / f"{name}out", *more)
        assert invoke(model, option, *given, *options)[0] == 0
        (path,) = (tmp_path / f"{name}out").iterdir()
        found.append(read_points(path))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    assert found[0].std(0)[2] > found[0].std(0)[1]


def test_a_glb_is_turned_once_whatever_the_axis_of_the_others(model, tmp_path):
    trimesh.creation.box((0.2, 1.0, 0.1)).export(tmp_path / "tower.glb")
    for name, more in (("plain", ()), ("told", ("--given-up", "x"))):
        options = ("--strength", 0, "--points", 200, "--num", 1, "--out", tmp_path / name, *more)
        assert invoke(model, "--around", tmp_path / "tower.glb", *options)[0] == 0
        (path,) = (tmp_path / name).iterdir()
        width, depth, height = np.ptp(read_points(path), axis=0)
        assert height > 3 * width > 3 * depth


@pytest.mark.parametrize(("option", "copies"), [("--around", 1), ("--between", 2)])
def test_given_files_that_lie_are_told_unless_the_axis_is(tmp_path, option, copies):
    if not (shipped("weights") / "shapes" / "model.safetensors").is_file():
        pytest.skip("no weights in this tree")
    mesh = generate("chair", np.random.default_rng([3, 99])).mesh
    path = tmp_path / "chair.obj"
    mesh.apply_transform(np.vstack([np.c_[turning("z", "y"), np.zeros(3)], [0, 0, 0, 1]])).export(path)
    told = f"molgen: warning: {option} {path}: looks as if y pointed up, and in the shapes of the model z does; --given-up y turns it\n"
    for name, more, count in (("plain", (), copies), ("turned", ("--given-up", "y"), 0)):
        options = ("--num", copies, "--steps", 4, "--points", 256, "--out", tmp_path / name, *more)
        status, _, error = invoke("shapes", option, *[path] * copies, *options)
        assert status == 0
        assert error.count(told) == error.count("warning") == count


def test_completed_shapes_contain_the_given_points_in_single_precision(model, tmp_path):
    part = np.random.default_rng(0).uniform([0.2, -0.2, -0.5], [0.8, 0.4, 0.1], (40, 3))
    np.savez(tmp_path / "part.npz", points=part)
    options = ("--complete", tmp_path / "part.npz", "--class", "chair", "--out", tmp_path / "a")
    status, _, error = invoke(model, *FAST, *options)
    assert (status, error) == (0, "")
    first, second = (read_points(path) for path in sorted((tmp_path / "a").iterdir()))
    assert first.shape == second.shape == (64, 3)
    np.testing.assert_array_equal(first[:40], part.astype(np.float32))
    np.testing.assert_array_equal(second[:40], first[:40])
    assert np.abs(first[40:] - second[40:]).max() > 0.01
    assert "as the first ones, in single precision" in " ".join(invoke(model, "--help")[1].split())


def test_completed_shapes_that_fail_are_drawn_anew_and_the_others_keep_their_numbers(model, tmp_path):
    loaded = load_checkpoint(model)
    wide = replace(loaded.statistics, coordinate_std=2.2)  # some points are farther from the centre than the check allows
    save_checkpoint(tmp_path / "wide", loaded.experiment, wide, build_denoiser(loaded.experiment, wide).state_dict(), {"description": "t"})
    np.savez(tmp_path / "part.npz", points=np.random.default_rng(0).normal(size=(16, 3)) * 0.3)

    def sampled(num: int, *options: object) -> tuple[dict[int, np.ndarray], str]:
        out = tmp_path / f"out{len(options)}"
        arguments = ("--steps", 6, "--points", 64, "--device", "cpu", "--complete", tmp_path / "part.npz", "--out", out, *options)
        status, output, error = invoke(tmp_path / "wide", "--num", num, *arguments)
        assert (status, error) == (0, "")
        numbers = [int(re.search(rb"comment index (\d+)\n", path.read_bytes())[1]) for path in sorted(out.iterdir())]
        return dict(zip(numbers, map(read_points, sorted(out.iterdir())), strict=True)), output

    every, _ = sampled(8, "--keep-invalid")
    held = [k for k, cloud in every.items() if np.abs(cloud - cloud.mean(0)).max() <= 4]
    assert list(every) == list(range(8))
    assert 2 <= len(held) < held[-1] + 1  # some pass, and one before the last of them does not
    found, output = sampled(len(held))
    assert list(found) == held
    np.testing.assert_array_equal(list(found.values()), [every[k] for k in held])
    assert f"drawn {held[-1] + 1}, valid {len(held)}, " in output
    assert f"  failed {held[-1] + 1 - len(held)}: points farther than 4 from the centre\n" in output


@pytest.mark.parametrize(("scale", "share"), [(0.3, 0.25), (0.05, 1 / 16), (0.7, 0.5)])
def test_a_mesh_is_completed_with_as_many_points_as_its_area_asks_for(model, tmp_path, scale, share):
    """A usual whole has an area of 4.5; of a part are drawn a sixteenth of the points of the whole at least and half of them at most."""
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=scale)
    mesh.export(tmp_path / "part.obj")
    status, _, _ = invoke(model, *FAST, "--complete", tmp_path / "part.obj", "--out", tmp_path / "a")
    assert status == 0
    cloud = read_points(sorted((tmp_path / "a").iterdir())[0])
    on_surface = np.abs(np.linalg.norm(cloud, axis=1) - scale) < 0.01 * scale
    assert on_surface[: round(share * 64)].all()
    assert on_surface.sum() < share * 64 + 8


def test_guidance_and_steps_that_lead_nowhere_are_warned_of(listener, tmp_path):
    options = ("--points", 64, "--num", 1, "--device", "cpu", "--class", "chair", "--keep-invalid", "--out")
    lines = {
        ("--guidance", 0, "--steps", 3): "guidance=0 takes no notice of what is asked for",
        ("--guidance", 7, "--steps", 3): "guidance=7 is far above the usual 1.5: shapes fail the check above 6",
        ("--guidance", 6, "--steps", 3): "",
        ("--guidance", 1, "--steps", 2): "steps=2: shapes of so few steps shrink to a small ball; usual are 30",
    }
    for number, (given, line) in enumerate(lines.items()):
        status, _, error = invoke(listener, *given, *options, tmp_path / str(number))
        assert (status, error.count("\n")) == (0, 1 if line else 0)
        assert line in error


def test_a_run_of_which_nothing_passes_ends_soon_and_names_the_guidance(listener, tmp_path):
    error = invoke(listener, *FAST, "--class", "chair", "--guidance", 1e6, "--out", tmp_path / "a")[2].splitlines()[-1]
    assert "250 draws in a row failed the check (most often: " in error
    assert "); lower the guidance of 1e+06 (usual is 1.5), take more steps, or ask for other properties" in error


def test_an_interrupted_run_tells_what_was_drawn_and_why_draws_failed(model, tmp_path):
    loaded = load_checkpoint(model)
    wide = replace(loaded.statistics, coordinate_std=2.2)  # some points are farther from the centre than the check allows
    save_checkpoint(tmp_path / "wide", loaded.experiment, wide, build_denoiser(loaded.experiment, wide).state_dict(), {"description": "t"})
    options = ("--num", "100000", "--steps", "6", "--points", "64", "--device", "cpu", "--out", str(tmp_path / "a"))
    process = plain.Started(plain.MOLGEN, ["sample", tmp_path / "wide", *options])
    while process.poll() is None and not any(tmp_path.glob(".*.a/shape_0010.ply")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "molgen: interrupted\n")
    drawn, valid, failed = map(int, re.fullmatch(r"  drawn (\d+), valid (\d+)\n  failed (\d+): points farther .*\n", output).groups())
    assert drawn == valid + failed


@pytest.mark.parametrize(
    ("count", "spread", "wrong"),
    [
        (40, 0.3, ""),
        (40, 2.0, "its 40 points lie farther apart than the 64 of a whole shape"),
        (3, 0.01, "its 3 points are 4.7% of the 64 of a whole shape"),
        (1, 1.0, "its 1 points lie farther apart than the 64 of a whole shape"),
    ],
)
def test_parts_that_are_sparse_or_small_are_warned_of(model, tmp_path, count, spread, wrong):
    part = tmp_path / "part.npy"
    np.save(part, np.random.default_rng(0).uniform(-spread / 2, spread / 2, (count, 3)))
    status, _, error = invoke(model, *FAST, "--complete", part, "--out", tmp_path / "a")
    advice = "a part is as dense as the whole, give more points of it or a smaller --points"
    assert (status, error) == (0, f"molgen: warning: --complete {part}: {wrong}; {advice}\n" if wrong else "")


def test_shapes_of_a_model_that_has_diverged_are_refused(diverged, tmp_path):
    np.savez(tmp_path / "part.npz", points=np.random.default_rng(0).normal(size=(20, 3)) * 0.3)
    np.savez(tmp_path / "end.npz", points=np.random.default_rng(0).normal(size=(64, 3)))
    options = ("--steps", 3, "--points", 64, "--num", 2, "--device", "cpu", "--out", tmp_path / "a")
    error = refused(tmp_path, diverged, *options, "--complete", tmp_path / "part.npz")
    assert "100 draws in a row failed the check (most often: coordinates are not finite)" in error
    ends = (tmp_path / "end.npz", tmp_path / "end.npz")
    error = refused(tmp_path, diverged, *options, "--between", *ends)
    assert f"--between {ends[0]} {ends[1]}: shape 1 of 2 on the way fails the check (coordinates are not finite); take more" in error


def test_words_are_followed_and_recorded(listener, tmp_path):
    clouds = {}
    for name, options in {"a": ("--text", "a low table"), "b": ("--text", "a chair"), "c": ("--text", "chair", "--class", "table")}.items():
        status, _, error = invoke(listener, *FAST, *options, "--keep-invalid", "--out", tmp_path / name)
        warning = "molgen: warning: --text 'chair' names a chair and --class a table: shapes may be either; leave one of them away\n"
        assert (status, error) == (0, warning if name == "c" else "")
        path = sorted((tmp_path / name).iterdir())[0]
        assert f"comment requested_text {options[1]}\n".encode() in path.read_bytes()
        clouds[name] = read_points(path)
    assert np.abs(clouds["a"] - clouds["b"]).max() > 1e-3
    assert np.abs(clouds["b"] - clouds["c"]).max() > 1e-3


def test_numbers_are_followed_and_recorded(listener, tmp_path):
    clouds = []
    for legs in ("3", "4", "3.."):  # the open end is that of the data: 3 to 4
        status, _, error = invoke(listener, *FAST, "--property", f"legs={legs}", "--keep-invalid", "--out", tmp_path / legs)
        assert (status, error) == (0, "")
        path = sorted((tmp_path / legs).iterdir())[0]
        (asked,) = re.findall(rb"comment requested_legs (\S+)\n", path.read_bytes())
        assert float(asked) == float(legs) if ".." not in legs else 3 < float(asked) < 4
        clouds.append(read_points(path))
    assert all(np.abs(one - other).max() > 1e-5 for one, other in itertools.combinations(clouds, 2))


@pytest.mark.parametrize("kind", ["npy", "xyz", "npz", "ply"])
def test_shapes_are_written_upright_and_on_the_floor(model, tmp_path, kind):
    options = (*FAST, "--class", "chair", "--keep-invalid", "--format", kind)
    for name, more in {"plain": (), "turned": ("--up", "y"), "high": ("--up", "y", "--height", 450)}.items():
        assert invoke(model, *options, *more, "--out", tmp_path / name)[0] == 0
    plain, turned, high = (read_points(tmp_path / name / f"chair_0001.{kind}") for name in ("plain", "turned", "high"))
    np.testing.assert_allclose(turned, plain[:, [0, 2, 1]] * [1, 1, -1], atol=1e-6)
    assert (high[:, 1].min(), high[:, 1].max()) == (0, pytest.approx(450))
    np.testing.assert_allclose(high[:, [0, 2]], turned[:, [0, 2]] * 450 / np.ptp(turned[:, 1]), rtol=1e-4)


@pytest.mark.parametrize(
    ("height", "told"), [(450, "--height 450: a unit of a .glb is a metre; --height 0.45 if millimetres were meant"), (2, "")]
)
def test_a_glb_as_high_as_a_tower_is_warned_of(model, tmp_path, height, told):
    options = ("--points", 64, "--steps", 3, "--num", 1, "--device", "cpu", "--keep-invalid", "--format", "glb", "--out", tmp_path / "a")
    status, _, error = invoke(model, *options, "--height", height)
    assert (status, error) == (0, f"molgen: warning: {told}\n" if told else "")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_all_clouds_can_be_one_file(model, tmp_path, suffix):
    options = (*FAST, "--class", "chair", "--keep-invalid")
    assert invoke(model, *options, "--out", tmp_path / "folder")[0] == 0
    status, output, error = invoke(model, *options, "--out", tmp_path / f"all{suffix}")
    assert (status, error) == (0, "")
    assert f"all{suffix}: wrote 2 shapes of 64 points" in output
    found = read_named(tmp_path / f"all{suffix}", "")
    np.testing.assert_array_equal(found, [read_points(path) for path in sorted((tmp_path / "folder").iterdir())])


def test_points_of_completions_in_other_files_are_taken_from_rows(model, tmp_path):
    part = np.random.default_rng(0).uniform([0.2, -0.2, -0.5], [0.8, 0.4, 0.1], (40, 3))
    np.savetxt(tmp_path / "part.xyz", part)
    assert invoke(model, *FAST, "--complete", tmp_path / "part.xyz", "--height", 3, "--out", tmp_path / "a")[0] == 0
    assert all(np.ptp(read_points(path)[:, 2]) == pytest.approx(3) for path in (tmp_path / "a").iterdir())


def test_unknown_words_are_refused_with_the_nearest(listener, model, tmp_path):
    refusal = refused(tmp_path, listener, *FAST, "--text", "a desk", "--out", tmp_path / "a")
    assert "text: no caption of the training data has 'desk' (nearest: chair, table" in refusal
    assert "unknown property 'text'; it was trained with category" in refused(
        tmp_path, model, *FAST, "--text", "a", "--out", tmp_path / "a"
    )


def test_help_is_that_of_the_domain(model):
    assert "--class" in invoke(model, "--help")[1]
    molecules = invoke("--help")[1]
    assert "--property" in molecules
    assert " ".join(molecules.split()).count("the options differ") == 1
    assert "For models of shapes the options differ" in " ".join(molecules.split())
    status, _, error = invoke(model, "--keep", "a.sdf", "--out", "out")
    assert (status, f"--keep makes no sense for shapes, and {model} is a model of them" in error, error.count("\n")) == (2, True, 1)


def refused(folder: Path, *arguments: object) -> str:
    """The one line of an error; checks status 2 and that nothing was written."""
    before = sorted(folder.rglob("*"))
    status, _, error = invoke(*arguments)
    assert status == 2, error
    assert error.count("\n") == 1
    assert error.startswith("molgen: error: ")
    assert sorted(folder.rglob("*")) == before
    return error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--class", "chairs"), "unknown category 'chairs'; did you mean chair"),
        (("--class", "zebra"), "known are chair, table"),
        (("--out", "mug.stl"), "--out mug.stl: shapes are written into a folder; give --out mug --format stl"),
        (("--complete", "."), "is a folder; give one of its files"),
        (("--points", 3), "--points"),
        (("--points", 31, "--format", "stl"), "--points 31: a mesh needs at least 32; ask for more, or for points alone, --format npz"),
        (("--points", 31, "--mesh"), "--points 31: a mesh needs at least 32"),
        (("--format", "pdb"), "--format"),
        (("--format", "glb", "--up", "z"), "up: in a .glb y points up by definition, got 'z'; write another format"),
        (("--height", 0), "--height"),
        (("--out", "a.npz", "--format", "ply"), "--format: --out a.npz is one file of all clouds; give a folder"),
        (("--out", "a.npz", "--mesh"), "--mesh: --out a.npz holds points alone; give a folder"),
        (("--out", "none/a.npz"), "none/a.npz"),
        (("--property", "gap=3"), "unknown property 'gap'; it was trained with category"),
        (("--property", "category=3"), "--property category: is no number; use --class"),
        (("--property", "category=chair"), "--property category: is no number; use --class"),
        (("--property", "text=chair"), "--property text: is no number; use --text"),
        (("--class", "desk"), "unknown category 'desk'; did you mean table?"),
        (("--class", "chair", "--class", "table"), "'--class': is given 2 times: chair, table; give one of them"),
        (("--complete", "equal.npz"), "equal.npz: only 1 of 40 points are different"),
        (("--complete", "nan.npz"), "nan.npz: expected points (n, 3) or (s, n, 3) with finite coordinates, got some that are not finite"),
        (("--property", "legs"), "expected NAME=VALUE"),
        (("--between", "a.npz", "b.npz"), "a.npz: no such file"),
        (("--between", "few.npz", "few.npz"), "few.npz: holds 20 points, 64 are needed"),
        (("--between", "text.ply", "text.ply"), "text.ply: cannot be read"),
        (("--between", "nan.npz", "nan.npz"), "finite coordinates"),
        (("--between", "few.npz", "few.npz", "--class", "chair"), "goes with none"),
        (("--between", "few.npz", "few.npz", "--around", "few.npz"), "goes with none"),
        (("--around", "few.npz"), "few.npz: holds 20 points, 64 are needed; give --points 20 or a denser cloud"),
        (("--around", "few.npz", "--complete", "few.npz"), "--complete and --around: give one of them"),
        (("--around", "nan.npz"), "nan.npz: expected points (n, 3) or (s, n, 3) with finite coordinates, got some that are not finite"),
        (("--around", "many.npz", "--out", "many.npz"), "--out many.npz: is an input of this command; give another name"),
        (("--complete", "many.npz", "--out", "many.npz"), "--out many.npz: is an input of this command; give another name"),
        (("--between", "many.npz", "few.npz", "--out", "few.npz"), "--out few.npz: is an input of this command; give another name"),
        (("--given-up", "y"), "--given-up: does nothing without --complete, --between or --around"),
        (("--around", "set.npz"), "set.npz: holds 3 clouds, one is needed"),
        (("--around", "many.npz", "--strength", 1.5), "--strength"),
        (("--between", "set.npz", "few.npz"), "set.npz: holds 3 clouds, one is needed"),
        (("--between", "few.npz", "few.npz", "--seed", 1), "--seed: does nothing beside --between"),
        (("--between", "few.npz", "few.npz", "--keep-invalid"), "--keep-invalid: does nothing beside --between"),
        (("--vertices", 100), "--vertices: does nothing without a mesh; give --mesh"),
        (("--complete", "a.ply"), "a.ply: no such file"),
        (("--complete", "set.npz"), "set.npz: holds 3 clouds, one is needed"),
        (("--complete", "many.npz"), "many.npz: 70 points are given and 64 asked for"),
        (("--complete", "huge.npz"), "huge.npz: the given points span more than the unit sphere"),
    ],
)
def test_bad_options_give_one_line(model, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    np.savez("few.npz", points=np.random.default_rng(0).normal(size=(20, 3)))
    np.savez("many.npz", points=np.random.default_rng(0).normal(size=(70, 3)))
    np.savez("set.npz", points=np.random.default_rng(0).normal(size=(3, 20, 3)))
    np.savez("huge.npz", points=100 * np.random.default_rng(0).normal(size=(20, 3)))
    np.savez("equal.npz", points=np.ones((40, 3)))
    np.savez("nan.npz", points=np.full((70, 3), np.nan))
    Path("text.ply").write_text("no cloud")
    assert words in refused(tmp_path, model, *FAST, "--out", "out", *options)


def test_full_folders_are_refused(model, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").write_text("keep")
    assert "not empty" in refused(tmp_path, model, *FAST, "--out", tmp_path / "a")
