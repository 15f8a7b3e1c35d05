"""Lines of text files, plain or gzipped, with a clear word where a file is damaged."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from molgen.errors import InputError

GZIP, MARK, UTF16 = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
"""First bytes of gzip files, of UTF-8 text from some editors, and of UTF-16 text."""
BLOCK = 1 << 16
"""Bytes that are read at once."""
SHOWN = 60
"""Characters of a name that a message shows at most."""


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


def lines(raw: BufferedReader) -> Iterator[bytes]:
    """Lines of an opened file without a mark of the byte order, decompressed where its first bytes say gzip.

    Lines end with a line feed, a carriage return or both. The position of `raw` tells how much is read.

    Raises:
        Damaged: The gzip stream is cut short or wrong.
        InputError: The text is UTF-16.
    """
    compressed = raw.read(2) == GZIP
    raw.seek(0)
    try:
        rows = _split(gzip.GzipFile(fileobj=raw) if compressed else raw)
        for first in rows:
            if first.startswith(UTF16):
                raise InputError(f"{raw.name}: is UTF-16 text; save it as UTF-8")
            yield first.removeprefix(MARK)
            yield from rows
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Damaged from error


def _split(stream: gzip.GzipFile | BufferedReader) -> Iterator[bytes]:
    """Lines with their ends, of any kind, as they are read."""
    waiting: list[bytes] = []
    while block := stream.read1(BLOCK):
        waiting.append(block)
        if b"\n" in block or b"\r" in block:
            rows = b"".join(waiting).splitlines(keepends=True)
            waiting = [rows.pop()]  # it may go on, and a carriage return have its line feed yet to come
            yield from rows
    yield from b"".join(waiting).splitlines(keepends=True)


def shown(name: str) -> str:
    """A name as messages show it: one line, and not the whole of a long one."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in name).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."


def texts(raw: BufferedReader, strict: bool = False) -> Iterator[str]:
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
    """The SMILES of a line and the name after it, which a tab or else a space parts; empty texts where there is none or a `#` starts it."""
    if line.lstrip().startswith("#"):
        return "", ""
    smiles, _, name = line.strip().partition("\t" if "\t" in line else " ")
    return smiles, name.strip()
