"""`molgen view` with several shapes in one place: an .npz of clouds, and a packed data set."""

import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from molgen.cli import main
from molgen.molecules.export import read_molecules, write_sdf
from molgen.molecules.molecule import Molecule
from molgen.shapes.data import PackedShapes
from molgen.shapes.fields import turning
from molgen.shapes.prepare import open_source, prepare
from molgen.shapes.render import picture


def view(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["view", *map(str, arguments), "--no-open"])
    return result.exit_code, result.stdout, result.stderr


def drawn(path: Path) -> list[np.ndarray]:
    """The pictures of a sheet, row after row, without the empty places."""
    with Image.open(path) as image:
        sheet = np.asarray(image)
    tiles = sheet.reshape(sheet.shape[0] // 256, 256, -1, 256, 3).swapaxes(1, 2).reshape(-1, 256, 256, 3)
    return [tile for tile in tiles if (tile < 255).any()]


def test_every_cloud_of_a_file_is_drawn(tmp_path):
    points = np.random.default_rng(0).normal(size=(3, 200, 3)) * [[[1, 1, 1]], [[1, 1, 0.1]], [[0.1, 0.1, 1]]]
    np.savez(tmp_path / "clouds.npz", points=points)
    status, output, error = view(tmp_path / "clouds.npz")
    assert (status, error) == (0, "")
    assert output == f"{tmp_path / 'clouds.png'}: 3 shapes\n"
    np.testing.assert_array_equal(drawn(tmp_path / "clouds.png"), [picture(cloud) for cloud in points])
    status, output, _ = view(tmp_path / "clouds.npz", "--limit", 2)
    assert (status, output) == (0, f"{tmp_path / 'clouds.png'}: 2 shapes, the first ones; --limit draws more\n")
    assert len(drawn(tmp_path / "clouds.png")) == 2


@pytest.mark.parametrize("up", ["z", "y"])
def test_the_first_shapes_of_a_data_set_are_drawn_upright(tmp_path, up):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 100, 3)) * [0.1, 0.1, 1]  # pillars
    np.savez(tmp_path / "clouds.npz", points=points if up == "z" else points[..., [1, 2, 0]])
    prepare(open_source(str(tmp_path / "clouds.npz"), up=up), tmp_path / "set", points=64)
    status, output, error = view(tmp_path / "set", "--limit", 3)
    assert (status, error) == (0, "")
    assert output == f"{tmp_path / 'set.png'}: 3 shapes, the first ones; --limit draws more\n"
    stored = PackedShapes(tmp_path / "set")
    for number, tile in enumerate(drawn(tmp_path / "set.png")):
        cloud = stored.cloud(number)
        np.testing.assert_array_equal(tile, picture(cloud if up == "z" else cloud[:, [0, 2, 1]] * [1, -1, 1]))
        rows, columns = np.nonzero((tile < 250).any(-1))
        assert np.ptp(rows) > 2 * np.ptp(columns)


@pytest.mark.parametrize("points", [np.zeros((3, 200, 2)), np.zeros((3, 0, 3)), np.full((3, 200, 3), np.nan)])
def test_arrays_that_are_no_clouds_are_refused(tmp_path, points):
    np.savez(tmp_path / "clouds.npz", points=points)
    status, output, error = view(tmp_path / "clouds.npz")
    assert (status, output) == (2, "")
    assert "cannot be drawn (expected points (n, 3) or (s, n, 3) with finite coordinates" in error
    assert not (tmp_path / "clouds.png").exists()


def test_arrays_of_molecules_are_refused_as_every_command_does(tmp_path, samples_of_qm9):
    molecules = list(islice(read_molecules(samples_of_qm9), 3))
    size = max(map(len, molecules))
    positions, one_hot = np.zeros((3, size, 3)), np.zeros((3, size, 5))
    for k, molecule in enumerate(molecules):
        positions[k, : len(molecule)] = molecule.positions
        one_hot[k, : len(molecule)] = molecule.atomic_numbers[:, None] == [1, 6, 7, 8, 9]
    path = tmp_path / "samples.npz"
    np.savez(path, positions=positions, one_hot=one_hot)
    told = f"molgen: error: {path}: arrays of molecules (one_hot, positions) are read in Python: docs/evaluation.md#arrays shows how\n"
    assert view(path) == (2, "", told)
    for command in ("evaluate", "info"):
        assert CliRunner().invoke(main, [command, str(path)]).stderr == told
    assert sorted(tmp_path.iterdir()) == [path]


def test_meshes_that_cannot_be_drawn_are_left_out_with_the_reason(tmp_path):
    folder = tmp_path / "meshes"
    folder.mkdir()
    (folder / "a.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\nnan 1 0\n3 0 1 2\n")
    (folder / "b.off").write_text("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n")
    fix = "give a mesh with faces, or a cloud as .ply, .npz or .npy"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status, output, error = view(folder)
        assert (status, output) == (2, "")
        assert "none of 2 files can be drawn (1 coordinates not finite, 1 no faces)\n" in error
        (folder / "b.off").unlink()
        np.save(folder / "c.npy", np.random.default_rng(0).normal(size=(99, 3)))
        status, output, error = view(folder)
    assert (status, error) == (0, "")
    assert output == f"left out 1: coordinates not finite; {fix} ({folder / 'a.off'})\n{tmp_path / 'meshes.png'}: 1 shape\n"
    (folder / "d.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\nnan 2 0\n3 0 1 2\n")
    assert f"left out 2: coordinates not finite; {fix} ({folder / 'a.off'} and 1 more)\n" in view(folder)[1]


@pytest.mark.parametrize("options", [(), ("--out", "a.png")])
def test_folders_of_nothing_that_can_be_shown_are_refused(tmp_path, options):
    status, output, error = view(tmp_path, *options)
    assert (status, output) == (2, "")
    assert f"{tmp_path}: folder without meshes or clouds; give a file of molecules, or a folder of shapes\n" in error


def test_files_in_which_another_axis_points_up_stand_upright(tmp_path):
    tower = np.random.default_rng(0).uniform(-1, 1, (300, 3)) * [0.1, 0.2, 1.0]
    np.savez(tmp_path / "z.npz", points=tower[None])
    np.savez(tmp_path / "y.npz", points=(tower @ turning("z", "y").T)[None])
    box = trimesh.creation.box((0.2, 0.4, 2.0))
    box.export(tmp_path / "z.obj")
    trimesh.Trimesh(box.vertices @ turning("z", "y").T, box.faces, process=False).export(tmp_path / "y.obj")
    for kind in ("npz", "obj"):
        for name, more in (("z", ()), ("y", ("--up", "y"))):
            assert view(tmp_path / f"{name}.{kind}", "--out", tmp_path / f"{name}.png", *more)[0] == 0
        assert (tmp_path / "z.png").read_bytes() == (tmp_path / "y.png").read_bytes()
    prepare(open_source(str(tmp_path / "z.npz"), up="z"), tmp_path / "set", points=64)
    write_sdf(tmp_path / "a.sdf", [Molecule.from_smiles("CCO")])
    for path, words in ((tmp_path / "set", "a data set, which says what points up"), (tmp_path / "a.sdf", "does nothing for molecules")):
        status, _, error = view(path, "--up", "y", "--out", tmp_path / ("new.png" if path.is_dir() else "new.html"))
        assert (status, words in error) == (2, True)
    assert not [*tmp_path.glob("new*")]
