"""Conversion between plain arrays and RDKit molecules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from molgen.errors import InputError, is_whole
from molgen.files import encodable
from molgen.molecules.metrics.stability import bond_order_sums
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import READERS, is_flat, parse_sdf_record, sdf_molecule
from molgen.molecules.values import as_value, known, plain
from molgen.written import Written

BOND_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
BOND_ORDERS = {kind: order for order, kind in BOND_TYPES.items()}
LARGEST_VALENCE = 127
"""Largest sum of bond orders of an atom that RDKit counts in its one byte; above, it fails or crashes."""
LARGEST_INT = 2**31 - 1
"""Largest integer that RDKit holds as a number; larger ones are its text."""


class TooManyBonds(ValueError):
    """An atom has more bond orders together than RDKit counts."""


def to_rdkit(molecule: Molecule, sanitize: bool = False) -> Chem.Mol:
    """See :meth:`Molecule.to_rdkit`."""
    if bond_order_sums(len(molecule), molecule.bonds).max(initial=0) > LARGEST_VALENCE:
        raise TooManyBonds(f"an atom has bonds of more orders together than RDKit counts ({LARGEST_VALENCE})")
    mol = Chem.RWMol()
    for number, charge in zip(molecule.atomic_numbers.tolist(), molecule.charges.tolist(), strict=True):
        atom = Chem.Atom(number)
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(not molecule.implicit_hydrogens)
        mol.AddAtom(atom)
    for i, j, order in molecule.bonds.tolist():
        mol.AddBond(i, j, BOND_TYPES[order])
    conformer = Chem.Conformer(len(molecule))
    conformer.Set3D(True)
    conformer.SetPositions(np.ascontiguousarray(molecule.positions, np.float64))
    mol.AddConformer(conformer)
    out = mol.GetMol()
    for name, value in ((str(name), value) for name, value in known(molecule.properties).items() if name != ""):
        if name == "title":
            out.SetProp("_Name", encodable(" ".join(str(value).splitlines())))
        elif isinstance(value, bool):
            out.SetBoolProp(name, value)
        elif isinstance(value, float) and not isinstance(value, Written):
            out.SetDoubleProp(name, value)
        elif isinstance(value, int) and -LARGEST_INT <= value <= LARGEST_INT:
            out.SetIntProp(name, value)
        else:
            text = encodable(str(value))
            out.SetProp(name, text.strip() if isinstance(value, Written) else text)
    if sanitize:
        Chem.SanitizeMol(out)
        if molecule.positions.any():  # all zeros stand for a graph of which no geometry is known
            Chem.AssignStereochemistryFrom3D(out)
    return out


def refused(molecule: Molecule) -> Chem.Mol:
    """A molecule that RDKit does not sanitise, with its valences and rings; where RDKit cannot hold its bonds, the atoms alone."""
    try:
        mol = to_rdkit(molecule)
    except TooManyBonds:
        mol = to_rdkit(replace(molecule, bonds=molecule.bonds[:0]))
    mol.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(mol)
    return mol


def to_conformers(molecules: Any) -> Chem.Mol:
    """See :meth:`Molecule.to_conformers`."""
    given = list(molecules) if isinstance(molecules, Iterable) else [molecules]
    if kinds := [type(one).__name__ for one in given if not isinstance(one, Molecule)]:
        raise InputError(f"molecules: expected a list of molgen.Molecule, got a {kinds[0]} in it; Molecule.from_rdkit takes one of RDKit")
    if not given:
        raise InputError("molecules: expected one or more conformers, got none")
    first = given[0]
    for number, other in enumerate(given[1:], 2):
        if what := _other_graph(first, other):
            raise InputError(f"molecules: molecule {number} has other {what} than molecule 1; conformers have the same, atoms in one order")
    shared = {name: value for name, value in first.properties.items() if len({_text(one, name) for one in given}) == 1}
    mol = to_rdkit(replace(first, properties=shared))
    for other in given[1:]:
        mol.AddConformer(to_rdkit(replace(other, properties={})).GetConformer(), assignId=True)
    return mol


def _other_graph(one: Molecule, other: Molecule) -> str:
    """What two molecules do not have in common, atoms or bonds, or ""; the sequence of bonds does not matter."""
    same = np.array_equal(one.atomic_numbers, other.atomic_numbers) and one.implicit_hydrogens == other.implicit_hydrogens
    if not same or not np.array_equal(one.charges, other.charges):
        return "atoms"
    return "" if np.array_equal(in_order(one.bonds), in_order(other.bonds)) else "bonds"


def _text(molecule: Molecule, name: str) -> str:
    """A property as text, the same for equal ones."""
    return repr(plain(molecule.properties.get(name)))


def to_smiles(molecule: Molecule) -> str:
    """See :meth:`Molecule.to_smiles`."""
    with rdBase.BlockLogs():
        try:
            return Chem.MolToSmiles(Chem.RemoveHs(to_rdkit(molecule, sanitize=True), sanitize=False))
        except (ValueError, RuntimeError):
            mol = to_rdkit(molecule)
            mol.UpdatePropertyCache(strict=False)
            return Chem.MolToSmiles(mol)


def kekule_bonds(mol: Chem.Mol) -> np.ndarray:
    """Bonds (m, 3) of a molecule without aromatic flags, in its own sequence: ``i < j`` and the order.

    Raises:
        ValueError: one is not single, double or triple.
    """
    rows = []
    for bond in mol.GetBonds():
        if bond.GetBondType() not in BOND_ORDERS:
            raise ValueError(f"has a {bond.GetBondType().name.lower()} bond; only single, double and triple bonds are known")
        i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        rows.append((i, j, BOND_ORDERS[bond.GetBondType()]))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def in_order(bonds: np.ndarray) -> np.ndarray:
    """Bonds (m, 3) sorted by their atoms."""
    return bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]


def has_isotopes(mol: Chem.Mol) -> bool:
    """Whether an atom has an isotope label, deuterium included; molecules here keep none. Those of dummy atoms are their numbers."""
    return any(atom.GetIsotope() for atom in mol.GetAtoms() if atom.GetAtomicNum())


def drop_isotopes(mol: Chem.Mol) -> bool:
    """Takes isotope labels and numbers of dummy atoms away, in place; whether there were labels, see :func:`has_isotopes`."""
    labelled = has_isotopes(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    return labelled


def read_record(text: str, format: str) -> tuple[Molecule | str, bool]:
    """The molecule of a record in SDF or XYZ as it stands, or the reason why there is none; and whether it has isotope labels."""
    found = parse_sdf_record(text) if format == "sdf" else READERS[format](text)
    return (sdf_molecule(found, text), has_isotopes(found)) if isinstance(found, Chem.Mol) else (found, False)


def from_rdkit(mol: Chem.Mol, conformer: int = -1) -> Molecule:
    """See :meth:`Molecule.from_rdkit`, which also warns of what is lost."""
    if not isinstance(mol, Chem.Mol):
        raise InputError(f"expected a molecule of RDKit, got {type(mol).__name__}; RDKit gives None for what it cannot read")
    if conformer != -1:
        mol = _with_conformer(mol, conformer)
    if mol.GetNumConformers() == 0 or (not mol.GetConformer().Is3D() and is_flat(mol)):
        what = "a flat drawing" if mol.GetNumConformers() else "no conformer"
        fix = "embed it first: mol = Chem.AddHs(mol); AllChem.EmbedMolecule(mol)"
        raise InputError(f"the molecule has no 3D coordinates ({what}); {fix}")
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for atom in mol.GetAtoms():
        if atom.GetNumExplicitHs() or (not atom.GetNoImplicit() and atom.GetNumImplicitHs()):
            fix = (
                "add them with coordinates first (Chem.AddHs(mol, addCoords=True)); of a draw whose hydrogens are all atoms it lacks some: "
            )
            fix += "tell RDKit so by atom.SetNoImplicit(True) for every atom"
            raise InputError(f"atom {atom.GetIdx() + 1} has implicit hydrogens; {fix}")
    try:
        bonds = kekule_bonds(mol)
    except ValueError as error:
        raise InputError(f"the molecule {error}") from None
    title = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
    own = mol.GetPropsAsDict(autoConvertStrings=False)  # RDKit reads 0070 as 70
    properties = {name: as_value(value) if isinstance(value, str) else value for name, value in own.items()}
    return Molecule(
        atomic_numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.int64),
        positions=np.asarray(mol.GetConformer().GetPositions(), dtype=np.float64),
        charges=np.array([atom.GetFormalCharge() for atom in mol.GetAtoms()], dtype=np.int64),
        bonds=bonds,
        properties=({"title": title} if title else {}) | properties,
    )


def _with_conformer(mol: Chem.Mol, conformer: Any) -> Chem.Mol:
    """A copy with one of the conformers alone.

    Raises:
        InputError: there is none of this id.
    """
    numbers = [one.GetId() for one in mol.GetConformers()]
    if not is_whole(conformer) or conformer not in numbers:
        has = f"{numbers[0]} to {numbers[-1]}" if numbers else "there is none"
        raise InputError(f"conformer: expected the id of one of its {len(numbers)} conformers ({has}), got {conformer!r}")
    return Chem.Mol(mol, False, int(conformer))
