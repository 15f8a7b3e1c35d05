"""A record is one molecule on its way from a source into a packed data set.

A source hands out *entries* (unparsed text), a worker turns an entry into an RDKit molecule and then either into a
`Record` of plain arrays or into a reason why it cannot be used. Reasons are data: they are counted, never raised to
the user one by one. A usable record is one connected molecule of known elements with finite three-dimensional
coordinates, closed shells, integer (Kekulé) bond orders 1 to 3 and, unless hydrogens are unwanted, all of its
hydrogens as atoms. Aromatic bonds are kekulised by RDKit before the orders are read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from rdkit import Chem

from molgen.molecules.bonds import NO_FIT
from molgen.molecules.convert import in_order, kekule_bonds
from molgen.molecules.records import UNREADABLE, is_flat
from molgen.molecules.text import IMPLICIT, NO_ATOMS, NOT_FINITE, UNKNOWN_ELEMENT
from molgen.molecules.xyz import STRAY
from molgen.preparation import Rejected
from molgen.ranges import MOST_ATOMS

NO_ROW = "label missing and no row of the table with its key"
SALT = "several fragments"
"""Why a salt, or any record of more than one molecule, is rejected."""
TWO_DIMENSIONAL, OTHER_UNIT, RADICAL = "2D coordinates", "coordinates not in angstrom", "radical"
NO_KEKULE = "aromatic bonds without Kekulé form"
LONGEST = 10_000  # characters of a SMILES
TOO_LONG, TOO_LARGE = f"SMILES of more than {LONGEST:,} characters", f"more than {MOST_ATOMS:,} heavy atoms"
"""What RDKit would take hours to embed, and cannot be stopped at."""
NO_SMILES, NOT_SMILES = "no SMILES", "not a SMILES that RDKit can read"
FIXES = {
    NO_ROW: "give the column that holds the names of the records, or an SD tag of theirs, by --csv-key",
    TWO_DIMENSIONAL: "generate 3D conformers first, or prepare the molecules from SMILES",
    IMPLICIT: "place them with --add-hydrogens, or drop all hydrogens with --no-hydrogens",
    NO_FIT: "see that all hydrogens are atoms; a total charge other than 0 belongs into the tag charge (XYZ: charge=1 in the comment)",
    SALT: "keep one molecule in each record, or give --largest-fragment",
    NO_KEKULE: "write the hydrogens, as of a pyrrole's nitrogen, or the Kekulé form",
    STRAY: "leave such lines out",
    RADICAL: "complete the valences, or leave the record out",
    UNKNOWN_ELEMENT: "replace R groups, dummy and query atoms by real elements",
    NOT_FINITE: "write finite coordinates in angstrom",
    OTHER_UNIT: "half of its bonds have less than 0.6 or more than 1.6 times their usual length; convert the unit",
    NO_ATOMS: "leave the record out",
    **dict.fromkeys(UNREADABLE, "check that the file is what its suffix says"),
    NO_SMILES: "fill it in, or leave the record out",
    **dict.fromkeys((TOO_LONG, TOO_LARGE), "leave the record out, or give its geometry as SDF"),
    NOT_SMILES: "check its brackets, rings and valences, or leave the record out",
}


@dataclass(frozen=True)
class Entry:
    """One unparsed record: its number in the source (from 0), its name, its text and its named values."""

    index: int
    text: str
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """Entries that one worker converts at once; `position` of the source's `size` is consumed with them."""

    number: int
    entries: list[Entry]
    position: int


@runtime_checkable
class Source(Protocol):
    """Where records come from; frozen and picklable, because every worker has a copy.

    A class of one's own inherits it and has `size`, `entries`, `parse` and `describe`.
    """

    chunk: ClassVar[int] = 100
    """Entries that one worker converts at once."""

    @property
    def size(self) -> int:
        """Work in the source in any unit, bytes for instance; what `Chunk.position` counts."""

    def columns(self) -> tuple[str, ...] | None:
        """Names of the values of all records; None where every record has its own."""
        return None

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """All entries, in order and in constant memory, and what of `size` is consumed behind each (main process).

        Raises:
            InputError: The source is damaged or holds no record.
        """
        ...

    def chunks(self) -> Iterator[Chunk]:
        """The same in chunks."""
        return chunked(self.entries(), self.chunk)

    def parse(self, entry: Entry) -> tuple[Chem.Mol, str, dict[str, str]]:
        """Turn an entry into a molecule, sanitised or not, its name and its named values (worker).

        Raises:
            Rejected: The entry cannot become a molecule.
        """

    def place(self, mol: Chem.Mol) -> Chem.Mol:
        """The molecule, sanitised and with hydrogens where these are wanted, with a conformer if its entry had none (worker).

        Raises:
            Rejected: No conformer is found.
        """
        return mol

    def describe(self) -> dict[str, object]:
        """Facts for the card that identify the source: its name, `source`, and what else there is (bytes, sha256, citation)."""


def chunked(entries: Iterable[tuple[Entry, int]], length: int) -> Iterator[Chunk]:
    """Gather pairs (entry, position of the source behind it) into chunks of `length` entries."""
    number, gathered, position = 0, [], 0
    for entry, position in entries:
        gathered.append(entry)
        if len(gathered) == length:
            yield Chunk(number, gathered, position)
            number, gathered = number + 1, []
    if gathered:
        yield Chunk(number, gathered, position)


@dataclass(frozen=True)
class Record:
    """One molecule as arrays: n atoms, m bonds, L labels."""

    index: int
    atomic_numbers: np.ndarray  # (n,) uint8
    positions: np.ndarray  # (n, 3) float32, Å, centred
    charges: np.ndarray  # (n,) int8, e
    bonds: np.ndarray  # (m, 3) uint16: i < j, order
    labels: np.ndarray  # (L,) float32, NaN where missing
    replaced: np.ndarray  # (L,) bool, the label is that of the table, and the record has one of its own
    isotopes: bool  # atoms had isotope labels, which are not kept
    smiles: str


def check_atoms(mol: Chem.Mol, pieces: bool = True) -> None:
    """Reject a molecule without atoms, of unknown elements, with unusable coordinates or, where `pieces` are looked at, in several.

    Raises:
        Rejected: With the reason.
    """
    if mol.GetNumAtoms() == 0:
        raise Rejected(NO_ATOMS)
    if any(atom.GetAtomicNum() == 0 or (atom.HasQuery() and atom.DescribeQuery()) for atom in mol.GetAtoms()):
        raise Rejected(UNKNOWN_ELEMENT)
    if mol.GetNumConformers():
        if not np.isfinite(mol.GetConformer().GetPositions()).all():
            raise Rejected(NOT_FINITE)
        if is_flat(mol):
            raise Rejected(TWO_DIMENSIONAL)
    if pieces and len(Chem.GetMolFrags(mol)) > 1:
        raise Rejected(SALT)


def sanitize(mol: Chem.Mol, hydrogens: bool) -> None:
    """Sanitise in place; reject impossible valences, radicals and, where `hydrogens`, hydrogens that are not atoms.

    Raises:
        Rejected: With the reason.
    """
    try:
        Chem.SanitizeMol(mol)
    except Chem.KekulizeException as error:
        raise Rejected(NO_KEKULE) from error
    except ValueError as error:
        raise Rejected("impossible valence") from error
    unpaired = implicit = 0
    for atom in mol.GetAtoms():
        unpaired += atom.GetNumRadicalElectrons()
        implicit += atom.GetTotalNumHs()
    if unpaired:
        raise Rejected(RADICAL)
    if hydrogens and implicit:
        raise Rejected(IMPLICIT)


def add_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """Hydrogens that are not atoms become atoms at idealised positions.

    Raises:
        Rejected: RDKit cannot tell how many hydrogens are missing.
    """
    sanitize(mol, hydrogens=False)
    return Chem.AddHs(mol, addCoords=True)


def to_arrays(mol: Chem.Mol, hydrogens: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Atomic numbers, centred positions (Å), formal charges and Kekulé bonds of a sanitised molecule (kekulised in place).

    Raises:
        Rejected: A bond order is not 1, 2 or 3, or nothing is left without hydrogens.
    """
    Chem.Kekulize(mol, clearAromaticFlags=True)
    atoms = np.array([(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in mol.GetAtoms()])
    numbers, charges = atoms[:, 0].astype(np.uint8), atoms[:, 1].astype(np.int8)
    positions = mol.GetConformer().GetPositions()
    try:
        bonds = in_order(kekule_bonds(mol))
    except ValueError:
        raise Rejected("bond order not 1, 2 or 3") from None
    if not hydrogens:
        heavy = numbers != 1
        if not heavy.any():
            raise Rejected(NO_ATOMS)
        renumber = np.cumsum(heavy) - 1
        bonds = bonds[heavy[bonds[:, 0]] & heavy[bonds[:, 1]]]
        bonds[:, :2] = renumber[bonds[:, :2]]
        numbers, charges, positions = numbers[heavy], charges[heavy], positions[heavy]
    if len(numbers) > np.iinfo(np.uint16).max:
        raise Rejected("more than 65,535 atoms")
    positions = (positions - positions.mean(axis=0)).astype(np.float32)
    return numbers, positions, charges, bonds.astype(np.uint16)
