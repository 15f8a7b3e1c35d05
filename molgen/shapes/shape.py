"""The shape as plain arrays: what comes out of a sampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from molgen.domain import Value
from molgen.errors import InputError
from molgen.shapes.fields import Axis
from molgen.tags import same_tags

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True, eq=False, repr=False)
class Shape:
    """A cloud of surface points; equal to another where all of this is exactly, the points in this order; NaN equals itself.

    Args:
        points: (n, 3) float64, normalised units.
        properties: named values that travel with the shape into its file.
        up: axis of the points that points up, "" where unknown.

    Raises:
        InputError: another axis.
    """

    points: np.ndarray
    properties: dict[str, Value] = field(default_factory=dict)
    up: Axis = ""

    def __post_init__(self) -> None:
        if self.up not in get_args(Axis):
            raise InputError(f"up: expected x, y, z or '' where unknown, got {self.up!r}")

    def __len__(self) -> int:
        return len(self.points)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shape):
            return NotImplemented
        same = np.array_equal(self.points, other.points, equal_nan=True) and self.up == other.up
        return same and same_tags(self.properties, other.properties)

    def __hash__(self) -> int:
        return hash((np.nan_to_num(np.asarray(self.points, np.float64)) + 0.0).tobytes())  # -0 is 0

    def __repr__(self) -> str:
        category, text = (self.properties.get(f"requested_{name}") for name in ("category", "text"))
        words = [f"{len(self)} points", *([str(category)] if category else []), *([repr(text)] if text else [])]
        return f"Shape({', '.join(words)})"

    def to_mesh(self, *, vertices: int | None = None) -> trimesh.Trimesh:
        """A watertight mesh around the cloud; see :func:`molgen.shapes.surface.reconstruct`."""
        from molgen.shapes.surface import reconstruct

        return reconstruct(self.points, vertices=vertices)

    def save(
        self, path: Path | str, *, up: Axis = "", height: float | None = None, mesh: bool = False, vertices: int | None = None
    ) -> None:
        """Writes a file in the format of its suffix; see :func:`molgen.shapes.export.write_shape`."""
        from molgen.shapes.export import write_shape

        write_shape(path, self, up=up, height=height, mesh=mesh, vertices=vertices)
