"""Known sets: files, lists, prepared data sets and SMILES whose molecules samples must not be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.evaluate.data import read_training
from molgen.known import Known, fingerprint
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.filters import Filters
from molgen.molecules.formats import is_smiles
from molgen.molecules.known_sets import CHUNK, Fingerprinter, fingerprints, known_molecules, texts
from molgen.molecules.metrics.validity import canonical, plain_smiles
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import write_sdf_record
from molgen.molecules.xyz import write_xyz_record

SAMPLE = Path(__file__).parents[3] / "data/qm9_sample/qm9_sample.sdf.gz"
LIGANDS = Path(__file__).parents[3] / "data/ligands_sample/neutral.sdf.gz"


def built(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return Molecule.from_rdkit(mol)


def fingerprint_of_record(text, format):
    """That of a record as it stands, 0 where it is no molecule."""
    (found,) = Fingerprinter(format)([text])
    return found[0] if found else 0


@pytest.fixture(scope="module")
def qm9():
    return list(read_molecules(SAMPLE))


def test_novel_reads_every_kind_of_file(qm9, tmp_path):
    write_molecules(tmp_path / "a.sdf.gz", qm9[:2])
    for name in ("a.smi", "a.smi.gz", "a.xyz"):
        write_molecules(tmp_path / name, qm9[:2])
    (tmp_path / "packed/train").mkdir(parents=True)
    (tmp_path / "packed/train/smiles.txt").write_text("".join(f"{plain_smiles(m.to_rdkit(sanitize=True))}\n" for m in qm9[:2]))
    (tmp_path / "a.csv").write_text("id;SMILES\n" + "".join(f"{n};{m.to_smiles()}\n" for n, m in enumerate(qm9[:2])))
    for name in ("a.sdf.gz", "a.smi", "a.smi.gz", "a.xyz", "a.csv", "packed"):
        novel = Filters(novel=str(tmp_path / name)).start()
        assert [novel(qm9[0]), novel(qm9[1]), novel(qm9[2]), novel(qm9[2])] == ["not novel", "not novel", "", ""]
    write_molecules(tmp_path / "third.sdf", qm9[2:3])
    both = Filters(novel=[tmp_path / "a.smi", str(tmp_path / "third.sdf"), "training"])
    screen = both.start(trained=Known.of([fingerprint(plain_smiles(qm9[3].to_rdkit(sanitize=True)))]))
    assert [screen(molecule) for molecule in qm9[:5]] == ["not novel"] * 4 + [""]
    assert both.describe().count("novel against") == 3
    (tmp_path / "b.smi").write_text("not-a-molecule\n")
    (tmp_path / "cut.smi.gz").write_bytes((tmp_path / "a.smi.gz").read_bytes()[:-12])
    for name, words in (
        ("b.smi", "no valid molecule"),
        ("cut.smi.gz", "cut.smi.gz: the gzip stream is damaged"),
        ("c.sdf", "no such file"),
        ("d.pdb", "no such file"),
    ):
        with pytest.raises(InputError, match=words):
            Filters(novel=str(tmp_path / name)).start()


def test_known_sets_may_be_flat_without_hydrogens_and_with_atom_maps(tmp_path):
    ethanol, flat = Chem.AddHs(Chem.MolFromSmiles("CCO")), Chem.MolFromSmiles("CCO")
    AllChem.EmbedMolecule(ethanol, randomSeed=1)
    AllChem.Compute2DCoords(flat)
    mapped = Chem.RemoveHs(ethanol)
    for atom in mapped.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    for number, mol in enumerate((ethanol, Chem.RemoveHs(ethanol), flat, mapped)):
        path = tmp_path / f"{number}.sdf"
        path.write_text(Chem.MolToMolBlock(mol) + "$$$$\n")
        assert known_molecules(path).leading.tolist() == [fingerprint("CCO")], number
    (tmp_path / "a.smi").write_text("# ethanol\n[CH3:1][CH2:2][OH:3]\n")
    assert known_molecules(tmp_path / "a.smi").leading.tolist() == [fingerprint("CCO")]
    assert Filters(novel=str(tmp_path / "1.sdf")).start()(built("CCO")).startswith("not novel")


def test_a_smiles_longer_than_a_file_name_is_a_smiles():
    chain = "C" * 300
    assert is_smiles(chain)
    assert fingerprint(chain) in known_molecules(chain)
    assert not is_smiles(f"{chain}.sdf.gz")


def test_a_list_of_known_molecules_that_is_in_part_unreadable_is_told_and_refused_where_most_is(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("smiles name\n" + "".join(f"{'C' * k}O {k}\n" for k in range(1, 10)) + "nonsense\nworse\n")
    with pytest.warns(
        UserWarning, match=r"a\.smi: 2 of 11 records are no molecules and exclude nothing, the first is record 10 \(nonsense\)$"
    ):
        assert len(known_molecules(path)) == 9
    path.write_text("CCO ethanol\nnonsense\n")
    with pytest.warns(UserWarning, match=r"1 of 2 records"):
        assert len(known_molecules(path)) == 1
    path.write_text("nonsense\nCCO ethanol\n*CC an R group\n")
    with pytest.raises(InputError, match=r"a\.smi: 2 of 3 records are no valid molecules, the first is record 1 \(nonsense\); mend them"):
        known_molecules(path)
    (tmp_path / "a.csv").write_text("id,smiles\n1,CCO\n2,\n3, \n4,\n5,CCN\n")  # blank cells are nothing that could be wrong
    assert len(known_molecules(tmp_path / "a.csv")) == 2
    (tmp_path / "a.sdf").write_text(f"left out\n{'x' * 9}\n$$$$\n" + Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")) + "$$$$\n")
    with pytest.warns(UserWarning, match=r"a\.sdf: 1 of 2 records .* the first is record 1 \(left out\)"):
        assert len(known_molecules(tmp_path / "a.sdf")) == 1


def known_of(tmp_path, mol):
    (tmp_path / "one.sdf").write_text(Chem.MolToMolBlock(mol) + "$$$$\n")
    return known_molecules(tmp_path / "one.sdf").leading.tolist()


def test_hydrogens_of_known_sets_may_be_atoms_or_not(tmp_path):
    phenol = Chem.AddHs(Chem.MolFromSmiles("Oc1ccccc1"))
    flat = Chem.Mol(phenol)
    AllChem.Compute2DCoords(flat)
    AllChem.EmbedMolecule(phenol, randomSeed=1)
    polar = Chem.RWMol(phenol)
    Chem.Kekulize(polar, clearAromaticFlags=True)
    for atom in reversed([atom.GetIdx() for atom in phenol.GetAtoms() if atom.GetAtomicNum() == 1]):
        if phenol.GetAtomWithIdx(atom).GetNeighbors()[0].GetAtomicNum() == 6:
            polar.RemoveAtom(atom)
    assert sum(atom.GetAtomicNum() == 1 for atom in polar.GetAtoms()) == 1
    for mol in (phenol, flat, polar.GetMol()):
        assert known_of(tmp_path, mol) == [fingerprint("Oc1ccccc1")]
    imine = Chem.MolFromSmiles("[H]/N=C1/CCCO1")
    assert imine.GetNumAtoms() == 7
    assert known_of(tmp_path, imine) == [fingerprint("N=C1CCCO1")]
    assert Filters(novel=tmp_path / "one.sdf").start()(built("N=C1CCCO1")) == "not novel"


def test_training_sets_are_read_as_known_sets_are_but_for_salts(tmp_path):
    entries = [Chem.MolFromSmiles(smiles) for smiles in ("[H]/N=C1/CCCO1", "CC(=O)[O-].[Na+]")]
    flat = Chem.AddHs(Chem.MolFromSmiles("Oc1ccccc1"))
    AllChem.Compute2DCoords(flat)
    (tmp_path / "a.sdf").write_text("".join(Chem.MolToMolBlock(mol) + "$$$$\n" for mol in (*entries, flat)))
    (tmp_path / "a.csv").write_text("id,smiles\n1,N=C1CCCO1\n2,CC(=O)[O-].[Na+]\n3,\n4,Oc1ccccc1\n")
    expected = [fingerprint(canonical(smiles)) for smiles in ("N=C1CCCO1", "CC(=O)[O-].[Na+]", "Oc1ccccc1")]
    for name, numbers in (("a.sdf", expected), ("a.csv", [*expected[:2], 0, expected[2]])):
        training = read_training(tmp_path / name, 0, lambda results, *_: results)
        assert training.fingerprints.tolist() == numbers
        known = known_molecules(tmp_path / name)
        assert {*training.known.leading.tolist()} < {*known.leading.tolist()}


def test_a_large_file_is_read_in_several_processes_as_in_one(tmp_path):
    salts = ["CC(=O)[O-].[Na+]", "CCN.Cl", "nonsense"]
    (tmp_path / "a.smi").write_text("".join(f"{'C' * (k % 40)}{salts[k % 3]} {k}\n" for k in range(3 * CHUNK + 7)))
    work = Fingerprinter("smi", all_forms=True)
    one, here, both = (
        list(fingerprints(texts(tmp_path / "a.smi"), work, workers, here)) for workers, here in ((1, 0), (2, 10_000), (2, CHUNK))
    )
    assert one == here == both
    assert [len(found) for _, found in one[:3]] == [3, 3, 0]
    with pytest.warns(UserWarning, match=r"202 of 607 records are no molecules .* the first is record 3 \(CCnonsense\)"):
        known = known_molecules(tmp_path / "a.smi", 2)
    assert {*known.leading.tolist()} == {number for _, found in one for number in found}


def test_records_of_samples_have_the_fingerprints_of_their_smiles(qm9):
    for molecule in (*qm9, *read_molecules(LIGANDS)):
        smiles = plain_smiles(molecule.to_rdkit(sanitize=True))
        assert fingerprint_of_record(write_sdf_record(molecule), "sdf") == fingerprint(smiles)


def test_bonds_that_a_record_lacks_are_told_by_its_geometry(qm9):
    bare = [replace(molecule, bonds=np.zeros((0, 3), np.int64), charges=0 * molecule.charges) for molecule in qm9[:5]]
    for format, write in (("sdf", write_sdf_record), ("xyz", write_xyz_record)):
        found = [fingerprint_of_record(write(molecule), format) for molecule in bare]
        assert found == [fingerprint(plain_smiles(molecule.to_rdkit(sanitize=True))) for molecule in qm9[:5]]
    assert fingerprint_of_record(write_sdf_record(qm9[0]).replace("M  END", ""), "sdf") == 0  # cut off


@pytest.mark.parametrize(
    ("entry", "drawn"),
    [
        ("CC(=O)[O-].[Na+]", "CC(=O)O"),
        ("CCN.Cl", "CCN"),
        ("CC[NH3+].[Cl-]", "CCN"),
        ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),
        ("c1cc[nH+]cc1.[Br-]", "c1ccncc1"),
        ("CS(=O)(=O)[N-]c1ccccc1.[Na+]", "CS(=O)(=O)Nc1ccccc1"),
        ("CC(=O)[O-].CC(=O)[O-].[Ca+2]", "CC(=O)O"),
        ("CCO.O", "CCO"),
    ],
)
def test_salts_exclude_what_is_drawn_of_them(tmp_path, entry, drawn):
    (tmp_path / "a.smi").write_text(f"{entry} name\n")
    for source in (tmp_path / "a.smi", entry):
        known = known_molecules(source)
        assert all(fingerprint(canonical(smiles)) in known for smiles in (entry, drawn))
    mol = Chem.MolFromSmiles(entry)
    assert fingerprint(canonical(drawn)) in known_of(tmp_path, mol)
    as_it_stands = fingerprint_of_record(entry, "smi")  # what `evaluate --train` compares with
    assert as_it_stands == fingerprint(canonical(entry)) != fingerprint(canonical(drawn))
    assert len(known_molecules("C[N+](=O)[O-]")) == len(known_molecules("C[N+](C)(C)CC(=O)[O-]")) == 1  # have no other form


def test_a_smiles_is_a_known_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    screen = Filters(novel=["CCO", "C/C=C/C"]).start()
    assert [screen(built(smiles)) for smiles in ("OCC", "C/C=C\\C", "CCN")] == ["not novel", "not novel", ""]
    assert Filters(novel="CCO").describe() == "novel against CCO"
    with pytest.raises(InputError, match=r"^no_such: no such file, prepared data set or model, and no SMILES; check the name \('training'"):
        Filters(novel="no_such").start()
    (tmp_path / "CCO").mkdir()
    with pytest.raises(InputError, match="CCO: is a folder"):
        Filters(novel="CCO").start()


def test_known_sets_are_read_once_for_copies_of_the_filters(tmp_path):
    (tmp_path / "a.smi").write_text("CCO\nnonsense\n")
    filters = Filters(novel=tmp_path / "a.smi")
    with pytest.warns(UserWarning, match="1 of 2 records"):
        filters.read_known()
    assert replace(filters, unique=True).start()(built("CCO")) == "not novel"


def test_what_a_model_was_trained_on_is_known_where_it_says_so():
    screen = Filters(novel="training").start(trained=Known.of([fingerprint("CCO")]))
    assert [screen(built(smiles)) for smiles in ("CCO", "CCN")] == ["not novel", ""]
    assert not Filters().start(trained=Known.of([fingerprint("CCO")]))(built("CCO"))  # nobody asked
    with pytest.raises(InputError, match="does not say what it was trained on"):
        Filters(novel="training").start()
