"""Names of files that are not UTF-8, as old archives hold them, in everything that tells of a file."""

import json
import os
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from molgen.cli import main
from molgen.molecules.export import complete_records, read_records

WEIGHTS = Path(__file__).parents[2] / "molgen" / "weights" / "qm9_small"
NAME = os.fsdecode(b"caf\xe9.sdf")
SHOWN = "caf\N{REPLACEMENT CHARACTER}.sdf"


@pytest.fixture
def folder(tmp_path, samples_of_qm9, monkeypatch):
    """The working directory, with a file of three molecules, and one that holds the first of them."""
    monkeypatch.chdir(tmp_path)
    records = list(islice(read_records(samples_of_qm9), 3))
    try:
        Path(NAME).write_text("".join(records))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    Path(f"one {NAME}").write_text(records[0])
    return tmp_path


def invoke(*words):
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output


def test_reports_and_pages_name_the_file(folder):
    invoke("evaluate", NAME, "--workers", 0, "--json", "a.json", "--html", "a.html")
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["samples"]["name"] == SHOWN
    invoke("compare", NAME, f"one {NAME}", "--workers", 0, "--json", "b.json", "--html", "b.html")
    content = json.loads(Path("b.json").read_text(encoding="utf-8"))
    assert [found["name"] for found in content["files"]] == [SHOWN, f"one {SHOWN}"]
    assert {found["file"] for found in content["differences"]} == {f"one {SHOWN}"}
    invoke("view", NAME, "--no-open", "--out", "c.html")
    for page in ("a.html", "b.html", "c.html"):
        assert SHOWN in Path(page).read_text(encoding="utf-8")


@pytest.mark.skipif(not (WEIGHTS / "model.safetensors").is_file(), reason="no weights in this tree")
@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_tags_name_the_file_and_the_run_goes_on(folder, kind):
    given, options = f"one {NAME}", ("--steps", 5, "--keep-invalid", "--seed", 1)
    for number, more in ((1, ()), (2, ("--resume",))):
        invoke("sample", "qm9_small", "--around", given, *options, "--num", number, "--out", f"a.{kind}", *more)
        texts = list(complete_records(Path(f"a.{kind}"), kind))
        assert len(texts) == number
        assert all(f"one {SHOWN}" in text for text in texts)
    for number, more in ((1, ()), (2, ("--resume",))):
        invoke("conformers", given, "--model", "qm9_small", "--steps", 20, "--num", number, "--out", f"b.{kind}", *more)
        texts = list(complete_records(Path(f"b.{kind}"), kind))
        assert len(texts) == number
        assert all(f"one {SHOWN}" in text for text in texts)


def test_a_run_needs_a_name_that_logs_can_hold(folder):
    invoke("prepare", NAME, "--out", "data", "--workers", 1)
    result = CliRunner().invoke(main, ["train", "debug_molecule", "data.path=data", f"train.out={NAME}.run", "train.max_steps=1"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert f"train.out={SHOWN}.run: the name is not UTF-8" in result.output
    assert not Path(f"{NAME}.run").exists()
