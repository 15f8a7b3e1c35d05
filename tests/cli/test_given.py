"""Files as other programs write them, at the commands that read a given molecule: polar hydrogens, drawings, salts, other formats."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rdkit import Chem
from rdkit.Chem import AllChem

import molgen
from molgen.cli import main
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.molecule import Molecule

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "molgen/weights/qm9_small/model.safetensors").is_file(), reason="no weights in this tree")


def invoke(*arguments):
    """Exit status, standard output and standard error; nothing is raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def refusal(*arguments):
    """The one line of an error, behind what was told of the input."""
    status, _, error = invoke(*arguments)
    assert status == 2, error
    assert not Path("out.sdf").exists()
    return error.splitlines()[-1].removeprefix("molgen: error: ")


def without(molecule, carbon_only):
    """The molecule without its hydrogens, or without those on carbon."""
    bearer = {j: molecule.atomic_numbers[i] for i, j, _ in molecule.bonds.tolist() if molecule.atomic_numbers[j] == 1}
    return molecule.take(np.array([i for i in range(len(molecule)) if i not in bearer or (carbon_only and bearer[i] != 6)]))


def draw(path, smiles):
    """Writes a flat drawing."""
    mol = Chem.MolFromSmiles(smiles)
    AllChem.Compute2DCoords(mol)
    Chem.MolToMolFile(mol, path)


def several(*molecules):
    """One molecule of several that stand apart."""
    offsets = np.cumsum([0, *map(len, molecules)])
    return Molecule(
        atomic_numbers=np.concatenate([molecule.atomic_numbers for molecule in molecules]),
        positions=np.concatenate([molecule.positions + 9 * k for k, molecule in enumerate(molecules)]),
        charges=np.concatenate([molecule.charges for molecule in molecules]),
        bonds=np.concatenate(
            [molecule.bonds + np.array([offset, offset, 0]) for molecule, offset in zip(molecules, offsets, strict=False)]
        ),
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of such files, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    phenol = Molecule.from_smiles("Oc1ccccc1")
    write_molecules("full.sdf", [phenol])
    write_molecules("polar.sdf", [without(phenol, carbon_only=True)])
    write_molecules("crystal.sdf", [without(phenol, carbon_only=False)])
    write_molecules("salt.sdf", [several(Molecule.from_smiles("O"), Molecule.from_smiles("CCN"))])
    draw("flat.mol", "C[C@H](O)C#N")
    draw("flat_salt.mol", "CCN.O")
    refused = without(Molecule.from_smiles("C[N+](C)(C)C"), carbon_only=False)
    write_molecules("refused.sdf", [Molecule(refused.atomic_numbers, refused.positions, np.zeros(5, np.int64), refused.bonds)])
    for name in ("para.pdb", "para.mol2"):
        (tmp_path / name).write_text("HETATM\n")
    return tmp_path


def predicted(name, *options):
    """What `predict` writes about a file, and what it tells on standard error."""
    status, output, error = invoke("predict", "qm9_small", name, "--out", "told.sdf", *options)
    assert status == 0, error
    return list(read_molecules("told.sdf")), output, error


def test_molecules_with_polar_hydrogens_or_none_are_predicted_as_whole_ones(folder):
    (whole,), _, error = predicted("full.sdf")
    assert error == ""
    for name, added in (("polar.sdf", 5), ("crystal.sdf", 6)):
        (found,), _, error = predicted(name)
        assert error == f"molgen: note: {name}: {added} hydrogens were added: Oc1ccccc1\n"
        assert len(found) == len(whole)
        for tag in ("logp", "gap_xtb"):
            near = pytest.approx(whole.properties[f"predicted_{tag}"], abs=0.5 * whole.properties[f"deviation_{tag}"])
            assert found.properties[f"predicted_{tag}"] == near
    write_molecules("many.sdf", [*read_molecules("polar.sdf"), *read_molecules("full.sdf"), *read_molecules("crystal.sdf")])
    found, _, error = predicted("many.sdf")
    assert error == "molgen: note: many.sdf: 11 hydrogens were added to 2 molecules\n"
    assert [len(molecule) for molecule in found] == [13] * 3


def test_ions_lack_nothing(folder):
    write_molecules("ions.sdf", [Molecule.from_smiles(smiles) for smiles in ("CC[NH3+]", "CC(=O)[O-]")])
    found, _, error = predicted("ions.sdf")
    assert (error, [molecule.charges.sum() for molecule in found]) == ("", [1, -1])


def test_what_cannot_be_completed_is_refused(folder):
    words = "refused.sdf{}: has no hydrogens as atoms; add them, with coordinates (RDKit: Explicit valence for atom N, 4, is greater than"
    assert words.format(" record 1") in refusal("predict", "qm9_small", "refused.sdf", "--out", "out.sdf")
    assert refusal("sample", "qm9_small", "--around", "refused.sdf", "--out", "out.sdf").startswith(words.format(""))
    assert refusal("conformers", "refused.sdf", "--out", "out.sdf").startswith(words.format(""))


def test_a_crystal_ligand_is_varied_and_gets_conformers(folder):
    (given,) = read_molecules("crystal.sdf")
    for name, added in (("crystal.sdf", 6), ("polar.sdf", 5)):
        told = f"molgen: note: {name}: {added} hydrogens were added: Oc1ccccc1\n"
        status, _, error = invoke("sample", "qm9_small", "--around", name, "--strength", 0, "--num", 1, "--out", "near.sdf")
        assert (status, error) == (0, told)
        (near,) = read_molecules("near.sdf")
        np.testing.assert_allclose(near.positions[: len(given)], given.positions, atol=1e-4)
        assert near.to_smiles() == "Oc1ccccc1"
        status, _, error = invoke("conformers", name, "--num", 1, "--steps", 20, "--model", "qm9_small", "--out", "shapes.sdf")
        assert (status, error) == (0, told)
        assert next(read_molecules("shapes.sdf")).to_smiles() == "Oc1ccccc1"


def test_open_valences_of_what_is_kept_stay_open(folder):
    options = ("--new-atoms", 6, "--num", 1, "--steps", 2, "--keep-invalid", "--out", "grown.sdf")
    status, _, error = invoke("sample", "qm9_small", "--keep", "crystal.sdf", *options)
    assert (status, "were added" in error) == (0, False)
    (grown,) = read_molecules("grown.sdf")
    assert grown.properties["kept"] == "1-7"
    assert (grown.atomic_numbers[:7] > 1).all()


def test_drawings_are_embedded_or_read_as_graphs(folder):
    (found,), _, error = predicted("flat.mol")
    assert error == "molgen: note: flat.mol: is a flat drawing, of which a conformer was made: C[C@H](O)C#N\n"
    assert np.ptp(found.positions, axis=0).min() > 0.5
    status, _, again = invoke("sample", "qm9_small", "--around", "flat.mol", "--strength", 0, "--num", 1, "--out", "near.sdf")
    assert (status, again) == (0, error)
    np.testing.assert_allclose(next(read_molecules("near.sdf")).positions, found.positions, atol=1e-3)  # always the same conformer
    status, _, error = invoke("conformers", "flat.mol", "--num", 2, "--steps", 20, "--model", "qm9_small", "--out", "shapes.sdf")
    assert (status, error) == (0, "")
    assert {molecule.to_smiles() for molecule in read_molecules("shapes.sdf")} == {"C[C@H](O)C#N"}
    told = refusal("sample", "--keep", "flat.mol", "--out", "out.sdf")
    assert told == "flat.mol: record 1: no 3D coordinates; give its SMILES with * where to grow, or 3D coordinates"


def test_salts_are_told_or_left_out(folder):
    assert refusal("sample", "--around", "CCN.Cl", "--out", "out.sdf") == "CCN.Cl: more than one molecule; leave out the salt: 'CCN'"
    assert refusal("conformers", "[Na+].CC(=O)[O-]", "--out", "out.sdf").endswith("leave out the salt: 'CC(=O)[O-]'")
    assert refusal("sample", "--keep", "CC*.C*", "--out", "out.sdf").endswith("give fragments in one frame as an SDF file")
    assert refusal("sample", "--around", "salt.sdf", "--out", "out.sdf") == "salt.sdf: more than one molecule; leave out the salt: 'CCN'"
    assert refusal("conformers", "salt.sdf", "--out", "out.sdf") == "salt.sdf: more than one molecule; leave out the salt: 'CCN'"
    assert "more than one molecule; give --largest-fragment, which takes 'CCN'" in refusal("predict", "qm9_small", "salt.sdf")
    assert "more than one molecule; give --largest-fragment, which takes 'CCN'" in refusal("predict", "qm9_small", "flat_salt.mol")
    Path("list.csv").write_text("id,smiles\na,CCN.O\nb,CCO\n")
    told = "  left out: list.csv record 1 (a): CCN.O: several fragments; keep one molecule in each record, or give --largest-fragment\n"
    settings = ("--num", 1, "--steps", 10, "--model", "qm9_small", "--out", "shapes.sdf")
    assert told in invoke("conformers", "list.csv", *settings)[1]
    assert told in predicted("list.csv")[1]
    for name, sizes in (("salt.sdf", [10]), ("flat_salt.mol", [10]), ("list.csv", [10, 9]), ("CCN.O", [10])):
        status, output, error = invoke("conformers", name, *settings, "--largest-fragment")
        assert (status, "left out" in output) == (0, False), error
        assert [len(molecule) for molecule in read_molecules("shapes.sdf")] == sizes
        if Path(name).exists():
            assert [len(molecule) for molecule in predicted(name, "--largest-fragment")[0]] == sizes


def test_elements_that_the_model_lacks_are_told_whatever_the_conformer(folder):
    known = "the model was trained on H, C, N, O only"
    told = refusal("sample", "qm9_small", "--around", "c1ccccc1[Pt]Cl", "--out", "out.sdf")
    assert told == f"c1ccccc1[Pt]Cl: atom 7 is Pt; {known}"
    assert refusal("sample", "qm9_small", "--keep", "OB(*)C", "--out", "out.sdf").startswith(f"OB(*)C: atom 2 is B; {known}")
    draw("boron.mol", "OB(O)C")
    assert refusal("sample", "qm9_small", "--around", "boron.mol", "--out", "out.sdf") == f"boron.mol: atom 2 is B; {known}"
    assert f"boron.mol record 1: atom 2 is B; {known}" in refusal("predict", "qm9_small", "boron.mol")
    Path("list.smi").write_text("OB(O)C phenyl\nCCS thiol\nCCO\n")
    output = predicted("list.smi")[1]
    assert f"left out: list.smi record 1 (phenyl): OB(O)C: atom 2 is B; {known}\n" in output
    assert f"left out: list.smi record 2 (thiol): CCS: atom 3 is S; {known}; the model leads knows such\n" in output


def test_rows_of_records_that_fail_stay_in_a_table(folder):
    with Path("full.sdf").open("a") as file:
        file.write("broken\n\n\nnonsense\nM  END\n>  <pIC50>\n7.5\n\n$$$$\n")
        file.write(Path("refused.sdf").read_text())
    status, output, error = invoke("predict", "qm9_small", "full.sdf", "--out", "told.csv")
    assert status == 0, error
    assert "left out: full.sdf record 2 (broken): counts line that is not two numbers\n" in output
    table = [line.split(",") for line in Path("told.csv").read_text().splitlines()]
    rows = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    assert [(row["smiles"], row["title"], row["pIC50"]) for row in rows[:2]] == [("Oc1ccccc1", "", ""), ("", "broken", "7.5")]
    assert [bool(row["predicted_logp"]) for row in rows] == [True, False, False]
    assert len(predicted("full.sdf")[0]) == 1


@pytest.mark.parametrize("name", ["para.pdb", "para.mol2", "para.cml", "para.cdxml"])
def test_other_formats_have_to_be_converted(folder, name):
    Path(name).touch()
    told = f"{name}: is no SDF file; convert it, with bonds and hydrogens: obabel {name} -O para.sdf -h"
    for arguments in (("sample", "--around", name), ("sample", "--keep", name), ("conformers", name)):
        assert refusal(*arguments, "--out", "out.sdf") == told
    for option in (("--novel", name), ("--similar-to", name, "--where", "similarity>0.4")):
        assert refusal("sample", "qm9_small", "--num", 1, *option, "--out", "out.sdf") == told
    for arguments in (("predict", "qm9_small", name), ("info", name), ("evaluate", name), ("view", name)):
        assert refusal(*arguments) == told


def test_names_of_properties_are_found_in_any_case(folder):
    options = ("--num", 1, "--steps", 2, "--candidates", 1, "--keep-invalid", "--out")
    for name, wanted in (("a.sdf", "logp=1.."), ("b.sdf", "LogP=1..")):
        assert invoke("sample", "qm9_small", "--property", wanted, *options, name)[0] == 0
    assert Path("a.sdf").read_bytes() == Path("b.sdf").read_bytes()
    assert "requested_logp" in next(read_molecules("b.sdf")).properties
    assert invoke("sample", "qm9_small", "--property", "LOGP=1..", *options, "b.sdf", "--resume")[0] == 0  # nothing to draw
    (found,) = molgen.load("qm9_small").sample(1, properties={"LogP": 1.0}, steps=2, candidates=1, keep_invalid=True)
    assert found.properties["requested_logp"] == 1
    told = refusal("sample", "qm9_small", "--property", "lopg=1", *options, "out.sdf")
    assert told == "qm9_small: unknown property 'lopg'; did you mean logp?"
    assert (
        refusal("sample", "qm9_small", "--property", "logp=1", "--property", "logP=2", *options, "out.sdf") == "logP: logp is given twice"
    )
