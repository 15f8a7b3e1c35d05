"""`molgen sample` as a user calls it, with the weights that ship: files of every format, resuming, and one line on bad input."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.cli import main
from molgen.molecules.export import read_molecules

WEIGHTS = Path(__file__).parents[2] / "molgen" / "weights" / "qm9"
FAST = ("--steps", 5, "--keep-invalid", "--num", 3)
pytestmark = pytest.mark.skipif(not (WEIGHTS / "model.safetensors").is_file(), reason="no weights in this tree")


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error; nothing is raised."""
    result = CliRunner().invoke(main, ["sample", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def sampled(out: Path, *options: object) -> list:
    """Records of a run that must succeed in silence."""
    status, output, error = invoke("qm9", *FAST, "--out", out, *options)
    assert (status, error) == (0, "")
    assert f"{out}: asked " in output
    assert not list(out.parent.glob("*.partial*"))
    return list(read_molecules(out))


def refused(folder: Path, *arguments: object) -> str:
    """The one line of an error; checks status 2 and that nothing was written."""
    before = {path: path.stat().st_size for path in folder.rglob("*")}
    status, _, error = invoke(*arguments)
    assert status == 2, error
    assert error.count("\n") == 1
    assert error.startswith("molgen: error: ")
    assert {path: path.stat().st_size for path in folder.rglob("*")} == before
    return error


def same(first, second) -> bool:
    """Equal graphs, and coordinates equal but for the rounding of another batch."""
    return (
        np.array_equal(first.atomic_numbers, second.atomic_numbers)
        and np.array_equal(first.bonds, second.bonds)
        and np.array_equal(first.charges, second.charges)
        and np.allclose(first.positions, second.positions, atol=2e-3)
    )


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz"])
def test_records_carry_what_made_them(tmp_path, suffix):
    molecules = sampled(tmp_path / f"a{suffix}", "--seed", 7, "--property", "gap_xtb=6.5", "--property", "logp=1")
    assert [molecule.properties["index"] for molecule in molecules] == [0, 1, 2]
    for molecule in molecules:
        assert molecule.properties["passed"] in ("True", "False")
        tags = {name: molecule.properties[name] for name in ("seed", "model", "steps", "requested_gap_xtb", "requested_logp")}
        assert tags == {"seed": 7, "model": "qm9", "steps": 5, "requested_gap_xtb": 6.5, "requested_logp": 1.0}


def test_smiles_are_one_line_a_molecule(tmp_path):
    status, _, _ = invoke("qm9", *FAST, "--out", tmp_path / "a.smi")
    assert status == 0
    assert len((tmp_path / "a.smi").read_text().splitlines()) == 3


def test_format_overrules_the_suffix(tmp_path):
    status, _, _ = invoke("qm9", *FAST, "--out", tmp_path / "a.txt", "--format", "xyz")
    assert status == 0
    assert len(list(read_molecules(tmp_path / "a.txt", "xyz"))) == 3


def test_the_same_seed_gives_the_same_file(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        sampled(tmp_path / f"{name}.sdf", "--seed", seed)
    assert (tmp_path / "a.sdf").read_bytes() == (tmp_path / "b.sdf").read_bytes()
    assert (tmp_path / "a.sdf").read_bytes() != (tmp_path / "c.sdf").read_bytes()


def test_molecules_that_pass_are_really_drawn_in_another_process(tmp_path):
    command = [sys.executable, "-m", "molgen", "sample", "qm9", "--num", "2", "--steps", "20", "--out", "a.sdf", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.sdf: asked 2, wrote 2, drawn ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.sdf"]
    assert [molecule.properties["passed"] for molecule in read_molecules(tmp_path / "a.sdf")] == ["True", "True"]


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz"])
@pytest.mark.parametrize("cut", [5, 25, 60, 400])
def test_resumed_file_is_that_of_an_uninterrupted_run(tmp_path, suffix, cut):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    expected = sampled(whole)
    if suffix == ".sdf":  # inside the last record: its end, its tags, its bonds
        (tmp_path / "out.sdf.partial").write_bytes(whole.read_bytes()[:-cut])
    else:
        partial = tmp_path / "out.sdf.gz.partial"
        partial.write_bytes(gzip.compress(gzip.decompress(whole.read_bytes())[:-cut])[:-9])
    found = sampled(out, "--resume")
    assert [molecule.properties for molecule in found] == [molecule.properties for molecule in expected]
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_resume_goes_on_with_a_complete_file_and_leaves_a_finished_one(tmp_path):
    expected = sampled(tmp_path / "whole.sdf", "--num", 5)
    sampled(tmp_path / "out.sdf")
    found = sampled(tmp_path / "out.sdf", "--num", 5, "--resume")
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    before = (tmp_path / "out.sdf").read_bytes()
    status, output, _ = invoke("qm9", *FAST, "--num", 5, "--out", tmp_path / "out.sdf", "--resume")
    assert status == 0
    assert "wrote 5, drawn 0" in output
    assert (tmp_path / "out.sdf").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (("--seed", 1), "seed 0.*not seed 1"),
        (("--steps", 6), "steps 5.*not.*steps 6"),
        (("--property", "logp=2"), "requested_logp 1.0.*requested_logp 2.0"),
        (("--property", "logp=1", "--size", 4), "does not fit --size"),
    ],
)
def test_resume_of_another_request_is_refused(tmp_path, other, words):
    sampled(tmp_path / "out.sdf", "--property", "logp=1")
    more = other if "--property" in other else ("--property", "logp=1", *other)
    error = refused(tmp_path, "qm9", *FAST, "--out", tmp_path / "out.sdf", "--resume", *more)
    assert re.search(words, error), error


@pytest.mark.parametrize(("text", "sizes"), [("12", {12}), ("10-12", {10, 11, 12})])
def test_size(tmp_path, text, sizes):
    assert {len(molecule) for molecule in sampled(tmp_path / "a.sdf", "--size", text, "--num", 8)} <= sizes


def test_value_outside_the_training_range_warns_and_goes_on(tmp_path):
    status, _, error = invoke("qm9", *FAST, "--out", tmp_path / "a.sdf", "--property", "gap_xtb=60")
    assert status == 0
    assert error.startswith("molgen: warning: gap_xtb=60 eV is outside the training range")
    assert error.count("\n") == 1


@pytest.mark.parametrize("suffix", [".xyz", ".sdf"])
def test_trajectory_has_a_record_a_step_and_ends_in_the_first_draw(tmp_path, suffix):
    first, *_ = sampled(tmp_path / "a.sdf", "--trajectory", tmp_path / f"t{suffix}")
    steps = list(read_molecules(tmp_path / f"t{suffix}"))
    assert [step.properties["step"] for step in steps] == [0, 1, 2, 3, 4]
    assert steps[-1].properties["time"] == 0
    assert np.array_equal(steps[-1].atomic_numbers, first.atomic_numbers)
    np.testing.assert_allclose(steps[-1].positions, first.positions, atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--property", "hommo=1"), "unknown property 'hommo'; it was trained with homo_b3lyp"),
        (("--property", "logp"), "expected NAME=VALUE"),
        (("--property", "logp=nan"), "expected a number"),
        (("--property", "logp=1", "--property", "logp=2"), "given twice"),
        (("--guidance", "nan"), "expected a number"),
        *[(("--size", text), "expected a number of atoms") for text in ("0", "x", "12-", "-3", "20-10", "1-2-3", "²", "5-99999999999")],
        (("--num", 0), "--num"),
        (("--steps", 0), "--steps"),
        (("--device", "abacus"), "device abacus: not usable here"),
        (("--trajectory", "missing/t.xyz"), "missing does not exist"),
        (("--trajectory", "t.smi"), "SMILES have no coordinates"),
        (("--trajectory", "t.pdb"), "expected a file name ending in"),
    ],
)
def test_bad_options_give_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(tmp_path, "qm9", "--out", "a.sdf", "--steps", 5, *arguments)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("missing/a.sdf", "folder missing does not exist"),
        (".", "expected a file name"),
        ("a.pdb", "ending in .sdf"),
        ("d.sdf", "is a folder"),
    ],
)
def test_bad_places_give_one_line(tmp_path, monkeypatch, out, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.sdf").mkdir()
    assert words in refused(tmp_path, "qm9", *FAST, "--out", out)


def test_unwritable_folder(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "ermission" in refused(tmp_path, "qm9", *FAST, "--out", folder / "a.sdf")


def test_resume_needs_sdf_and_a_file_of_this_command(tmp_path):
    assert "only SDF files" in refused(tmp_path, "qm9", *FAST, "--out", tmp_path / "a.xyz", "--resume")
    sampled(tmp_path / "a.sdf")
    text = (tmp_path / "a.sdf").read_text().replace("<index>", "<number>")
    (tmp_path / "a.sdf").write_text(text)
    assert "record 1 is not from `molgen sample`" in refused(tmp_path, "qm9", *FAST, "--out", tmp_path / "a.sdf", "--resume")


def test_damaged_models_give_one_line(tmp_path):
    out = ("--out", tmp_path / "a.sdf")
    assert "neither a folder nor a model that ships (qm9" in refused(tmp_path, "qm8", *out)
    (tmp_path / "empty").mkdir()
    assert "no model.safetensors here" in refused(tmp_path, tmp_path / "empty", *out)
    (tmp_path / "m.pt").write_bytes(b"\x80\x04.")
    assert "a pickle may run code" in refused(tmp_path, tmp_path / "m.pt", *out)
    copy = tmp_path / "copy"
    shutil.copytree(WEIGHTS, copy)
    weights = (copy / "model.safetensors").read_bytes()
    for broken in (weights[:-1000], weights[:4], b"", b"\x80\x04." * 100):
        (copy / "model.safetensors").write_bytes(broken)
        assert "truncated or not safetensors" in refused(tmp_path, copy, *out)
    (copy / "model.safetensors").write_bytes(weights)
    for name, words in (("config.yaml", "missing beside"), ("statistics.json", "not found")):
        (copy / name).unlink()
        assert words in refused(tmp_path, copy, *out)
        shutil.copy(WEIGHTS / name, copy / name)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("layers: 5", "layers: 4"))
    assert "does not fit config.yaml" in refused(tmp_path, copy / "model.safetensors", *out)
    for text in ("", "[1", "a: b"):
        (copy / "config.yaml").write_text(text)
        assert "config.yaml" in refused(tmp_path, copy, *out)
