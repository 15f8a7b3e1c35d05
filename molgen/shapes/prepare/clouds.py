"""Point clouds that are already sampled: .npz and .npy files, and torch-geometric's ShapeNet where its raw files are on the disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from molgen.errors import InputError
from molgen.preparation import Rejected, facts_of
from molgen.shapes.fields import Axis
from molgen.shapes.points import Record, choose
from molgen.shapes.prepare.records import Entry, Source, checksum, classes_of
from molgen.shapes.reading import NoPoints, Unreadable, as_clouds, read_arrays

SYNSETS = {
    "02691156": "Airplane",
    "02773838": "Bag",
    "02954340": "Cap",
    "02958343": "Car",
    "03001627": "Chair",
    "03261776": "Earphone",
    "03467517": "Guitar",
    "03624134": "Knife",
    "03636649": "Lamp",
    "03642806": "Laptop",
    "03790512": "Motorbike",
    "03797390": "Mug",
    "03948459": "Pistol",
    "04099429": "Rocket",
    "04225987": "Skateboard",
    "04379243": "Table",
}
"""WordNet synsets of ShapeNet's classes with parts."""


@dataclass(frozen=True)
class Clouds(Source):
    """An .npz file: ``points`` (S, P, 3), maybe ``normals``, ``category`` (S,) with ``categories``, ``names``, ``captions``.

    An .npy file holds the points alone, (S, P, 3), or (P, 3) of one shape.
    """

    path: Path
    up: Axis = ""
    label_names: tuple[str, ...] = ()

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """What the file holds.

        Raises:
            InputError: if it is damaged or something is missing or of another shape.
        """
        kind = self.path.suffix.lower()
        try:
            found = read_arrays(self.path, ("points", "normals", "category", "categories", "names", "captions"))
        except Unreadable as error:
            writer = "save" if kind == ".npy" else "savez"
            raise InputError(
                f"{self.path}: not a readable {kind} of plain arrays ({error.detail}); write it again with numpy.{writer}"
            ) from None
        stored = found.get("points")
        points = as_clouds(stored)
        if stored is None or points is None or (kind == ".npz" and stored.ndim == 2):
            array = "an array" if kind == ".npy" else "an array 'points'"
            raise InputError(f"{self.path}: expected {array} of shape (shapes, points, 3), got {NoPoints(stored, self.path).got}")
        found["points"] = points
        for name in set(found) - {"points", "categories"}:
            if len(found[name]) != len(points):
                raise InputError(f"{self.path}: 'points' has {len(points)} shapes but '{name}' {len(found[name])}")
        if "category" in found and ("categories" not in found or found["category"].max(initial=-1) >= len(found["categories"])):
            raise InputError(f"{self.path}: 'category' needs 'categories' with the name of every class")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "arrays"}  # workers read the file themselves

    def categories(self) -> tuple[str, ...]:
        return tuple(map(str, self.arrays["categories"])) if "category" in self.arrays else ()

    def captioned(self) -> bool:
        return "captions" in self.arrays

    def describe(self) -> dict[str, Any]:
        return facts_of(self.path)

    def entries(self) -> Sequence[Entry]:
        arrays = self.arrays
        count, names = len(arrays["points"]), arrays.get("names")
        classes = self.categories()
        index = arrays["category"].astype(int).tolist() if classes else [-1] * count
        return [
            Entry(str(names[k]) if names is not None else f"shape {k + 1}", classes[index[k]] if index[k] >= 0 else "", k)
            for k in range(count)
        ]

    def read(self, entry: Entry, points: int, rng: np.random.Generator) -> Record:
        normals = self.arrays.get("normals")
        record = choose(self.arrays["points"][entry.where], None if normals is None else normals[entry.where], points, rng)
        return replace(record, caption=str(self.arrays["captions"][entry.where])) if self.captioned() else record


@dataclass(frozen=True)
class ShapeNet(Source):
    """ShapeNet parts as torch-geometric lays it down.

    ``raw/<synset>/*.txt`` hold one point a line: position, normal, part; ``raw/train_test_split/`` holds the official split.
    """

    path: Path
    up: Axis = "y"
    label_names: tuple[str, ...] = ()

    @cached_property
    def listing(self) -> list[Entry]:
        """Records of all parts of the split.

        Raises:
            InputError: if the files are not there.
        """
        entries = []
        for part, word in (("train", "train"), ("valid", "val"), ("test", "test")):
            listed = self.path / "raw" / "train_test_split" / f"shuffled_{word}_file_list.json"
            if not listed.is_file():
                raise InputError(f"{listed}: no ShapeNet here; expected the raw files that torch_geometric.datasets.ShapeNet downloads")
            for name in json.loads(listed.read_text(encoding="utf-8")):
                synset, _, model = name.partition("/")[2].partition("/")
                entries.append(Entry(f"{synset}/{model}", SYNSETS.get(synset, synset), self.path / "raw" / synset / f"{model}.txt", part))
        return entries

    def categories(self) -> tuple[str, ...]:
        return classes_of(self.listing)

    def captioned(self) -> bool:
        return False

    def describe(self) -> dict[str, Any]:
        listed = sorted((self.path / "raw" / "train_test_split").glob("*.json"))
        return {"source": "ShapeNet parts (torch-geometric)", "files": len(self.listing), "sha256_of_listing": checksum(self.path, listed)}

    def entries(self) -> Sequence[Entry]:
        return self.listing

    def read(self, entry: Entry, points: int, rng: np.random.Generator) -> Record:
        try:
            rows = np.loadtxt(entry.where, dtype=np.float64, ndmin=2)
        except FileNotFoundError:
            raise Rejected("file missing") from None
        except ValueError:
            raise Rejected("not a table of numbers") from None
        if rows.shape[1] < 6:
            raise Rejected("fewer than six columns")
        return choose(rows[:, :3], rows[:, 3:6], points, rng)
