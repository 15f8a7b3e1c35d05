"""`molgen sample --keep`, `--around` and `molgen conformers` as a user calls them, and one line on bad input."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.checkpoint import build_denoiser, save_checkpoint
from molgen.cli import main
from molgen.config import build_experiment
from molgen.diffusion.rounding import multiplies_bfloat16
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.measure import measure
from molgen.shapes.fields import ShapeStatistics

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "molgen/weights/qm9_small/model.safetensors").is_file(), reason="no weights in this tree")
BARE = """ethanol without its hydrogens
  by hand

  3  2  0  0  0  0  0  0  0  0999 V2000
   -1.2000    0.2000    0.1000 C   0  0
    0.1000   -0.5000    0.0000 C   0  0
    1.1000    0.4000   -0.2000 O   0  0
  1  2  1  0
  2  3  1  0
M  END
$$$$
"""
FAST = ("--steps", 5, "--num", 3, "--keep-invalid")


def save_shape_model(folder):
    """A fresh model of shapes."""
    network = {"kind": "point_unet", "scalars": 8, "vectors": 8, "levels": [8], "layers": 1, "neighbours": 4, "context": 8}
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": network}, "test")
    statistics = ShapeStatistics(num_shapes=1, num_points=64, categories=("all",), category_counts=(1,), coordinate_std=0.5)
    save_checkpoint(folder, experiment, statistics, build_denoiser(experiment, statistics).state_dict(), {"data": "none"})


def invoke(*arguments: object):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with leads, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    molecules = [m for m in read_molecules(ROOT / "data/qm9_sample/qm9_sample.sdf.gz") if len(m) > 13]
    write_molecules("lead.sdf", molecules[:1])
    write_molecules("two.sdf", molecules[1:3])
    (tmp_path / "bare.sdf").write_text(BARE)
    write_molecules("bohr.sdf", [replace(molecules[0], positions=molecules[0].positions / 0.529177)])
    save_shape_model(tmp_path / "shape_model")
    return tmp_path


def test_keep_by_numbers_and_by_pattern(folder):
    (lead,) = read_molecules("lead.sdf")
    for name, choice in (("a.sdf", ("--atoms", "1,3")), ("b.sdf", ("--smarts", "[#6]"))):
        status, _, error = invoke("sample", "qm9_small", "--keep", "lead.sdf", *choice, "--new-atoms", "9-11", "--out", name, *FAST)
        assert status == 0, error
        for sample in read_molecules(name):
            numbers = [int(n) - 1 for n in str(sample.properties["kept"]).split(",")] if name == "a.sdf" else [0]
            assert np.array_equal(sample.positions[: len(numbers)], lead.positions[numbers])
            assert sample.properties["kept_from"] == "lead.sdf"
            assert name == "b.sdf" or len(sample) in (11, 12, 13)


def test_a_pattern_tells_which_of_its_matches_is_taken(folder):
    (lead,) = read_molecules("lead.sdf")
    carbons = (np.flatnonzero(lead.atomic_numbers == 6) + 1).tolist()
    command = ("sample", "--keep", "lead.sdf", "--smarts", "[#6]", "--new-atoms", "12", "--out", "a.sdf", *FAST)
    assert invoke(*command)[1].startswith(f"[#6]: match 1 of {len(carbons)}, atoms {carbons[0]} (--match takes another)\n")
    status, output, error = invoke(*command, "--match", 2)
    assert status == 0, error
    assert output.startswith(f"[#6]: match 2 of {len(carbons)}, atoms {carbons[1]} ")
    for sample in read_molecules("a.sdf"):
        assert np.array_equal(sample.positions[0], lead.positions[carbons[1] - 1])
        assert sample.properties["kept"] == carbons[1]


def test_a_trajectory_is_in_the_frame_of_the_kept_part(folder):
    (lead,) = read_molecules("lead.sdf")
    command = ("sample", "--keep", "lead.sdf", "--atoms", "1-3", "--new-atoms", "9", "--trajectory", "t.sdf", "--out", "a.sdf", *FAST)
    status, _, error = invoke(*command)
    assert status == 0, error
    steps = list(read_molecules("t.sdf"))
    assert [step.properties["step"] for step in steps[:5]] == [0, 1, 2, 3, 4]  # restarts may follow
    assert all(np.array_equal(step.positions[:3], lead.positions[:3]) for step in steps)
    # drawn alone and drawn in a batch differ by rounding
    np.testing.assert_allclose(steps[-1].positions, next(iter(read_molecules("a.sdf"))).positions, atol=5e-2)


def test_a_trajectory_without_steps_holds_the_molecule(folder):
    options = ("--around", "lead.sdf", "--strength", 0, "--num", 1, "--trajectory", "t.sdf", "--out", "a.sdf")
    status, _, error = invoke("sample", *options)
    assert (status, error) == (0, "")
    (lead,), (last,) = read_molecules("lead.sdf"), read_molecules("t.sdf")
    np.testing.assert_allclose(last.positions, lead.positions, atol=1e-4)
    assert last.bonds.tolist() == lead.bonds.tolist()


def test_around_and_resume_of_another_strength(folder):
    status, _, error = invoke("sample", "qm9_small", "--around", "lead.sdf", "--strength", 0.2, "--out", "a.sdf", *FAST)
    assert status == 0, error
    assert [sample.properties["strength"] for sample in read_molecules("a.sdf")] == [0.2] * 3
    status, _, error = invoke("sample", "qm9_small", "--around", "lead.sdf", "--strength", 0.3, "--out", "a.sdf", *FAST, "--resume")
    assert (status, error.count("\n")) == (2, 1)
    assert "strength 0.2" in error


def test_conformers_of_a_file_and_of_a_smiles(folder):
    status, output, error = invoke("conformers", "two.sdf", "--num", 1, "--steps", 10, "--model", "qm9_small", "--out", "c.sdf")
    assert status == 0, error
    assert output.startswith("c.sdf: 2 of 2 molecules, 2 conformers")
    for given, found in zip(read_molecules("two.sdf"), read_molecules("c.sdf"), strict=True):
        assert np.array_equal(found.bonds, given.bonds)
        assert np.array_equal(found.atomic_numbers, given.atomic_numbers)
    options = ("--num", 1, "--steps", 10, "--model", "qm9_small", "--precision", "bf16")
    status, _, error = invoke("conformers", "CCO", *options, "--out", "d.xyz")
    assert (status, "warning: precision=bf16" in error) == (0, not multiplies_bfloat16("cpu"))
    more = (*options[:1], 2, *options[2:])
    assert invoke("conformers", "CCO", *more, "--out", "d.xyz", "--resume")[0] == 0
    precision = "bf16" if multiplies_bfloat16("cpu") else "fp32"
    assert [(len(m), m.properties.get("precision", "fp32")) for m in read_molecules("d.xyz")] == [(9, precision)] * 2
    tags = [(m.properties["title"], m.properties["conformer_of"]) for m in read_molecules("c.sdf")]
    assert tags == [(m.properties["title"], f"two.sdf record {k}") for k, m in enumerate(read_molecules("two.sdf"), 1)]
    (folder / "list.smi").write_text("smiles name\nCCO spirit of wine\nC(\n\nCN\n")
    status, output, error = invoke("conformers", "list.smi", "--num", 2, "--steps", 10, "--model", "qm9_small", "--out", "l.sdf")
    assert status == 0, error
    assert "left out: list.smi record 2: C(: not a SMILES that RDKit can read" in output
    assert "isotope" not in output + error
    tags = [(m.properties.get("title"), m.properties["conformer_of"], len(m)) for m in read_molecules("l.sdf")]
    assert tags == [("spirit of wine", "list.smi record 1 CCO", 9)] * 2 + [(None, "list.smi record 3 CN", 7)] * 2
    for smiles, model in (("CCO", "qm9"), ("CCS", "leads")):  # the first of the models that ship that knows all elements
        assert invoke("conformers", smiles, "--num", 1, "--steps", 3, "--out", "e.sdf")[0] == 0
        assert [sample.properties["model"] for sample in read_molecules("e.sdf")] == [model]
    (folder / "list.csv").write_text("id;SMILES;dose\nspirit of wine;CCO;1,5\nb;CN;\n")
    assert invoke("conformers", "list.csv", "--num", 1, "--steps", 10, "--model", "qm9_small", "--out", "m.sdf")[0] == 0
    tags = [(m.properties["title"], m.properties["conformer_of"]) for m in read_molecules("m.sdf")]
    assert tags == [("spirit of wine", "list.csv record 1 CCO"), ("b", "list.csv record 2 CN")]


def test_isotopes_of_molecules_with_conformers_are_counted(folder):
    Path("list.smi").write_text("[2H]OC a\nC(\n[13CH3]N b\nCN c\n")
    text = Path("two.sdf").read_text()
    Path("heavy.sdf").write_text(text.replace("M  END", "M  ISO  1   1  13\nM  END", 1) + text.replace("M  END", "M  END broken", 2)[:300])
    for source, lost in (("list.smi", "2 molecules"), ("[2H]OC", "1 molecule"), ("heavy.sdf", "1 molecule")):
        status, _, error = invoke("conformers", source, "--num", 1, "--steps", 5, "--model", "qm9_small", "--out", "c.sdf")
        assert status == 0, error
        assert f"molgen: note: {source}: isotope labels of {lost} are not kept\n" in error


def test_isotopes_of_a_given_molecule_are_told(folder):
    text = Path("lead.sdf").read_text()
    Path("heavy.sdf").write_text(text.replace("M  END", "M  ISO  1   1  13\nM  END", 1))
    options = ("--num", 1, "--steps", 3, "--keep-invalid", "--out", "i.sdf")
    for given in (("--around", "heavy.sdf"), ("--keep", "heavy.sdf", "--atoms", "1-4"), ("--around", "[2H]CCO"), ("--keep", "[13CH3]C*")):
        status, _, error = invoke("sample", "qm9_small", *given, *options)
        assert status == 0, error
        assert error.startswith(f"molgen: note: {given[1]}: isotope labels of 1 molecule are not kept\n")
    for given in (("--around", "lead.sdf"), ("--keep", "CC[1*]")):  # numbers of places to grow from are none
        assert "isotope" not in invoke("sample", "qm9_small", *given, *options)[2]


def test_conformers_of_what_the_model_knows_are_made_and_the_rest_is_told(folder):
    radical = next(iter(read_molecules("bare.sdf")))
    write_molecules("mixed.sdf", [*read_molecules("two.sdf"), radical])
    with Path("mixed.sdf").open("a") as file:
        file.write("broken\n\n\nnonsense\nM  END\n$$$$\n")
    options = ("--num", 2, "--steps", 10, "--model", "qm9_small")
    status, output, error = invoke("conformers", "mixed.sdf", *options, "--out", "c.sdf")
    assert status == 0, error
    assert output.startswith("c.sdf: 3 of 4 molecules, 6 conformers")
    assert "mixed.sdf: 6 hydrogens were added" in error
    assert [len(molecule) for molecule in read_molecules("c.sdf")][4:] == [9, 9]  # ethanol
    assert "left out: mixed.sdf: record 4: " in output
    whole = Path("c.sdf").read_text()
    second = whole.index("$$$$\n") + 5
    for cut in (second, second + 300):  # after the first conformer, and inside of the second
        Path("d.sdf.partial").write_text(whole[:cut])
        assert "--resume" in invoke("conformers", "mixed.sdf", *options, "--out", "d.sdf")[2]
        assert invoke("conformers", "mixed.sdf", *options, "--out", "d.sdf", "--resume")[0] == 0
        assert Path("d.sdf").read_text() == whole
        Path("d.sdf").unlink()
    assert "made with seed 0, not seed 1" in invoke("conformers", "mixed.sdf", *options, "--seed", 1, "--out", "c.sdf", "--resume")[2]


def test_hydrogens_that_are_no_atoms_are_added_to_what_is_varied_and_told(folder):
    status, _, error = invoke("sample", "qm9_small", "--around", "bare.sdf", "--strength", 0, "--num", 1, "--out", "a.sdf")
    assert (status, error) == (0, "molgen: note: bare.sdf: 6 hydrogens were added: CCO\n")
    (found,) = read_molecules("a.sdf")
    (bare,) = read_molecules("bare.sdf")
    np.testing.assert_allclose(found.positions[:3], bare.positions, atol=1e-4)
    assert found.properties["smiles"] == "CCO"


def test_conformers_are_resumed_for_the_same_molecules_alone(folder):
    (one, other), options = read_molecules("two.sdf"), ("--steps", 10, "--model", "qm9_small", "--out", "c.sdf")
    write_molecules("given.sdf", [one])
    assert invoke("conformers", "given.sdf", "--num", 1, *options)[0] == 0
    before = Path("c.sdf").read_bytes()
    assert invoke("conformers", "given.sdf", "--num", 2, *options, "--resume")[1].startswith(
        "c.sdf: 1 of 1 molecule, 2 conformers by qm9_small"
    )
    assert Path("c.sdf").read_bytes().startswith(before)
    write_molecules("given.sdf", [other])
    status, _, error = invoke("conformers", "given.sdf", "--num", 3, *options, "--resume")
    assert (status, error.count("\n"), "c.sdf: made with given " in error) == (2, 1, True)


def test_blanks_in_the_name_of_a_file_are_no_other_file(folder):
    Path("l  ist.smi").write_text("CCO a\n")
    options = ("--steps", 5, "--model", "qm9_small", "--out", "o.xyz")
    assert invoke("conformers", "l  ist.smi", "--num", 1, *options)[0] == 0
    status, output, error = invoke("conformers", "l  ist.smi", "--num", 2, *options, "--resume")
    assert (status, "2 conformers" in output) == (0, True), error


def test_a_molecule_with_too_few_conformers_is_told_and_kept(folder, monkeypatch):
    monkeypatch.setattr("molgen.conformation.IMPATIENCE", 3)
    Path("list.smi").write_text("CCCO a\n")
    options = ("--num", 60, "--steps", 6, "--model", "qm9_small", "--where", "strain_mmff<1.5", "--out", "c.sdf")
    status, output, error = invoke("conformers", "list.smi", *options)
    assert status == 0, error
    found = re.search(r"  fewer: (\d+) of 60: list.smi record 1 CCCO: 3 draws in a row .*; given up\n", output)
    assert 0 < int(found[1]) == len([*read_molecules("c.sdf")]) < 60
    assert output.startswith(f"c.sdf: 1 of 1 molecule, {found[1]} conformer")
    assert "left out" not in output


def test_conformers_have_the_geometry_that_is_asked_for(folder):
    Path("list.smi").write_text("CCCO a\nC[C@H](O)CN b\n")
    options = ("--num", 3, "--steps", 8, "--model", "qm9_small", "--compute", "energy_xtb", "--compute", "logp")
    status, output, error = invoke("conformers", "list.smi", *options, "--where", "strain_mmff<4", "--out", "c.sdf")
    assert status == 0, error
    found, drawn = [*read_molecules("c.sdf")], int(re.search(r"drawn (\d+)", output)[1])
    others = sum(int(count) for count in re.findall(r"(?:failed|withheld) (\d+): ", output))
    assert "withheld" in output
    assert drawn == 6 + others
    assert [m.properties["title"] for m in found] == ["a"] * 3 + ["b"] * 3
    for molecule in found:
        told = measure(molecule, ["energy_xtb", "strain_mmff", "logp"])
        assert told["strain_mmff"] < 4
        for name, value in told.items():
            assert molecule.properties[f"measured_{name}"] == pytest.approx(value, abs=0.02)
    kept = (*options, "--out", "c.sdf", "--resume")
    assert invoke("conformers", "list.smi", *kept, "--where", "strain_mmff<4")[1].startswith("c.sdf: 2 of 2 molecules, 6 conformers by")
    assert (
        "made with filters strain_mmff<4, not filters strain_mmff<5"
        in invoke("conformers", "list.smi", *kept, "--where", "strain_mmff<5")[2]
    )
    error = "molgen: error: --compute similarity: is the same for all conformers of a molecule; leave it away\n"
    assert invoke("conformers", "list.smi", "--compute", "similarity", "--out", "d.sdf")[::2] == (2, error)
    status, _, error = invoke("conformers", "list.smi", *options, "--where", "lipinski", "--out", "d.sdf")
    assert (status, "--where lipinski: mw is the same for all conformers of a molecule; choose from gap_xtb" in error) == (2, True)


def test_conformers_of_what_the_screen_flags_need_a_word(folder):
    mustard = ("conformers", "ClCCN(C)CCCl", "--num", 1, "--steps", 10, "--out", "m.sdf")
    assert "ClCCN(C)CCCl: flagged: sulfur and nitrogen mustards; --include-flagged makes" in invoke(*mustard)[2]
    assert invoke(*mustard, "--include-flagged")[0] == 0
    assert next(read_molecules("m.sdf")).properties["filters"] == "hazards included"


def test_inputs_are_not_written_over(folder):
    before = Path("lead.sdf").read_bytes()
    for arguments in (
        ("sample", "qm9_small", "--around", "lead.sdf"),
        ("sample", "qm9_small", "--novel", "lead.sdf"),
        ("conformers", "lead.sdf"),
    ):
        status, _, error = invoke(*arguments, "--out", "lead.sdf")
        assert (status, error) == (2, "molgen: error: --out lead.sdf: is an input of this command; give another name\n")
    for option in ("--around", "--novel"):
        status, _, error = invoke("sample", "qm9_small", option, "lead.sdf", "--out", "new.sdf", "--trajectory", "lead.sdf")
        assert (status, error) == (2, "molgen: error: --trajectory lead.sdf: is an input of this command; give another name\n")
    assert Path("lead.sdf").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sample", "--keep", "none.sdf"), "none.sdf: no such file"),
        (("sample", "--keep", "lead"), "lead: neither a file nor a SMILES that RDKit can read"),
        (("sample", "--keep", "CC*", "--keep", "lead.sdf"), "--keep CC*: a SMILES has no frame in common with other parts"),
        (("sample", "--around", "CC.C"), "CC.C: more than one molecule"),
        (("sample", "--keep", "lead.xyz"), "expected an SDF file, which has bonds and charges; convert it: obabel lead.xyz -O lead.sdf -h"),
        (("sample", "--keep", "lead.sdf"), "no kept atom has open valence"),
        (("sample", "--keep", "lead.sdf", "--atoms", "1-"), "--atoms 1-: expected numbers of atoms"),
        (("sample", "--keep", "lead.sdf", "--atoms", "1,80"), "names atom 80"),
        (("sample", "--keep", "lead.sdf", "--smarts", "[Xe]"), "nothing matches [Xe]"),
        (("sample", "--keep", "lead.sdf", "--smarts", "[[["), "not a SMARTS pattern"),
        (("sample", "--keep", "lead.sdf", "--smarts", "C", "--atoms", "1"), "give one of them"),
        (("sample", "--keep", "lead.sdf", "--smarts", "C", "--match", "20"), "there is no match 20"),
        (("sample", "--keep", "lead.sdf", "--match", "2"), "--match: needs --smarts with a pattern"),
        (("sample", "--keep", "lead.sdf", "--around", "lead.sdf"), "give one of them"),
        (("sample", "--keep", "two.sdf", "--atoms", "1"), "two.sdf: record 2 stands where another one is"),
        (("sample", "--atoms", "1"), "--atoms: needs --keep with a file"),
        (("sample", "--strength", "0.5"), "--strength: needs --around with a file"),
        (("sample", "--around", "lead.sdf", "--strength", "2"), "strength"),
        (("sample", "--around", "two.sdf"), "two.sdf: holds 2 molecules"),
        (("conformers", "CC[NH3+]"), "has the charge +1; the model was trained on the charges 0 only; give its neutral form"),
        (("conformers", "CC[NH3+]", "--model", "qm9"), "no sample with its atoms can pass the check (total charge +1)"),
        (("conformers", "CC("), "neither a file nor a SMILES"),
        (("conformers", "C.C"), "more than one molecule"),
        (("conformers", "CCI"), "atom 3 is I; the model was trained on H, C, N, O, F, S, Cl, Br only"),
        (("conformers", ""), "'': expected a SMILES, or a file that ends in .sdf, .smi, .csv or .tsv"),
        (("conformers", "none.sdf"), "none.sdf: no such file"),
        (("conformers", "none.smi"), "none.smi: no such file"),
        (("sample", "--around", "bohr.sdf"), "bohr.sdf: bonds have 1.9 times their usual length; give coordinates in Å"),
        (("sample", "--keep", "bohr.sdf", "--atoms", "1-4"), "bohr.sdf: bonds have 1.9 times their usual length"),
        (("conformers", "CCO", "--model", "shape_model"), "conformers needs a model of molecules; shape_model is one of shapes"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(folder, arguments, words):
    status, _, error = invoke(*arguments, "--out", "out.sdf")
    assert status == 2
    assert words in error
    assert error.count("\n") == 1
    assert not list(folder.glob("out*"))
