"""Clouds from what files hold: points drawn from a mesh, chosen from a denser cloud, scaled to the unit sphere."""

from dataclasses import dataclass, field, replace

import numpy as np
import trimesh

from molgen.preparation import Rejected
from molgen.shapes.reading import PointsAndNormals


@dataclass(frozen=True)
class Record:
    """A cloud of points with its frame.

    Args:
        points: (P, 3) in units of the source.
        normals: (P, 3) unit normals, or None.
        centre: (3,) mean of the surface.
        radius: largest distance of the surface from the centre.
        labels: numeric parameters by name.
        caption: in words, "" for none.
    """

    points: np.ndarray
    normals: np.ndarray | None
    centre: np.ndarray
    radius: float
    labels: dict[str, float] = field(default_factory=dict)
    caption: str = ""

    def turned(self, rotation: np.ndarray) -> "Record":
        """The record turned by a matrix (3, 3)."""
        normals = None if self.normals is None else self.normals @ rotation.T
        return replace(self, points=self.points @ rotation.T, normals=normals, centre=rotation @ self.centre)


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


def choose(stored: np.ndarray, normals: np.ndarray | None, points: int, rng: np.random.Generator) -> Record:
    """A record of ``points`` of the stored points, without repetition, in random order.

    Raises:
        Rejected: there are fewer, or they make no shape.
    """
    stored = np.asarray(stored, np.float64)
    if len(stored) < points:
        raise Rejected("fewer points than needed")
    if not np.isfinite(stored).all():
        raise Rejected("coordinates not finite")
    centre = stored.mean(0)
    radius = float(np.linalg.norm(stored - centre, axis=1).max())
    if radius == 0:
        raise Rejected("all points in one place")
    chosen = rng.permutation(len(stored))[:points]
    return Record(stored[chosen], None if normals is None else np.asarray(normals, np.float64)[chosen], centre, radius)


def unit_sphere(points: np.ndarray) -> np.ndarray:
    """The cloud centred and scaled so that its farthest point is at distance 1, as models of single shapes see it."""
    centred = points - points.mean(0)
    return centred / max(float(np.linalg.norm(centred, axis=-1).max()), 1e-12)
