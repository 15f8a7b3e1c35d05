"""`molgen sample` as a user calls it, with the weights that ship: files of every format, resuming, and one line on bad input."""

import csv
import gzip
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import plain
import pytest
from click.testing import CliRunner

from molgen.checkpoint import find_checkpoint
from molgen.cli import main
from molgen.errors import InputError
from molgen.files import Claim, shipped
from molgen.molecules.export import complete_records, read_molecules
from molgen.molecules.values import as_value

WEIGHTS = Path(__file__).parents[2] / "molgen" / "weights" / "qm9_small"
FAST = ("--steps", 5, "--keep-invalid", "--num", 3)
pytestmark = pytest.mark.skipif(not (WEIGHTS / "model.safetensors").is_file(), reason="no weights in this tree")


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error; nothing is raised."""
    result = CliRunner().invoke(main, ["sample", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def sampled(out: Path, *options: object) -> list:
    """Records of a run that must succeed in silence."""
    status, output, error = invoke("qm9_small", *FAST, "--out", out, *options)
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
        assert molecule.properties["passed"] in (True, False)
        measured = {name for name in molecule.properties if name.startswith("measured_")}
        assert measured == ({"measured_gap_xtb", "measured_logp"} if molecule.properties["passed"] else set())
        tags = {name: value for name, value in molecule.properties.items() if name not in ("index", "passed", "smiles", *measured)}
        assert tags == {
            "title": f"qm9_small_7_{molecule.properties['index']}",
            "seed": 7,
            "model": "qm9_small",
            "steps": 5,
            "guidance": 1.0,
            "candidates": 4,
            "keep_invalid": True,
            "requested_gap_xtb": 6.5,
            "requested_logp": 1.0,
        }


def test_smiles_are_one_line_a_molecule(tmp_path):
    status, _, _ = invoke("qm9_small", *FAST, "--out", tmp_path / "a.smi")
    assert status == 0
    assert len((tmp_path / "a.smi").read_text().splitlines()) == 3


def test_format_overrules_the_suffix(tmp_path):
    status, _, _ = invoke("qm9_small", *FAST, "--out", tmp_path / "a.txt", "--format", "xyz")
    assert status == 0
    assert len(list(read_molecules(tmp_path / "a.txt", "xyz"))) == 3


def test_the_same_seed_gives_the_same_file(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        sampled(tmp_path / f"{name}.sdf", "--seed", seed)
    assert (tmp_path / "a.sdf").read_bytes() == (tmp_path / "b.sdf").read_bytes()
    assert (tmp_path / "a.sdf").read_bytes() != (tmp_path / "c.sdf").read_bytes()


def test_molecules_that_pass_are_really_drawn_in_another_process(tmp_path):
    command = [sys.executable, "-m", "molgen", "sample", "qm9_small", "--num", "2", "--steps", "20", "--out", "a.sdf", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.sdf: asked 2, wrote 2, drawn ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.sdf"]
    assert [molecule.properties["passed"] for molecule in read_molecules(tmp_path / "a.sdf")] == [True, True]


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz"])
@pytest.mark.parametrize("cut", [5, 25, 60, 400])
def test_resumed_file_is_that_of_an_uninterrupted_run(tmp_path, suffix, cut):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    sampled(whole)
    if suffix != ".sdf.gz":  # inside the last record: its end, its tags, its bonds
        (tmp_path / f"out{suffix}.partial").write_bytes(whole.read_bytes()[:-cut])
    else:
        partial = tmp_path / "out.sdf.gz.partial"
        partial.write_bytes(gzip.compress(gzip.decompress(whole.read_bytes())[:-cut])[:-9])
    sampled(out, "--resume")
    opened = gzip.open if suffix == ".sdf.gz" else open
    with opened(out) as made, opened(whole) as uncut:
        assert made.read() == uncut.read()


def test_how_far_requests_were_missed_is_told(tmp_path):
    asked = ("--property", "logp=1..2", "--property", "gap_xtb=5", "--candidates", 2, "--size", 12, "--steps", 12)
    status, output, error = invoke("qm9_small", *asked, "--num", 3, "--out", tmp_path / "a.sdf", "--device", "cpu")
    assert status == 0, error
    found = [molecule.properties for molecule in read_molecules(tmp_path / "a.sdf")]
    for name in ("logp", "gap_xtb"):
        mean = np.mean([abs(tags[f"measured_{name}"] - tags[f"requested_{name}"]) for tags in found])
        assert f"\n  {name}: {mean:.3g} from what was asked for on average, each the nearest of 2\n" in output
    free = ("--num", 1, "--steps", 12, "--size", 12, "--out", tmp_path / "b.sdf", "--device", "cpu")
    assert "asked for on average" not in invoke("qm9_small", *free)[1]


def test_a_resumed_file_of_requests_is_that_of_an_uninterrupted_run(tmp_path):
    asked = ("--property", "logp=0..1", "--candidates", 2)
    sampled(tmp_path / "whole.sdf", *asked)
    (tmp_path / "out.sdf.partial").write_bytes((tmp_path / "whole.sdf").read_bytes()[:-60])
    sampled(tmp_path / "out.sdf", "--resume", *asked)
    assert (tmp_path / "out.sdf").read_bytes() == (tmp_path / "whole.sdf").read_bytes()


def test_resume_goes_on_with_a_complete_file_and_leaves_a_finished_one(tmp_path):
    expected = sampled(tmp_path / "whole.sdf", "--num", 5)
    sampled(tmp_path / "out.sdf")
    found = sampled(tmp_path / "out.sdf", "--num", 5, "--resume")
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    before = (tmp_path / "out.sdf").read_bytes()
    status, output, _ = invoke("qm9_small", *FAST, "--num", 5, "--out", tmp_path / "out.sdf", "--resume")
    assert status == 0
    assert output.endswith("out.sdf: asked 5, all 5 were there, nothing to draw\n")
    assert (tmp_path / "out.sdf").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (("--seed", 1), "seed 0.*not seed 1"),
        (("--steps", 6), "steps 5.*not.*steps 6"),
        (("--property", "logp=2"), "requested_logp 1.0.*requested_logp 2.0"),
        (("--guidance", 3), "guidance 1.0.*guidance 3.0"),
        (("--candidates", 2), "candidates 4.*candidates 2"),
        (("--size", "8-20"), "size 8-9.*size 8-20"),
    ],
)
def test_resume_of_another_request_is_refused(tmp_path, other, words):
    other = other if "--size" in other else (*other, "--size", "8-9")
    sampled(tmp_path / "out.sdf", "--property", "logp=1", "--size", "8-9")
    more = other if "--property" in other else ("--property", "logp=1", *other)
    error = refused(tmp_path, "qm9_small", *FAST, "--out", tmp_path / "out.sdf", "--resume", *more)
    assert re.search(words, error), error


def test_resume_with_another_check_is_refused(tmp_path):
    loose = ("qm9_small", "--steps", 2, "--num", 2, "--out", tmp_path / "a.sdf")
    assert invoke(*loose, "--keep-invalid")[0] == 0
    assert "made with keep_invalid True, not no keep_invalid" in refused(tmp_path, *loose, "--resume")


def test_ctrl_c_keeps_what_is_written_and_the_run_goes_on(tmp_path):
    process = plain.Started(plain.MOLGEN, ["sample", "qm9_small", *FAST, "--num", 100_000, "--size", "5-8", "--out", "a.sdf"], tmp_path)
    deadline = time.monotonic() + 120
    partial = tmp_path / "a.sdf.partial"
    while not (partial.is_file() and partial.stat().st_size > 4000) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    number = int(re.fullmatch(r"molgen: interrupted: a.sdf.partial keeps (\d+) records to resume from\n", error)[1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.sdf.partial"]
    assert "a.sdf.partial: left by an interrupted run; go on with --resume" in refused(
        tmp_path, "qm9_small", *FAST, "--out", tmp_path / "a.sdf"
    )
    found = sampled(tmp_path / "a.sdf", "--num", number + 1, "--size", "5-8", "--resume")
    indices = [molecule.properties["index"] for molecule in found]  # the screen may have withheld some
    assert indices == sorted(set(indices))
    assert len(indices) == number + 1
    expected = sampled(tmp_path / "b.sdf", "--num", 3, "--size", "5-8")
    assert all(same(a, b) for a, b in zip(found[:3], expected, strict=True))


def test_a_table_has_a_row_for_every_molecule(tmp_path):
    wanted = ("--num", 4, "--steps", 20, "--property", "logp=1", "--candidates", 2)
    for name in ("a.csv.gz", "a.sdf"):
        assert invoke("qm9_small", *wanted, "--out", tmp_path / name)[0] == 0
    with gzip.open(tmp_path / "a.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    molecules = list(read_molecules(tmp_path / "a.sdf"))
    assert [row["title"] for row in rows] == [f"qm9_small_0_{molecule.properties['index']}" for molecule in molecules]
    assert [row["smiles"] for row in rows] == [molecule.to_smiles() for molecule in molecules]
    assert all("@" not in molecule.properties["smiles"] for molecule in molecules)  # the tag tells graphs apart, the table has stereo
    for row, molecule in zip(rows, molecules, strict=True):
        assert {name: as_value(text) for name, text in row.items() if name != "smiles"} == {
            name: value for name, value in molecule.properties.items() if name != "smiles"
        }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv.gz", "a.sdf"]


def test_a_file_with_more_records_than_asked_for_is_not_gone_on_with(tmp_path):
    sampled(tmp_path / "a.sdf", "--num", 4)
    before = (tmp_path / "a.sdf").read_bytes()
    error = refused(tmp_path, "qm9_small", *FAST, "--num", 3, "--resume", "--out", tmp_path / "a.sdf")
    assert error.endswith("a.sdf: holds 4 records, more than --num 3; ask for at least 4, or take the first of that file\n")
    assert (tmp_path / "a.sdf").read_bytes() == before
    assert not (tmp_path / "a.sdf.partial").exists()


def test_a_run_that_comes_to_nothing_tells_what_it_keeps(tmp_path):
    few = ("--steps", 2, "--size", 3, "--num", 9, "--unique")  # of three atoms there are water and hydrogen cyanide
    status, _, error = invoke("qm9_small", *few, "--out", tmp_path / "a.sdf")
    assert status == 2
    kept = int(re.search(r"a.sdf.partial keeps (\d) records to resume from\n$", error)[1])
    assert 0 < kept < 9
    assert "draws in a row" in error
    assert len(list(complete_records(tmp_path / "a.sdf.partial", "sdf"))) == kept


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
@pytest.mark.parametrize(
    ("name", "left"), [("a.sdf", r"a.sdf.partial keeps [1-9]\d* records to resume from"), ("a.smi", "nothing was kept")]
)
def test_full_disk(tmp_path, name, left):
    limit = {"a.sdf": 8000, "a.smi": 300}[name]
    prelude = (
        f"import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit},) * 2)"
    )
    words = ("sample", "qm9_small", *FAST, "--num", 40, "--size", "9-12", "--out", name)
    process = plain.Started(f"{prelude}\n{plain.MOLGEN}", words, tmp_path)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    assert re.fullmatch(rf"molgen: error: {name}: file too large for the file system; {left}, make room or choose another place\n", error)
    assert [path.name for path in tmp_path.iterdir()] == ([f"{name}.partial"] if "keeps" in left else [])
    if "keeps" in left:
        number = int(re.search(r"keeps (\d+)", error)[1])
        assert len(sampled(tmp_path / name, "--num", number + 1, "--size", "9-12", "--resume")) == number + 1


@pytest.mark.parametrize(("text", "sizes"), [("12", {12}), ("10-12", {10, 11, 12}), ("9,11-12", {9, 11, 12})])
def test_size(tmp_path, text, sizes):
    assert {len(molecule) for molecule in sampled(tmp_path / "a.sdf", "--size", text, "--num", 8)} <= sizes


def test_value_outside_the_training_range_warns_and_goes_on(tmp_path):
    status, _, error = invoke("qm9_small", *FAST, "--out", tmp_path / "a.sdf", "--property", "gap_xtb=60")
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
        (("--guidance", "nan", "--property", "logp=1"), "expected a number"),
        (("--guidance", 3), "--guidance: does nothing without --property"),
        (("--steering", 0), "--steering: does nothing without --property"),
        (("--shape-strength", 3), "--shape-strength: does nothing without --shape"),
        (("--num", 3, "--target", "logp=1", "--keep-best", 1, "--from", 2), "--num: does nothing beside --keep-best"),
        *[(("--size", text), "expected numbers of atoms") for text in ("12,0", "12,")],
        *[(("--size", text), "expected numbers of atoms") for text in ("0", "x", "12-", "-3", "20-10", "1-2-3", "²", "5-99999999999")],
        (("--num", 0), "--num"),
        (("--steps", 0), "--steps"),
        (("--device", "abacus"), "device abacus: not usable here"),
        (("--trajectory", "missing/t.xyz"), "missing does not exist"),
        (("--trajectory", "t.smi"), "t.smi: expected a file name ending in .xyz or .sdf; others have no coordinates"),
        (("--trajectory", "t.pdb"), "expected a file name ending in"),
    ],
)
def test_bad_options_give_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(tmp_path, "qm9_small", "--out", "a.sdf", "--steps", 5, *arguments)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("missing/a.sdf", "folder missing does not exist"),
        (".", "is a folder; expected a file that ends in .sdf"),
        ("a.pdb", "ending in .sdf"),
        ("d.sdf", "is a folder"),
    ],
)
def test_bad_places_give_one_line(tmp_path, monkeypatch, out, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.sdf").mkdir()
    assert words in refused(tmp_path, "qm9_small", *FAST, "--out", out)


@pytest.mark.parametrize("option", ["--out", "--trajectory"])
def test_a_pipe_is_refused_before_a_model_is_loaded(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.sdf")
    given = ("--out", "pipe.sdf") if option == "--out" else ("--out", "a.sdf", "--trajectory", "pipe.sdf")
    assert "pipe.sdf: is no regular file; give the name of a file\n" in refused(tmp_path, "no_such_model", *FAST, *given)
    assert (tmp_path / "pipe.sdf").is_fifo()


def test_a_private_file_behind_a_link_is_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("blob").touch(0o600)
    Path("a.sdf").symlink_to("blob")
    for num, more in ((1, ()), (2, ("--resume",))):
        assert invoke("qm9_small", "--num", num, "--steps", 5, "--keep-invalid", "--out", "a.sdf", *more)[0] == 0
        assert Path("a.sdf").readlink() == Path("blob")
        assert stat.S_IMODE(Path("blob").stat().st_mode) == 0o600
        assert len(list(read_molecules("a.sdf"))) == num
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sdf", "blob"]


def test_unwritable_folder(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "ermission" in refused(tmp_path, "qm9_small", *FAST, "--out", folder / "a.sdf")


def test_resume_needs_sdf_and_a_file_of_this_command(tmp_path):
    for name in ("a.smi", "a.csv"):
        line = refused(tmp_path, "qm9_small", *FAST, "--out", tmp_path / name, "--resume")
        assert line.endswith(f"{name}: --resume goes on with .sdf and .xyz files alone; use one of these, or leave --resume away\n")
    sampled(tmp_path / "a.sdf")
    text = (tmp_path / "a.sdf").read_text().replace("<index>", "<number>")
    (tmp_path / "a.sdf").write_text(text)
    assert "record 1 is not from this command" in refused(tmp_path, "qm9_small", *FAST, "--out", tmp_path / "a.sdf", "--resume")


@pytest.mark.parametrize(("name", "more"), [("a.smi", ()), ("a.csv", ()), ("a.sdf", ("--format", "csv"))])
def test_a_part_that_nobody_can_go_on_from_does_not_block_the_command(tmp_path, name, more):
    (tmp_path / f"{name}.partial").touch()  # as a killed run leaves it
    assert invoke("qm9_small", *FAST, "--out", tmp_path / name, *more)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.sdf", "a.smi"])
def test_a_file_that_another_command_is_writing_is_told_before_a_model_is_loaded(tmp_path, name):
    for file in (name, f"{name}.partial"):
        (tmp_path / file).touch()
    (tmp_path / "link").symlink_to(name)
    with Claim(tmp_path / name, ""):
        for out in (tmp_path / name, tmp_path / "link"):
            error = refused(tmp_path, "no_such_model", *FAST, "--out", out, "--format", name[-3:])
            assert error.endswith(f"{name}: another command writes it; wait for it, or give another name\n")
    if name == "a.sdf":
        assert "a.sdf.partial: left by an interrupted run" in refused(tmp_path, "no_such_model", *FAST, "--out", tmp_path / name)


def test_a_folder_of_its_name_does_not_hide_a_model_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qm9").mkdir()  # `molgen prepare qm9` keeps raw files there
    assert find_checkpoint("qm9") == shipped("weights") / "qm9"
    with pytest.raises(InputError, match=r"no model\.safetensors here"):
        find_checkpoint("./qm9")


def test_damaged_models_give_one_line(tmp_path):
    out = ("--out", tmp_path / "a.sdf")
    assert "neither a folder nor a model that ships (leads, qm9" in refused(tmp_path, "qm8", *out)
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


def test_settings_of_the_sampler(tmp_path):
    """They make other draws, with a tag that says which; those of the model make the same ones."""
    drawn = {}
    for name, settings in {"own": [], "same": ["kind=annealed"], "calm": ["gamma=0", "grid.least=2"], "plain": ["kind=ddim"]}.items():
        out = tmp_path / f"{name}.sdf"
        options = [word for text in settings for word in ("--sampler", text)]
        result = CliRunner().invoke(
            main, ["sample", "qm9_small", "--num", "1", "--steps", "6", "--keep-invalid", *options, "--out", str(out)]
        )
        assert result.exit_code == 0, result.output
        (drawn[name],) = read_molecules(out)
    np.testing.assert_array_equal(drawn["own"].positions, drawn["same"].positions)
    assert "sampler" not in drawn["own"].properties
    assert "gamma=0.0" in drawn["calm"].properties["sampler"]
    assert "least=2" in drawn["calm"].properties["sampler"]
    assert drawn["plain"].properties["sampler"].startswith("Ddim(")
    assert len({one.positions.tobytes() for one in drawn.values()}) == 3


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("gama=3", "sampler.gama=3: unknown key 'sampler.gama'; did you mean 'sampler.gamma'?"),
        ("gamma", "--sampler gamma: expected KEY=VALUE such as gamma=0.8"),
        ("kind=nope", "sampler.kind: expected one of ancestral, ddim, heun, dpm_solver, annealed, got 'nope'"),
        ("gamma=-1", "sampler.gamma=-1: sampler.gamma: "),
    ],
)
def test_bad_settings_of_the_sampler_give_one_line(setting, words, tmp_path):
    result = CliRunner().invoke(main, ["sample", "qm9_small", "--sampler", setting, "--out", str(tmp_path / "a.sdf")])
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert words in result.output
    assert not (tmp_path / "a.sdf").exists()
