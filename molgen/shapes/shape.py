"""The shape as plain arrays: what comes out of a sampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from molgen.errors import InputError, check_whole, got
from molgen.shapes.fields import Axis, Normalisation, turning
from molgen.tags import Value, same_tags

if TYPE_CHECKING:
    import trimesh

OTHER_SIZE = 1.25
"""Factor between 1 and the radius of a cloud about its mean from which on it is in another unit; shapes and samples have 0.93 to 1.05."""


def cloud(points: Any, name: str = "points") -> np.ndarray:
    """Coordinates of any origin as an array (n, 3) float64.

    Raises:
        InputError: they are no numbers, or not three a point.
    """
    if isinstance(points, np.ndarray) and points.dtype == np.float64:
        array = points
    else:
        try:
            found = np.asarray(points)
        except (RuntimeError, TypeError, ValueError):  # rows of different lengths, a tensor with gradients or of another device
            found = np.asarray(None)
        if found.dtype.kind not in "iuf":
            way = "; molgen.shapes.given.read_points reads a file" * isinstance(points, str | Path)
            raise InputError(f"{name}: expected an array (n, 3) of numbers, got {got(points)}{way}")
        array = found.astype(np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"{name}: expected an array (n, 3), got {array.shape}")
    return array


def check_points(points: np.ndarray, source: object) -> None:
    """Refuses points (n, 3) that describe no surface; messages begin with their source.

    Raises:
        InputError: there are none, coordinates are not finite, or most points are copies of others.
    """
    if not len(points):
        raise InputError(f"{source}: expected points (n, 3), got none")
    if not np.isfinite(points).all():
        raise InputError(f"{source}: coordinates are not finite; leave such points away")
    different = len(np.unique(points, axis=0))
    if different < len(points) / 2:
        raise InputError(f"{source}: only {different} of {len(points)} points are different; leave the copies away")


def check_readable(points: np.ndarray, normalisation: Normalisation, fewest: int, source: object) -> None:
    """Refuses points (n, 3) that a model does not read as a whole shape; messages begin with their source.

    Args:
        points: the shape.
        normalisation: of the training shapes; "shape" where each of these fills the unit sphere.
        fewest: points that the model needs.
        source: name of the shape.

    Raises:
        InputError: as :func:`check_points`, or the shape is in another unit, or has too few points.
    """
    check_points(points, source)
    radius = float(np.linalg.norm(points - points.mean(0), axis=-1).max())
    if normalisation == "shape" and not 1 / OTHER_SIZE <= radius <= OTHER_SIZE:
        fix = "scale it, molgen.shapes.points.unit_sphere does"
        raise InputError(f"{source}: reaches {radius:.3g} from its middle, and the shapes of the model fill the unit sphere; {fix}")
    if len(points) < fewest:
        raise InputError(f"{source}: {len(points)} points, the model reads at least {fewest}; give a denser cloud")


@dataclass(frozen=True, eq=False, repr=False)
class Shape:
    """A cloud of surface points; equal to another where all of this is exactly, the points in this order; NaN equals itself.

    In a notebook it shows its picture.

    Args:
        points: (n, 3) float64, normalised units; lists, and arrays of other numbers, become such an array.
        properties: named values that travel with the shape into its file.
        up: axis of the points that points up, "" where unknown.
        detail: points that show all of it, for the smoothing of its mesh; 0 for as many as there are.

    Raises:
        InputError: another axis, a detail below 0, or points that are no (n, 3) numbers.
    """

    points: np.ndarray
    properties: dict[str, Value] = field(default_factory=dict)
    up: Axis = ""
    detail: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", cloud(self.points))
        if self.up not in get_args(Axis):
            raise InputError(f"up: expected x, y, z or '' where unknown, got {self.up!r}")
        check_whole("detail", self.detail, 0)

    def __len__(self) -> int:
        return len(self.points)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shape):
            return NotImplemented
        same = np.array_equal(self.points, other.points, equal_nan=True) and (self.up, self.detail) == (other.up, other.detail)
        return same and same_tags(self.properties, other.properties)

    def __hash__(self) -> int:
        return hash((np.nan_to_num(self.points) + 0.0).tobytes())  # -0 is 0

    def __repr__(self) -> str:
        category, text = (self.properties.get(f"requested_{name}") for name in ("category", "text"))
        words = [f"{len(self)} points", *([str(category)] if category else []), *([repr(text)] if text else [])]
        return f"Shape({', '.join(words)})"

    def _repr_png_(self) -> bytes | None:
        if not len(self) or not np.isfinite(self.points).all():
            return None
        from PIL import Image

        from molgen.shapes.render import picture

        content, upright = BytesIO(), self.points @ turning(self.up, "z").T
        Image.fromarray(picture(upright)).save(content, format="PNG")
        return content.getvalue()

    def to_mesh(self, *, vertices: int | None = None, strict: bool = True) -> trimesh.Trimesh:
        """A watertight mesh around the cloud; see :func:`molgen.shapes.surface.reconstruct`. That of the last shape is not made twice."""
        return _meshed(self, vertices, strict).copy()

    def save(
        self, path: Path | str, *, up: Axis = "", height: float | None = None, mesh: bool = False, vertices: int | None = None
    ) -> None:
        """Writes a file in the format of its suffix; see :func:`molgen.shapes.export.write_shape`."""
        from molgen.shapes.export import write_shape

        write_shape(path, self, up=up, height=height, mesh=mesh, vertices=vertices)


@lru_cache(maxsize=1)
def _meshed(shape: Shape, vertices: int | None, strict: bool) -> trimesh.Trimesh:
    from molgen.shapes.surface import reconstruct

    return reconstruct(shape.points, detail=shape.detail, vertices=vertices, strict=strict)
