"""From a cloud to a closed surface.

Clouds of a sampler carry no normals, their points are independent draws with gaps of several times the mean spacing, and legs are
hardly thicker than a gap. So the solid is found without normals. The triangles of the cloud's alpha complex (circumradius up to a s, with s
the spacing of the points) bridge the gaps; on a grid of voxels of width h, with d(x) the distance to the nearest triangle,

    outside = what can be reached from far away where d > e,    e = 1.6 h,
    f(x)    = distance of x to the outside - e,

which is a morphological closing. Marching cubes of f at a level below zero give the surface: closed whatever the cloud and no thinner than
two voxels. Its vertices are then settled on the mean plane of the nearest points, and bumps are smoothed away
(:mod:`molgen.shapes.smoothing`). Where a larger a encloses much more, the cloud had a hole and the larger a is taken. Concave corners of
radius below a s are filled, gaps narrower than that bridged.

Reference: Three-dimensional alpha shapes (1994, 10.1145/174462.156635).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from manifold3d import Manifold, Mesh64
from scipy import ndimage
from scipy.spatial import Delaunay, cKDTree
from skimage.measure import marching_cubes

from molgen.errors import InputError, check_whole
from molgen.shapes.smoothing import smoothed

FEWEST = 32  # points that make a surface
_CLOSING = 2.1  # a, the largest circumradius of a triangle in spacings of the points, unless the cloud has a hole
_PAD = 6  # voxels around the shape
_REACH = 1.6  # voxels
_LEVEL = -1.0  # voxels
_RESOLUTIONS = (32, 512)
_COARSE = 64  # voxels along the longest side when holes are looked for
_WIDER = (1.0, 1.25, 1.5)  # times the closing, until no hole is left
_HOLE = 1.25  # how much more volume the next one encloses if there is a hole
_STRAY = 1.7  # times the distance to the sixth neighbour that is usual around a point, above which it is off the surface
_SLIVER = 0.01  # of the area of the largest part, below which another part is left out
_TOLERANCES = 0.02 * 1.25 ** np.arange(20)  # voxels by which simplifying moves a surface
_CHANGE = 0.05  # share of the volume that simplifying may change


class TooFewVertices(InputError):
    """No closed mesh of nearly the volume has so few vertices; `least` is the smallest number that was found.

    Args:
        least: vertices of the smallest mesh that stays closed and in shape.
        got: that were asked for.
        name: of the file to be written, if any.
    """

    def __init__(self, least: int, got: int, name: str = "") -> None:
        place, why = f"{name}: " if name else "", "with fewer this surface does not stay closed and in shape"
        super().__init__(f"{place}vertices: expected at least {least}, got {got}; {why}")
        self.least, self.got = least, got


def spacing(points: np.ndarray) -> float:
    """Typical distance between points of a surface: one over the square root of their density, from the sixth neighbours."""
    return float(np.median(cKDTree(points).query(points, 7)[0][:, -1])) * float(np.sqrt(np.pi / 6))


def reconstruct(
    points: np.ndarray,
    *,
    resolution: int = 128,
    smooth: bool = True,
    detail: int = 0,
    vertices: int | None = None,
    strict: bool = True,
) -> trimesh.Trimesh:
    """Puts a closed surface around a cloud; see the module.

    Args:
        points: (n, 3), any units.
        resolution: voxels along the longest side.
        smooth: take bumps away, see :mod:`molgen.shapes.smoothing`.
        detail: points that show all of the shape, 0 for as many as there are. Waves that are smoothed away in a cloud of so many are in a
            denser one too, such as the bumps of samples, which are as wide as the latent cells whatever the number of points; of a
            denser one points off the surface are left out as well, unless the mesh hangs together by them.
        vertices: largest number of vertices; None for what marching cubes give. Thin and rugged shapes need thousands.
        strict: whether to raise where no closed mesh of so few vertices and nearly the volume is found; else it is the smallest found.

    Returns:
        A watertight mesh in the units of the points, its normals outwards; the same for the same input.

    Raises:
        TooFewVertices: see ``strict``.
        InputError: too few points, points that are not finite or in one plane, or a number out of range.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < FEWEST:
        raise InputError(f"a surface needs at least {FEWEST} points (n, 3), got {points.shape}")
    if not np.isfinite(points).all():
        raise InputError("a surface needs finite coordinates; drop the points that are not")
    if not _RESOLUTIONS[0] <= resolution <= _RESOLUTIONS[1]:
        raise InputError(f"resolution: expected {_RESOLUTIONS[0]} to {_RESOLUTIONS[1]} voxels, got {resolution}")
    check_whole("detail", detail, 0)
    if vertices is not None:
        check_whole("vertices", vertices, 16)
    extent = np.ptp(points, axis=0)
    if not extent.min() > 1e-9 * extent.max():
        raise InputError("a surface needs points that do not all lie in one plane")
    kept = _without_strays(points) if 0 < detail < len(points) else points
    mesh, grid = _closed(kept, resolution)
    if len(kept) < len(points) and mesh.body_count > 1:  # thin parts may hang on points that look like strays
        other, around = _closed(points, resolution)
        if other.body_count < mesh.body_count:
            mesh, grid, kept = other, around, points
    cells = grid.cells(kept)
    mesh = _settled(mesh, cells)
    coarser = max(1.0, len(kept) / detail) if detail else 1.0  # a root for the spacing, a root because more points pull
    mesh = smoothed(mesh, cells, spacing(cells) * coarser) if smooth else mesh
    mesh = _simplified(mesh, vertices, strict) if vertices is not None else mesh
    return trimesh.Trimesh((mesh.vertices - _PAD) * grid.width + grid.low, mesh.faces, process=False)


def _closed(points: np.ndarray, resolution: int) -> tuple[trimesh.Trimesh, _Grid]:
    """The closing of a cloud, in voxels of the grid."""
    complex_ = _Complex.of(points)
    radius = _CLOSING * spacing(points)
    coarse = _Grid.around(points, min(_COARSE, resolution))
    volumes = [int((~coarse.outside(complex_.filled(radius * wider, coarse.width))[0]).sum()) for wider in _WIDER]
    wider = next((a for a, v, w in zip(_WIDER, volumes, volumes[1:], strict=False) if w < _HOLE * v), _WIDER[-1])
    grid = _Grid.around(points, resolution)
    return grid.surface(complex_.filled(radius * wider, grid.width)), grid


def _without_strays(points: np.ndarray) -> np.ndarray:
    """Points without those off the surface, which would become spikes: their sixth neighbour is far beside those of their neighbours."""
    length, near = cKDTree(points).query(points, 17)
    sixth = length[:, 6]
    return points[sixth <= _STRAY * np.median(sixth[near[:, 1:]], axis=1)]


@dataclass(frozen=True)
class _Complex:
    """All triangles (f, 3) of the Delaunay tessellation of points, with their circumradii (f,) and areas (f,)."""

    points: np.ndarray
    faces: np.ndarray
    radii: np.ndarray
    areas: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> _Complex:
        corners = Delaunay(points).simplices[:, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]].reshape(-1, 3)
        faces = np.unique(np.sort(corners, axis=1), axis=0)
        a, b, c = points[faces].transpose(1, 0, 2)
        sides = np.linalg.norm(a - b, axis=1) * np.linalg.norm(b - c, axis=1) * np.linalg.norm(c - a, axis=1)
        areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        return cls(points, faces, sides / np.maximum(4 * areas, 1e-300), areas)

    def filled(self, radius: float, width: float) -> np.ndarray:
        """The points, and about four points for each square of ``width`` on every triangle with a circumradius up to ``radius``."""
        kept = self.radii <= radius
        a, b, c = self.points[self.faces[kept]].transpose(1, 0, 2)
        face = np.repeat(np.arange(len(a)), np.ceil(4 * self.areas[kept] / width**2).astype(int))
        u, v = np.random.default_rng(0).random((2, len(face), 1))
        u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
        return np.vstack([self.points, a[face] + u * (b - a)[face] + v * (c - a)[face]])


@dataclass(frozen=True)
class _Grid:
    """Voxels of ``width`` around a cloud whose lowest corner ``low`` (3,) lies ``_PAD`` voxels inside."""

    low: np.ndarray
    width: float
    shape: tuple[int, ...]

    @classmethod
    def around(cls, points: np.ndarray, resolution: int) -> _Grid:
        low, extent = points.min(0), np.ptp(points, axis=0)
        width = float(extent.max()) / resolution
        return cls(low, width, tuple((np.ceil(extent / width) + 2 * _PAD + 1).astype(int).tolist()))

    def cells(self, points: np.ndarray) -> np.ndarray:
        """Coordinates in voxels."""
        return (points - self.low) / self.width + _PAD

    def outside(self, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which voxels can be reached from far away, and the distance of all to the nearest point, in voxels."""
        inner = self.cells(dense)
        flat = np.ravel_multi_index(tuple(np.rint(inner).astype(int).T), self.shape)
        size = int(np.prod(self.shape))
        number = np.bincount(flat, minlength=size)
        mean = np.stack([np.bincount(flat, inner[:, k], size) for k in range(3)], 1) / np.maximum(number, 1)[:, None]
        nearest = ndimage.distance_transform_edt(number.reshape(self.shape) == 0, return_distances=False, return_indices=True)
        target = mean[np.ravel_multi_index(tuple(nearest), self.shape)]
        distance = np.linalg.norm(np.moveaxis(np.indices(self.shape), 0, -1) - target, axis=-1)
        labels, _ = ndimage.label(distance > _REACH)
        return labels == labels[0, 0, 0], distance

    def surface(self, dense: np.ndarray) -> trimesh.Trimesh:
        """Marching cubes of the closing, in voxels; slivers and what lies inside are left out."""
        outside, distance = self.outside(dense)
        # the boundary of the outside lies where the distance is _REACH, between the centres of voxels
        shell = ~outside & ndimage.binary_dilation(outside)
        depth, nearest = ndimage.distance_transform_edt(~(outside | shell), return_indices=True)
        fraction = np.where(shell, np.clip(_REACH - distance, 0, 1), 0.0)
        field = np.where(outside, -np.clip(distance - _REACH, 0, 2), fraction[tuple(nearest)] + depth) - _REACH
        vertices, faces, _, _ = marching_cubes(ndimage.gaussian_filter(field, 0.8), _LEVEL, gradient_direction="ascent")
        return _bodies(trimesh.Trimesh(vertices, faces))


def _bodies(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The closed parts that are no slivers and face outwards; all if there are none."""
    parts = mesh.split(only_watertight=True)
    largest = max((part.area for part in parts), default=0.0)
    kept = [part for part in parts if part.area > _SLIVER * largest and part.volume > 0]
    return trimesh.util.concatenate(kept) if kept else mesh


def _settled(mesh: trimesh.Trimesh, points: np.ndarray) -> trimesh.Trimesh:
    """Moves vertices along their normals to the mean plane of the nearest points, at most by what the closing stands off the surface."""
    normals = np.asarray(mesh.vertex_normals)
    length, near = cKDTree(points).query(mesh.vertices, 6)
    weight = 1 / (length + 0.5)
    middle = (weight[..., None] * points[near]).sum(1) / weight.sum(1, keepdims=True)
    shift = np.clip(np.einsum("vi,vi->v", normals, middle - mesh.vertices), _LEVEL - 0.1, 0.4)
    edges = mesh.edges_unique
    degree = np.bincount(edges.ravel(), minlength=len(shift))
    for _ in range(4):
        around = np.bincount(edges[:, 0], shift[edges[:, 1]], len(shift)) + np.bincount(edges[:, 1], shift[edges[:, 0]], len(shift))
        shift = 0.5 * shift + 0.5 * around / np.maximum(degree, 1)
    return trimesh.Trimesh(mesh.vertices + shift[:, None] * normals, mesh.faces, process=False)


def _simplified(mesh: trimesh.Trimesh, vertices: int, strict: bool = True) -> trimesh.Trimesh:
    """At most so many vertices, closed and of nearly the same volume: the smallest tolerance that gives them.

    Raises:
        TooFewVertices: no tolerance does, and the fewest are not wanted.
    """
    if len(mesh.vertices) <= vertices:
        return mesh
    solid = Manifold(Mesh64(np.ascontiguousarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.uint64)))
    tried: list[Manifold] = []
    for high in _TOLERANCES:
        tried.append(solid.simplify(high))
        found = _sound(tried[-1], mesh.volume) if tried[-1].num_vert() <= vertices else None
        if found is not None:
            break
    else:
        sound = (_sound(each, mesh.volume) for each in sorted(tried, key=Manifold.num_vert))
        fewest = next((each for each in sound if each is not None), mesh)
        if strict:
            raise TooFewVertices(len(fewest.vertices), vertices)
        return fewest
    low = high / 1.25
    for _ in range(3):
        middle = (low + high) / 2
        small = solid.simplify(middle)
        finer = _sound(small, mesh.volume) if small.num_vert() <= vertices else None
        low, high, found = (low, middle, finer) if finer is not None else (middle, high, found)
    return found


def _sound(solid: Manifold, volume: float) -> trimesh.Trimesh | None:
    """The mesh of a solid without slivers, None if it is not closed once equal vertices are merged, or of another volume.

    Simplifying leaves pieces of a few faces and no volume that touch a body along an edge, which then has four faces.
    """
    raw = solid.to_mesh64()
    mesh = _bodies(trimesh.Trimesh(np.asarray(raw.vert_properties)[:, :3], np.asarray(raw.tri_verts), process=False))
    merged = trimesh.Trimesh(mesh.vertices.astype(np.float32), mesh.faces)
    return mesh if merged.is_watertight and abs(merged.volume - volume) <= _CHANGE * volume else None
