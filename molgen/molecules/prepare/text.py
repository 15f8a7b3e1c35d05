"""Lines of text files, plain or gzipped, with a clear word where a file is damaged."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from molgen.errors import InputError

GZIP, MARK = b"\x1f\x8b", b"\xef\xbb\xbf"
"""First bytes of gzip files, and of UTF-8 text from some editors."""


class Damaged(Exception):
    """A gzip stream that is cut short or wrong."""


def damaged(path: Path, last: str) -> InputError:
    """The error that tells the user so; `last` names the last complete record."""
    return InputError(f"{path}: the gzip stream is damaged or cut short; last complete: {last}; fetch the file again")


def foreign(path: Path) -> InputError:
    """The error that tells the user of the first line that is not UTF-8."""
    with path.open("rb") as raw:
        number = next((number for number, line in enumerate(lines(raw), 1) if line.decode(errors="ignore").encode() != line), 1)
    return InputError(f"{path}: line {number} is not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8)")


def lines(raw: BinaryIO) -> Iterator[bytes]:
    """Lines of an opened file without a mark of the byte order, decompressed where its first bytes say gzip.

    The position of `raw` tells how much is read.

    Raises:
        Damaged: The gzip stream is cut short or wrong.
    """
    compressed = raw.read(2) == GZIP
    raw.seek(0)
    try:
        rows = iter(gzip.GzipFile(fileobj=raw) if compressed else raw)
        for first in rows:
            yield first.removeprefix(MARK)
            yield from rows
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Damaged from error


def texts(raw: BinaryIO, strict: bool = False) -> Iterator[str]:
    """Lines as text with plain line ends; bytes that are not UTF-8 become replacement characters.

    Args:
        raw: An opened file.
        strict: Such bytes are an error.

    Raises:
        Damaged: The gzip stream is cut short or wrong.
        UnicodeDecodeError: There are bytes that are not UTF-8, where `strict`.
    """
    for line in lines(raw):
        yield line.decode("utf-8", errors="strict" if strict else "replace").rstrip("\r\n") + "\n"


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a file as :func:`texts` gives them.

    Raises:
        InputError: it cannot be read, or its gzip stream is cut short or wrong.
    """
    read = 0
    try:
        with path.open("rb") as raw:
            for line in texts(raw):
                read += 1
                yield line
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from error
    except Damaged as error:
        raise damaged(path, f"line {read}") from error


def smiles_and_name(line: str) -> tuple[str, str]:
    """The SMILES of a line and the name after it, which a tab or else a space parts; empty texts where there is none."""
    smiles, _, name = line.strip().partition("\t" if "\t" in line else " ")
    return smiles, name.strip()
