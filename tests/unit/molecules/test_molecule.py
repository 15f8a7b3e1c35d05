"""The molecule as a value: equality, hash, pickle, its line of text, its SMILES, and what RDKit molecules it takes."""

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.molecule import Molecule

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
            "atom 1 has implicit hydrogens; add them with coordinates first (Chem.AddHs(mol, addCoords=True))",
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
