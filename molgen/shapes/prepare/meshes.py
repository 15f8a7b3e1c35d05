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

from molgen.errors import InputError
from molgen.preparation import Rejected
from molgen.shapes.fields import Axis
from molgen.shapes.points import Record, drawn
from molgen.shapes.prepare.records import Entry, Source, checksum, classes_of, repeated
from molgen.shapes.reading import read_shape
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


def modelnet(root: Path) -> Meshes:
    """ModelNet10 or ModelNet40 as torch-geometric lays it down: ``root/raw/<class>/{train,test}/*.off``.

    Raises:
        InputError: if it is not there.
    """
    raw = root / "raw"
    if not any(raw.glob("*/*/*.off")):
        raise InputError(f"{raw}: no ModelNet here; expected <class>/train/*.off, as torch_geometric.datasets.ModelNet downloads it")
    return Meshes(raw, up="z")
