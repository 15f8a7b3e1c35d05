"""Molecules as other programs write them: hydrogens that are no atoms are added, flat drawings are read as graphs, salts are left out.

Hydrogens are those with which RDKit fills open valences, by element, charge and bonds; charged atoms get none that their charge does not
ask for. They stand behind the given atoms, whose order and coordinates stay.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from molgen.counting import counted
from molgen.errors import InputError, got
from molgen.molecules.convert import from_rdkit, has_isotopes, in_order, kekule_bonds
from molgen.molecules.formats import is_smiles
from molgen.molecules.fragments import without_salt
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import STRICT, bond_order_sums
from molgen.molecules.metrics.validity import short_reason
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import (
    FLAT,
    NO_ATOMS,
    READERS,
    TAGS,
    UNKNOWN_ELEMENT,
    parse_sdf_record,
    sdf_molecule,
    why_unreadable,
)
from molgen.tags import Value

NEITHER = "neither a file nor a SMILES"
DIMENSION = slice(20, 22)
"""Where the second line of an SDF record says 2D or 3D."""


@dataclass(frozen=True)
class Record:
    """A record of a file.

    Args:
        found: the molecule, or of a flat drawing its graph (sanitised, stereo by its wedges), or else the reason why there is none.
        properties: its title and tags, or the cells of its row.
        smiles: as a list has it; empty in other files.
        isotopes: whether atoms have isotope labels, which are not kept.
    """

    found: Molecule | Chem.Mol | str
    properties: dict[str, Value] = field(default_factory=dict)
    smiles: str = ""
    isotopes: bool = False

    @classmethod
    def of(cls, text: str, format: str) -> "Record":
        """That of a text in SDF or XYZ."""
        found: Molecule | Chem.Mol | str = parse_sdf_record(text) if format == "sdf" else READERS[format](text)
        flat = found == FLAT
        found = drawing(text) if flat else found
        isotopes = isinstance(found, Chem.Mol) and has_isotopes(found)
        found = sdf_molecule(found, text) if isinstance(found, Chem.Mol) and not flat else found
        if isinstance(found, Molecule):
            return cls(found, found.properties, isotopes=isotopes)
        lines = text.splitlines()
        title: dict[str, Value] = {"title": lines[0].strip()} if format == "sdf" and lines and lines[0].strip() else {}
        return cls(found, title | TAGS[format](lines), isotopes=isotopes)

    @property
    def written(self) -> str:
        """Its SMILES as a list has it, or that of the molecule; nothing where there is neither."""
        return self.smiles or (self.found.to_smiles() if isinstance(self.found, Molecule) else "")

    @property
    def title(self) -> str:
        """Its name, or nothing."""
        return str(self.properties.get("title", ""))


@dataclass
class Changes:
    """What was added to the molecules of a source, to be told.

    Args:
        source: the file, as messages call it.
        hydrogens: how many were added in all.
        completed: molecules that got some.
        embedded: drawings that got coordinates.
        smiles: the first molecule that got any of this.
        isotopes: molecules whose isotope labels are not kept.
    """

    source: str
    hydrogens: int = 0
    completed: int = 0
    embedded: int = 0
    smiles: str = ""
    isotopes: int = 0

    def complete(self, molecule: Molecule) -> Molecule:
        """The molecule with all of its hydrogens, see :func:`complete`; counts what is added."""
        whole = complete(molecule)
        if added := len(whole) - len(molecule):
            self.hydrogens, self.completed, self.smiles = self.hydrogens + added, self.completed + 1, self.smiles or whole.to_smiles()
        return whole

    def embed(self, molecule: Molecule) -> Molecule:
        """The conformer that was made of a drawing; counts it."""
        self.embedded, self.smiles = self.embedded + 1, self.smiles or molecule.to_smiles()
        return molecule

    def lines(self) -> list[str]:
        """One line for hydrogens, one for coordinates and one for isotopes, where there are such."""
        added = f"{self.hydrogens} hydrogen{'s were' if self.hydrogens > 1 else ' was'} added"
        found = [f"{added}: {self.smiles}" if self.completed == 1 else f"{added} to {self.completed} molecules"] * bool(self.completed)
        drawn = f"is a flat drawing, of which a conformer was made: {self.smiles}"
        found += [drawn if self.embedded == 1 else f"{self.embedded} flat drawings, conformers were made of them"] * bool(self.embedded)
        found += [f"isotope labels of {counted(self.isotopes, 'molecule')} are not kept"] * bool(self.isotopes)
        return [f"{self.source}: {line}" for line in found]


def complete(molecule: Molecule) -> Molecule:
    """The molecule with hydrogens where it has open valences, at idealised positions; itself where it has none.

    Raises:
        ValueError: RDKit refuses the molecule.
    """
    mol = replace(molecule, implicit_hydrogens=True, properties={}).to_rdkit()
    with rdBase.BlockLogs():
        Chem.SanitizeMol(mol)
    if not any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        return replace(molecule, implicit_hydrogens=False) if molecule.implicit_hydrogens else molecule
    return replace(from_rdkit(Chem.AddHs(mol, addCoords=True)), properties=molecule.properties)


def lacks_hydrogens(molecule: Molecule) -> bool:
    """Whether an atom has fewer bonds than it needs, by element and charge: of molecules that RDKit refuses."""
    sums = bond_order_sums(len(molecule), molecule.bonds).tolist()
    atoms = zip(molecule.atomic_numbers.tolist(), molecule.charges.tolist(), sums, strict=True)
    return any(valence < min(STRICT.get(SYMBOLS[number], {}).get(charge, (0,))) for number, charge, valence in atoms)


def drawing(text: str) -> Chem.Mol | str:
    """The graph of a flat SDF record with the stereo of its wedges and double bonds, or the reason why RDKit cannot read it."""
    lines = text.split("\n")
    lines[1] = lines[1][: DIMENSION.start] + lines[1][DIMENSION].replace("3D", "2D") + lines[1][DIMENSION.stop :]
    with rdBase.BlockLogs():
        try:
            mol = Chem.MolFromMolBlock("\n".join(lines), sanitize=False, removeHs=False, strictParsing=False)
            if mol is None or mol.GetNumAtoms() == 0:
                return why_unreadable(text) if mol is None else NO_ATOMS
            if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
                return UNKNOWN_ELEMENT
            Chem.SanitizeMol(mol)
            return Chem.MolFromMolBlock("\n".join(lines), removeHs=False, strictParsing=False)
        except (ValueError, RuntimeError) as error:
            return f"RDKit: {short_reason(error)}"


def parse_smiles(smiles: Any, otherwise: str = NEITHER) -> Chem.Mol:
    """The RDKit molecule of a SMILES, given where a file could be; ``otherwise`` says in an error what it is not.

    Raises:
        InputError: RDKit cannot read it, it holds no atom, or it is no text.
    """
    if not isinstance(smiles, str):
        raise InputError(f"smiles: expected a text such as 'CC(=O)NC', got {got(smiles)}")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        fix = "; molgen.read_sdf reads files" * (otherwise != NEITHER and not is_smiles(smiles))
        raise InputError(f"{smiles}: {otherwise} that RDKit can read{fix}")
    return mol


def check_single(mol: Chem.Mol, source: str, smiles: str = "") -> None:
    """Refuses a salt.

    Args:
        mol: with its fragments.
        source: what messages call it.
        smiles: as it was written.

    Raises:
        InputError: it is more than one molecule; names the largest.
    """
    if len(Chem.GetMolFrags(mol)) > 1:
        raise InputError(f"{source}: more than one molecule; leave out the salt: '{without_salt(smiles or Chem.MolToSmiles(mol))}'")


def graph(mol: Chem.Mol) -> Molecule:
    """Atoms, charges and Kekulé bonds of a sanitised molecule with all hydrogens as atoms; coordinates are zeros.

    Raises:
        ValueError: it has bonds that are not single, double or triple.
    """
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    return Molecule(
        atomic_numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], np.int64),
        positions=np.zeros((mol.GetNumAtoms(), 3)),
        charges=np.array([atom.GetFormalCharge() for atom in mol.GetAtoms()], np.int64),
        bonds=in_order(kekule_bonds(mol)),
    )
