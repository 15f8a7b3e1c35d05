"""The shape as plain arrays: what comes out of a sampler."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from molgen.domain import Value


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
