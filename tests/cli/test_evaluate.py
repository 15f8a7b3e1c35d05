"""`molgen evaluate` from the outside."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import pytest
from click.testing import CliRunner

from molgen import __version__
from molgen.cli import main
from molgen.evaluate import Settings
from molgen.molecules.export import read_molecules, read_records, write_sdf


@pytest.fixture(scope="module")
def samples(samples_of_qm9, tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "samples.sdf"
    path.write_text("".join(islice(read_records(samples_of_qm9), 100, 130)) + "rubbish\n$$$$\n")
    return path


def test_tables_json_and_exit_status(samples, samples_of_qm9, tmp_path):
    out = tmp_path / "figures.json"
    words = ["evaluate", str(samples), "--reference", str(samples_of_qm9), "--reference-limit", "60", "--relax"]
    words += ["--json", str(out), "--workers", "2"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    rows = [line for line in lines if line[:2] == ["real:", "qm9_sample.sdf.gz"] or line[:1] == ["samples.sdf"]]
    assert rows[0][0] == "real:"  # the real molecules stand in the row above
    assert rows[1][0] == "samples.sdf"
    assert "Strict, explicit bonds (P2s)" in result.output
    assert "record failures: record without M END (cut off?): 1" in " ".join(result.output.split())
    content = json.loads(out.read_text())
    told, given = content["settings"], {"reference_limit": 60, "relax": True, "workers": 2, "limit": None, "asked": None, "train": None}
    assert (content["molgen"], told["reference"]) == (__version__, str(samples_of_qm9))
    assert {name: told[name] for name in given} == given
    assert content["samples"]["records"] == 31
    assert content["samples"]["metrics"]["p2s_stable"]["value"] == pytest.approx(30 / 31)
    assert content["reference"]["metrics"]["p2s_stable"] == {"value": 1.0, "low": pytest.approx(0.025 ** (1 / 60)), "high": 1.0}
    assert content["samples"]["metrics"]["mmff_drop"]["low"] < content["samples"]["metrics"]["mmff_drop"]["value"]


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_the_help_tells_how_many_processes_there_are(monkeypatch, name):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    printed = " ".join(CliRunner().invoke(main, [name, "--help"], catch_exceptions=False).output.split())
    assert f"[default: all cores, at most {Settings().workers}]" in printed


def test_files_are_written_though_nobody_reads_the_tables(samples, tmp_path):
    out, page = tmp_path / "figures.json", tmp_path / "page.html"
    words = ["evaluate", str(samples), "--workers", "0", "--json", str(out), "--html", str(page)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "molgen", *words], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 1, done.stderr
    assert json.loads(out.read_text())["samples"]["records"] == 31
    assert page.stat().st_size > 10_000
    assert "Brackets hold 95 % intervals, exact ones of shares and resampled ones of all else." in page.read_text()


def test_numbers_of_records_are_not_cut_beside_short_names(samples, tmp_path):
    short = tmp_path / "a"
    short.mkdir()
    (short / "b.sdf").write_text(samples.read_text())
    result = CliRunner().invoke(main, ["evaluate", str(short / "b.sdf"), "--workers", "0"], catch_exceptions=False)
    assert "\n31 records " in result.output


def test_rounds_of_a_search_count_from_0_and_miss_nothing(samples, tmp_path):
    text = "".join(islice(read_records(samples), 3)).replace("$$$$", "> <index>\n7\n\n> <seed>\n0\n\n> <model>\nqm9\n\n$$$$")
    for name, found in (("a.sdf", text), ("b.sdf", text.replace("$$$$", "> <round>\n2\n\n$$$$"))):
        (tmp_path / name).write_text(found)
        result = CliRunner().invoke(main, ["evaluate", str(tmp_path / name), "--workers", "0"], catch_exceptions=False)
        assert ("`molgen evaluate --asked 8` counts them" in result.output) == (name == "a.sdf")


def test_one_protocol_only(samples):
    result = CliRunner().invoke(
        main, ["evaluate", str(samples), "--protocol", "p1", "--workers", "0", "--limit", "3"], catch_exceptions=False
    )
    assert "Distance lookup (P1" in result.output
    assert "P2" not in result.output


@pytest.mark.parametrize(("name", "mark"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_a_table_has_a_row_for_each_record(samples, tmp_path, name, mark):
    """Thirty molecules, of which the fourth has a hydrogen that is not bonded and the sixth its last lines, and rubbish at the end."""
    records = list(read_records(samples))
    molecule = next(iter(read_molecules(samples)))
    broken = records[5].partition("M  END")[0] + "$$$$\n"
    bonds = molecule.bonds[molecule.bonds[:, 1] != len(molecule) - 1]
    radical = replace(molecule, bonds=bonds, properties={"title": 'a, "b"'})
    write_sdf(tmp_path / "radical.sdf", [radical])
    path = tmp_path / "mixed.sdf"
    path.write_text("".join([*records[:3], (tmp_path / "radical.sdf").read_text(), records[4], broken, *records[6:]]))
    out, figures = tmp_path / name, tmp_path / "figures.json"
    words = ["evaluate", str(path), "--workers", "2", "--no-perceive", "--relax", "--table", str(out), "--json", str(figures)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=mark))
    assert list(rows[0]) == ["record", "title", "p1_stable", "p2s_stable", "sanitizes", "valid", "reason", "smiles", "mmff_drop"]
    assert [row["record"] for row in rows] == [str(number) for number in range(1, 32)]
    assert {number: row["reason"] for number, row in enumerate(rows, 1) if row["reason"]} == {
        4: "2 unpaired electrons",
        6: "record without M  END (cut off?)",
        31: "record without M  END (cut off?)",
    }
    assert rows[3]["title"] == 'a, "b"'
    assert rows[5]["title"] == broken.partition("\n")[0] != ""
    assert [row["title"] for row in rows[:3]] == [record.partition("\n")[0] for record in records[:3]]
    metrics = json.loads(figures.read_text())["samples"]["metrics"]
    for check in ("p1_stable", "p2s_stable", "sanitizes", "valid"):
        assert sum(row[check] == "True" for row in rows) / 31 == pytest.approx(metrics[check]["value"]), check
    assert all(bool(row["smiles"]) == bool(row["mmff_drop"]) == (row["valid"] == "True") for row in rows)
    assert "record failures: record without M  END (cut off?): 2 (first: record 6)" in " ".join(result.output.split("\n"))


def test_a_table_is_whole_or_absent(samples, tmp_path):
    out = tmp_path / "rows.csv"
    out.write_text("kept")
    (tmp_path / "broken.sdf").write_text("rubbish\n$$$$\n" * 3)  # which is found out when all records are read
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "broken.sdf"), "--workers", "0", "--table", str(out)])
    assert result.exit_code == 2
    assert (out.read_text(), sorted(os.listdir(tmp_path))) == ("kept", ["broken.sdf", "rows.csv"])


@pytest.mark.parametrize("names", [("a.sdf", "b.sdf"), ("a.xyz",), ("a.sdf.gz",), ("a.sd",)])
@pytest.mark.parametrize("command", ["evaluate", "view", "info"])
def test_a_folder_of_files_of_molecules_is_to_be_joined(tmp_path, names, command):
    folder = tmp_path / "my runs"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("3\n\n")
    result = CliRunner().invoke(main, [command, str(folder)])
    assert result.exit_code == 2
    ending = names[0].removeprefix("a")
    one = {".sd": ".sdf"}.get(ending, ending)
    assert result.output.count("\n") == 1
    program = "cat" if ending.endswith(".gz") else "awk 1"
    assert f"join them by `{program} '{folder}'/*{ending} > all{one}`" in result.output


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["absent.sdf"], "absent.sdf: no such file"),
        (["{samples}", "--reference", "absent"], "absent: no such file"),
        (["{samples}", "--reference", "{folder}"], "expected a packed data set"),
        (["{samples}", "--asked", "3", "--workers", "0"], "expected at least the 31 records"),
        (["{samples}", "--json", "{folder}/absent/out.json"], "does not exist"),
        (["{samples}", "--html", "{folder}/absent/out.html"], "does not exist"),
        (["{samples}", "--json", "{samples}"], "the report is JSON, expected a name that ends in .json"),
        (["{samples}", "--table", "{folder}/rows.txt"], "the table is CSV or TSV, expected a name that ends in .csv or .tsv"),
        (["{samples}", "--table", "{folder}/absent/rows.csv"], "does not exist"),
        (["{samples}", "--fcd", "--reference", "qm9"], "of qm9 figures ship and no molecules"),
    ],
)
def test_bad_input_is_one_line_and_status_2(samples, tmp_path, words, line):
    filled = [word.format(samples=samples, folder=tmp_path) if "{" in word else word for word in words]
    if filled[-1] == "absent":
        filled[-1] = str(tmp_path / "absent.sdf")
    result = CliRunner().invoke(main, ["evaluate", *filled])
    assert result.exit_code == 2
    (printed,) = [row for row in result.output.splitlines() if row.startswith("molgen: error:")]
    assert line.replace("absent: no such", "absent.sdf: no such") in printed
    assert "Traceback" not in result.output


@pytest.mark.parametrize("option", ["--table", "--json", "--html"])
def test_a_report_is_not_written_over_what_the_command_reads(samples, option, tmp_path):
    """Nor over what a link leads to."""
    known = tmp_path / {"--table": "a.csv", "--json": "a.json", "--html": "a.html"}[option]
    known.symlink_to(samples)
    before = samples.read_bytes()
    result = CliRunner().invoke(main, ["evaluate", str(samples), option, str(known), "--workers", "0"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert f"{option} {known}: is an input of this command; give another name" in result.output
    assert samples.read_bytes() == before
