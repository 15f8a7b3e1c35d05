"""Lines of text files, plain or gzipped, with a clear word where a file is damaged."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from molgen.errors import InputError

GZIP = b"\x1f\x8b"


class Damaged(Exception):
    """A gzip stream that is cut short or wrong."""


def damaged(path: Path, last: str) -> InputError:
    """The error that tells the user so; `last` names the last complete record."""
    return InputError(f"{path}: the gzip stream is damaged or cut short; last complete: {last}; fetch the file again")


def lines(raw: BinaryIO) -> Iterator[bytes]:
    """Lines of an opened file, decompressed where its first bytes say gzip; the position of `raw` tells how much is read.

    Raises:
        Damaged: The gzip stream is cut short or wrong.
    """
    compressed = raw.read(2) == GZIP
    raw.seek(0)
    try:
        yield from gzip.GzipFile(fileobj=raw) if compressed else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Damaged from error


def texts(raw: BinaryIO) -> Iterator[str]:
    """Lines as text with plain line ends; bytes that are not UTF-8 become replacement characters.

    Raises:
        Damaged: The gzip stream is cut short or wrong.
    """
    for number, line in enumerate(lines(raw)):
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        yield (text.removeprefix("\ufeff") if number == 0 else text) + "\n"


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
