"""The largest of several molecules in one: salts and solvents are left out.

It is the fragment with the most heavy atoms, of equal ones the one with the most atoms, then the first; charges stay as they are.
"""

import numpy as np
from rdkit import Chem

from molgen.molecules.metrics.stability import num_fragments
from molgen.molecules.molecule import Molecule


def largest_fragment(mol: Chem.Mol) -> Chem.Mol:
    """The largest fragment of a molecule, sanitised or not."""
    parts = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False) if mol.GetNumAtoms() else ()
    return parts[_largest(parts)] if len(parts) > 1 else mol


def largest_part(molecule: Molecule) -> Molecule:
    """The same of plain arrays."""
    if num_fragments(len(molecule), molecule.bonds) < 2:
        return molecule
    atoms: list[tuple[int, ...]] = []
    parts = Chem.GetMolFrags(molecule.to_rdkit(), asMols=True, sanitizeFrags=False, fragsMolAtomMapping=atoms)
    return molecule.take(np.array(atoms[_largest(parts)]))


def without_salt(smiles: str) -> str:
    """The same of a SMILES of several molecules, as it is written there where one part is one molecule."""
    parts = Chem.GetMolFrags(Chem.MolFromSmiles(smiles), asMols=True)
    texts = smiles.split(".")
    return texts[_largest(parts)] if len(texts) == len(parts) else Chem.MolToSmiles(parts[_largest(parts)])  # bonds across a '.'


def _largest(parts: tuple[Chem.Mol, ...]) -> int:
    """Which of the fragments it is."""
    return max(range(len(parts)), key=lambda number: (parts[number].GetNumHeavyAtoms(), parts[number].GetNumAtoms()))
