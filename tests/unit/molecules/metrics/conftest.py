"""Molecules that tests of metrics share: real ones, and ones that are broken on purpose."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.molecules.export import read_records
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import read_sdf_record


@pytest.fixture(scope="session")
def real(shared) -> list[Molecule]:
    """Every fourth of the 4,000 validation molecules of QM9."""
    return [read_sdf_record(text) for text in islice(read_records(shared / "qm9" / "valid.sdf.gz"), 0, None, 4)]


def embed(smiles: str, seed: int = 1) -> Molecule:
    """A relaxed conformer of a SMILES."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=seed) == 0
    AllChem.MMFFOptimizeMolecule(mol)
    return replace(Molecule.from_rdkit(mol), properties={})


def drop_atom(molecule: Molecule, index: int) -> Molecule:
    """The molecule without one atom and its bonds."""
    keep = np.arange(len(molecule)) != index
    number = np.cumsum(keep) - 1
    bonds = molecule.bonds[(molecule.bonds[:, :2] != index).all(axis=1)].copy()
    bonds[:, :2] = number[bonds[:, :2]]
    return Molecule(molecule.atomic_numbers[keep], molecule.positions[keep], molecule.charges[keep], bonds)


def join(first: Molecule, second: Molecule, shift: float) -> Molecule:
    """Two molecules beside each other in one record."""
    bonds = second.bonds + np.array([len(first), len(first), 0])
    return Molecule(
        np.concatenate([first.atomic_numbers, second.atomic_numbers]),
        np.concatenate([first.positions, second.positions + np.array([shift, 0, 0])]),
        np.concatenate([first.charges, second.charges]),
        np.concatenate([first.bonds, bonds]),
    )


def move(molecule: Molecule, index: int, to: np.ndarray) -> Molecule:
    """The molecule with one atom somewhere else."""
    positions = molecule.positions.copy()
    positions[index] = to
    return replace(molecule, positions=positions)


def charge(molecule: Molecule, index: int, value: int) -> Molecule:
    """The molecule with another formal charge on one atom."""
    charges = molecule.charges.copy()
    charges[index] = value
    return replace(molecule, charges=charges)


def hydrogen_on(molecule: Molecule, index: int) -> int:
    """A hydrogen bonded to an atom."""
    for i, j, _ in molecule.bonds.tolist():
        if index in (i, j) and molecule.atomic_numbers[i + j - index] == 1:
            return i + j - index
    raise LookupError(index)


def _pentavalent() -> Molecule:
    ethane = embed("CC")
    extra = Molecule(np.array([1]), np.zeros((1, 3)), np.array([0]), np.zeros((0, 3), np.int64))
    both = join(ethane, extra, 0.0)
    away = ethane.positions[0] + 1.09 * (ethane.positions[0] - ethane.positions[2:].mean(0)) / 2
    return replace(move(both, len(ethane), away), bonds=np.vstack([both.bonds, [0, len(ethane), 1]]))


def _puckered() -> Molecule:
    benzene = embed("c1ccccc1")
    ring = Chem.GetSymmSSSR(benzene.to_rdkit(sanitize=True))[0]
    normal = np.linalg.svd(benzene.positions - benzene.positions.mean(0))[2][2]
    positions = benzene.positions.copy()
    for place, atom in enumerate(ring):
        for moved in (atom, hydrogen_on(benzene, atom)):
            positions[moved] += normal * 0.45 * (-1) ** place
    return replace(benzene, positions=positions)


def _inverted_hydrogen() -> Molecule:
    benzene = embed("c1ccccc1")
    atom = hydrogen_on(benzene, 0)
    return move(benzene, atom, 2 * benzene.positions[0] - benzene.positions[atom])


def _clash() -> Molecule:
    chain = embed("CCCCC")
    atom = hydrogen_on(chain, 4)
    return move(chain, 0, chain.positions[atom] + np.array([0.0, 0.0, 0.9]))


BROKEN = {
    # name: (molecule, strict, lenient, valid, geometry; None where the geometry is not the point)
    "ethanol, intact": (lambda: embed("CCO"), True, True, True, True),
    "pentavalent carbon": (_pentavalent, False, False, False, None),
    "trivalent neutral carbon": (lambda: drop_atom(embed("CCO"), 3), False, True, False, True),
    "divalent neutral nitrogen": (lambda: drop_atom(embed("CN"), hydrogen_on(embed("CN"), 1)), False, True, False, True),
    "ammonium without its charge": (lambda: charge(embed("C[NH3+]"), 1, 0), False, False, False, True),
    "cation": (lambda: embed("C[NH3+]"), False, True, False, True),
    "carbanion charge on a saturated carbon": (lambda: charge(embed("CC"), 0, -1), False, False, False, True),
    "two fragments": (lambda: join(embed("O"), embed("C"), 6.0), False, True, False, True),
    "clashing atoms": (_clash, True, True, True, False),
    "hydrogen inverted into a ring": (_inverted_hydrogen, True, True, True, False),
    "collapsed geometry": (lambda: replace(embed("CCO"), positions=0.2 * embed("CCO").positions), True, True, True, False),
    "not finite": (lambda: move(embed("CCO"), 0, np.array([np.nan, 0, 0])), False, False, False, False),
}
