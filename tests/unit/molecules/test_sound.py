"""Axes, cumulated double bonds, strained geometries and dummy atoms: what constraints and conformers make of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolTransforms

import molgen
from molgen.errors import InputError
from molgen.molecules.axes import allenes, cumulenes, hindered, stereogenic
from molgen.molecules.constraints import Around, Conformers, Keep
from molgen.molecules.constraints.read import read_graphs, read_keep
from molgen.molecules.constraints.sound import broken, strained
from molgen.molecules.embed import conformer
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.fields import ANGSTROM_PER_UNIT
from molgen.molecules.given import Changes
from molgen.molecules.molecule import Molecule
from molgen.molecules.reading import read_one, records_of
from molgen.molecules.stereo import Handedness, Led

ROOT = Path(__file__).parents[3]
BIARYL = "COc1cccc(C)c1-c1c(C)cccc1C(N)=O"


def with_hydrogens(smiles):
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def torsions(molecule):
    """Angles between the ends of cumulated double bonds, degrees from 0 to 180."""
    mol = molecule.to_rdkit()
    return [abs(rdMolTransforms.GetDihedralDeg(mol.GetConformer(), a, i, j, b)) for a, i, j, b, _ in cumulenes(mol)]


def wedged(smiles, wedge):
    """A drawing with a wedge (1) or a hash (6) at the hindered bond, and the sign of the axis that it shows with atoms a, i, j, b."""
    mol = Chem.MolFromSmiles(smiles)
    ((i, j),) = hindered(Chem.AddHs(mol))
    a = min(atom.GetIdx() for atom in mol.GetAtomWithIdx(i).GetNeighbors() if atom.GetIdx() != j)
    b = min(atom.GetIdx() for atom in mol.GetAtomWithIdx(j).GetNeighbors() if atom.GetIdx() != i)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    AllChem.Compute2DCoords(mol)
    flat = mol.GetConformer().GetPositions()
    lines = Chem.MolToMolBlock(mol, kekulize=False).split("\n")
    for k in range(4 + mol.GetNumAtoms(), 4 + mol.GetNumAtoms() + mol.GetNumBonds()):
        if {int(lines[k][:3]), int(lines[k][3:6])} == {i + 1, a + 1}:
            lines[k] = f"{i + 1:3d}{a + 1:3d}{lines[k][6:9]}{wedge:3d}"
    above = np.array([0, 0, 1.0 if wedge == 1 else -1.0])  # the ring of i stands upright, with a in front or behind
    volume = above @ np.cross(flat[j] - flat[i], flat[b] - flat[j])
    return "\n".join(lines) + "\n$$$$\n", (i, a, j, b, 1 if volume > 0 else -1)


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        (BIARYL, 1),
        ("Cc1cccc(O)c1-c1c(C)cccc1O", 1),
        ("Oc1ccc2ccccc2c1-c1c(O)ccc2ccccc12", 1),
        ("Cc1ccccc1-c1c(C)cccc1O", 1),
        ("CC(C)N(C(C)C)C(=O)c1c(C)cccc1Cl", 1),
        ("CN(C(C)=O)c1c(C)cccc1Cl", 1),
        ("Cc1cccc(C)c1-c1c(C)cccc1O", 0),  # one ring is its own mirror image
        ("CNC(=O)c1c(C)cccc1Cl", 0),  # the amide turns
        ("Cc1ccccc1-c1ccccc1O", 0),
        ("CC=C=CC", 1),
        ("CC=C=C", 0),
        ("CC(C)=C=CC", 0),
        ("CN=C=NC", 0),
        ("CC=C=C=CC", 0),
        ("C1CCCC=C=CC1", 0),
    ],
)
def test_axes_that_make_mirror_images_differ(smiles, count):
    mol = with_hydrogens(smiles)
    assert len(stereogenic(mol)) == count
    if not count:
        return
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    molecule = Molecule.from_rdkit(mol)
    mirrored = replace(molecule, positions=molecule.positions * [-1, 1, 1])
    graph = Conformers.of(molecule)
    ((i, a, j, b, sign),) = graph.handedness.centres
    assert graph.failure(molecule) == ""
    assert Handedness.of_geometry(mirrored).centres == ((i, a, j, b, -sign),)
    assert graph.failure(mirrored) == "other stereo than given"
    assert graph.failure(graph.restore(mirrored)) == ""
    flat = replace(molecule, positions=molecule.positions * [1, 1, 0.01])  # a hundredth of the volume, of the same sign
    assert Handedness.of_geometry(flat).centres == ()
    assert graph.handedness.missed(flat)


@pytest.mark.parametrize("wedge", [1, 6])
def test_the_wedge_of_a_hindered_bond_is_what_conformers_have(tmp_path, wedge):
    text, axis = wedged(BIARYL, wedge)
    (tmp_path / "a.sdf").write_text(text)
    ((graph,), refused) = read_graphs(str(tmp_path / "a.sdf"), Changes("a.sdf"))
    assert not refused
    assert graph.handedness.centres == (axis,)
    assert not graph.handedness.missed(read_one(str(tmp_path / "a.sdf"), Changes("a.sdf")))


def test_marks_of_amides_are_embedded_against_the_torsions_of_etkdg():
    """With these torsions RDKit finds no conformer."""
    for mark, sign in ((Chem.BondStereo.STEREOATROPCCW, 1), (Chem.BondStereo.STEREOATROPCW, -1)):
        mol = Chem.MolFromSmiles("NC(=O)c1c(C)cccc1-c1c(C)cccc1O")
        mol.GetBondBetweenAtoms(1, 3).SetStereo(mark)
        handed = Handedness.of(Chem.AddHs(mol))
        assert handed.centres == ((1, 0, 3, 4, sign),)
        assert not handed.missed(conformer(mol, "a"))


@pytest.mark.parametrize(
    ("smiles", "angle"),
    [
        ("CC=C=CC", 90),
        ("OCC=C=CC(=O)Nc1ccccc1", 90),
        ("CC(C)=C=C(C)CO", 90),
        ("FC=C=CF", 90),
        ("CC=C=NC", 90),
        ("CN=C=NC", 90),
        ("C1CCCCC=C=CCCC1", 90),
        ("CC=C=C=C=CC", 90),
    ],
)
def test_cumulated_double_bonds_are_perpendicular_where_coordinates_are_made(smiles, angle):
    for seed in (0, 1):
        assert torsions(Molecule.from_smiles(smiles, seed)) == pytest.approx([angle], abs=3)


def test_butatrienes_are_planar():
    (angle,) = torsions(Molecule.from_smiles("CC=C=C=CC"))
    assert min(angle, 180 - angle) < 3


def test_ends_without_neighbours_are_not_held():
    for smiles in ("CC=C=O", "CN=C=O", "CN=C=S", "CC=[N+]=[N-]", "CCC#C"):
        assert list(cumulenes(with_hydrogens(smiles))) == []


def turned(molecule, degrees):
    """The allene with this angle between its ends."""
    mol = molecule.to_rdkit()
    ((a, i, j, b, _),) = cumulenes(mol)
    axis = molecule.positions[j] - molecule.positions[i]
    axis /= np.linalg.norm(axis)
    angle = np.radians(degrees - rdMolTransforms.GetDihedralDeg(mol.GetConformer(), a, i, j, b))
    moved, todo, positions = {j}, [j], molecule.positions.copy()
    middle = Chem.GetShortestPath(mol, i, j)[1:-1]
    while todo:
        fresh = [n.GetIdx() for n in mol.GetAtomWithIdx(todo.pop()).GetNeighbors() if n.GetIdx() not in moved | set(middle)]
        moved |= set(fresh)
        todo += fresh
    for n in moved:
        r = positions[n] - molecule.positions[j]
        r = r * np.cos(angle) + np.cross(axis, r) * np.sin(angle) + axis * (axis @ r) * (1 - np.cos(angle))
        positions[n] = molecule.positions[j] + r
    return replace(molecule, positions=positions)


def test_planar_allenes_are_refused_and_led_away_from():
    allene = Molecule.from_smiles("CC=C=CC")
    graph = Conformers.from_smiles("CC=C=CC")
    assert len(graph.handedness.allenes) == 1
    mask, scores = torch.ones(1, len(allene), dtype=torch.bool), []
    for degrees, reason in ((90, ""), (-60, ""), (120, ""), (40, "planar allene"), (-20, "planar allene"), (160, "planar allene")):
        found = turned(allene, degrees)
        assert torsions(found) == pytest.approx([abs(degrees)], abs=1e-3)
        assert graph.failure(found) == Around(molecule=allene).failure(found) == reason
        scores.append(float(Led([graph.handedness])({"pos": torch.from_numpy(found.positions)[None] / ANGSTROM_PER_UNIT}, mask)))
    assert scores[0] == 0
    assert scores[0] > scores[1] == pytest.approx(scores[2], abs=1e-4)
    assert scores[1] > scores[3] > scores[4]
    small = with_hydrogens("C1CCCC=C=CC1")
    assert list(cumulenes(small))
    assert not list(allenes(small))


@pytest.fixture(scope="module")
def amide():
    """N-benzyl-acetamide, its ring kept, with a conformer as what has grown."""
    molecule = Molecule.from_smiles("c1ccccc1CNC(C)=O")
    return Keep(molecule=molecule, smarts="c1ccccc1"), molecule


def moved(molecule, atom, towards, length):
    """The molecule with an atom at this distance from another one."""
    positions = molecule.positions.copy()
    step = positions[atom] - positions[towards]
    positions[atom] = positions[towards] + step * (length / np.linalg.norm(step))
    return replace(molecule, positions=positions)


def test_strained_geometries_are_refused_where_they_are_new(amide):
    keep, molecule = amide
    assert strained(molecule) == keep.failure(molecule) == Around(molecule=molecule).failure(molecule) == ""
    hydrogen = next(i + j - 9 for i, j, _ in molecule.bonds.tolist() if 9 in (i, j) and molecule.atomic_numbers[i + j - 9] == 1)
    for atom, towards, length in ((10, 8, 1.0), (10, 8, 1.5), (9, 8, 1.2), (hydrogen, 9, 0.94), (hydrogen, 9, 1.27)):
        found = moved(molecule, atom, towards, length)
        assert "length" in strained(found) or "close" in strained(found), (atom, length)
        assert keep.failure(found) == Around(molecule=molecule).failure(found) == strained(found)
        assert Around(molecule=molecule, strength=0.0).failure(found) == ""
        assert broken(found) == ""
    near = replace(molecule, positions=molecule.positions.copy())
    near.positions[10] = near.positions[2] + [0, 0, 1.6]
    assert "stretched bond" == strained(near) == keep.failure(near)
    ring = moved(molecule, 1, 0, 1.1)
    assert strained(ring) == "unusual length of a bond"
    given = Keep(molecule=ring, smarts="c1ccccc1", attach=[6])
    kept = given.fragment.numbers - 1
    sample = ring.take(np.concatenate([kept, np.setdiff1d(np.arange(len(ring)), kept)]))
    assert strained(sample) == "unusual length of a bond"
    assert given.failure(sample) == ""  # kept as it was given


def test_contacts_of_atoms_that_are_far_apart_in_the_graph_are_refused():
    apart = with_hydrogens("C.C")
    assert AllChem.EmbedMolecule(apart, randomSeed=1) == 0
    both = Molecule.from_rdkit(apart)
    positions = both.positions.copy()
    carbons = np.flatnonzero(both.atomic_numbers == 6)
    own = [n for i, j, _ in both.bonds.tolist() for n in (i, j) if carbons[1] in (i, j)]
    for distance, reason in ((6.0, ""), (2.0, "atoms too close")):
        shifted = positions.copy()
        shifted[own] += shifted[carbons[0]] + [distance, 0, 0] - shifted[carbons[1]]
        assert strained(replace(both, positions=shifted)) == reason


def test_hardly_any_real_molecule_is_strained():
    molecules = list(read_molecules(ROOT / "data/qm9_sample/qm9_sample.sdf.gz"))
    assert len(molecules) >= 100
    assert sum(bool(strained(molecule)) for molecule in molecules) <= len(molecules) // 1000 + 1
    for smiles in (
        "CS(=O)(=O)Nc1ccc(Cl)cc1",
        "Brc1ccsc1",
        "O=C1NS(=O)(=O)c2ccccc12",
        "[O-][N+](=O)c1ccccc1",
        "CN=[N+]=[N-]",
        "FC(F)(F)C#N",
        "CN=C=O",
        "S=C=Nc1ccccc1",
        "CN=C=NC",
        "C=C=C=C",
        "COP(=O)(OC)OC",
        "CP(C)(C)=O",
        "OO",
        "C1OO1",
    ):
        assert strained(Molecule.from_smiles(smiles)) == "", smiles


def fragments(path, smiles, bonds, symbol="R"):
    """Writes what RDKit leaves of an embedded molecule with bonds cut, with dummy atoms at the cuts."""
    mol = with_hydrogens(smiles)
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    Chem.Kekulize(mol, clearAromaticFlags=True)
    cut = Chem.FragmentOnBonds(mol, [mol.GetBondBetweenAtoms(i, j).GetIdx() for i, j in bonds])
    text = Chem.MolToMolBlock(cut, kekulize=False)
    path.write_text(text.replace(" R  ", f" {symbol:<3}") + "$$$$\n")
    return cut


@pytest.mark.parametrize("symbol", ["R", "R#", "*", "Du"])
def test_dummy_atoms_of_fragments_are_places_to_grow_from(tmp_path, symbol):
    path = tmp_path / "a.sdf"
    cut = fragments(path, "c1ccccc1CNC(C)=O", [(5, 6)], symbol)
    dummies = [atom for atom in cut.GetAtoms() if atom.GetAtomicNum() == 0]
    keep = read_keep([str(path)], None, None, None, None, None, "4-6", Changes("a.sdf"))
    assert keep.replace_hydrogens == tuple(atom.GetIdx() + 1 for atom in dummies)
    assert sorted(keep.grow) == [6, 7]
    assert keep.fragment.open.sum() == 2
    assert keep.doubt() == ""
    assert len(keep.fragment.molecule) == cut.GetNumAtoms() - 2


def test_atoms_of_no_element_are_named_where_they_cannot_be_grown_from(tmp_path):
    path = tmp_path / "a.sdf"
    fragments(path, "c1ccccc1CNC(C)=O", [(5, 6)])
    for read in (lambda: read_one(str(path), Changes("a.sdf")), lambda: molgen.read_sdf(path)):
        with pytest.raises(InputError, match=r"record 1: .*\(atom 23, R\)"):
            read()
    _, (error,) = read_graphs(str(path), Changes("a.sdf"))
    assert "(atom 23, R)" in str(error)
    assert "(atom 23, R)" in str(records_of(path)[0].found)
    fragments(path, "c1ccccc1CNC(C)=O", [(5, 6)], "A")
    with pytest.raises(InputError, match=r"record 1: atom 23 \(.*\) is no element, and no dummy atom"):
        read_keep([str(path)], None, None, None, None, None, None, Changes("a.sdf"))
    with pytest.raises(InputError, match=r"^\*c1ccccc1: atom 1 \(\*\) stands for no element; put one in its place"):
        Conformers.from_smiles("*c1ccccc1")


def test_several_files_with_dummies_are_numbered_through(tmp_path):
    one, two = tmp_path / "one.sdf", tmp_path / "two.sdf"
    cut = fragments(one, "c1ccccc1CNC(C)=O", [(5, 6)])
    write_molecules(two, [replace(Molecule.from_smiles("CO"), positions=Molecule.from_smiles("CO").positions + 60)])
    parts = [str(two), str(one)]
    keep = read_keep(parts, None, None, None, None, None, None, Changes("a.sdf"))
    assert keep.replace_hydrogens == tuple(6 + atom.GetIdx() + 1 for atom in cut.GetAtoms() if atom.GetAtomicNum() == 0)
