"""`molgen compare` of shapes, on boxes and balls whose differences are known."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.cli import main

RNG = np.random.default_rng(0)


def invoke(*words):
    result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Four sets of ellipsoids: three of one kind, and one of another, a third of which is in two pieces."""
    folder = tmp_path_factory.mktemp("sets")
    for name, low, high, broken in (("real", 0.3, 0.5, 0), ("first", 0.3, 0.5, 0), ("same", 0.3, 0.5, 0), ("long", 0.8, 1.0, 12)):
        points = RNG.normal(size=(36, 128, 3))
        points *= RNG.uniform(low, high, (36, 1, 1)) ** np.array([0, 1, 1]) / np.linalg.norm(points, axis=-1, keepdims=True)
        points[:broken, :64] += [0, 0, 6]
        np.savez(folder / f"{name}.npz", points=points)
    return folder


def test_only_real_differences_of_shapes_are_marked(sets):
    words = [*(sets / f"{name}.npz" for name in ("first", "same", "long")), "--reference", sets / "real.npz", "--points", 128]
    status, output = invoke("compare", *words, "--json", sets / "out.json")
    assert status == 0, output
    content = json.loads((sets / "out.json").read_text())
    found = {(entry["file"], entry["metric"]): entry for entry in content["differences"]}
    assert all(entry["p"] > 0.05 for (name, _), entry in found.items() if name == "same.npz")
    for metric, sign in (("cd_nna", 1), ("cd_mmd", 1), ("cd_coverage", -1), ("whole", -1)):
        assert found["long.npz", metric]["p"] < 0.05, metric
        assert np.sign(found["long.npz", metric]["difference"]) == sign
    assert found["long.npz", "whole"]["difference"] <= -12 / 36  # sparse ones fall apart as well
    rows = [line.split() for line in output.splitlines()]
    assert any(row[:1] == ["long.npz"] and "-" in row and "*" in row for row in rows)
    assert not any(row[:1] == ["same.npz"] and {"-", "+", "*"} & {*row} for row in rows)


def test_a_handful_of_shapes_is_not_compared(sets):
    words = ["compare", *(sets / f"{name}.npz" for name in ("first", "long")), "--reference", sets / "real.npz", "--points", 128]
    for limit, compared in ((19, False), (20, True)):
        status, output = invoke(*words, "--limit", limit, "--json", sets / "few.json")
        assert status == 0, output
        found = {entry["metric"]: entry["p"] for entry in json.loads((sets / "few.json").read_text())["differences"]}
        assert all((p is not None) == compared for p in found.values())
        line = "no differences are marked between first.npz, long.npz and others: fewer than 20 records tell too little\n"
        assert output.endswith(line) != compared


def test_a_set_is_scored_as_if_it_were_alone(sets):
    """Where all are of one size, which the sets of a comparison are cut to."""
    options = ["--reference", sets / "real.npz", "--train", sets / "same.npz", "--points", 128, "--json"]
    invoke("evaluate", sets / "long.npz", *options, sets / "alone.json")
    invoke("compare", sets / "first.npz", sets / "long.npz", *options, sets / "both.json")
    alone, both = (json.loads((sets / f"{name}.json").read_text()) for name in ("alone", "both"))
    assert both["files"][1]["metrics"] == alone["samples"]["metrics"]
    assert both["reference"]["metrics"] == alone["reference"]["metrics"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["{sets}/first.npz"], "expected at least two sets to compare, got one"),
        (["{sets}/first.npz", "{sets}/same.npz"], "give them with --reference DATA"),
        (["{sets}/first.npz", "{sets}/absent.npz", "--reference", "{sets}/real.npz"], "absent.npz: "),
        (["{sets}/first.npz", "{sets}/same.npz", "--relax"], "--relax makes no sense for shapes"),
    ],
)
def test_what_cannot_be_compared_is_refused(sets, words, line):
    result = CliRunner().invoke(main, ["compare", *(word.format(sets=sets) for word in words)])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert line in result.output


def test_sets_of_another_scale_or_axis_are_told(sets, tmp_path):
    points = np.load(sets / "same.npz")["points"]
    np.savez(tmp_path / "large.npz", points=300 * points)
    for up, name in (("y", "lying"), ("z", "standing")):
        assert invoke("prepare", sets / "same.npz", "--out", tmp_path / name, "--points", 128, "--up", up)[0] == 0
    words = ["compare", sets / "same.npz", tmp_path / "large.npz", "--points", 128, "--limit", 4, "--reference", sets / "first.npz"]
    status, output = invoke(*words)
    assert status == 0
    (line,) = (line for line in output.splitlines() if "as far from the centre" in line)
    before, after = line.split(" times as far from the centre as those of first.npz; ")
    assert before.startswith("large.npz: 4 records")
    assert 200 < float(before.split("points of large.npz are ")[1]) < 450
    assert after == "--rescale scales every shape to the unit sphere"
    assert "as far from" not in invoke(*words, "--rescale")[1]
    output = invoke("evaluate", tmp_path / "lying", "--reference", tmp_path / "standing", "--points", 128, "--limit", 4)[1]
    assert "note: y points up in lying, z in standing; prepare lying anew with --up y --turn z\n" in output
    assert "points up" not in invoke("evaluate", sets / "same.npz", "--reference", tmp_path / "standing", "--points", 128, "--limit", 4)[1]
