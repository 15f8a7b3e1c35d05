"""Is this a molecule that a chemist could draw? RDKit's verdict, and ours on top of it.

A sample is valid when RDKit sanitises its explicit bonds and charges, no atom has unpaired electrons, it is one
fragment, and its charges sum to zero. The usual "RDKit sanitises" alone lets radicals, ions and heaps of fragments pass.
"""

import re

import numpy as np
from rdkit import Chem, rdBase

from molgen.molecules.convert import BOND_TYPES
from molgen.molecules.metrics.stability import lookup_bonds, num_fragments
from molgen.molecules.molecule import Molecule

FEW_HYDROGENS = "more unpaired electrons than hydrogen atoms"
"""Reason of a record that was most likely written without its hydrogens, or without those on carbon."""


def validity(molecule: Molecule) -> dict[str, bool | int | str]:
    """RDKit sanitises the explicit bonds, no radicals, one fragment, zero net charge.

    Returns:
        `valid`, `valid_reason` ("" when valid; else the first failed check), `sanitizes`, `radical_electrons` (absent when RDKit cannot
        sanitise), `fragments`, `net_charge` (e), `smiles` (canonical, without stereo and hydrogens; "" when RDKit cannot sanitise).
    """
    return sanitised(molecule)[0]


def sanitised(molecule: Molecule) -> tuple[dict[str, bool | int | str], Chem.Mol | None]:
    """`validity`, and the molecule that RDKit sanitised, None where it cannot."""
    net_charge = int(np.sum(molecule.charges))
    result: dict[str, bool | int | str] = {
        "valid": False,
        "valid_reason": "",
        "sanitizes": False,
        "fragments": num_fragments(len(molecule), molecule.bonds),
        "net_charge": net_charge,
        "smiles": "",
    }
    if not np.isfinite(molecule.positions).all():
        return result | {"valid_reason": "coordinates that are not finite"}, None
    if len(molecule.atomic_numbers) == 0:
        return result | {"valid_reason": "no atoms"}, None
    with rdBase.BlockLogs():
        try:
            mol = molecule.to_rdkit(sanitize=True)
            smiles = plain_smiles(mol)
        except (ValueError, RuntimeError, KeyError) as error:
            return result | {"valid_reason": f"RDKit: {short_reason(error)}"}, None
    radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    fragments = result["fragments"]
    reason = ""
    if radicals:
        hydrogens = int((molecule.atomic_numbers == 1).sum())
        reason = FEW_HYDROGENS if radicals > hydrogens else f"{radicals} unpaired electrons"
    elif fragments != 1:
        reason = f"{fragments} fragments"
    elif net_charge:
        reason = f"total charge {net_charge:+d}"
    return result | {
        "valid": not reason,
        "valid_reason": reason,
        "sanitizes": True,
        "radical_electrons": radicals,
        "smiles": smiles,
    }, mol


def lookup_validity(molecule: Molecule, bonds: np.ndarray | None = None) -> dict[str, bool | str]:
    """Validity of protocol P1: bonds by distance, no charges, RDKit sanitises; the largest fragment's SMILES counts.

    Args:
        molecule: any.
        bonds: its `lookup_bonds`, where they are known.

    Returns:
        `p1_valid`, `p1_valid_reason`, `p1_smiles` (canonical, without hydrogens; "" when invalid).

    Reference: Hoogeboom et al. 2022, arXiv 2203.17003, section 5.
    """
    if not np.isfinite(molecule.positions).all() or len(molecule.atomic_numbers) == 0:
        return {"p1_valid": False, "p1_valid_reason": "coordinates that are not finite or no atoms", "p1_smiles": ""}
    mol = Chem.RWMol()
    for number in molecule.atomic_numbers.tolist():
        mol.AddAtom(Chem.Atom(number))
    bonds = lookup_bonds(molecule.atomic_numbers, molecule.positions) if bonds is None else bonds
    for i, j, order in bonds.tolist():
        mol.AddBond(i, j, BOND_TYPES[order])
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(mol)
            fragments = Chem.GetMolFrags(mol, asMols=True) if len(Chem.GetMolFrags(mol)) > 1 else [mol]
            largest = max(fragments, key=lambda fragment: fragment.GetNumAtoms())
            smiles = plain_smiles(largest)
        except (ValueError, RuntimeError) as error:
            return {"p1_valid": False, "p1_valid_reason": f"RDKit: {short_reason(error)}", "p1_smiles": ""}
    return {"p1_valid": True, "p1_valid_reason": "", "p1_smiles": smiles}


def plain_smiles(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereo, isotopes, atom maps and hydrogens, the form in which sets are compared; `mol` is sanitised."""
    return Chem.MolToSmiles(bare(mol), isomericSmiles=False)


def bare(mol: Chem.Mol, stereo: bool = False) -> Chem.Mol:
    """A copy without hydrogen atoms; isotopes and atom maps, which would keep some of them, are forgotten.

    Args:
        mol: sanitised.
        stereo: give it that of its conformer instead of none.
    """
    flat = Chem.Mol(mol)
    Chem.AssignStereochemistryFrom3D(flat) if stereo else Chem.RemoveStereochemistry(flat)
    for atom in flat.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    return heavy(flat)


def heavy(mol: Chem.Mol) -> Chem.Mol:
    """A copy without hydrogen atoms.

    RDKit by itself keeps a hydrogen that tells the stereo of a double bond, of an imine for instance, which fingerprints, and with them
    similarities and synthetic accessibility, take for a substituent.
    """
    rules = Chem.RemoveHsParameters()
    rules.removeDefiningBondStereo = True  # type: ignore[assignment]  # the stubs give every parameter another type
    return Chem.RemoveHs(mol, rules)


def short_reason(error: BaseException) -> str:
    """RDKit's message without atom numbers, so that equal reasons can be counted together."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    message = re.sub(r"Unkekulized atoms:.*", "", lines[0]) if lines else type(error).__name__
    message = re.sub(r"\s*#\s*\d+", "", message)
    return message.strip(" .:,") or type(error).__name__


def canonical(smiles: str) -> str:
    """The form of `plain_smiles` of any SMILES, "" if RDKit cannot read it."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        return plain_smiles(mol) if mol is not None else ""
