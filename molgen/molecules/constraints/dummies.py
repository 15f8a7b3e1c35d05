"""Atoms that stand for no element in SDF records: `*`, `R#`, `Du` where fragments are to be grown, and query atoms."""

from __future__ import annotations

import re

from rdkit import Chem, rdBase

from molgen.molecules.convert import has_isotopes
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import UNKNOWN_ELEMENT, parse_sdf_record, sdf_molecule
from molgen.molecules.text import IMPLICIT

ANY_ATOM = re.compile(r"\*|\[\d*\*(:\d+)?\]")
"""SMARTS of a dummy atom, of which files number some."""


def grown_from(text: str) -> tuple[Molecule | str, tuple[int, ...]]:
    """The molecule of an SDF record with hydrogens in place of its dummy atoms, and their numbers, from 1; or a reason why there is none.

    Dummy atoms have one single bond, as RDKit's ``FragmentOnBonds`` leaves them. Query atoms (`A`, `Q`, `L`, `X`) are none.
    """
    found = parse_sdf_record(text)
    if isinstance(found, Chem.Mol):
        return sdf_molecule(found, text), ()
    mol = _parsed(text) if found == UNKNOWN_ELEMENT else None
    if mol is None:
        return found, ()
    dummies = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    for atom in dummies:
        if not ANY_ATOM.fullmatch(atom.GetSmarts()) or [bond.GetBondType() for bond in atom.GetBonds()] != [Chem.BondType.SINGLE]:
            return f"atom {atom.GetIdx() + 1} ({atom.GetSymbol()}) is no element, and no dummy atom (*, R#) with one single bond", ()
    numbers, opened = [atom.GetIdx() for atom in dummies], Chem.RWMol(mol)
    for index in numbers:
        opened.ReplaceAtom(index, Chem.Atom(1))
    return sdf_molecule(opened.GetMol(), text), tuple(index + 1 for index in numbers)


def named(reason: str, text: str) -> str:
    """The reason why an SDF record holds no molecule: with the atom that is no element, or with what places hydrogens."""
    if reason == IMPLICIT:
        return f"{reason}, which Chem.AddHs(mol, addCoords=True) of RDKit places"
    mol = _parsed(text) if reason == UNKNOWN_ELEMENT else None
    atom = next((atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0), None) if mol is not None else None
    return reason if atom is None else f"{reason} (atom {atom.GetIdx() + 1}, {atom.GetSymbol()})"


def labelled(text: str) -> bool:
    """Whether atoms of an SDF record have isotope labels."""
    mol = _parsed(text)
    return mol is not None and has_isotopes(mol)


def _parsed(text: str) -> Chem.Mol | None:
    """The record as it is, or nothing where RDKit cannot parse it."""
    with rdBase.BlockLogs():
        return Chem.MolFromMolBlock(text, sanitize=False, removeHs=False, strictParsing=False)
