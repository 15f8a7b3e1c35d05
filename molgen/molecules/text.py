"""Lines of text files, plain or gzipped, with a clear word where a file is damaged."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import BinaryIO, cast

from molgen.errors import InputError

GZIP, UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
"""First bytes of gzip files, and of UTF-16 text."""
SHOWN = 60
"""Characters of a name that a message shows at most."""

JOINED = {".sdf": ".sdf", ".sd": ".sdf", ".mol": ".sdf", ".xyz": ".xyz", ".sdf.gz": ".sdf.gz", ".xyz.gz": ".xyz.gz", ".txt": ".xyz"}
"""Endings of files of molecules that go into one file, and the ending of that."""

MAX_LINES = 200_000
"""Lines after which a record is a file that is not what its name says."""
NOT_FINITE, UNKNOWN_ELEMENT, NO_ATOMS, IMPLICIT = "coordinates not finite", "unknown element", "no atoms", "implicit hydrogens"
"""Reasons why a record of any format is no molecule."""


class Damaged(Exception):
    """A gzip stream that is cut short or wrong."""


def damaged(path: Path, last: str) -> InputError:
    """The error that tells the user so; `last` names the last complete record."""
    return InputError(f"{path}: the gzip stream is damaged or cut short; last complete: {last}; fetch the file again")


def foreign(path: Path) -> InputError:
    """The error that tells the user of the first line that is not UTF-8."""
    with path.open("rb") as raw:
        rows = enumerate(lines(raw, "surrogateescape"), 1)
        number = next((number for number, line in rows if line.encode(errors="ignore").decode() != line), 1)
    return InputError(f"{path}: line {number} is not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8)")


def lines(raw: BufferedReader, errors: str = "replace") -> Iterator[str]:
    """Lines of an opened file without a mark of the byte order, decompressed where its first bytes say gzip.

    They end with a line feed, whatever ends them in the file: that, a carriage return or both. The position of `raw` tells what is read.

    Args:
        raw: An opened file.
        errors: What becomes of bytes that are not UTF-8; `strict` refuses them.

    Raises:
        Damaged: The gzip stream is cut short or wrong.
        InputError: The text is UTF-16.
        UnicodeDecodeError: There are bytes that are not UTF-8, where `strict`.
    """
    compressed = raw.read(2) == GZIP
    raw.seek(0)
    binary = gzip.GzipFile(fileobj=raw) if compressed else raw
    stream = TextIOWrapper(cast(BinaryIO, binary), encoding="utf-8-sig", errors=errors)
    try:
        if binary.peek(2).startswith(UTF16):
            raise InputError(f"{raw.name}: is UTF-16 text; save it as UTF-8")
        yield from chain(stream)  # a plain `yield from` would close it with this generator
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Damaged from error
    finally:
        if not raw.closed:
            stream.detach()  # else it would close the file


def shown(name: str) -> str:
    """A name as messages show it: one line, and not the whole of a long one."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in name).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."


def smiles_and_name(line: str) -> tuple[str, str]:
    """The SMILES of a line and the name after it, which a tab or else a space parts; empty texts where there is none or a `#` starts it."""
    if line.lstrip().startswith("#"):
        return "", ""
    smiles, _, name = line.strip().partition("\t" if "\t" in line else " ")
    return smiles, name.strip()


def joined(folder: Path) -> str:
    """The command that makes one file of a folder of SDF, MOL or XYZ files, which may be called .txt; "" where it holds none."""
    for ending, kind in JOINED.items():
        first = next(folder.glob(f"*{ending}"), None)
        if first is not None and (ending != ".txt" or _counts_atoms(first)):
            program = "cat" if ending.endswith(".gz") else "awk 1"  # which ends every last line
            return f"{program} {quote(str(folder))}/*{ending} > all{kind}"
    return ""


def _counts_atoms(path: Path) -> bool:
    """Whether a file begins with a number alone, as XYZ does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline(100).strip().isdigit()
