"""XYZ files, one or many frames each, or a folder of them; bonds and formal charges are perceived from the geometry.

A comment line with key=value pairs (as extended XYZ and molgen write it) gives named values; `charge=` is the total
charge, 0 where it is not told.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem

from molgen.errors import InputError
from molgen.files import sha256
from molgen.molecules.bonds import NO_FIT, UnknownElement, lacks_hydrogens, perceive, total_charge
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import Entry, Source
from molgen.molecules.text import UNKNOWN_ELEMENT, Damaged, damaged, lines
from molgen.molecules.xyz import comment_pairs, read_xyz_record, split_xyz
from molgen.preparation import Rejected, facts_of


@dataclass(frozen=True)
class Xyz(Source):
    """An .xyz or .xyz.gz file, or a folder with such files (in the order of their names)."""

    path: Path

    @property
    def files(self) -> list[Path]:
        """The files to read."""
        if not self.path.is_dir():
            return [self.path]
        return sorted(path for path in self.path.iterdir() if path.name.lower().endswith((".xyz", ".xyz.gz")))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files)

    def describe(self) -> dict[str, object]:
        """Name, size and checksum; a folder's checksum is that of the lines `<sha256>  <name>`."""
        if self.path.is_file():
            return facts_of(self.path)
        listing = "".join(f"{sha256(path)}  {path.name}\n" for path in self.files)
        return {
            "source": self.path.name,
            "files": len(self.files),
            "bytes": self.size,
            "sha256": hashlib.sha256(listing.encode()).hexdigest(),
        }

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Frames of the files.

        Raises:
            InputError: A file is damaged or ends inside a frame, or there is no frame at all.
        """
        count = read = 0
        last = "none"
        for path in self.files:
            with path.open("rb") as raw:
                rows = (line if line.endswith("\n") else f"{line}\n" for line in lines(raw))
                try:
                    for frame, (text, complete) in enumerate(split_xyz(rows), start=1):
                        if not complete:
                            raise InputError(f"{path}: ends inside frame {frame}; last complete: {last}; fetch the file again")
                        last = f"{path.name} frame {frame}"
                        yield Entry(count, text, last), read + raw.tell()
                        count += 1
                except Damaged as error:
                    raise damaged(path, last) from error
            read += path.stat().st_size
        if count == 0:
            raise InputError(f"{self.path}: holds no frame; expected molecules in XYZ format")

    def parse(self, entry: Entry) -> tuple[Chem.Mol, str, dict[str, str]]:
        """Read a frame and perceive its bonds."""
        molecule = read_xyz_record(entry.text)
        if isinstance(molecule, str):
            raise Rejected(molecule)
        tags = {name: str(value) for name, value in comment_pairs(entry.text.splitlines()).items()}  # identifiers such as 1E10 as written
        return perceived(molecule), tags.get("title", entry.name), tags


def perceived(molecule: Molecule) -> Chem.Mol:
    """RDKit molecule with the bonds and charges that the geometry and the total charge tell.

    Raises:
        Rejected: They fit no bonds, or the charge is no integer.
    """
    try:
        charge = total_charge(molecule)
    except ValueError as error:
        raise Rejected(str(error)) from error
    try:
        bonds, charges = perceive(molecule.atomic_numbers, molecule.positions, charge)
    except UnknownElement as error:
        raise Rejected(UNKNOWN_ELEMENT) from error
    except ValueError as error:
        raise Rejected(NO_FIT) from error
    if lacks_hydrogens(molecule.atomic_numbers, bonds, charges):
        raise Rejected(NO_FIT)
    return Molecule(molecule.atomic_numbers, molecule.positions, charges, bonds).to_rdkit()
