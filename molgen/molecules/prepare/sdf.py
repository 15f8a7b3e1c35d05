"""SDF and MOL files, plain or gzipped, of any origin.

The main process only cuts the text at the `$$$$` lines; parsing is the workers' part. A file that ends inside a
record or inside its gzip stream is refused as a whole, because nobody can say what is missing. The last record needs no
`$$$$` where nothing follows its `M  END`, or an empty line its last tag.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem

from molgen.errors import InputError
from molgen.files import sha256
from molgen.molecules.prepare.records import Chunk, Entry, chunked
from molgen.molecules.prepare.text import Damaged, damaged, lines, shown
from molgen.molecules.records import MAX_LINES, data_fields, is_whole
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
            raise Rejected(diagnose(entry.text))
        return mol, entry.name, data_fields(entry.text.partition("M  END")[2].split("\n"))


def entries(path: Path) -> Iterator[tuple[Entry, int]]:
    """Records of an SDF file and the bytes read behind each.

    Raises:
        InputError: The file is damaged, ends inside a record or holds no record.
    """
    record: list[bytes] = []
    count = 0
    last = "none"
    with path.open("rb") as raw:
        try:
            for line in lines(raw):
                if not line.startswith(b"$$$$"):
                    record.append(line)
                    if len(record) > MAX_LINES:
                        raise InputError(f"{path}: record {count + 1} has more than {MAX_LINES} lines; check that this is an SDF file")
                    continue
                entry = _entry(count, record)
                yield entry, raw.tell()
                last, record, count = f"record {count + 1} ({shown(entry.name)})", [], count + 1
        except Damaged as error:
            raise damaged(path, last) from error
        if any(line.strip() for line in record):
            entry = _entry(count, record)
            if "M  END" not in entry.text or not is_whole(entry.text):
                raise InputError(f"{path}: ends inside record {count + 1}; last complete: {last}; fetch the file again")
            yield entry, raw.tell()
            count += 1
    if count == 0:
        raise InputError(f"{path}: holds no record; expected molecules in SDF format")


def _entry(index: int, record: list[bytes]) -> Entry:
    text = b"".join(record).decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return Entry(index, text, text.partition("\n")[0].strip())


def diagnose(text: str) -> str:
    """Why RDKit refused a V2000 record, as far as its atom block tells."""
    rows = text.split("\n")
    try:
        atoms = [row.split() for row in rows[4 : 4 + int(rows[3][:3])]]
        if any(not math.isfinite(float(value)) for row in atoms for value in row[:3]):
            return "coordinates not finite"
        symbols = {row[3] for row in atoms}
    except (IndexError, ValueError):
        return "unreadable"
    table = Chem.GetPeriodicTable()
    known = {table.GetElementSymbol(number) for number in range(1, 119)} | {"D", "T"}
    return "unknown element" if symbols - known else "unreadable"
