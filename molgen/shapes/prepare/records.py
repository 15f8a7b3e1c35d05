"""What sources of shapes are asked for and hand over."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from molgen.files import sha256
from molgen.shapes.fields import Axis
from molgen.shapes.points import Record


@dataclass(frozen=True)
class Entry:
    """One record of a source before it is read.

    Args:
        name: file or record, for messages and ``names.txt``.
        category: name of the class, "" where unknown.
        where: what the source needs to find it.
        part: "train", "valid" or "test" where the source has an official split.
        repeats: name of an earlier record whose file is the same byte by byte, "" for none.
    """

    name: str
    category: str
    where: Any
    part: str = ""
    repeats: str = ""


@runtime_checkable
class Source(Protocol):
    """Where shapes come from; must be picklable."""

    @property
    def up(self) -> Axis:
        """Axis that points up in all shapes, "" where unknown."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """Numeric parameters that records carry."""
        ...

    def categories(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        ...

    def captioned(self) -> bool:
        """Whether records carry captions."""
        ...

    def describe(self) -> dict[str, Any]:
        """Name, size and checksum of the source, for the card."""
        ...

    def entries(self) -> Sequence[Entry]:
        """All records, in a fixed order.

        Raises:
            InputError: if there is none.
        """
        ...

    def read(self, entry: Entry, points: int, rng: np.random.Generator) -> Record:
        """Reads a record and draws its points.

        Raises:
            Rejected: with the reason.
        """
        ...


def classes_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Names of the classes of these records, sorted."""
    return tuple(sorted({entry.category for entry in entries} - {""}))


def checksum(root: Path, paths: Sequence[Path]) -> str:
    """One checksum of many files: of their names and sizes; contents of a few gigabytes would take longer than reading the meshes."""
    import hashlib

    text = "".join(f"{path.relative_to(root)} {path.stat().st_size}\n" for path in paths)
    return hashlib.sha256(text.encode()).hexdigest()


def repeated(paths: Sequence[Path]) -> dict[Path, Path]:
    """For each file that is the same as an earlier one, byte by byte, the first of these; only files of one size are read."""
    sizes, first, found = Counter(path.stat().st_size for path in paths), dict[tuple[int, str], Path](), dict[Path, Path]()
    for path in paths:
        if sizes[size := path.stat().st_size] > 1:
            earlier = first.setdefault((size, sha256(path)), path)
            if earlier != path:
                found[path] = earlier
    return found
