"""What is to be written: the name of a file, molecules with finite coordinates, both looked at before, and the text of the file."""

import gzip
import os
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np

from molgen.errors import InputError
from molgen.molecules.formats import ENDINGS, ending
from molgen.molecules.molecule import Molecule

FIX = "give a list of molgen.Molecule (Molecule.from_rdkit converts those of RDKit)"


def written(path: Any, molecules: Any) -> Iterator[Molecule]:
    """The molecules, one after the other.

    Args:
        path: of the file, for errors.
        molecules: any iterable of molecules.

    Raises:
        InputError: the path is none, as where the two are swapped, or what is to be written is no iterable, at once; one of its members is
            no molecule or has coordinates that are not finite, when it is its turn.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path: expected the name of a file, got a {type(path).__name__}; give the path first, then the molecules")
    if not isinstance(molecules, Iterable):
        raise InputError(f"{path}: expected a list of molecules, got one {type(molecules).__name__}; {FIX}")
    return _checked(path, molecules)


def check_suffix(path: Path | str) -> None:
    """Refuses a name, with or without `.gz`, of a file in another format than SDF.

    Raises:
        InputError: saying what writes it.
    """
    suffix = ending(path)
    if ENDINGS.get(suffix, "sdf") != "sdf":
        fix = f"name it .sdf, or write what its name says by molgen.write_molecules({str(path)!r}, molecules)"
        raise InputError(f"{path}: write_sdf writes SDF, which {suffix} is not; {fix}")


def _checked(path: Any, molecules: Iterable[Any]) -> Iterator[Molecule]:
    """See :func:`written`."""
    for number, molecule in enumerate(molecules, 1):
        if not isinstance(molecule, Molecule):
            raise InputError(f"{path}: molecule {number}: is a {type(molecule).__name__}; {FIX}")
        if not np.isfinite(molecule.positions).all():
            raise InputError(f"{path}: molecule {number}: has coordinates that are not finite; leave it out")
        yield molecule


def opened(path: Path, mode: str, compress: bool) -> TextIOWrapper:
    """Text that goes into a file, compressed or not."""
    binary: Any = _Gzip(path, mode) if compress else path.open(mode)
    return TextIOWrapper(binary, encoding="utf-8", errors="replace", newline="")


class _Gzip(gzip.GzipFile):
    """A gzip stream without time and name, so that the same text gives the same bytes."""

    def __init__(self, path: Path, mode: str) -> None:
        self._file: Any = path.open(mode)
        super().__init__("", mode, 6, self._file, 0)

    def close(self) -> None:
        """Ends the stream and closes the file, which gzip leaves open."""
        try:
            super().close()
        finally:
            self._file.close()
