"""SDF and MOL files, plain or gzipped, of any origin.

The main process only cuts the text at the `$$$$` lines; parsing is the workers' part. A file that ends inside a
record or inside its gzip stream is refused as a whole, because nobody can say what is missing. The last record needs no
`$$$$` where nothing follows its `M  END`, or an empty line its last tag.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem

from molgen.errors import InputError
from molgen.files import sha256
from molgen.molecules.bonds import STATES
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import Chunk, Entry, check_atoms, chunked
from molgen.molecules.prepare.xyz import perceived
from molgen.molecules.records import data_fields, is_whole, split_sdf, why_unreadable
from molgen.molecules.text import MAX_LINES, Damaged, damaged, lines, shown
from molgen.molecules.values import as_value
from molgen.preparation import Rejected

CHUNK = 500


@dataclass(frozen=True)
class Sdf:
    """An .sdf, .sdf.gz or .mol file."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def describe(self) -> dict[str, object]:
        """Name, size and checksum of the file."""
        return {"source": self.path.name, "bytes": self.size, "sha256": sha256(self.path)}

    def columns(self) -> None:
        """Every record has values of its own."""

    def chunks(self) -> Iterator[Chunk]:
        """Cut the file into chunks of records.

        Raises:
            InputError: The file is damaged, ends inside a record or holds no record.
        """
        return chunked(entries(self.path), CHUNK)

    def parse(self, entry: Entry) -> tuple[Chem.Mol, str, dict[str, str]]:
        """Read the structure with RDKit and the data fields after it."""
        try:
            mol = Chem.MolFromMolBlock(entry.text, sanitize=False, removeHs=False)
        except RuntimeError:  # RDKit raises on unknown element symbols
            mol = None
        if mol is None:
            raise Rejected(why_unreadable(entry.text))
        fields = data_fields(entry.text.partition("M  END")[2].split("\n"))
        if mol.GetNumAtoms() > 1 and mol.GetNumBonds() == 0:
            check_atoms(mol, pieces=False)
            bare = unbound(mol, fields)
            if {*bare.atomic_numbers.tolist()} <= STATES.keys():  # else ions or atoms of a gas
                mol = perceived(bare)
        return mol, entry.name, fields

    def place(self, mol: Chem.Mol) -> Chem.Mol:
        """Every record has coordinates."""
        return mol


def unbound(mol: Chem.Mol, fields: Mapping[str, str]) -> Molecule:
    """The atoms of a record without bonds, whose property is the total charge where the record has a tag for it."""
    numbers, charges = np.array([(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in mol.GetAtoms()], dtype=np.int64).T
    charge = {"charge": as_value(fields["charge"])} if "charge" in fields else {}
    return Molecule(numbers, mol.GetConformer().GetPositions(), charges, np.zeros((0, 3), np.int64), charge)


def entries(path: Path) -> Iterator[tuple[Entry, int]]:
    """Records of an SDF file and the bytes read behind each.

    Raises:
        InputError: The file is damaged, ends inside a record or holds no record.
    """
    last, count = "none", 0
    with path.open("rb") as raw:
        try:
            for count, (text, ended) in enumerate(split_sdf(lines(raw)), 1):
                if text.count("\n") > MAX_LINES:
                    raise InputError(f"{path}: record {count} has more than {MAX_LINES} lines; check that this is an SDF file")
                if not ended and ("M  END" not in text or not is_whole(text)):
                    raise InputError(f"{path}: ends inside record {count}; last complete: {last}; fetch the file again")
                name = text.partition("\n")[0].strip().removeprefix("$$$$")
                yield Entry(count - 1, text, name), raw.tell()
                last = f"record {count} ({shown(name)})"
        except Damaged as error:
            raise damaged(path, last) from error
    if count == 0:
        raise InputError(f"{path}: holds no record; expected molecules in SDF format")
