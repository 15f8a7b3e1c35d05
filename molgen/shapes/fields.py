"""The fields of a shape and what a model must know of its training data.

A shape is a cloud of points drawn from a surface, each patch with a probability in proportion to its area; ``pos`` is its only field.
Lengths have no physical unit: a cloud x is stored in *normalised units*, centred and scaled as (x - centre) / scale, with

    centre: mean of the surface (area-weighted),
    scale:  largest distance of a surface point from the centre: one for each shape (``normalisation`` "shape", every shape fills the unit
            sphere) or the median over the data set for all of them ("global", relative sizes are kept).

``coordinate_std`` is the root mean square coordinate of centred clouds in these units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from molgen.errors import InputError
from molgen.shapes.text import TextStatistics
from molgen.statistics import VERSION, Label, find_label, read_statistics

Normalisation = Literal["shape", "global"]
Axis = Literal["x", "y", "z", ""]
TO_Y = {"x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])}
"""Rotations that turn an axis to y, which points up in a .glb by definition."""


def turning(own: Axis, up: Axis) -> np.ndarray:
    """The rotation (3, 3) that turns one axis to another; none where one of them is unknown."""
    return TO_Y.get(up, np.eye(3)).T @ TO_Y.get(own, np.eye(3)) if own and up else np.eye(3)


@dataclass(frozen=True)
class ShapeStatistics:
    """What a model must know of its training data.

    Args:
        num_shapes: shapes in the data set.
        num_points: points stored for each shape.
        categories: names of the classes; class ``k`` is ``categories[k]``.
        category_counts: shapes of each class; their sum is below ``num_shapes`` where some have no class.
        coordinate_std: root mean square coordinate of centred clouds, in normalised units.
        normalisation: "shape" or "global", see the module.
        scale: the global scale, or the median of the scales of the shapes, in units of the source.
        up: axis that points up in all shapes, "" where unknown.
        labels: numeric parameters, such as the number of legs.
        captions: whether shapes have captions.
        text: what is known of the vectors of the captions; None where they are not stored.
    """

    num_shapes: int
    num_points: int
    categories: tuple[str, ...]
    category_counts: tuple[int, ...]
    coordinate_std: float
    normalisation: Normalisation = "shape"
    scale: float = 1.0
    up: Axis = ""
    labels: tuple[Label, ...] = ()
    captions: bool = False
    text: TextStatistics | None = None

    def __post_init__(self) -> None:
        if len(self.categories) != len(self.category_counts):
            raise InputError(f"shape statistics: {len(self.categories)} categories but {len(self.category_counts)} counts")
        if self.normalisation not in get_args(Normalisation) or self.up not in get_args(Axis):
            raise InputError(f"shape statistics: unknown normalisation {self.normalisation!r} or up axis {self.up!r}")

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ShapeStatistics:
        """Reads the content of ``statistics.json``."""
        return cls(
            num_shapes=raw["num_shapes"],
            num_points=raw["num_points"],
            categories=tuple(raw["categories"]),
            category_counts=tuple(raw["category_counts"]),
            coordinate_std=raw["coordinate_std"],
            normalisation=raw["normalisation"],
            scale=raw["scale"],
            up=raw["up"],
            labels=tuple(Label.from_dict(label) for label in raw["labels"]),
            captions=raw["captions"],
            text=TextStatistics.from_dict(raw["text"]) if raw.get("text") else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of ``statistics.json``: the inverse of :meth:`from_dict`."""
        return {"version": VERSION, "domain": "shape", **asdict(self), "labels": [label.to_dict() for label in self.labels]}

    @classmethod
    def load(cls, path: Path) -> ShapeStatistics:
        """Reads a ``statistics.json``.

        Raises:
            InputError: if the file is missing, broken, of another version or not about shapes.
        """
        return read_statistics(path, "shape", cls.from_dict)

    @property
    def sizes(self) -> dict[int, int]:
        """Every shape has as many points as are stored."""
        return {self.num_points: self.num_shapes}

    @property
    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """Classes, whose positions are what batches carry."""
        return {"categories": self.categories}

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Shapes have no discrete fields; their own classes are a condition."""
        return {}

    def relatives(self, field: str, name: str, known: Sequence[str]) -> list[str]:
        """All known classes: nothing tells which are nearer."""
        return list(known)

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions that the data can teach: those of which some shape has a value."""
        own = {"category": any(self.category_counts), "text": self.text is not None}
        return (*(name for name, there in own.items() if there), *(label.name for label in self.labels if label.count))

    def inherit(self, source: ShapeStatistics) -> ShapeStatistics:
        """These statistics with the coordinate scale of a model's, in whose unit it sees distances.

        Raises:
            InputError: another axis points up in the shapes that the model knows.
        """
        self.check_up(source)
        return replace(self, coordinate_std=source.coordinate_std)

    def check_up(self, source: ShapeStatistics) -> None:
        """Refuses data for a network that was trained on shapes in which another axis points up.

        Raises:
            InputError: saying how to turn them.
        """
        if self.up and source.up and self.up != source.up:
            fix = f"prepare them anew with --up {self.up} --turn {source.up}"
            raise InputError(f"up: {self.up} points up in the data, {source.up} in the shapes that the model knows; {fix}")

    @property
    def companions(self) -> dict[str, Path]:
        """A model of points needs no other network."""
        return {}

    def density(self, name: str, size: int, value: float | str) -> float:
        """The number of points says nothing about a shape."""
        return 1.0

    def described(self) -> TextStatistics:
        """What is known of the captions.

        Raises:
            InputError: their vectors are not stored.
        """
        if self.text is None:
            raise InputError("text: the data hold no vectors of captions; prepare them with --text")
        return self.text

    def label(self, name: str) -> Label:
        """The label of this name.

        Raises:
            InputError: naming the nearest labels there are.
        """
        return find_label(self.labels, name)
