"""Sets of shapes to be compared, read one by one: packed data sets, .npz and .npy files, folders of meshes and clouds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from molgen.errors import InputError
from molgen.packing import part_of
from molgen.preparation import Rejected
from molgen.shapes.data import PackedShapes
from molgen.shapes.fields import Axis
from molgen.shapes.metrics import mesh_checks, points_to_surface
from molgen.shapes.points import choose, drawn, unit_sphere
from molgen.shapes.reading import read_clouds, read_shape
from molgen.shapes.recognise import ARRAYS, ROWS, SUFFIXES, find_all

OTHER_SCALE = 2.0
"""Times the root mean square coordinate of a reference above which, or below its inverse, a set is taken to be of another scale."""


@dataclass(frozen=True)
class Item:
    """A cloud, centred, with its name, and what it told where it came from a mesh."""

    name: str
    cloud: np.ndarray
    checks: dict[str, float] | None = None


@dataclass
class ShapeSet:
    """Shapes of one place, their clouds of one size."""

    name: str
    up: str = ""  # axis that points up, "" where unknown
    found: int = 0  # shapes that the place holds
    items: list[Item] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def clouds(self) -> list[np.ndarray]:
        """The clouds alone."""
        return [item.cloud for item in self.items]


def rms(shapes: ShapeSet) -> float:
    """Root mean square coordinate of the clouds of a set."""
    return float(np.sqrt(np.mean([np.square(cloud).mean() for cloud in shapes.clouds])))


def doubts_of(shapes: ShapeSet, reference: ShapeSet, scale: float) -> list[str]:
    """Why a set can hardly be compared with a reference of this `rms`: another scale, another axis that points up; a line each."""
    lines, times = [], rms(shapes) / max(scale, 1e-300)
    if not 1 / OTHER_SCALE <= times <= OTHER_SCALE:
        fix = "--rescale scales every shape to the unit sphere"
        lines.append(f"points of {shapes.name} are {times:.3g} times as far from the centre as those of {reference.name}; {fix}")
    if shapes.up and reference.up and shapes.up != reference.up:
        fix = f"prepare {shapes.name} anew with --up {shapes.up} --turn {reference.up}"
        lines.append(f"{shapes.up} points up in {shapes.name}, {reference.up} in {reference.name}; {fix}")
    return lines


class Shelf:
    """All shapes of a place.

    Args:
        path: a packed data set, an .npz or .npy file of clouds, a file of one shape, or a folder of meshes and clouds at any depth.
        points: of every cloud.
        seed: of the choice of points and of shapes.
        part: of a data set with a split, `train` or `valid` (`test` where there is none).
        up: axis that points up in the sets, to which a .glb is turned; "" leaves it as it is.
        rescale: scale every shape to the unit sphere.

    Raises:
        InputError: nothing is there, or fewer points are stored than needed.
    """

    def __init__(self, path: Path, points: int, seed: int, *, part: str = "train", up: Axis = "z", rescale: bool = False) -> None:
        self.path, self.points, self.seed, self.up, self.rescale = path, points, seed, up, rescale
        folder = part_of(path, part)
        self.data = PackedShapes(folder) if folder is not None else None
        rng = np.random.default_rng([seed, 0])
        self.entries: list[tuple[Path, int]] = []
        if self.data is not None:
            self.order = rng.permutation(len(self.data))
            stored = self.data.statistics.num_points
            if not 1 <= points <= stored:
                raise InputError(f"{folder}: expected 1 to {stored} points per shape, as many as are stored, got {points}")
            self.columns, self.names = rng.permutation(stored)[:points], self.data.names
            return
        if not path.exists():
            known = ", ".join((*ARRAYS, *ROWS, *SUFFIXES))
            raise InputError(f"{path}: no such file or folder; expected shapes ({known}), a folder of them, or a packed data set")
        _clouds.cache_clear()  # a file may have been written anew since it was read
        files = find_all(path) if path.is_dir() else [path]
        self.entries = [(file, k) for file in files for k in range(_count(file))]
        self.order = rng.permutation(len(self.entries))

    def __len__(self) -> int:
        return len(self.order)

    def read(self, number: int, check: bool = True) -> Item:
        """Shape of this number; a mesh is checked as well if asked for.

        Raises:
            Rejected: it cannot be used.
        """
        if self.data is not None:
            return self._item(self.names[number], self.data.points[number][self.columns])
        file, index = self.entries[number]
        name, rng = str(file.relative_to(self.path)) if self.path.is_dir() else file.name, np.random.default_rng([self.seed, 1, number])
        if file.suffix.lower() in ARRAYS:
            return self._item(f"{name} {index + 1}", choose(_clouds(file)[index], None, self.points, rng).points)
        found = read_shape(file, self.up)
        cloud = drawn(found, self.points, rng).points
        if not check or isinstance(found, tuple):  # a cloud
            return self._item(name, cloud)
        found.merge_vertices()
        checks = {name: float(value) for name, value in mesh_checks(found).items()}
        return self._item(name, cloud, {**checks, "gap": float(points_to_surface(cloud[:256], found).max())})

    def _item(self, name: str, cloud: np.ndarray, checks: dict[str, float] | None = None) -> Item:
        cloud = cloud.astype(np.float64)
        return Item(name, unit_sphere(cloud) if self.rescale else cloud - cloud.mean(0), checks)

    def clouds(self) -> Iterator[np.ndarray]:
        """The clouds of all shapes, one by one, without those that cannot be used."""
        for number in range(len(self)):
            try:
                yield self.read(number, check=False).cloud
            except Rejected:
                continue

    def choice(self, limit: int) -> ShapeSet:
        """A random choice of at most so many shapes.

        Raises:
            InputError: none can be used.
        """
        found = ShapeSet(self.path.name, up=self.data.statistics.up if self.data is not None else "", found=len(self))
        for number in np.sort(self.order[:limit]).tolist():
            try:
                found.items.append(self.read(number))
            except Rejected as reason:
                found.rejected[str(reason)] += 1
        if not found.items:
            reasons = ", ".join(f"{count} {reason}" for reason, count in found.rejected.most_common(3)) or "no shape files"
            raise InputError(
                f"{self.path}: no usable shape ({reasons}); expected clouds of at least {self.points} points (see --points), or meshes"
            )
        return found


def _count(file: Path) -> int:
    """How many shapes a file holds; one that cannot be read is one that is rejected later."""
    try:
        return len(_clouds(file)) if file.suffix.lower() in ARRAYS else 1
    except Rejected:
        return 1


@lru_cache(maxsize=1)
def _clouds(file: Path) -> np.ndarray:
    """The points (s, n, 3) of a file; the last one is kept, as all of its clouds are read one after the other."""
    return read_clouds(file)[0]
