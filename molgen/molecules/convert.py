"""Conversion between plain arrays and RDKit molecules."""

from __future__ import annotations

import numpy as np
from rdkit import Chem, rdBase

from molgen.errors import InputError
from molgen.files import encodable
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import is_flat
from molgen.molecules.values import as_value
from molgen.written import Written

BOND_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
BOND_ORDERS = {kind: order for order, kind in BOND_TYPES.items()}
LARGEST_INT = 2**31 - 1
"""Largest integer that RDKit holds as a number; larger ones are its text."""


def to_rdkit(molecule: Molecule, sanitize: bool = False) -> Chem.Mol:
    """See :meth:`Molecule.to_rdkit`."""
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
    for name, value in ((str(name), value) for name, value in molecule.properties.items() if name != ""):
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


def from_rdkit(mol: Chem.Mol) -> Molecule:
    """See :meth:`Molecule.from_rdkit`."""
    if not isinstance(mol, Chem.Mol):
        raise InputError(f"expected a molecule of RDKit, got {type(mol).__name__}; RDKit gives None for what it cannot read")
    if mol.GetNumConformers() == 0 or (not mol.GetConformer().Is3D() and is_flat(mol)):
        what = "a flat drawing" if mol.GetNumConformers() else "no conformer"
        fix = "embed it first: mol = Chem.AddHs(mol); AllChem.EmbedMolecule(mol)"
        raise InputError(f"the molecule has no 3D coordinates ({what}); {fix}")
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for atom in mol.GetAtoms():
        if atom.GetNumExplicitHs() or (not atom.GetNoImplicit() and atom.GetNumImplicitHs()):
            fix = "add them with coordinates first (Chem.AddHs(mol, addCoords=True))"
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
