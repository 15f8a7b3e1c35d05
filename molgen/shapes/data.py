"""Packed sets of point clouds: memory-mapped arrays on disk, batches in memory. Needs numpy and torch only.

A folder written by ``molgen prepare`` holds, for S shapes with P points each and L labels,

    points.npy (S, P, 3) float16     in normalised units, in random order: any N of them are a fair sample of the surface
    normals.npy (S, P, 3) int8       unit normals times 127; zero where the source has none
    category.npy (S,) int16          class, -1 where unknown
    labels.npy (S, L) float32        numeric parameters, NaN where unknown
    text.npy (S, 256) float16        vectors of the captions, NaN where there is none; only where they were asked for
    centre.npy (S, 3), scale.npy (S,) float64    the source's coordinates are ``points * scale + centre``
    names.txt, captions.txt          one line for each shape
    statistics.json, card.yaml
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from molgen.batch import Batch
from molgen.errors import InputError
from molgen.packing import load_array, training_folder
from molgen.shapes.fields import ShapeStatistics
from molgen.types import Tensor


class PackedShapes:
    """A folder written by ``molgen prepare``.

    Args:
        path: the folder.
        labels: names of the labels that batches carry, ``category`` and ``text`` among them; ``category`` and all numeric ones by default.

    Raises:
        InputError: if a file is missing, truncated or does not fit the others.
    """

    def __init__(self, path: str | Path, labels: Sequence[str] | None = None):
        self.path = training_folder(Path(path))
        self.statistics = ShapeStatistics.load(self.path / "statistics.json")
        count, stored = self.statistics.num_shapes, self.statistics.num_points
        known = [label.name for label in self.statistics.labels]
        self.points = load_array(self.path / "points.npy", np.float16, (count, stored, 3))
        self.normals = load_array(self.path / "normals.npy", np.int8, (count, stored, 3))
        self.category = load_array(self.path / "category.npy", np.int16, (count,))
        classes = len(self.statistics.categories)
        if (wrong := (self.category < -1) | (self.category >= classes)).any():
            found = f"shape {int(wrong.argmax())} has class {self.category[wrong][0]} of {classes}"
            raise InputError(f"{self.path / 'category.npy'}: {found}; the data set is damaged, prepare it again")
        self.centre = load_array(self.path / "centre.npy", np.float64, (count, 3))
        self.scale = load_array(self.path / "scale.npy", np.float64, (count,))
        values = load_array(self.path / "labels.npy", np.float32, (count, len(known)))
        self.sizes = np.full(count, stored)
        self.labels = {}
        for name in ["category", *known] if labels is None else labels:
            if name == "category":
                self.labels[name] = np.where(self.category < 0, np.nan, self.category)
            elif name == "text":
                self.labels[name] = load_array(self.path / "text.npy", np.float16, (count, len(self.statistics.described().mean)))
            else:
                self.statistics.label(name)
                self.labels[name] = np.asarray(values[:, known.index(name)])

    def _lines(self, name: str) -> list[str]:
        path = self.path / f"{name}.txt"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            raise InputError(f"{path}: missing; prepare the data set again") from None
        if len(lines) != len(self):
            raise InputError(f"{path}: expected {len(self)} lines, got {len(lines)}; prepare the data set again")
        return lines

    @property
    def names(self) -> list[str]:
        """Names of the shapes in the source."""
        return self._lines("names")

    @property
    def captions(self) -> list[str]:
        """Captions of the shapes, empty where there is none."""
        return self._lines("captions")

    def __len__(self) -> int:
        return self.statistics.num_shapes

    def batch(self, indices: Sequence[int] | np.ndarray, points: int | None = None) -> Batch:
        """Clouds of these shapes with the first ``points`` of their stored points each, centred, and their labels.

        Args:
            indices: of the shapes.
            points: per cloud; all by default.

        Returns:
            ``pos`` (b, points, 3) in normalised units with mean zero, and the labels, NaN where unknown.

        Raises:
            InputError: if fewer points are stored than asked for.
        """
        indices = np.asarray(indices)
        stored = self.statistics.num_points
        points = stored if points is None else points
        if not 1 <= points <= stored:
            raise InputError(f"{self.path}: expected 1 to {stored} points per shape, as many as are stored, got {points}")
        pos = np.stack([self.points[index, :points] for index in indices.tolist()]).astype(np.float32)
        pos -= pos.mean(1, keepdims=True)
        return Batch({"pos": torch.from_numpy(pos)}, torch.ones(len(indices), points, dtype=torch.bool), self.labels_of(indices))

    def labels_of(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The labels of these shapes by name, NaN where unknown."""
        return {name: torch.from_numpy(values[indices].astype(np.float32)) for name, values in self.labels.items()}

    def cloud(self, index: int) -> np.ndarray:
        """All stored points (P, 3) of one shape, in normalised units."""
        return self.points[index].astype(np.float64)
