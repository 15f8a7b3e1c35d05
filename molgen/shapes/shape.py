"""The shape as plain arrays: what comes out of a sampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from molgen.domain import Value

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True, eq=False)
class Shape:
    """A cloud of surface points.

    Args:
        points: (n, 3) float64, normalised units.
        properties: named values that travel with the shape into its file.
    """

    points: np.ndarray
    properties: dict[str, Value] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def to_mesh(self, *, vertices: int | None = None) -> trimesh.Trimesh:
        """A watertight mesh around the cloud; see :func:`molgen.shapes.surface.reconstruct`."""
        from molgen.shapes.surface import reconstruct

        return reconstruct(self.points, vertices=vertices)
