"""Perceived bonds against the published SMILES of real molecules and against known charge-separated groups."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molgen.molecules.bonds import COVALENT_RADII, connect, lacks_hydrogens, perceive, unusual_length
from molgen.molecules.export import read_molecules
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.sdf import Sdf


def smiles(mol: Chem.Mol) -> str:
    return Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False))


def perceived(mol: Chem.Mol, order: np.ndarray | None = None) -> Chem.Mol:
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    positions = mol.GetConformer().GetPositions()
    order = np.arange(len(numbers)) if order is None else order
    bonds, charges = perceive(numbers[order], positions[order], Chem.GetFormalCharge(mol))
    return Molecule(numbers[order], positions[order], charges, bonds).to_rdkit(sanitize=True)


def molecules(path, count):
    entries = (entry for entry, _ in Sdf(path).entries())
    for entry in islice(entries, count):
        yield Chem.MolFromMolBlock(entry.text, removeHs=False), entry


def test_qm9_gets_its_published_bonds_back(shared):
    published = matched = 0
    for mol, entry in molecules(shared / "qm9" / "valid.sdf.gz", 1000):
        reference = Chem.CanonSmiles(entry.text.split("<gdb_smiles>\n")[1].split("\n")[0], useChiral=0)
        published += 1
        matched += smiles(perceived(mol)) == reference
    assert published == 1000
    assert matched >= 995


def test_drug_like_molecules_keep_their_bonds_in_any_order_of_atoms(shared):
    generator = np.random.default_rng(0)
    total = matched = 0
    for mol, _ in molecules(shared / "ligands" / "neutral.sdf.gz", 60):
        total += 1
        matched += smiles(perceived(mol, generator.permutation(mol.GetNumAtoms()))) == smiles(mol)
    assert matched >= total - 1


@pytest.mark.parametrize(
    "text",
    [
        "C[N+](=O)[O-]",
        "C[N+](C)(C)C",
        "CC(=O)[O-]",
        "CN=[N+]=[N-]",
        "[C-]#[N+]C",
        "CS(=O)(=O)N",
        "OP(=O)(O)O",
        "c1ccncc1",
        "C#CC=C=C",
        "[NH4+]",
        "[H][H]",
    ],
)
def test_groups(text):
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles(text))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    if mol.GetNumAtoms() > 2:
        AllChem.MMFFOptimizeMolecule(mol)
    assert smiles(perceived(mol)) == Chem.CanonSmiles(text)


def test_long_bonds_are_found_where_short_ones_alone_fit_nothing():
    """Of fluorine and of nitrosyl fluoride, measured: 1.24 and 1.18 times the sum of the radii."""
    bonds, charges = perceive(np.array([9, 9]), np.array([[0.0, 0, 0], [1.412, 0, 0]]))
    assert (bonds.tolist(), charges.tolist()) == ([[0, 1, 1]], [0, 0])
    angle = np.radians(110)
    positions = np.array([[1.512, 0, 0], [0, 0, 0], [1.136 * np.cos(angle), 1.136 * np.sin(angle), 0]])
    bonds, charges = perceive(np.array([9, 7, 8]), positions)
    assert (bonds.tolist(), charges.tolist()) == ([[0, 1, 1], [1, 2, 2]], [0, 0, 0])


def test_short_contacts_are_no_bonds_where_others_cost_less():
    """The atoms of sulfur across the ring of disulfur dinitride, as measured: 1.11 times the sum of their radii."""
    positions = np.array([[1.165, 0, 0], [-1.165, 0, 0], [0, 1.174, 0], [0, -1.174, 0]])
    bonds, charges = perceive(np.array([16, 16, 7, 7]), positions)
    assert bonds[:, :2].tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert not charges.any()


def test_of_too_many_neighbours_the_farthest_is_none():
    relative = np.full((6, 6), 9.0)
    relative[0, 1:] = relative[1:, 0] = [1.0, 1.1, 1.0, 1.0, 1.0]
    assert connect(np.array([6, 1, 1, 1, 1, 1]), relative, 1.15)[:, 1].tolist() == [1, 3, 4, 5]
    backwards = connect(np.array([1, 1, 1, 1, 1, 6]), relative[::-1, ::-1], 1.15)  # the crowded atom is the second of each pair
    assert backwards.tolist() == [[0, 5], [1, 5], [2, 5], [4, 5]]


def test_of_results_that_cost_the_same_the_usual_radii_stand():
    """Two iodine atoms of three bonds each at 1.2 times the sum of their radii: a double bond would make five of three at the same cost."""
    apart, reach = 1.2 * 2 * COVALENT_RADII[53], COVALENT_RADII[53] + COVALENT_RADII[8]
    height, far = np.sqrt(reach**2 - apart**2 / 4), COVALENT_RADII[53] + COVALENT_RADII[9]
    iodine = [[side * apart / 2, height, 0] for side in (-1, 1)]
    fluorine = [[x, y, end * far] for x, y, _ in iodine for end in (-1, 1)]
    bonds, charges = perceive(np.array([8, 53, 53, 9, 9, 9, 9]), np.array([[0.0, 0, 0], *iodine, *fluorine]))
    assert bonds.tolist() == [[0, 1, 1], [0, 2, 1], [1, 3, 1], [1, 4, 1], [2, 5, 1], [2, 6, 1]]
    assert not charges.any()


def test_result_is_sorted_kekule_and_neutral():
    benzene = np.array([[np.cos(a), np.sin(a), 0] for a in np.arange(6) * np.pi / 3])
    bonds, charges = perceive(np.array([6] * 6 + [1] * 6), np.concatenate([1.39 * benzene, 2.48 * benzene]))
    assert sorted(bonds[:, 2].tolist()) == [1] * 9 + [2] * 3
    assert (bonds[:, 0] < bonds[:, 1]).all()
    assert bonds.tolist() == sorted(bonds.tolist())
    assert not charges.any()


def test_impossible_geometries_are_refused():
    with pytest.raises(ValueError, match="no bond orders and formal charges fit these 1 atoms with total charge 0"):
        perceive(np.array([1]), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="atomic number 26"):
        perceive(np.array([26]), np.zeros((1, 3)))


def test_another_unit_than_angstrom_is_told_by_the_lengths_of_bonds():
    for molecule in read_molecules(Path(__file__).parents[3] / "data/qm9_sample/qm9_sample.sdf.gz"):
        found = [unusual_length(molecule.atomic_numbers, scale * molecule.positions, molecule.bonds) for scale in (1.0, 0.1, 1 / 0.529177)]
        assert found[0] is None
        assert found[1] == pytest.approx(0.1, rel=0.25)
        assert found[2] == pytest.approx(1.89, rel=0.25)
    assert unusual_length(np.array([2]), np.zeros((1, 3)), np.zeros((0, 3))) is None
    pair = np.array([[0.0, 0, 0], [2 * COVALENT_RADII[6], 0, 0]])
    for scale, told in ((0.55, True), (0.65, False), (1.55, False), (1.65, True)):
        assert (unusual_length(np.array([6, 6]), scale * pair, np.array([[0, 1, 1]])) is not None) == told


def test_molecules_without_hydrogen_lack_none():
    """Carbon monoxide, cyanide, carbon suboxide and dichlorine have none to lack; rings of cumulated bonds and charged carbon chains do."""
    whole = (("CO", [[0, 1, 3]], [-1, 1]), ("CN", [[0, 1, 3]], [-1, 0]), ("OCCCO", [[k, k + 1, 2] for k in range(4)], [0] * 5))
    bare = (
        ("CCC", [[0, 1, 2], [0, 2, 1], [1, 2, 2]], [0, 0, 0]),
        ("CCO", [[0, 1, 1], [1, 2, 2]], [-1, 0, 0]),
        ("CC", [[0, 1, 3]], [-1, 0]),
    )
    for entries, lacks in ((whole, False), (bare, True)):
        for symbols, bonds, charges in entries:
            numbers = np.array([{"C": 6, "N": 7, "O": 8}[symbol] for symbol in symbols])
            assert lacks_hydrogens(numbers, np.array(bonds), np.array(charges)) == lacks
    assert not lacks_hydrogens(np.array([17, 17]), np.array([[0, 1, 1]]), np.zeros(2, int))


def test_a_bond_that_is_far_too_long_is_not_taken_for_another_unit():
    places, bonds = np.array([[0.0, 0, 0], [1.5, 0, 0], [3.0, 0, 0], [33.0, 0, 0]]), np.array([[0, 1, 1], [1, 2, 1], [2, 3, 1]])
    assert unusual_length(np.full(4, 6), places, bonds) is None
    assert unusual_length(np.full(4, 6), 10 * places, bonds) == pytest.approx(10 * 1.5 / (2 * COVALENT_RADII[6]))
