"""`molgen prepare` on shapes as a user calls it."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner

from molgen.cli import main
from molgen.shapes.data import PackedShapes


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
        (["IN/meshes"], "none of 1 records can be used; first: record 1 (flat.off): no faces"),
        (["IN/broken.npz"], "not a readable .npz of plain arrays"),
        (["modelnet", "--root", "IN"], "no ModelNet here"),
        (["shapenet", "--root", "IN"], "no ShapeNet here"),
        (["procedural", "--num", "3", "--split", "0.5,0.4"], "expected 'official', or two or three positive fractions"),
    ],
)
def test_bad_input_gives_one_line_and_nothing_is_written(tmp_path: Path, arguments: list[str], line: str):
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "flat.off").write_text("OFF\n1 0 0\n0 0 0\n")
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
