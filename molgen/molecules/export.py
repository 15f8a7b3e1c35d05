"""Molecule files in stream form: SDF, XYZ, SMILES and tables, plain or compressed with gzip, chosen by suffix.

Readers yield one entry per record, a `Molecule` or a `BrokenRecord` with the record's number and a reason, and never raise
for a record. Writers take molecules one by one and flush each; the file appears under its own name only when it is complete,
and until then is called `<name>.partial`, from which an interrupted run can be resumed.

SDF carries everything (coordinates in Å with four decimals, Kekulé bonds, formal charges, properties as SD tags); XYZ keeps
elements, coordinates and properties; SMILES keep the graph; CSV and TSV have SMILES and properties and are written at the end.

Reference: CTfile formats, BIOVIA 2020 (SDF); extended XYZ comment line as in ASE.
"""

import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from molgen.counting import counted
from molgen.errors import InputError
from molgen.files import Claim, destination, encodable, flush, keep_mode, name_errors, sibling
from molgen.molecules.convert import TooManyBonds, read_record
from molgen.molecules.formats import TABLES, file_format, readable
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import SPLITTERS, WRITERS
from molgen.molecules.rows import Rows
from molgen.molecules.text import Damaged, lines
from molgen.molecules.writable import check_suffix, opened, written


@dataclass(frozen=True)
class BrokenRecord:
    """A record that holds no molecule.

    Args:
        number: position in the file, from 1.
        reason: what is wrong with it, without numbers of atoms or lines, so that equal reasons can be counted.
    """

    number: int
    reason: str


def read_molecules(path: Path | str, format: str | None = None, limit: int | None = None) -> Iterator[Molecule | BrokenRecord]:
    """Reads molecules one by one in constant memory.

    The record's title becomes the property `title`; SD tags that are numbers become numbers. Isotope labels are not kept, of which a
    warning tells in the end.

    Args:
        path: an `.sdf` or `.xyz` file, or one of them with `.gz`.
        format: overrules the suffix.
        limit: stop after so many records.

    Raises:
        InputError: the file is missing, unreadable, or of a format that has no 3D coordinates.
    """
    name, isotopes = readable(path, format), 0
    for number, text in enumerate(islice(read_records(path, name), limit), 1):
        molecule, labelled = read_record(text, name)
        isotopes += labelled
        yield BrokenRecord(number, molecule) if isinstance(molecule, str) else molecule
    if isotopes:
        warnings.warn(f"{path}: isotope labels of {counted(isotopes, 'molecule')} are not kept", stacklevel=2)


def read_records(path: Path | str, format: str | None = None) -> Iterator[str]:
    """Splits a file into the texts of its records, an incomplete last one included.

    Raises:
        InputError: the file is missing, unreadable, without 3D coordinates by its format, or compressed and cut short (unless `.partial`).
    """
    path = Path(path)
    name = readable(path, format)
    try:
        with path.open("rb") as raw:
            for text, _ in SPLITTERS[name](_until_cut(raw) if path.suffix == ".partial" else lines(raw)):
                yield text
    except Damaged:
        raise InputError(f"{path}: the gzip stream is damaged or cut short; fetch or write the file again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); check the file") from error


def write_molecules(path: Any, molecules: Any, format: str | None = None) -> int:
    """Writes all molecules, any iterable of `Molecule`, to a new file, complete or not at all; returns their number.

    Properties without a value (None, NaN, NA of pandas) are left out.

    Raises:
        InputError: they are something else, have coordinates that are not finite, or the file cannot be written.
    """
    checked = written(path, molecules)
    with open_writer(path, format) as writer:
        for molecule in checked:
            writer.write(molecule)
    return writer.count


def write_sdf(path: Any, molecules: Any) -> int:
    """Writes an SDF file; a suffix that names another format here is refused. Else as :func:`write_molecules`."""
    checked = written(path, molecules)
    check_suffix(path)
    return write_molecules(path, checked, "sdf")


def open_writer(path: Path | str, format: str | None = None, append: bool = False, keep_partial: bool = False) -> "Writer":
    """Opens a writer that takes molecules one by one.

    Args:
        path: destination; it appears, or is replaced, on a clean close. A link is followed, permissions are kept.
        format: `sdf`, `xyz`, `smi`, `csv` or `tsv`; default by suffix.
        append: start with the complete records of `<path>.partial`, or else of `path`, not of a table; a record cut in half is dropped.
        keep_partial: after an exception keep `<path>.partial` to resume from; default is to remove it, as of a table always.

    Raises:
        InputError: unknown format, a missing folder, no regular file or a full disk.
    """
    return Writer(Path(path), file_format(path, format), append, keep_partial)


class Writer:
    """Writes molecules record by record; see `open_writer`. `count` is the number of records in the file so far.

    Used as a context manager; leaving it normally closes the file under its own name.
    """

    def __init__(self, path: Path, format: str, append: bool, keep_partial: bool) -> None:
        compress = path.suffix.lower() == ".gz"  # by the name that was given, where it is a link
        self.path = path = destination(path)
        self.partial = partial_path(path)
        self.count = 0
        self._rows = Rows(TABLES[format]) if format in TABLES else None
        self._write: Callable[[Molecule], str] | None = WRITERS.get(format)
        self._keep_partial = keep_partial and self._rows is None
        with name_errors(path, "nothing was changed"):
            self._claim = claim(path)
            try:
                self._begin(format, append, compress)
            except BaseException:
                self._claim.give_up()
                raise

    def _begin(self, format: str, append: bool, compress: bool) -> None:
        """Opens the partial file, with the records to go on from."""
        fresh = sibling(self.partial, self.partial.name)
        try:
            with opened(fresh, "xb", compress) as stream:
                keep_mode(fresh, self.path)
                fresh.chmod(fresh.stat().st_mode | stat.S_IRUSR | stat.S_IWUSR)
                for text in complete_records(left_of(self.path) if append and self._rows is None else None, format):
                    stream.write(text)
                    self.count += 1
            fresh.replace(self.partial)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        self._stream = opened(self.partial, "ab", compress)
        keep_mode(self.partial, self.path)

    @property
    def left(self) -> str:
        """What stays when the writer stops before its end, in words."""
        return f"{self.partial} keeps {self.count} records to resume from" if self._keep_partial and self.count else "nothing was kept"

    def write(self, molecule: Molecule, given: str = "") -> None:
        """Appends one molecule and hands it to the operating system at once.

        Args:
            molecule: what is written.
            given: SMILES that it has in the list it comes from, which a table keeps as it is.

        Raises:
            InputError: the disk is full, or RDKit, which writes all formats but .xyz, cannot hold the molecule.
        """
        try:
            if self._rows is not None:
                if given:
                    self._rows.keep(given, molecule.properties)
                else:
                    self._rows.add(molecule)
            text = encodable(self._write(molecule)) if self._write is not None else ""
        except TooManyBonds as error:
            raise InputError(f"{self.path}: molecule {self.count + 1}: {error}; leave it out, or write .xyz, which has no bonds") from None
        if text:
            with name_errors(self.path, self.left):
                self._stream.write(text)
                self._stream.flush()
        self.count += 1

    def skip(self, given: str, properties: Mapping[str, object]) -> None:
        """Keeps a table in line with its source where a record is no molecule: a row of what is known; other formats leave it out."""
        if self._rows is not None:
            self._rows.keep(given, properties)

    def close(self) -> None:
        """Completes the file and gives it its name.

        Raises:
            InputError: the disk is full.
        """
        if self._stream.closed:
            return
        with name_errors(self.path, self.left):
            self._stream.write(self._rows.text() if self._rows is not None else "")
            self._stream.close()
            flush(self.partial)
            self.partial.replace(self.path)
        self._claim.give_up()

    def abandon(self) -> None:
        """Stops without giving the file its name; the partial file stays if `keep_partial` and it holds records."""
        with suppress(OSError):
            self._stream.close()
        if not self._keep_partial or not self.count:
            self.partial.unlink(missing_ok=True)
        self._claim.give_up()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self.abandon()
            return
        try:
            self.close()
        except InputError:
            self.abandon()
            raise


def complete_records(path: Path | None, format: str) -> Iterator[str]:
    """Texts of the records of a file, none of no file; a last one that was cut in half is left out."""
    if path is None:
        return
    with path.open("rb") as raw:
        for text, complete in SPLITTERS[format](_until_cut(raw)):
            if complete:
                yield text


def claim(path: Path) -> Claim:
    """Keeps other commands from writing a file, which is no link.

    Raises:
        InputError: another command writes it, or nothing can be written in its folder.
    """
    return Claim(path, f"{path}: another command writes it; wait for it, or give another name")


def partial_path(path: Path | str) -> Path:
    """Where a file is kept until it is complete: `<name>.partial` in the same folder, of a link in that of what it leads to.

    Raises:
        InputError: the file cannot be written, see :func:`molgen.files.destination`.
    """
    path = destination(Path(path))
    return path.with_name(path.name + ".partial")


def left_of(path: Path) -> Path | None:
    """What an earlier run left of a file: its partial file, or else the file itself; None for neither."""
    return next((place for place in (partial_path(path), path) if place.exists()), None)


def _until_cut(raw: BufferedReader) -> Iterator[str]:
    """Lines of a file; where a gzip stream was cut in half, they simply end."""
    with suppress(Damaged):
        yield from lines(raw)
