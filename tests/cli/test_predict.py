"""Properties that only an estimator tells: trained on an own label, predicted of files and of samples, requested, filtered, ranked."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from rdkit import Chem
from rdkit.Chem import AllChem

import molgen
from molgen.agreement import Agreement
from molgen.cli import main
from molgen.config import load_experiment
from molgen.errors import InputError
from molgen.molecules.data import PackedMolecules
from molgen.molecules.export import read_molecules, write_molecules
from molgen.train import split_validation
from molgen.train.judge import judge


def invoke(*arguments):
    """Exit status, standard output and standard error; nothing is raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def polar(molecule):
    """The label: 4 and half the number of nitrogen and oxygen atoms."""
    return 4 + 0.5 * int(np.isin(molecule.atomic_numbers, (7, 8)).sum())


@pytest.fixture(scope="module")
def assay(tmp_path_factory, samples_of_qm9):
    """An estimator of the label, learned from 160 molecules that have fewer elements and charges than the model; 40 are held out."""
    folder = tmp_path_factory.mktemp("assay")
    molecules = [replace(molecule, properties={"assay": polar(molecule)}) for molecule in read_molecules(samples_of_qm9)]
    write_molecules(folder / "known.sdf", molecules[40:])
    write_molecules(folder / "held.sdf", molecules[:40])
    status, _, error = invoke("prepare", folder / "known.sdf", "--out", folder / "data", "--label", "assay", "--workers", 1)
    assert status == 0, error
    status, told, error = invoke(
        *("train", "estimator", "objective.denoiser=qm9_small", "objective.truth=1", "train.start=qm9_small"),
        *(f"data.path={folder / 'data'}", "data.conditions=[assay]", "train.max_steps=110"),
        *("train.learning_rate=3e-3", "train.warmup_steps=10", f"train.out={folder / 'run'}"),
    )
    assert (status, f"molgen predict qm9_small FILE --estimator {folder / 'run'}" in told) == (0, True), error
    (folder / "told.txt").write_text(told)
    return folder


@pytest.fixture(scope="module")
def model(assay):
    return molgen.load("qm9_small", estimators=[assay / "run"])


def test_the_end_of_training_tells_the_error_of_what_was_held_out(assay, model):
    data = PackedMolecules(assay / "data")
    _, _, held_out = split_validation(load_experiment(assay / "run" / "config.yaml"), data)
    molecules = [data.molecule(index) for index in held_out.tolist()]
    found = Agreement("", data.statistics.label("assay").mean)
    for molecule, told in zip(molecules, model.predict(molecules), strict=True):
        found.add(*told["assay"], polar(molecule))
    assert len(held_out) == 16
    judged = judge(load_experiment(assay / "run" / "config.yaml"))
    for name, value in judged["assay"].figures().items():
        assert value == pytest.approx(found.figures()[name], abs=1e-4)
    said = f"  assay of molecules that were held out: {judged['assay'].line()}\n"
    assert (assay / "told.txt").read_text().endswith(said)


def test_held_out_molecules_are_predicted_and_compared(assay, tmp_path):
    out = tmp_path / "told.sdf"
    status, told, error = invoke("predict", "qm9_small", assay / "held.sdf", "--estimator", assay / "run", "--out", out)
    assert status == 0, error
    found = list(read_molecules(out))
    errors = np.array([molecule.properties["predicted_assay"] - polar(molecule) for molecule in found])
    deviations = np.array([molecule.properties["deviation_assay"] for molecule in found])
    assert len(found) == 40
    assert np.abs(errors).mean() < 0.25 < np.std([polar(molecule) for molecule in found])
    line = re.search(r"  assay: mean absolute error (\S+) on 40 known values .* (\d+) % within the stated deviation", told)
    assert float(line[1]) == pytest.approx(np.abs(errors).mean(), rel=1e-2)
    assert float(line[2]) == pytest.approx(100 * (np.abs(errors) <= deviations).mean(), abs=0.51)
    assert re.search(r"  logp: \S+ on average, .* stated deviation", told)  # the model's own estimator; nothing to compare with


def test_molecules_that_were_trained_on_do_not_count(assay):
    status, told, error = invoke("predict", "qm9_small", assay / "known.sdf", "--estimator", assay / "run")
    assert status == 0, error
    assert f"{assay / 'known.sdf'}: 160 molecules, 144 of them trained on, which do not count below"  # 16 are held out in told
    assert "mean absolute error" in told.partition("  assay: ")[2].splitlines()[0]
    assert "on 16 known values" in told


def test_records_that_cannot_be_read_are_named(assay, tmp_path):
    molecules = list(read_molecules(assay / "held.sdf"))[:3]
    strange = replace(molecules[0], atomic_numbers=np.where(molecules[0].atomic_numbers == 8, 16, molecules[0].atomic_numbers))
    bare = replace(molecules[1], positions=molecules[1].positions / 10)
    file = tmp_path / "mixed.sdf"
    write_molecules(file, [molecules[0], strange, bare, molecules[2]])
    assert 8 in molecules[0].atomic_numbers
    status, told, error = invoke("predict", "qm9_small", file, "--estimator", assay / "run")
    assert status == 0, error
    assert f"{file}: 2 molecules" in told
    assert re.search(r"left out: mixed.sdf record 2: atom \d+ is S; the model was trained on", told)
    assert "left out: mixed.sdf record 3: bonds have 0.095 times their usual length" in told


def test_lists_of_smiles_are_embedded_and_predicted(assay, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("id,SMILES,assay,team\nx1,CC(N)=O,5,north\nx2,C(,5,\nx3,[Fe],,\nx4,CCC#N,>5,south\nx5,,6,\n")
    status, told, error = invoke("predict", "qm9_small", "list.csv", "--estimator", assay / "run", "--out", "told.tsv")
    assert status == 0, error
    assert told.startswith("told.tsv: 2 molecules")
    assert "on 1 known value (" in told
    assert "left out: list.csv record 2 (x2): C(: not a SMILES that RDKit can read; check" in told
    assert "left out: list.csv record 3 (x3): [Fe]: atom 1 is Fe; the model was trained on H, C, N, O only\n" in told
    assert "left out: list.csv record 5 (x5): no SMILES\n" in told
    table = [line.split("\t") for line in (tmp_path / "told.tsv").read_text().splitlines()]
    rows = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    assert "smiles" not in table[0]
    assert [(row["title"], row["SMILES"], row["team"], row["assay"]) for row in rows] == [
        ("x1", "CC(N)=O", "north", "5"),
        ("x2", "C(", "", "5"),
        ("x3", "[Fe]", "", ""),
        ("x4", "CCC#N", "south", ">5"),
        ("x5", "", "", "6"),
    ]  # in line with the list
    assert [row["title"] for row in rows if row["predicted_assay"]] == ["x1", "x4"]
    network = molgen.load("qm9_small", estimators=[assay / "run"])
    (alone,) = network.predict([molgen.Molecule.from_smiles("CC(N)=O")])
    assert float(rows[0]["predicted_assay"]) == pytest.approx(alone["assay"].value, rel=1e-5)


def test_a_table_keeps_what_the_list_says(assay, tmp_path, monkeypatch):
    """SMILES without stereo, with isotopes and salts, and codes that look like numbers, in rows that are predicted and in others."""
    monkeypatch.chdir(tmp_path)
    rows = [
        ["smiles", "code", "lot", "assay"],
        ["CC(O)C#N", "3e63", "1.10", ">10"],
        ["[2H]OC(C)C", "1e10", "+5", "5.50"],
        ["CC(N)C(=O)O.Cl", "0070", ".5", "6"],
        ["C(", "5E6", "2.0E-07", ""],
    ]
    (tmp_path / "list.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    options = ("--estimator", assay / "run", "--largest-fragment")
    status, told, error = invoke("predict", "qm9_small", "list.csv", *options, "--out", "told.csv")
    assert status == 0, error
    assert "on 2 known values" in told
    assert "molgen: note: list.csv: isotope labels of 1 molecule are not kept\n" in error
    table = [line.split(",") for line in (tmp_path / "told.csv").read_text().splitlines()]
    assert [row[: len(rows[0])] for row in table] == rows
    assert [bool(row[-1]) for row in table[1:]] == [True, True, True, False]
    assert invoke("predict", "qm9_small", "list.csv", *options, "--out", "told.sdf")[0] == 0
    assert [str(molecule.properties["lot"]) for molecule in read_molecules("told.sdf")] == ["1.10", "+5", ".5"]
    (tmp_path / "list.smi").write_text("CC(O)C#N x1\n")
    assert invoke("predict", "qm9_small", "list.smi", *options, "--out", "told.csv")[0] == 0
    assert (tmp_path / "told.csv").read_text().splitlines()[1].startswith("CC(O)C#N,x1,")


def test_what_can_not_be_measured_is_predicted_of_samples(model):
    plain, asked = model.sample(16, steps=12, seed=3), model.sample(8, steps=12, seed=3, properties={"assay": 6.0})
    near = [np.mean([abs(polar(molecule) - 6) for molecule in molecules]) for molecules in (plain, asked)]
    assert near[1] < 0.4 * near[0]  # the true label, which no part of the program knows
    for molecule in asked:
        assert molecule.properties["predicted_assay"] == pytest.approx(model.predict([molecule])[0]["assay"].value, abs=1e-3)
        assert molecule.properties["candidates"] == 4
    assert not any(tag.startswith("predicted_") for molecule in plain for tag in molecule.properties if tag != "predicted_assay")
    assert {molecule.properties["model"] for molecule in plain} == {"qm9_small+run"}


def test_filters_targets_and_searches_read_what_is_predicted(model, assay, tmp_path):
    out, more = tmp_path / "a.sdf", ("--estimator", assay / "run", "--steps", 10, "--seed", 5)
    status, _, error = invoke("sample", "qm9_small", "--num", 6, "--where", "predicted_assay>=5.3", "--out", out, *more)
    assert status == 0, error
    found = list(read_molecules(out))
    assert len(found) == 6
    assert min(molecule.properties["predicted_assay"] for molecule in found) >= 5.3
    assert np.mean([polar(molecule) for molecule in found]) > 5.2
    ranked = ("--target", "predicted_assay=max", "--keep-best", 3, "--from", 12)
    assert invoke("sample", "qm9_small", *ranked, "--out", out, *more)[::2] == (0, "")
    best = [molecule.properties["predicted_assay"] for molecule in read_molecules(out)]
    pool = [molecule.properties["predicted_assay"] for molecule in model.sample(12, steps=10, seed=5)]
    assert best == pytest.approx(sorted(pool, reverse=True)[:3], abs=1e-3)
    searched = molgen.search(model, "predicted_assay=min", keep=2, pool=8, rounds=2, request=molgen.Request(steps=10))
    assert searched[0].properties["predicted_assay"] <= searched[1].properties["predicted_assay"]


def test_an_interrupted_run_with_an_estimator_is_resumed(assay, tmp_path):
    out, whole = tmp_path / "a.sdf", tmp_path / "whole.sdf"
    more = ("--estimator", assay / "run", "--steps", 6, "--size", 12, "--property", "assay=5..6", "--candidates", 2)
    assert invoke("sample", "qm9_small", "--num", 4, "--out", whole, *more)[::2] == (0, "")
    assert invoke("sample", "qm9_small", "--num", 2, "--out", out, *more)[::2] == (0, "")
    assert invoke("sample", "qm9_small", "--num", 4, "--out", out, "--resume", *more)[::2] == (0, "")
    assert [m.properties["index"] for m in read_molecules(out)] == [m.properties["index"] for m in read_molecules(whole)]
    error = invoke("sample", "qm9_small", "--num", 7, "--out", out, "--resume", *more[2:])[2]
    assert "unknown property 'assay'" in error
    error = invoke("sample", "qm9_small", "--num", 7, "--out", out, "--resume", *more[:-1], 3)[2]
    assert "made with candidates 2, not candidates 3" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sample", "qm9_small", "--where", "predicted_assay>5"), "--where predicted_assay>5: the model has no estimator of assay"),
        (("sample", "qm9_small", "--where", "assay>5"), "or predicted_NAME, which needs an estimator of it"),
        (("sample", "qm9_small", "--where", "predicted_logp>1"), "logp can be measured and is not predicted; name it without predicted_"),
        (
            ("sample", "qm9_small", "--target", "predicted_assay=max", "--keep-best", 1, "--from", 2),
            "--target predicted_assay: the model has no estimator of assay",
        ),
        (("sample", "qm9_small", "--estimator", "qm9_small", "--estimator", "nowhere"), "nowhere: neither a folder nor a model that ships"),
        (("sample", "leads", "--estimator", "qm9_small"), "elements or charges differ from those of the model that it is for"),
        (("predict", "qm9_small", "none.sdf"), "none.sdf: no such file"),
        (("sample", "qm9_small", "--where", "predicted_pIC50 [µM] - (β2)>5"), "the model has no estimator of pIC50 [µM] - (β2)"),
        (
            ("sample", "qm9_small", "--target", "logp=1", "--target", "sa=min", "--keep-best", 1, "--from", 2),
            "'--target': is given 2 times: logp=1, sa=min; give one, and what else is wanted by --where",
        ),
    ],
)
def test_what_no_estimator_tells_gives_one_line(arguments, words, tmp_path):
    out = tmp_path / "a.sdf"
    status, _, error = invoke(*arguments, "--out", out)
    assert (status, error.count("\n")) == (2, 1), error
    assert words in error
    assert not out.exists()


def test_a_model_is_no_estimator(assay, tmp_path):
    status, _, error = invoke("predict", "qm9_small", assay / "held.sdf", "--estimator", "shapes")
    assert (status, "is no estimator; make one by `molgen train estimator`" in error) == (2, True), error
    status, _, error = invoke("predict", "shapes", assay / "held.sdf")
    assert (status, "shapes: has no estimator" in error) == (2, True), error
    with pytest.raises(InputError, match="estimators: expected a list"):
        molgen.load("qm9_small", estimators=str(assay / "run"))


def test_data_are_read_in_the_vocabulary_of_a_model(assay):
    data, model = PackedMolecules(assay / "data"), molgen.load("leads").checkpoint.statistics
    other = data.translated(model, "leads")
    assert (data.statistics.elements, data.statistics.charges) == ((1, 6, 7, 8), (0,))
    assert other.statistics.vocabulary == model.vocabulary != data.statistics.vocabulary
    before, after = data.batch(range(9)), other.batch(range(9))
    for field, classes in (("atom", "elements"), ("charge", "charges")):
        old, new = (np.array(getattr(one.statistics, classes))[batch[field].numpy()] for one, batch in ((data, before), (other, after)))
        assert np.array_equal(old[before.mask], new[after.mask])
    assert np.array_equal(before["bond"], after["bond"])
    assert Counter(other.molecule(3).atomic_numbers.tolist()) == Counter(data.molecule(3).atomic_numbers.tolist())
    holders = sum(8 in data.molecule(index).atomic_numbers for index in range(160))
    with pytest.raises(InputError, match=rf"has O in {holders} of 160 molecules, which the model small lacks; `molgen prepare"):
        data.translated(replace(model, elements=(1, 6, 7, 9)), "small")


def test_an_evaluation_of_requests_takes_what_is_predicted(assay, tmp_path):
    out = tmp_path / "a.sdf"
    more = ("--estimator", assay / "run", "--steps", 6, "--size", 12, "--property", "assay=5.5", "--num", 4)
    status, told, error = invoke("sample", "qm9_small", "--out", out, *more)
    assert status == 0, error
    found = np.array([molecule.properties["predicted_assay"] for molecule in read_molecules(out)])
    assert f"  assay: {np.abs(found - 5.5).mean():.3g} from what was asked for on average, each the nearest of 4" in told
    assert "(as the estimator tells, not measured)" in told
    report = tmp_path / "a.json"
    status, shown, error = invoke("evaluate", out, "--reference", assay / "held.sdf", "--workers", 0, "--json", report)
    assert (status, "Requested assay, measured by nothing: what the records predict" in shown) == (0, True), error
    figures = json.loads(report.read_text())["samples"]["metrics"]
    assert figures["assay:mae"]["value"] == pytest.approx(np.abs(found - 5.5).mean(), abs=1e-6)


def test_many_molecules_are_predicted_as_each_alone(model, assay):
    molecules = list(read_molecules(assay / "known.sdf"))
    many = (molecules * 2)[:300]
    found, alone = model.predict(many), model.predict([many[280]])[0]
    assert len(found) == 300
    for name, (value, deviation) in alone.items():
        assert found[280][name] == pytest.approx((value, deviation), abs=1e-3)
        assert found[120][name] == pytest.approx(found[280][name], abs=1e-3)  # the same molecule
    strange = replace(many[0], atomic_numbers=np.where(many[0].atomic_numbers == 6, 16, many[0].atomic_numbers))
    with pytest.raises(InputError, match=r"molecule 299: atom \d+ is S; the model was trained on"):
        model.predict([*many[:298], strange])
    assert model.predict([]) == []


def test_labels_that_mean_something_else_or_nothing_are_refused(assay, tmp_path):
    molecules = list(read_molecules(assay / "known.sdf"))[:30]
    write_molecules(tmp_path / "a.sdf", [replace(m, properties={"logp": 20.0 + k, "rare [x]": 1.0}) for k, m in enumerate(molecules)])
    data = tmp_path / "data"
    labels = ("--label", "logp", "--label", "rare [x]", "--workers", 1)
    assert invoke("prepare", tmp_path / "a.sdf", "--out", data, *labels)[0] == 0
    common = (
        "train",
        "estimator",
        "objective.denoiser=qm9_small",
        f"data.path={data}",
        f"train.out={tmp_path / 'run'}",
        "train.max_steps=1",
    )
    status, _, error = invoke(*common, "data.conditions=[logp]")
    assert (status, "logp has the mean 34.5 in the data" in error, "give the label another name" in error) == (2, True, True), error
    assert "data.conditions=[logp,'rare [x]'] or fewer" in invoke(*common, "data.conditions=[rare]")[2]
    status, _, error = invoke(*common, "data.conditions=['rare [x]']")
    assert status == 0, error
    write_molecules(tmp_path / "b.sdf", [replace(m, properties={"few": float(k)} if k < 3 else {}) for k, m in enumerate(molecules)])
    few = tmp_path / "few"
    assert invoke("prepare", tmp_path / "b.sdf", "--out", few, "--label", "few", "--allow-missing", "--workers", 1)[0] == 0
    settings = (f"data.path={few}", "data.conditions=[few]", f"train.out={tmp_path / 'other'}", "train.max_steps=1")
    status, _, error = invoke("train", "estimator", "objective.denoiser=qm9_small", *settings)
    assert (status, "few is known for 3 molecules, from which nothing can be learned; leave it out" in error) == (2, True), error


def test_larger_molecules_than_those_learned_from_are_told_of(assay, tmp_path):
    rdkit = Chem.AddHs(Chem.MolFromSmiles("CCCCCCCCCCCC"))
    AllChem.EmbedMolecule(rdkit, randomSeed=1)
    write_molecules(tmp_path / "long.sdf", [molgen.Molecule.from_rdkit(rdkit)])
    told = invoke("predict", "qm9_small", tmp_path / "long.sdf", "--estimator", assay / "run")[1]
    assert "1 have more than the 25 atoms of what was learned from" in told
    assert told.index("  assay:") < told.index("  logp:")  # what was asked for comes first
