"""`molgen prepare` on shapes as a user calls it."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner

from molgen.cli import main
from molgen.shapes.data import PackedShapes
from molgen.shapes.export import write_cloud


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["prepare", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_procedural_shapes_are_packed_and_summarised(tmp_path):
    out = tmp_path / "out"
    status, output, error = invoke("procedural", "--out", out, "--num", 9, "--points", 32, "--kind", "vessels,lamp", "--workers", 1)
    assert (status, error) == (0, "")
    assert "read 9, kept 9, rejected 0" in output
    assert "9 shapes of 32 points, 7 classes: bottle 2, bowl 2, goblet 1" in output
    assert PackedShapes(out).points.shape == (9, 32, 3)
    assert "licence: MIT" in (out / "card.yaml").read_text()


def test_a_folder_of_meshes_is_recognised(tmp_path):
    (tmp_path / "in" / "brick").mkdir(parents=True)
    trimesh.creation.box().export(tmp_path / "in" / "brick" / "a.stl")
    status, output, _ = invoke(tmp_path / "in", "--out", tmp_path / "out", "--points", 16, "--up", "y", "--normalise", "global")
    assert status == 0
    assert "fewer than two classes" in output
    assert PackedShapes(tmp_path / "out").statistics.up == "y"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["procedural", "--kind", "spoon"], "--kind spoon: unknown; known: furniture, vessels, vehicles, chair"),
        (["procedural", "--label", "x"], "--label makes no sense for shapes"),
        (["IN/x.sdf", "--points", "3"], "--points makes no sense for molecules"),
        (["IN/none.stl"], "no such file or folder; expected a folder of meshes"),
        (["IN/meshes", "--num", "3"], "--num and --kind are for the source procedural"),
        (["IN/meshes"], "none of 1 record can be used; first: record 1 (flat.off): no faces"),
        (["IN/none"], "shapes (.npz, .npy, or a folder of meshes or clouds), or a word: qm9, procedural, modelnet, shapenet"),
        (["IN/no.txt"], "unknown suffix '.txt'; expected molecules (.sdf, .sd, .mol, .xyz"),
        (["IN/flat.npy"], "expected an array of shape (shapes, points, 3), got (2, 5, 2)"),
        (["IN/broken.npz"], "not a readable .npz of plain arrays"),
        (["modelnet", "--root", "IN"], "no ModelNet here"),
        (["shapenet", "--root", "IN"], "no ShapeNet here"),
        (["procedural", "--num", "3", "--split", "0.5,0.4"], "expected 'official', or two or three positive fractions"),
    ],
)
def test_bad_input_gives_one_line_and_nothing_is_written(tmp_path: Path, arguments: list[str], line: str):
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "flat.off").write_text("OFF\n1 0 0\n0 0 0\n")
    (tmp_path / "no.txt").write_text("no")
    np.save(tmp_path / "flat.npy", np.zeros((2, 5, 2)))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    before = sorted(tmp_path.rglob("*"))
    status, output, error = invoke(*(argument.replace("IN", str(tmp_path)) for argument in arguments), "--out", tmp_path / "out")
    assert status == 2
    assert output == ""
    assert line in error
    assert error.count("\n") <= 5
    assert sorted(tmp_path.rglob("*")) == before


def test_a_split_without_shapes_keeps_what_is_finished(tmp_path):
    words = ("procedural", "--out", tmp_path / "out", "--num", 2, "--points", 8, "--workers", 1)
    status, _, error = invoke(*words, "--split", "0.9,0.1")
    assert (status, "part 'valid' gets no shape" in error, "out.partial keeps 2 finished records" in error) == (2, True, True)
    assert invoke(*words, "--split", "0.5,0.5")[0] == 0
    assert not (tmp_path / "out.partial").exists()


def test_points_are_those_of_the_seed(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert invoke("procedural", "--out", tmp_path / name, "--num", 2, "--points", 16, "--workers", 1, "--seed", seed)[0] == 0
    a, b, c = (PackedShapes(tmp_path / name).points for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_classes_without_usable_shapes_are_left_out_and_that_of_loose_files_is_told(tmp_path):
    folder = tmp_path / "in"
    for name in ("good", "bad"):
        (folder / name).mkdir(parents=True)
    (folder / "bad" / "a.off").write_text("OFF\n1 0 0\n0 0 0\n")
    (folder / "bad" / "b.off").write_text("")
    status, _, error = invoke(folder, "--out", tmp_path / "out", "--points", 16)
    assert (status, "in: none of 2 records can be used (1 no faces, 1 empty file); first: record 1 (bad/a.off): no faces" in error) == (
        2,
        True,
    )
    trimesh.creation.box().export(folder / "good" / "a.stl")
    status, output, _ = invoke(folder, "--out", tmp_path / "one", "--points", 16)
    assert (status, "1 classes: good 1\n" in output, "files directly in" in output) == (0, True, False)
    trimesh.creation.box((1, 2, 3)).export(folder / "top.stl")
    status, output, _ = invoke(folder, "--out", tmp_path / "two", "--points", 16)
    assert (status, "2 classes: good 1, in 1\n" in output) == (0, True)
    assert f"  note: files directly in {folder} are the class in: 1, such as top.stl\n" in output
    assert PackedShapes(tmp_path / "two").category.tolist() == [0, 1]
    assert PackedShapes(tmp_path / "two").statistics.categories == ("good", "in")


def test_folders_of_clouds_are_packed_by_class(tmp_path):
    clouds = np.random.default_rng(0).normal(size=(5, 20, 3))
    for part in ("train", "val"):
        (tmp_path / "in" / "ball" / part).mkdir(parents=True)
    (tmp_path / "in" / "cube" / "train").mkdir(parents=True)
    np.save(tmp_path / "in" / "ball" / "train" / "a.npy", clouds[0])
    np.save(tmp_path / "in" / "ball" / "val" / "b.npy", clouds[1:2])
    np.savez(tmp_path / "in" / "cube" / "train" / "c.npz", points=clouds[2:3], normals=np.tile([0, 0, 1.0], (1, 20, 1)))
    write_cloud(tmp_path / "in" / "cube" / "train" / "d.ply", clouds[3])
    np.save(tmp_path / "in" / "cube" / "train" / "e.npy", clouds)
    np.save(tmp_path / "in" / "cube" / "train" / "f.npy", clouds[:, :, 0])
    (tmp_path / "in" / "cube" / "train" / "g.npy").write_bytes(b"")
    status, output, error = invoke(tmp_path / "in", "--out", tmp_path / "out", "--points", 20, "--split", "official", "--workers", 1)
    assert (status, error) == (0, "")
    for reason in ("several clouds in one file of a folder; prepare it by itself", "no points (n, 3)", "not readable as npy"):
        assert f"rejected 1: {reason}\n" in output
    train, valid = PackedShapes(tmp_path / "out" / "train"), PackedShapes(tmp_path / "out" / "valid")
    assert train.names == ["ball/train/a.npy", "cube/train/c.npz", "cube/train/d.ply"]
    assert (train.statistics.category_counts, valid.statistics.category_counts) == ((1, 2), (1, 0))
    for data, index, cloud in ((train, 0, clouds[0]), (train, 1, clouds[2]), (train, 2, clouds[3]), (valid, 0, clouds[1])):
        stored = data.cloud(index) * data.scale[index] + data.centre[index]
        gaps = np.linalg.norm(stored[:, None] - cloud, axis=-1)
        assert max(gaps.min(0).max(), gaps.min(1).max()) < 5e-3  # of float16
    np.testing.assert_allclose(train.normals[1] / 127, np.tile([0, 0, 1.0], (20, 1)))
    for number, points in enumerate((clouds[:3], clouds[0])):
        np.save(tmp_path / "some.npy", points)
        status, output, _ = invoke(tmp_path / "some.npy", "--out", tmp_path / f"out{number}", "--points", 20)
        assert (status, f"read {3 - 2 * number}, kept {3 - 2 * number}, rejected 0" in output) == (0, True)
    status, _, error = invoke(tmp_path / "out", "--out", tmp_path / "again")
    assert (status, "out: holds no mesh or cloud; expected files that end with .off" in error) == (2, True)  # a packed data set


def test_repeated_files_are_left_out_and_all_rejected_ones_are_named(tmp_path):
    folder = tmp_path / "in"
    for part in ("test", "train"):
        (folder / "cube" / part).mkdir(parents=True)
    for name, size in (("test/a.off", 1), ("train/b.off", 1), ("train/c.off", 2), ("train/d.off", 1)):
        trimesh.creation.box((1, 1, size)).export(folder / "cube" / name)
    (folder / "cube" / "train" / "e.off").write_text("OFF\n1 0 0\n0 0 0\n")
    options = ("--points", 16, "--split", "official", "--workers", 1)
    status, output, error = invoke(folder, "--out", tmp_path / "out", *options)
    assert (status, error) == (0, "")
    assert "read 5, kept 2, rejected 3" in output
    assert "  rejected 2: repeats another file\n" in output
    assert f"  all rejected: {tmp_path / 'out' / 'rejected.tsv'}\n" in output
    assert (tmp_path / "out" / "rejected.tsv").read_text().splitlines() == [
        "cube/train/b.off\trepeats another file: cube/test/a.off",
        "cube/train/d.off\trepeats another file: cube/test/a.off",
        "cube/train/e.off\tno faces",
    ]
    assert (PackedShapes(tmp_path / "out" / "test").names, PackedShapes(tmp_path / "out" / "train").names) == (
        ["cube/test/a.off"],
        ["cube/train/c.off"],
    )
    assert "passed over" not in output


def test_files_that_are_neither_meshes_nor_clouds_are_counted(tmp_path):
    folder = tmp_path / "in"
    (folder / "cube").mkdir(parents=True)
    trimesh.creation.box().export(folder / "cube" / "a.off")
    (folder / "cube" / "b.dae").write_text("<COLLADA/>")
    status, output, _ = invoke(folder, "--out", tmp_path / "one", "--points", 16)
    assert (status, "  note: 1 other file was passed over (.dae)\n" in output) == (0, True)
    assert not (tmp_path / "one" / "rejected.tsv").exists()
    (folder / "c.dae").write_text("<COLLADA/>")
    (folder / "LICENSE").write_text("free")
    (folder / ".hidden").write_text("")
    (folder / "cube" / "d.xyz").write_text("1\nargon\nAr 0 0 0\n")
    (folder / "cube" / "e.xyz").write_text("".join(f"{k} {k % 3} {k % 5}\n" for k in range(20)))
    status, output, _ = invoke(folder, "--out", tmp_path / "two", "--points", 16)
    assert (status, "read 2, kept 2" in output) == (0, True)
    assert "  note: 4 other files were passed over (.dae 2, LICENSE 1, .xyz 1)\n" in output


def test_a_file_of_rows_is_prepared_as_one_cloud(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{k},{k % 3},{k % 5},0,0,1\n" for k in range(20)))
    status, output, _ = invoke(tmp_path / "a.txt", "--out", tmp_path / "out", "--points", 16)
    assert (status, "read 1, kept 1" in output) == (0, True)
    np.testing.assert_allclose(PackedShapes(tmp_path / "out").normals[0] / 127, np.tile([0, 0, 1.0], (16, 1)))


def test_the_key_of_an_archive_without_points_is_told(tmp_path):
    np.savez(tmp_path / "a.npz", clouds=np.zeros((2, 5, 3)))
    status, _, error = invoke(tmp_path / "a.npz", "--out", tmp_path / "out")
    assert (status, "got none; the file has 'clouds': save the array of points under the name 'points'" in error) == (2, True)


def test_help_shows_the_options_by_domain():
    status, output, _ = invoke("--help")
    molecules, _, shapes = output.partition("Options for shapes:")
    assert (status, "--label" in molecules, "--kind" in molecules, "--kind" in shapes, "--label" in shapes) == (0, True, False, True, False)
    assert "For sources of shapes the options differ: molgen prepare SOURCE --help" in " ".join(shapes.split())
    status, output, _ = invoke("procedural", "--help")
    assert (status, "--kind" in output, "--out" in output, "--label" in output) == (0, True, True, False)


def test_an_option_of_the_other_domain_is_refused_in_one_line():
    hint = "(see molgen prepare --help)\n"
    for words, line in (
        (("procedural", "--label", "x"), "--label makes no sense for shapes, and procedural is a source of them"),
        (("--points", "3", "a.sdf"), "--points makes no sense for molecules, and a.sdf is a source of them"),
    ):
        status, output, error = invoke(*words, "--out", "out")
        assert (status, output, error) == (2, "", f"molgen: error: {line} {hint}")
    assert invoke("procedural", "--lable", "x", "--out", "out")[2] == f"molgen: error: No such option '--lable' {hint}"
