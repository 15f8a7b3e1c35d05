"""Lists of SMILES, of which conformers are made (:mod:`molgen.molecules.embed`)."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.embed import Unembeddable, embed
from molgen.molecules.formats import TABLES, file_format
from molgen.molecules.fragments import largest_fragment
from molgen.molecules.prepare.records import LONGEST, NO_SMILES, NOT_SMILES, TOO_LARGE, TOO_LONG, Entry, Source, check_atoms
from molgen.molecules.prepare.table import Table
from molgen.molecules.text import Damaged, damaged, foreign, lines, smiles_and_name
from molgen.preparation import Rejected, facts_of
from molgen.ranges import MOST_ATOMS


@dataclass(frozen=True)
class Smiles(Source):
    """A .smi file (SMILES, then a name; `#` starts a comment) or a .csv or .tsv file with a column of SMILES, plain or gzipped.

    The column is `smiles`, in capitals or not, or else the only one whose name holds that word.

    Args:
        path: The file.
        seed: Of the conformers.
    """

    path: Path
    seed: int = 0
    chunk: ClassVar[int] = 16  # small: one molecule takes up to seconds

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def describe(self) -> dict[str, object]:
        """Name, size and checksum of the file, and how conformers are made."""
        conformers = {"method": "ETKDGv3, MMFF94", "seed": self.seed}
        return {**facts_of(self.path), "conformers": conformers}

    @property
    def _is_table(self) -> bool:
        return file_format(self.path) in TABLES

    def columns(self) -> tuple[str, ...] | None:
        """Columns of a table, none of a .smi file; None where the header cannot be read, which reading the records tells.

        Raises:
            InputError: A table has no column of SMILES, or several.
        """
        with self.path.open("rb") as raw, suppress(Damaged, UnicodeDecodeError, csv.Error):
            return self._open(lines(raw, "strict"))[0].names if self._is_table else ()
        return None

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Lines of the file.

        Raises:
            InputError: The file is damaged, empty or not UTF-8, or a table has no column of SMILES, or several.
        """
        count = 0
        with self.path.open("rb") as raw:
            rows = lines(raw, "strict")
            try:
                for text, name, tags in self._table(rows) if self._is_table else self._list(rows):
                    yield Entry(count, text, name, tags), raw.tell()
                    count += 1
            except Damaged as error:
                raise damaged(self.path, f"record {count}") from error
            except UnicodeDecodeError:
                raise foreign(self.path) from None
            except csv.Error as error:
                raise InputError(f"{self.path}: record {count} is not a row of a table ({error}); close its quotes") from None
        if count == 0:
            raise InputError(f"{self.path}: holds no record; expected one SMILES on each line")

    def _list(self, rows: Iterator[str]) -> Iterator[tuple[str, str, dict[str, str]]]:
        for row in rows:
            text, name = smiles_and_name(row)
            if text and text.lower() != "smiles":
                yield text, name, {}

    def _open(self, rows: Iterator[str]) -> tuple[Table, str]:
        """The table and its column of SMILES."""
        table = Table(rows, str(self.path))
        names = table.names
        named = [name for name in names if name == "smiles"] or [name for name in names if name.lower() == "smiles"]
        found = named or [name for name in names if "smiles" in name.lower()]
        if not found:
            raise InputError(f"{self.path}: has no column 'smiles'; its columns are {', '.join(names) or 'none'}; rename one")
        if len(found) > 1:
            raise InputError(f"{self.path}: has several columns of SMILES, {', '.join(found)}; name the one to read 'smiles'")
        return table, found[0]

    def _table(self, rows: Iterator[str]) -> Iterator[tuple[str, str, dict[str, str]]]:
        table, column = self._open(rows)
        columns = {name.lower(): name for name in table.names}
        key = next((columns[name] for name in ("name", "id", "title") if name in columns), None)
        for _, row in table:
            tags = {name: value for name, value in row.items() if name}
            yield tags.get(column, "").strip(), tags.get(key, "") if key else "", tags

    def parse(self, entry: Entry) -> tuple[Chem.Mol, str, dict[str, str]]:
        """Read the SMILES."""
        if not entry.text:
            raise Rejected(NO_SMILES)
        if len(entry.text) > LONGEST:
            raise Rejected(TOO_LONG)
        mol = Chem.MolFromSmiles(entry.text)
        if mol is None:
            raise Rejected(NOT_SMILES)
        if mol.GetNumHeavyAtoms() > MOST_ATOMS:
            raise Rejected(TOO_LARGE)
        return mol, entry.name, entry.tags

    def place(self, mol: Chem.Mol) -> Chem.Mol:
        """Make a conformer."""
        try:
            return embed(mol, self.seed)
        except Unembeddable as error:
            raise Rejected(str(error)) from None

    def graph(self, entry: Entry, largest: bool = False) -> Chem.Mol:
        """The molecule of an entry, or its largest fragment, with hydrogens as atoms, without coordinates.

        Raises:
            Rejected: The entry holds no SMILES, or no single molecule.
        """
        mol, _, _ = self.parse(entry)
        mol = largest_fragment(mol) if largest else mol
        check_atoms(mol)
        Chem.SanitizeMol(mol)
        return Chem.AddHs(mol)


def smiles_and_names(path: Path) -> Iterator[tuple[str, str]]:
    """SMILES and name of every record of a .smi, .csv or .tsv file, empty texts where there is none.

    Raises:
        InputError: as :meth:`Smiles.entries`.
    """
    return ((entry.text, entry.name) for entry, _ in Smiles(path).entries())
