"""SDF and MOL files, plain or gzipped, of any origin.

The main process only cuts the text at the `$$$$` lines; parsing is the workers' part. A file that ends inside a
record or inside its gzip stream is refused as a whole, because nobody can say what is missing. The last record needs no
`$$$$` where nothing follows its `M  END`, or an empty line its last tag.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.bonds import STATES
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import Entry, Source, check_atoms
from molgen.molecules.prepare.xyz import perceived
from molgen.molecules.records import atoms_of, data_fields, is_whole, split_sdf, why_unreadable
from molgen.molecules.text import MAX_LINES, Damaged, damaged, lines, shown
from molgen.molecules.values import as_value
from molgen.preparation import Rejected, facts_of


@dataclass(frozen=True)
class Sdf(Source):
    """An .sdf, .sdf.gz or .mol file."""

    path: Path
    chunk: ClassVar[int] = 500

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def describe(self) -> dict[str, object]:
        return facts_of(self.path)

    def entries(self) -> Iterator[tuple[Entry, int]]:
        return entries(self.path)

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


def unbound(mol: Chem.Mol, fields: Mapping[str, str]) -> Molecule:
    """The atoms of a record without bonds, whose property is the total charge where the record has a tag for it."""
    return atoms_of(mol, {"charge": as_value(fields["charge"])} if "charge" in fields else {})


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
