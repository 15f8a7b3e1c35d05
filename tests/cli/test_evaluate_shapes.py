"""`molgen evaluate` on shapes as a user calls it."""

import json

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner

from molgen.cli import main
from molgen.evaluate.shape_sets import Shelf
from molgen.shapes.export import write_cloud, write_mesh
from molgen.shapes.metrics import CHAMFER, distance_matrix

from .webdriver import BINARY, DRIVER, Browser


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two packed sets of one distribution and one of another."""
    folder = tmp_path_factory.mktemp("sets")
    for name, kind, seed in (("a", "stool", 1), ("b", "stool", 2), ("c", "car", 3)):
        arguments = ["procedural", "--out", folder / name, "--num", 12, "--points", 128, "--kind", kind, "--seed", seed, "--workers", 1]
        assert invoke("prepare", *arguments)[0] == 0
    return folder


def scores(folder, *arguments, points=128):
    status, output, error = invoke("evaluate", *arguments, "--points", points, "--json", folder / "out.json")
    assert (status, error) == (0, "")
    return json.loads((folder / "out.json").read_text()), output


def test_one_distribution_is_hard_to_tell_apart_and_another_easy(sets, tmp_path):
    same, output = scores(tmp_path, sets / "a", "--reference", sets / "b", "--train", sets / "b", "--emd", 64)
    assert 0.1 < same["samples"]["metrics"]["cd_nna"]["value"] < 0.9
    assert same["reference"]["metrics"]["cd_nna"]["value"] == 0  # the training set is the held-out set here: copies
    assert same["reference"]["metrics"]["cd_train"]["value"] == 0
    assert "approximated on 64 points" in output
    assert "in one piece" in output
    assert same["samples"]["metrics"]["whole"]["value"] > 0.9
    other, _ = scores(tmp_path, sets / "c", "--reference", sets / "b")
    assert other["samples"]["metrics"]["cd_nna"]["value"] > 0.9
    assert other["samples"]["metrics"]["cd_mmd"]["value"] > 4 * same["samples"]["metrics"]["cd_mmd"]["value"]


def test_folders_of_meshes_and_clouds_are_read_and_checked(sets, tmp_path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    for k in range(3):
        trimesh.creation.icosphere(3, radius=1 + 0.1 * k).export(folder / f"{k}.stl")
    write_cloud(folder / "cloud.ply", np.random.default_rng(0).normal(size=(200, 3)))
    write_cloud(folder / "cloud.npz", np.random.default_rng(1).normal(size=(200, 3)))
    write_cloud(folder / "few.ply", np.random.default_rng(0).normal(size=(20, 3)))
    found, output = scores(tmp_path, folder, "--reference", sets / "b", "--html", tmp_path / "page.html")
    metrics = found["samples"]["metrics"]
    assert found["samples"]["records"] == 5
    assert "rejected 1: fewer points than needed" in output
    assert (metrics["watertight"]["value"], metrics["euler"]["value"], metrics["one_body"]["value"]) == (1, 2, 1)
    assert metrics["volume"]["value"] == pytest.approx(4 / 3 * np.pi * np.mean([1, 1.1**3, 1.2**3]), rel=0.01)
    assert metrics["gap"]["value"] < 1e-6
    page = (tmp_path / "page.html").read_text()
    assert "0.stl" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["IN/a"], "give them with --reference DATA"),
        (["IN/a", "--reference", "IN/none", "--points", "64"], "no such file or folder; expected shapes"),
        (["IN/a", "--reference", "IN/b", "--points", "500"], "expected 1 to 128 points per shape, as many as are stored, got 500"),
        (["IN/a", "--reference", "IN/b", "--points", "64", "--emd", "65"], "--emd 65: expected 0 to 64 points"),
        (["IN/a", "--reference", "IN/b", "--points", "64", "--limit", "1"], "at least two shapes in every set, got 1"),
    ],
)
def test_bad_requests_give_one_line(sets, arguments, line):
    status, output, error = invoke("evaluate", *(argument.replace("IN", str(sets)) for argument in arguments))
    assert (status, output) == (2, "")
    assert line in error
    assert error.count("\n") == 1


def test_the_page_turns_clouds_without_network_and_without_errors(sets, tmp_path):
    if not BINARY or not DRIVER:
        pytest.skip("no chromium and chromedriver")
    page = tmp_path / "page.html"
    scores(tmp_path, sets / "a", "--reference", sets / "b", "--html", page, "--gallery", 6)
    browser = Browser(tmp_path)
    try:
        browser.open(page)
        assert browser.run("return document.querySelectorAll('.shape canvas').length") == 12
        picture = "return document.querySelector('.shape canvas').toDataURL()"
        browser.run("document.querySelector('#turn').click()")  # stands still
        still = browser.run(picture)
        assert browser.run(picture) == still
        browser.drag(".shape canvas", 60, 0)
        assert browser.run(picture) != still
        browser.choose("#order", "near")
        shown = browser.run("return [...document.querySelectorAll('figcaption')].map(c => Number(c.textContent.split(' · ')[1]))")
        assert shown == sorted(shown)
        assert browser.console() == []
        assert [a for a in browser.requested() if not a.startswith(("data:", "blob:", "chrome:", page.as_uri()))] == []
    finally:
        browser.close()


@pytest.mark.parametrize("unit", [1.0, 7.0])
def test_shapes_are_compared_in_root_mean_square_coordinates_of_the_reference(tmp_path, unit):
    """Points of a sphere and their opposites, radius 1 and 1.01: squared gaps of 1e-4 both ways over a mean square coordinate of 1/3."""
    half = np.random.default_rng(0).normal(size=(6, 20, 3))
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    ball = unit * np.concatenate([half, -half], 1)
    np.savez(tmp_path / "real.npz", points=ball)
    np.savez(tmp_path / "some.npz", points=1.01 * ball)

    def mmd(*more):
        found, _ = scores(tmp_path, tmp_path / "some.npz", "--reference", tmp_path / "real.npz", *more, points=40)
        return found["samples"]["metrics"]["cd_mmd"]["value"]

    assert mmd() == pytest.approx(1e3 * 2e-4 * 3, rel=1e-3)
    assert mmd("--rescale") == pytest.approx(0, abs=1e-6)


def test_the_unit_of_length_is_of_all_held_out_shapes(tmp_path):
    """Also of those that are cut away; samples 1 % larger than training spheres of radius 1, held-out ones of radii 1 to 6."""
    half = np.random.default_rng(0).normal(size=(6, 20, 3))
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    balls = np.concatenate([half, -half], 1)
    for name, clouds in (("train", balls), ("real", np.arange(1, 7)[:, None, None] * balls), ("some", 1.01 * balls[:2])):
        np.savez(tmp_path / f"{name}.npz", points=clouds)
    arguments = [tmp_path / "some.npz", "--reference", tmp_path / "real.npz", "--train", tmp_path / "train.npz"]
    found, _ = scores(tmp_path, *arguments, points=40)
    square = np.mean(np.arange(1, 7) ** 2) / 3
    assert found["samples"]["metrics"]["cd_train"]["value"] == pytest.approx(1e3 * 2e-4 / square, rel=1e-3)


def test_a_split_is_compared_with_its_held_out_part(tmp_path):
    clouds = np.random.default_rng(0).normal(size=(40, 256, 3))
    np.savez(tmp_path / "a.npz", points=clouds, names=np.array([f"s{k}" for k in range(40)]))
    assert invoke("prepare", tmp_path / "a.npz", "--out", tmp_path / "data", "--split", "0.5,0.25,0.25", "--points", 128)[0] == 0
    parts = {part: set((tmp_path / "data" / part / "names.txt").read_text().split()) for part in ("train", "valid", "test")}

    def names(path, part):
        return {item.name for item in Shelf(path, 128, 0, part=part).choice(100).items}

    assert names(tmp_path / "data", "valid") == parts["valid"]
    assert names(tmp_path / "data", "train") == parts["train"]
    assert names(tmp_path / "data" / "test", "valid") == parts["test"]


def test_meshes_that_are_inside_out_are_told(tmp_path):
    folder = tmp_path / "boxes"
    folder.mkdir()
    for k in range(4):
        box = trimesh.creation.box((1, 2, 3 + k))
        if k == 0:
            box.invert()
        box.export(folder / f"{k}.stl")
    found, _ = scores(tmp_path, folder, "--reference", folder)
    metrics = found["samples"]["metrics"]
    assert metrics["outwards"]["value"] == 0.75
    assert metrics["volume"]["value"] == pytest.approx(np.mean([6, 8, 10, 12]), rel=1e-4)


def test_a_glb_stands_as_the_data_do(tmp_path):
    for k in range(4):
        for name, up in (("obj", ""), ("unknown", ""), ("z", "z")):
            (tmp_path / name).mkdir(exist_ok=True)
            write_mesh(tmp_path / name / f"{k}.{'obj' if name == 'obj' else 'glb'}", trimesh.creation.box((1, 2, 4 + k)), up)
    for up in ("unknown", "z"):
        axis = [] if up == "unknown" else ["--up", up]
        arguments = [tmp_path / "obj", "--out", tmp_path / f"data_{up}", "--points", 128, "--workers", 1, *axis]
        assert invoke("prepare", *arguments)[0] == 0
        figures = []
        for samples in ("obj", up):
            found, _ = scores(tmp_path, tmp_path / samples, "--reference", tmp_path / f"data_{up}", "--rescale")
            figures.append(found["samples"]["metrics"]["cd_mmd"]["value"])
        assert figures[1] == pytest.approx(figures[0], rel=0.3)


def test_options_for_molecules_are_refused(sets):
    status, _, error = invoke("evaluate", sets / "a", "--reference", sets / "b", "--asked", 5)
    assert (status, "--asked makes no sense for shapes" in error, error.count("\n")) == (2, True, 1)
    shapes = invoke("evaluate", sets / "a", "--help")[1]
    assert ("--emd" in shapes, "--asked" in shapes) == (True, False)


def test_copies_of_training_shapes_are_told_however_many_there_are(tmp_path):
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(90, 64, 3)) * rng.uniform(0.2, 1, (90, 1, 3))
    for name, some in (("train", clouds[:80]), ("real", clouds[80:]), ("copies", clouds[60:70])):
        np.savez(tmp_path / f"{name}.npz", points=some)
    paths = [tmp_path / f"{name}.npz" for name in ("copies", "real", "train")]
    found, output = scores(tmp_path, paths[0], "--reference", paths[1], "--train", paths[2], "--limit", 10, "--emd", 64, points=64)
    for key in ("cd_train", "emd_train"):
        assert found["samples"]["metrics"][key]["value"] == pytest.approx(0, abs=1e-6)
        assert found["reference"]["metrics"][key]["value"] > 0.1
    centred = [cloud - cloud.mean(0) for cloud in clouds]
    square = np.mean([np.square(cloud).mean() for cloud in centred[80:]])
    expected = distance_matrix(CHAMFER, centred[80:], centred[:80]).min(1).mean() / square
    assert found["reference"]["metrics"]["cd_train"]["value"] == pytest.approx(1e3 * expected, rel=1e-3)
    assert "note" not in output


def test_shapes_that_cannot_be_used_are_no_choice(tmp_path):
    clouds = np.random.default_rng(0).normal(size=(12, 64, 3))
    np.savez(tmp_path / "real.npz", points=clouds)
    clouds[:9, 0] = np.nan
    np.savez(tmp_path / "some.npz", points=clouds)
    _, output = scores(tmp_path, tmp_path / "some.npz", "--reference", tmp_path / "real.npz", points=64)
    assert "rejected 9: coordinates not finite\n" in output
    assert "note" not in output
    _, output = scores(tmp_path, tmp_path / "some.npz", "--reference", tmp_path / "real.npz", "--limit", 11, points=64)
    assert "note: some.npz: " in output
    assert " of 12 shapes, chosen with seed 0; " in output
    np.save(tmp_path / "real.npy", clouds[9:])
    _, output = scores(tmp_path, tmp_path / "real.npy", "--reference", tmp_path / "real.npz", "--limit", 2, points=64)
    assert "note: real.npy: 2 of 3 shapes, chosen with seed 0\n" in output


def test_clouds_of_a_folder_may_lie_in_any_array_and_damaged_files_are_counted(tmp_path):
    clouds = np.random.default_rng(0).normal(size=(7, 64, 3))
    np.save(tmp_path / "real.npy", clouds)
    folder = tmp_path / "some"
    folder.mkdir()
    np.savez(folder / "a.npz", points=clouds[0])
    np.save(folder / "b.npy", clouds[1])
    np.savez(folder / "c.npz", points=clouds[2:5])
    (folder / "d.npz").write_bytes(b"PK\x03\x04 and no more")
    found, output = scores(tmp_path, folder, "--reference", tmp_path / "real.npy", points=64)
    assert found["samples"]["records"] == 5
    assert "rejected 1: not readable as npz\n" in output


def test_clouds_as_rows_of_numbers_are_scored(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(3):
            np.savetxt(tmp_path / name / f"{k}.xyz", np.random.default_rng(k).normal(size=(60, 3)))
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "a"), "--reference", str(tmp_path / "b"), "--points", "50"])
    assert (result.exit_code, "3 samples against 3 of b" in result.stdout) == (0, True)
