"""The molecule as a value: equality, hash, copies, its line of text, its SMILES, and what RDKit molecules it takes and makes."""

import copy
import math
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.molecule import Molecule
from molgen.molecules.reading import read_sdf

SAMPLE = Path(__file__).parents[3] / "data/qm9_sample/qm9_sample.sdf.gz"
WATER = tuple(map(np.array, ([8, 1, 1], [[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], [0, 0, 0], [[0, 1, 1], [0, 2, 1]])))
NOTHING = Molecule(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
CROWDED = Molecule(np.array([9, 1, 1]), np.eye(3), np.zeros(3, np.int64), WATER[3])


def embedded(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return mol


def test_molecules_are_equal_where_everything_is():
    water = Molecule(*WATER, {"gap": 1.5, "name": "w"})
    same = Molecule(*map(np.copy, WATER), {"name": "w", "gap": 1.5})
    assert water == same
    assert hash(water) == hash(same)
    assert {water: 1}[same] == 1
    others = [
        replace(water, atomic_numbers=np.array([16, 1, 1])),
        replace(water, positions=np.nextafter(water.positions, 9)),
        replace(water, charges=np.array([1, 0, 0])),
        replace(water, bonds=water.bonds[:1]),
        replace(water, bonds=np.array([[0, 1, 1], [0, 2, 2]])),
        replace(water, properties={"gap": 1.5}),
        replace(water, properties={"gap": 1.5, "name": "v"}),
        replace(water, properties={"gap": math.nan, "name": "w"}),
        replace(water, implicit_hydrogens=True),
        Molecule(WATER[0][:2], WATER[1][:2], WATER[2][:2], WATER[3][:1], water.properties),
        "water",
    ]
    assert [water == other for other in others] == [False] * len(others)
    assert len({water, same, *others}) == 1 + len(others)
    assert replace(water, positions=-np.zeros((3, 3))) == (zero := replace(water, positions=np.zeros((3, 3))))
    assert hash(replace(water, positions=-np.zeros((3, 3)))) == hash(zero)
    assert replace(water, positions=zero.positions.astype(np.float32)) == zero
    assert hash(replace(water, positions=zero.positions.astype(np.float32))) == hash(zero)


def test_what_is_pickled_comes_back_equal():
    odd = Molecule(WATER[0], np.full((3, 3), math.nan), WATER[2], WATER[3], {"gap": float("nan"), "passed": True, "title": "w"})
    for molecule in (*list(read_molecules(SAMPLE))[:20], odd, NOTHING):
        again = pickle.loads(pickle.dumps(molecule))
        assert again is not molecule
        assert again == molecule
        assert hash(again) == hash(molecule)


@pytest.mark.parametrize(
    ("smiles", "properties", "text"),
    [
        ("CC(=O)C=C(O)CC=O", {}, "Molecule(C6H8O3, 17 atoms)"),
        ("O", {"logp": -0.8, "qed": 0.3}, "Molecule(H2O, 3 atoms, properties: logp, qed)"),
        ("[Cl-]", {}, "Molecule(Cl, 1 atom, charge -1)"),
        ("C[NH3+]", {}, "Molecule(CH6N, 8 atoms, charge +1)"),
        ("FC(Br)Cl", {}, "Molecule(CHBrClF, 5 atoms)"),
        ("OS(=O)(=O)O", dict.fromkeys("abcdefgh", 1), "Molecule(H2O4S, 7 atoms, properties: a, b, c, d, e, f and 2 more)"),
    ],
)
def test_a_molecule_is_printed_as_one_line(smiles, properties, text):
    assert repr(replace(Molecule.from_rdkit(embedded(smiles)), properties=properties)) == text


def test_molecules_without_atoms_or_hydrogens_are_printed_as_such():
    assert repr(NOTHING) == "Molecule(0 atoms)"
    assert (
        repr(Molecule(np.array([6]), np.zeros((1, 3)), np.zeros(1, np.int64), NOTHING.bonds, {}, True))
        == "Molecule(C, 1 atom, implicit hydrogens)"
    )


@pytest.mark.parametrize("smiles", ["C[C@H](O)F", "C[C@@H](O)F", "F/C=C/F", "F/C=C\\F", "Cc1ccncc1", "C[NH3+]", "[H][H]"])
def test_smiles_hold_the_stereo_of_the_geometry(smiles, tmp_path):
    molecule = Molecule.from_rdkit(embedded(smiles))
    assert molecule.to_smiles() == Chem.CanonSmiles(smiles)
    write_molecules(tmp_path / "a.smi", [molecule])
    assert (tmp_path / "a.smi").read_text() == f"{molecule.to_smiles()}\n"


def test_what_rdkit_refuses_has_a_smiles_of_its_atoms_and_bonds():
    with pytest.raises(Chem.MolSanitizeException):
        CROWDED.to_rdkit(sanitize=True)
    assert CROWDED.to_smiles() == "[H]F[H]"


def test_notebooks_show_the_structure():
    assert Molecule(*WATER)._repr_svg_().startswith("<svg")
    assert CROWDED._repr_svg_().startswith("<svg")


def test_a_single_atom_is_not_flat(tmp_path):
    neon = Chem.MolFromSmiles("[Ne]")
    AllChem.Compute2DCoords(neon)
    assert len(Molecule.from_rdkit(neon)) == 1
    (tmp_path / "a.sdf").write_text(Chem.MolToMolBlock(neon))
    assert [len(molecule) for molecule in read_molecules(tmp_path / "a.sdf")] == [1]


def test_rdkit_molecules_need_three_dimensions_and_their_hydrogens():
    bare, flat = Chem.MolFromSmiles("CCO"), Chem.MolFromSmiles("CCO")
    AllChem.Compute2DCoords(flat)
    fix = "embed it first: mol = Chem.AddHs(mol); AllChem.EmbedMolecule(mol)"
    dative = embedded("CC")
    dative.GetBondWithIdx(0).SetBondType(Chem.BondType.DATIVE)
    for mol, text in (
        (bare, f"the molecule has no 3D coordinates (no conformer); {fix}"),
        (flat, f"the molecule has no 3D coordinates (a flat drawing); {fix}"),
        (
            Chem.RemoveHs(embedded("CCO")),
            "atom 1 has implicit hydrogens; add them with coordinates first (Chem.AddHs(mol, addCoords=True)); of a draw whose hydrogens "
            "are all atoms it lacks some: tell RDKit so by atom.SetNoImplicit(True) for every atom",
        ),
        (dative, "the molecule has a dative bond; only single, double and triple bonds are known"),
    ):
        with pytest.raises(InputError) as caught:
            Molecule.from_rdkit(mol)
        assert str(caught.value) == text


def test_some_atoms_are_taken_with_the_bonds_among_them():
    ester = Molecule.from_smiles("CC(=O)OC")  # atoms 1 to 5, then six hydrogens, of which 5 to 7 are those of atom 0
    part = ester.take(np.array([3, 1, 2, 4]))
    assert part.atomic_numbers.tolist() == [8, 6, 8, 6]
    np.testing.assert_array_equal(part.positions, ester.positions[[3, 1, 2, 4]])
    assert part.bonds.tolist() == [[0, 1, 1], [0, 3, 1], [1, 2, 2]]
    assert ester.take(np.arange(len(ester))) == replace(ester, bonds=np.array(sorted(ester.bonds.tolist())))
    assert ester.take(np.array([0, 4])).bonds.shape == (0, 3)


def test_a_part_has_properties_of_its_own():
    water = Molecule(*WATER, {"gap": 1.5})
    water.take(np.array([0, 1])).properties["gap"] = 2.0
    assert water.properties == {"gap": 1.5}


def test_rdkit_takes_properties_whatever_their_names():
    water = Molecule(*WATER, {"": 1.0, "gap": 1.5})
    water.properties[1] = 2.5
    assert water.to_rdkit().GetPropsAsDict() == {"1": 2.5, "gap": 1.5}


def test_copies_have_properties_of_their_own():
    water = Molecule(*WATER, {"gap": 1.5})
    for other in (copy.copy(water), copy.deepcopy(water), replace(water), Molecule(*WATER, water.properties)):
        assert other == water
        other.properties["gap"] = 2.0
        assert water.properties == {"gap": 1.5}
    assert copy.copy(water).positions is water.positions


def tagged(properties):
    """Water with properties of types that a data frame has."""
    water = Molecule(*WATER)
    water.properties.update(properties)
    return water


MISSING = (None, math.nan, np.float32("nan"), pandas.NA, pandas.NaT)


def test_properties_without_a_value_are_alike_and_left_out(tmp_path):
    for missing in MISSING:
        given = tagged({"title": missing, "gap": missing, "n": np.int64(3)})
        assert given == given
        assert given == tagged({"title": None, "gap": None, "n": 3})
        assert given != tagged({"title": missing, "gap": 0.0, "n": 3})
        assert given.to_rdkit().GetPropsAsDict() == {"n": 3}
        assert not given.to_rdkit().HasProp("_Name")
        for name in ("a.sdf", "a.xyz"):
            write_molecules(tmp_path / name, [given])
            assert [m.properties for m in read_molecules(tmp_path / name)] == [{"n": 3}]
        write_molecules(tmp_path / "a.csv", [given])
        assert (tmp_path / "a.csv").read_text() == "smiles,n\nO,3\n"
        write_molecules(tmp_path / "a.smi", [given])
        assert (tmp_path / "a.smi").read_text() == "O\n"


def test_numbers_of_numpy_are_those_of_python():
    given = {"a": np.True_, "b": np.int32(7), "c": np.float64(1.5), "d": np.float32(0.1), "e": np.str_("x")}
    own = {"a": True, "b": 7, "c": 1.5, "d": 0.1, "e": "x"}
    assert tagged(given) == tagged(own)
    found = tagged(given).to_rdkit().GetPropsAsDict(autoConvertStrings=False)
    assert {name: (value, type(value)) for name, value in found.items()} == {name: (value, type(value)) for name, value in own.items()}


def test_a_mask_takes_its_atoms_and_what_is_not_there_is_refused():
    ester = Molecule.from_smiles("CC(=O)OC")
    heavy = ester.atomic_numbers > 1
    assert ester.take(heavy) == ester.take(heavy.tolist()) == ester.take(np.arange(5)) == ester.take(range(5))
    assert ester.take([-1]).atomic_numbers.tolist() == [1]
    assert len(ester.take([])) == len(ester.take(np.zeros(11, bool))) == 0
    for given, text in (
        (heavy[:5], "expected 11 booleans, one for each atom, got 5"),
        (np.zeros(0, bool), "expected 11 booleans, one for each atom, got 0"),
        ([0, 11], "expected atoms 0 to 10, got 11"),
        ([-12], "expected atoms 0 to 10, got -12"),
        ([1, 2, 1], "atom 1 is named twice; name each once"),
        ([10, -1], "atom 10 is named twice; name each once"),
        (np.array([0.5]), "expected whole numbers of atoms from 0, or 11 booleans, got array([0.5])"),
        (np.zeros((1, 2), int), "expected whole numbers of atoms from 0, or 11 booleans, got array([[0, 0]])"),
    ):
        with pytest.raises(InputError) as caught:
            ester.take(given)
        assert str(caught.value) == f"indices: {text}"


def test_isotopes_are_told_once_a_call(tmp_path):
    heavy = embedded("[2H]C([2H])([2H])O")
    with pytest.warns(UserWarning, match=r"^the molecule of RDKit: isotope labels are not kept$") as told:
        molecule = Molecule.from_rdkit(heavy)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=r"^\[2H\]C\(\[2H\]\)\(\[2H\]\)O: isotope labels are not kept$") as told:
        assert Molecule.from_smiles("[2H]C([2H])([2H])O").to_smiles() == molecule.to_smiles() == "CO"
    assert len(told) == 1
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        for mol in (heavy, embedded("CO"), heavy):
            writer.write(mol)
    for read in (read_sdf, read_molecules):
        with pytest.warns(UserWarning, match=r"a\.sdf: isotope labels of 2 molecules are not kept$") as told:
            assert [m.to_smiles() for m in read(tmp_path / "a.sdf")] == ["CO"] * 3
        assert len(told) == 1


SCRIPT = """
from rdkit import Chem
from rdkit.Chem import AllChem
import molgen
mol = Chem.AddHs(Chem.MolFromSmiles("[2H]CO"))
AllChem.EmbedMultipleConfs(mol, 3, randomSeed=1)
molgen.Molecule.from_rdkit(mol, 1)
molgen.Molecule.from_smiles("[2H]CO")
molgen.Keep.from_smiles("[13CH3]C*")
molgen.Conformers.from_smiles("[13CH3]C")
Chem.MolToMolFile(mol, "a.sdf")
molgen.read_sdf("a.sdf")
molgen.Molecule.from_rdkit(mol.__class__(mol))
"""


def test_warnings_show_the_line_of_the_user(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    told = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert [line.partition(": UserWarning: ")[0].rpartition("script.py:")[2] for line in told] == ["7", "8", "9", "10", "12", "13", "13"]


def test_one_of_several_conformers_is_chosen():
    mol = embedded("CCCO")
    AllChem.EmbedMultipleConfs(mol, 4, randomSeed=1)
    mol.RemoveConformer(0)
    molecules = [Molecule.from_rdkit(mol, one.GetId()) for one in mol.GetConformers()]
    for molecule, one in zip(molecules, mol.GetConformers(), strict=True):
        np.testing.assert_array_equal(molecule.positions, one.GetPositions())
    with pytest.warns(UserWarning, match=r"^the first of 3 conformers is taken; choose by conformer=ID, or take all: \[Molecule\."):
        assert Molecule.from_rdkit(mol) == molecules[0]
    with pytest.raises(InputError, match=r"^conformer: expected the id of one of its 3 conformers \(1 to 3\), got 0$"):
        Molecule.from_rdkit(mol, 0)
    with pytest.raises(InputError, match=r"one of its 0 conformers \(there is none\), got 2$"):
        Molecule.from_rdkit(Chem.MolFromSmiles("C"), 2)


def test_molecules_of_one_graph_are_conformers_of_one_molecule():
    mol = embedded("CC[NH3+]")
    AllChem.EmbedMultipleConfs(mol, 3, randomSeed=1)
    molecules = [
        replace(Molecule.from_rdkit(mol, n), properties={"title": "amine", "index": n, "seed": 1, "lost": math.nan}) for n in range(3)
    ]
    molecules[2] = replace(molecules[2], bonds=molecules[2].bonds[::-1])
    found = Molecule.to_conformers(iter(molecules))
    assert [one.GetId() for one in found.GetConformers()] == [0, 1, 2]
    assert (found.GetProp("_Name"), found.GetPropsAsDict()) == ("amine", {"seed": 1})
    for number, molecule in enumerate(molecules):
        again = Molecule.from_rdkit(found, number)
        np.testing.assert_array_equal(again.positions, molecule.positions)
        assert again.bonds.tolist() == molecules[0].bonds.tolist()
    one, two = molecules[:2]
    for others, text in (
        (
            [one, two, replace(two, bonds=two.bonds[1:])],
            "molecule 3 has other bonds than molecule 1; conformers have the same",
        ),
        ([one, replace(two, charges=two.charges * 0)], "molecule 2 has other atoms than molecule 1"),
        ([one, two.take(range(5))], "molecule 2 has other atoms than molecule 1"),
        ([], "expected one or more conformers, got none"),
        ([one, None], "expected a list of molgen.Molecule, got a NoneType in it"),
        (mol, "expected a list of molgen.Molecule, got a Mol in it"),
    ):
        with pytest.raises(InputError) as caught:
            Molecule.to_conformers(others)
        assert str(caught.value).startswith(f"molecules: {text}")
