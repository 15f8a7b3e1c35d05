"""What sources of shapes hand over, and why a record is rejected."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from molgen.files import sha256
from molgen.preparation import Rejected
from molgen.shapes.fields import Axis


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


@dataclass(frozen=True)
class Record:
    """A cloud of points with its frame.

    Args:
        points: (P, 3) in units of the source.
        normals: (P, 3) unit normals, or None.
        centre: (3,) mean of the surface.
        radius: largest distance of the surface from the centre.
        labels: numeric parameters by name.
        caption: in words, "" for none.
    """

    points: np.ndarray
    normals: np.ndarray | None
    centre: np.ndarray
    radius: float
    labels: dict[str, float] = field(default_factory=dict)
    caption: str = ""


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


def choose(stored: np.ndarray, normals: np.ndarray | None, points: int, rng: np.random.Generator) -> Record:
    """A record of ``points`` of the stored points, without repetition, in random order.

    Raises:
        Rejected: there are fewer, or they make no shape.
    """
    stored = np.asarray(stored, np.float64)
    if len(stored) < points:
        raise Rejected("fewer points than needed")
    if not np.isfinite(stored).all():
        raise Rejected("coordinates not finite")
    centre = stored.mean(0)
    radius = float(np.linalg.norm(stored - centre, axis=1).max())
    if radius == 0:
        raise Rejected("all points in one place")
    chosen = rng.permutation(len(stored))[:points]
    return Record(stored[chosen], None if normals is None else np.asarray(normals, np.float64)[chosen], centre, radius)


def unit_sphere(points: np.ndarray) -> np.ndarray:
    """The cloud centred and scaled so that its farthest point is at distance 1, as models of single shapes see it."""
    centred = points - points.mean(0)
    return centred / max(float(np.linalg.norm(centred, axis=-1).max()), 1e-12)
