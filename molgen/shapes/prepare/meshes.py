"""Folders of mesh files that trimesh reads and of clouds, and torch-geometric's ModelNet where its raw files are on the disk.

A .ply or .obj file without faces, an .npy or .npz file, and a file of rows of numbers holds one cloud of a folder. Of files that are the
same byte by byte the first is taken, so that parts of a split share none. The class of a file is the name of the first folder below the
source, or of the source itself for files that lie directly in it. A folder "train", "valid" or "test" on the way is a part of an official
split. Points are drawn with a probability in proportion to area, so that polygon soup, holes, several components and non-manifold edges do
not matter; faces without area are never hit.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from molgen.errors import InputError
from molgen.preparation import Rejected
from molgen.shapes.fields import Axis
from molgen.shapes.prepare.records import Entry, Record, Source, checksum, choose, classes_of, repeated
from molgen.shapes.reading import PointsAndNormals, read_shape
from molgen.shapes.recognise import ARRAYS, ROWS, SUFFIXES, find_all, find_others

REPEATED = "repeats another file"
PARTS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}


@dataclass(frozen=True)
class Meshes(Source):
    """A mesh file, or a folder with files of meshes and clouds at any depth."""

    path: Path
    up: Axis = ""
    label_names: tuple[str, ...] = ()

    @cached_property
    def files(self) -> list[Path]:
        """All files, sorted."""
        return [self.path] if self.path.is_file() else find_all(self.path)

    def categories(self) -> tuple[str, ...]:
        return classes_of(self.entries())

    def captioned(self) -> bool:
        return False

    def describe(self) -> dict[str, Any]:
        root = self.path if self.path.is_dir() else self.path.parent
        size = sum(path.stat().st_size for path in self.files)
        return {"source": self.path.name, "files": len(self.files), "bytes": size, "sha256_of_listing": checksum(root, self.files)}

    def entries(self) -> Sequence[Entry]:
        if not self.files:
            raise InputError(f"{self.path}: holds no mesh or cloud; expected files that end with {', '.join((*SUFFIXES, *ARRAYS, *ROWS))}")
        return [self._entry(path) for path in self.files]

    @cached_property
    def repeats(self) -> dict[Path, Path]:
        """The first one of the same files for each of the others."""
        return repeated(self.files)

    def _entry(self, path: Path) -> Entry:
        if self.path.is_file():
            return Entry(path.name, path.parent.name, path)
        earlier = self.repeats.get(path)
        folders = path.relative_to(self.path).parts[:-1]
        part = next((PARTS[folder.lower()] for folder in folders if folder.lower() in PARTS), "")
        named = [folder for folder in folders if folder.lower() not in PARTS]
        category = named[0] if named else self.path.resolve().name
        repeats = str(earlier.relative_to(self.path)) if earlier is not None else ""
        return Entry(str(path.relative_to(self.path)), category, path, part, repeats)

    def read(self, entry: Entry, points: int, rng: np.random.Generator) -> Record:
        if entry.repeats:
            raise Rejected(REPEATED)
        return drawn(read_shape(entry.where, self.up), points, rng)


def loose_files(source: Source) -> list[Entry]:
    """Records of files that lie directly in the folder of a source, whose class is the name of that folder."""
    if not isinstance(source, Meshes) or source.path.is_file():
        return []
    return [entry for entry in source.entries() if entry.where.parent == source.path]


def other_files(source: Source) -> Counter[str]:
    """How many files in the folder of a source are neither meshes nor clouds, by suffix; a material or a picture of a texture is one."""
    return Counter() if not isinstance(source, Meshes) or source.path.is_file() else find_others(source.path)


def drawn(shape: trimesh.Trimesh | PointsAndNormals, points: int, rng: np.random.Generator) -> Record:
    """Points of a mesh or of the one cloud of a file, see :func:`sample` and :func:`choose`.

    Raises:
        Rejected: they cannot be drawn.
    """
    if isinstance(shape, trimesh.Trimesh):
        return sample(shape, points, rng)
    clouds, normals = shape
    if len(clouds) > 1:
        raise Rejected("several clouds in one file of a folder; prepare it by itself")
    return choose(clouds[0], None if normals is None else normals[0], points, rng)


def sample(mesh: trimesh.Trimesh, points: int, rng: np.random.Generator) -> Record:
    """Draws points of a surface, each patch with a probability in proportion to its area.

    Raises:
        Rejected: the surface has no area or coordinates that are not finite.
    """
    used = np.asarray(mesh.vertices, np.float64)[np.unique(mesh.faces)]
    if not np.isfinite(used).all():
        raise Rejected("coordinates not finite")
    low, high = used.min(0), used.max(0)
    middle, extent = low / 2 + high / 2, float((high / 2 - low / 2).max())
    if extent == 0:
        raise Rejected("all points in one place")
    if not np.isfinite(extent) or extent < np.finfo(np.float64).tiny:
        raise Rejected("coordinates too large or too small")
    corners = (np.asarray(mesh.vertices, np.float64) - middle)[mesh.faces] / extent  # (f, 3, 3), neither under- nor overflow from here
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1) / 2
    if area.sum() <= 0:
        raise Rejected("no surface: all faces are degenerate")
    face = np.searchsorted(np.cumsum(area), rng.random(points) * area.sum(), side="right").clip(max=len(area) - 1)
    u, v = rng.random((2, points, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = corners[face].transpose(1, 0, 2)
    drawn = a + u * (b - a) + v * (c - a)
    centre = (area[:, None] * corners.mean(1)).sum(0) / area.sum()
    radius = float(np.sqrt(np.square(corners - centre).sum(-1).max()))
    normals = across[face] / (2 * area[face, None])
    return Record(drawn * extent + middle, normals, centre * extent + middle, radius * extent)


def modelnet(root: Path) -> Meshes:
    """ModelNet10 or ModelNet40 as torch-geometric lays it down: ``root/raw/<class>/{train,test}/*.off``.

    Raises:
        InputError: if it is not there.
    """
    raw = root / "raw"
    if not any(raw.glob("*/*/*.off")):
        raise InputError(f"{raw}: no ModelNet here; expected <class>/train/*.off, as torch_geometric.datasets.ModelNet downloads it")
    return Meshes(raw, up="z")
