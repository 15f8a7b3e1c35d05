"""Filters, ranges, shapes and ranking of `molgen sample`, with the weights that ship."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.cli import main
from molgen.cli.screening import with_valence
from molgen.guidance import OnePiece
from molgen.known import Known, fingerprint
from molgen.molecules.export import read_molecules
from molgen.molecules.measure import measure
from molgen.molecules.metrics.stability import strict
from molgen.sample import Model, Request, load

WEIGHTS = Path(__file__).parents[2] / "molgen" / "weights" / "qm9_small"
pytestmark = pytest.mark.skipif(not (WEIGHTS / "model.safetensors").is_file(), reason="no weights in this tree")


def invoke(*arguments: object) -> tuple[int, str]:
    """Exit status and output of a command."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.output


def sampled(out: Path, *options: object) -> tuple[list, str]:
    """Records and output of a run that must succeed."""
    status, output = invoke("sample", "qm9_small", "--steps", 20, "--size", "12-15", "--out", out, *options)
    assert status == 0, output
    return list(read_molecules(out)), output


def same(first, second) -> bool:
    return np.array_equal(first.atomic_numbers, second.atomic_numbers) and first.properties == second.properties


def test_filters_hold_for_every_record_and_are_counted(tmp_path):
    known, _ = sampled(tmp_path / "known.sdf", "--num", 2)
    rules = ("--where", "rings>=1", "--where", "heavy=4..9", "--unique", "--novel", tmp_path / "known.sdf")
    found, output = sampled(tmp_path / "a.sdf", "--num", 3, *rules)
    values = [measure(molecule, ["rings", "heavy"]) for molecule in found]
    assert all(value["rings"] >= 1 and 4 <= value["heavy"] <= 9 for value in values)
    smiles = [molecule.properties["smiles"] for molecule in found]
    assert len(set(smiles)) == 3
    assert set(smiles).isdisjoint(molecule.properties["smiles"] for molecule in known)
    drawn, valid = (int(re.search(rf"{word} (\d+)", output)[1]) for word in ("drawn", "valid"))
    counts = {kind: sum(map(int, re.findall(rf"  {kind} (\d+): ", output))) for kind in ("failed", "withheld")}
    assert valid == drawn - counts["failed"]
    assert found[-1].properties["index"] + 1 == drawn == 3 + counts["withheld"] + counts["failed"]
    # cut in the middle, resumed: unique knows what was written, the file is the same
    text = (tmp_path / "a.sdf").read_text().split("$$$$\n")
    (tmp_path / "b.sdf").write_text("$$$$\n".join([*text[:2], ""]))
    again, _ = sampled(tmp_path / "b.sdf", "--num", 3, *rules, "--resume")
    assert all(same(a, b) for a, b in zip(again, found, strict=True))
    status, output = invoke(
        "sample", "qm9_small", "--steps", 20, "--size", "12-15", "--out", tmp_path / "b.sdf", "--num", 9, "--unique", "--resume"
    )
    assert status == 2
    assert "made with filters heavy=4..9; novel against" in output


def test_what_the_model_was_trained_on_is_counted_and_ruled_out(tmp_path):
    known = Known.load(WEIGHTS)
    free, output = sampled(tmp_path / "free.sdf", "--num", 16)
    new = {smiles for smiles in (molecule.properties["smiles"] for molecule in free) if fingerprint(smiles) not in known}
    assert 0 < len(new) < 16
    assert f", novel {len(new)}, " in output
    found, output = sampled(tmp_path / "new.sdf", "--num", len(new), "--novel", "training")
    again, _ = sampled(tmp_path / "again.sdf", "--num", len(new), "--novel", "qm9_small")
    assert [m.properties["smiles"] for m in again] == [m.properties["smiles"] for m in found]
    assert [molecule.properties["smiles"] for molecule in found] == [
        molecule.properties["smiles"] for molecule in free if molecule.properties["smiles"] in new
    ][: len(new)]
    withheld = re.search(r"withheld (\d+): not novel", output)
    assert withheld is not None
    assert found[-1].properties["index"] + 1 >= len(new) + int(withheld[1])
    status, output = invoke(
        "evaluate", tmp_path / "free.sdf", "--train", "qm9_small", "--workers", 0, "--no-perceive", "--json", tmp_path / "a.json"
    )
    assert status == 0, output
    figures = json.loads((tmp_path / "a.json").read_text())["samples"]["metrics"]
    assert figures["valid_unique_novel"]["value"] == pytest.approx(len(new) / 16)


def test_what_was_asked_about_is_written(tmp_path):
    (tmp_path / "known.csv").write_text("id,smiles\n1,CCO\n2,\n3,nonsense\n4,CC(=O)[O-].[Na+]\n")
    rules = ("--where", "heavy=1..9", "--where", "veber", "--where", "similarity<0.99", "--similar-to", "CCO")
    rules += ("--without", "[F]", "--with", "[#6]", "--novel", "CCO", "--novel", tmp_path / "known.csv")
    found, output = sampled(tmp_path / "a.sdf", "--num", 3, *rules, "--compute", "logp, heavy", "--compute", "fsp3")
    assert output.startswith(
        f"molgen: warning: {tmp_path}/known.csv: 1 of 3 records are no molecules and exclude nothing, the first is record 3"
    )
    assert "(nonsense)\n" in output
    names = ["heavy", "rotatable", "tpsa", "logp", "fsp3"]
    for molecule in found:
        values = measure(molecule, names)
        assert {name: molecule.properties[f"measured_{name}"] for name in names} == pytest.approx(values, rel=1e-5)
        assert 0 <= molecule.properties["measured_similarity"] < 0.99
        assert "with [#6]; without [F]" in molecule.properties["filters"]
        assert "similar to CCO; similarity<0.99" in molecule.properties["filters"]
    text = (tmp_path / "a.sdf").read_text().split("$$$$\n")
    (tmp_path / "b.sdf").write_text("$$$$\n".join([*text[:2], ""]))
    again, _ = sampled(tmp_path / "b.sdf", "--num", 3, *rules, "--compute", "logp,heavy,fsp3", "--resume")
    assert all(same(a, b) for a, b in zip(again, found, strict=True))
    status, _ = invoke("sample", "qm9_small", "--steps", 20, "--size", 12, "--out", tmp_path / "a.csv", "--num", 1, "--where", "logp<99")
    assert status == 0
    assert "measured_logp" in (tmp_path / "a.csv").read_text().splitlines()[0].split(",")


def test_similarity_is_by_default_to_the_molecule_that_is_varied(tmp_path):
    lead = ("--around", "CC(=O)NC", "--strength", 0.3, "--keep-invalid", "--num", 2)
    status, output = invoke("sample", "qm9_small", "--steps", 8, "--out", tmp_path / "a.sdf", *lead, "--compute", "similarity")
    assert status == 0, output
    assert all(0 <= molecule.properties.get("measured_similarity", 1) <= 1 for molecule in read_molecules(tmp_path / "a.sdf"))
    (best,), output = sampled(tmp_path / "best.sdf", "--target", "similarity=max", "--similar-to", "CCCO", "--keep-best", 1, "--from", 4)
    assert f"measured_similarity: {best.properties['measured_similarity']:.4g}" in output


def test_a_range_is_drawn_for_every_record(tmp_path):
    wish = ("--property", "logp=-1..1", "--property", "gap_xtb=5", "--keep-invalid", "--steps", 6)
    found, _ = sampled(tmp_path / "a.sdf", "--num", 3, *wish)
    values = [molecule.properties["requested_logp"] for molecule in found]
    assert len(set(values)) == 3
    assert all(-1 <= value <= 1 for value in values)
    assert {molecule.properties["requested_gap_xtb"] for molecule in found} == {5.0}
    (open_,), _ = sampled(tmp_path / "c.sdf", "--num", 1, "--property", "logp=1..", "--keep-invalid", "--steps", 2)
    assert 1 <= open_.properties["requested_logp"] <= 3.76  # the largest among the training data
    text = (tmp_path / "a.sdf").read_text().split("$$$$\n")
    (tmp_path / "b.sdf").write_text("$$$$\n".join([*text[:2], ""]))
    again, _ = sampled(tmp_path / "b.sdf", "--num", 3, *wish, "--resume")
    assert all(same(a, b) for a, b in zip(again, found, strict=True))


def test_the_best_of_many_are_written_in_order(tmp_path):
    pool, _ = sampled(tmp_path / "pool.sdf", "--num", 5)
    best, output = sampled(tmp_path / "best.sdf", "--target", "mw=max", "--keep-best", 2, "--from", 5)
    weights = sorted((measure(molecule, ["mw"])["mw"] for molecule in pool), reverse=True)
    assert [molecule.properties["measured_mw"] for molecule in best] == pytest.approx(weights[:2])
    assert "asked 5, wrote 2" in output
    rounds = ("--target", "mw=max", "--keep-best", 2, "--from", 10, "--rounds", 2, "--strength", 0.7)
    best, output = sampled(tmp_path / "rounds.sdf", *rounds)
    assert "asked 10, wrote 2" in output
    assert best[0].properties["measured_mw"] >= weights[0]
    assert {molecule.properties["round"] for molecule in best} <= {1, 2}


def test_heavy_atoms_go_where_the_points_are(tmp_path):
    line = np.zeros((6, 3))
    line[:, 0] = np.arange(6) * 1.4 + 20
    np.save(tmp_path / "line.npy", line)
    options = ("--num", 4, "--keep-invalid", "--steps", 12)
    longest = {}
    for name, more in (("free", ()), ("line", ("--shape", tmp_path / "line.npy", "--shape-strength", 300))):
        found, _ = sampled(tmp_path / f"{name}.sdf", *options, *more)
        heavy = [molecule.positions[molecule.atomic_numbers > 1] for molecule in found]
        longest[name] = np.mean([np.ptp(x[:, 0]) / np.ptp(x[:, 1:], axis=0).max() for x in heavy])
    for x in heavy:
        np.testing.assert_allclose(x.mean(0), [23.5, 0, 0], atol=1e-3)
    more = ("--shape", tmp_path / "line.npy", "--trajectory", tmp_path / "steps.xyz")
    sampled(tmp_path / "walk.sdf", *options[:2], "--keep-invalid", "--steps", 3, *more)
    for step in read_molecules(tmp_path / "steps.xyz"):
        np.testing.assert_allclose(step.positions[step.atomic_numbers > 1].mean(0), [23.5, 0, 0], atol=1e-3)
    lead = found[0].positions.mean(0)
    (varied,), _ = sampled(
        tmp_path / "varied.sdf", *more[:2], "--around", "CCO", "--size", 9, "--strength", "0", "--num", 1, "--keep-invalid"
    )
    assert np.linalg.norm(varied.positions.mean(0) - lead) > 10  # a variant lies where its lead does
    assert longest["line"] > 1.5 * longest["free"]
    assert found[0].properties["guides"].startswith("shape line.npy (6 points, ")


def test_guidance_towards_closed_shells_leaves_few_radicals(tmp_path):
    options = ("--num", 96, "--keep-invalid", "--steps", 12)
    free, _ = sampled(tmp_path / "free.sdf", *options, "--valence", 0)
    closed, _ = sampled(tmp_path / "closed.sdf", *options)
    stronger, _ = sampled(tmp_path / "stronger.sdf", "--num", 1, "--keep-invalid", "--steps", 2, "--valence", 4)
    odd = [sum(int(molecule.atomic_numbers.sum() - molecule.charges.sum()) % 2 for molecule in run) for run in (free, closed)]
    assert odd[1] < 0.5 * odd[0]
    off = [sum(int(row["p2s_atoms"]) - int(row["p2s_stable_atoms"]) for row in map(strict, run)) for run in (free, closed)]
    assert off[1] < off[0]
    charged = [sum(bool(molecule.charges.sum()) for molecule in run) for run in (free, closed)]
    assert charged[1] < charged[0]
    assert stronger[0].properties["guides"] == "neutral; even electrons; valence weight=4.0 below=0.2"


def test_a_weight_of_closed_shells_leaves_the_other_guidance_of_the_model():
    model = load("qm9_small", "cpu")
    experiment = model.checkpoint.experiment
    joined = Model(replace(model.checkpoint, experiment=replace(experiment, fields=replace(experiment.fields, one_piece=True))), "cpu")
    guides = {weight: [guide.describe() for guide in with_valence(Request(), joined, weight).guides] for weight in (0.0, 4.0)}
    assert guides[0.0] == [OnePiece().describe()]
    assert guides[4.0] == ["neutral", "even electrons", "valence weight=4.0 below=0.2", OnePiece().describe()]
    assert with_valence(Request(), joined, None) == Request()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--where", "mw"), "--where mw: expected NAME=A..B"),
        (("--where", "colour<3"), "unknown property 'colour'"),
        (("--where", "logp=1.5"), "--where logp=1.5: logp is a real number: write logp=1.4..1.6"),
        (("--where", "logp=0..3", "--where", "LOGP=5.."), "--where logp=0..3 and --where logp=5..: no logp is in both ranges"),
        (("--target", "pIC50=max", "--keep-best", 1, "--from", 3), "--target pIC50=max: unknown property 'pIC50'; choose from logp"),
        (("--target", "qed", "--keep-best", 1, "--from", 3), "--target qed: expected NAME=VALUE"),
        (("--where", "molwt<300"), "--where molwt<300: unknown property 'molwt'; did you mean mw<300?"),
        (("--novel", "neither"), "neither: no such file, prepared data set or model, and no SMILES"),
        (("--with", "c1ccc"), "--with c1ccc: c1ccc is no SMARTS pattern"),
        (("--without", "house.smarts"), "--without house.smarts: cannot be read"),
        (("--where", "similarity>=0.4"), "--where similarity>=0.4: similar to what?"),
        (("--similar-to", "CCO"), "--similar-to: does nothing without similarity in"),
        (("--compute", "logp,colour"), "--compute colour: unknown property 'colour'"),
        (("--compute", "predicted_x"), "--compute predicted_x: what an estimator predicts is written without"),
        (("--compute", "similarity"), "similarity: similar to what?"),
        (("--target", "similarity=max", "--keep-best", 1, "--from", 3), "similar to what?"),
        (("--alerts", "brank"), "--alerts brank: unknown catalogue"),
        (("--novel", "missing.smi"), "no such file, prepared data set or model"),
        (("--property", "logp=3..1"), "did you mean 1..3"),
        (("--property", "logp=nan.."), "expected a range such as"),
        (("--property", "gap_xtb=..-40"), "--property gap_xtb=..-40: in the training data are"),
        (("--guidance", -3, "--property", "logp=1"), "guidance: expected a number of at least 0"),
        (("--shape-strength", "nan"), "not a finite number"),
        (("--valence", "nan"), "not a finite number"),
        (("--steps", 10**20), "not in the range"),
        (("--target", "logp=1e999", "--keep-best", 1, "--from", 3), "--target logp=1e999: expected NAME=VALUE"),
        (("--shape", "missing.npy"), "no such file"),
        (("--valence", -1), "not in the range x>=0"),
        (("--target", "qed=max"), "--keep-best is missing"),
        (("--rounds", 3), "--target is missing"),
        (("--target", "qed=max", "--keep-best", 1, "--from", 3, "--rounds", 4), "at least one molecule for each of the 4 --rounds"),
        (("--target", "qed=max", "--keep-best", 1, "--from", 3, "--rounds", 2, "--keep", "a.sdf"), "leave --keep or --rounds away"),
        (("--keep-best", 3, "--from", 9), "--target is missing"),
        (("--target", "qed=max", "--keep-best", 9, "--from", 3), "at least the 9"),
        (("--target", "qed=high", "--keep-best", 1, "--from", 3), "expected NAME=VALUE, NAME=max"),
        (("--target", "qed=max", "--keep-best", 1, "--from", 3, "--resume"), "leave one of them away"),
    ],
)
def test_bad_wishes_give_one_line(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    status, output = invoke("sample", "qm9_small", "--out", "a.sdf", "--steps", 5, *options)
    assert status == 2
    assert output.count("\n") == 1
    assert words in output
    assert not list(tmp_path.iterdir())
