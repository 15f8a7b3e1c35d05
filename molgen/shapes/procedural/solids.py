"""Solids from which procedural shapes are put together.

Every function gives a closed solid (:class:`manifold3d.Manifold`); unions and differences of them are closed again, so that a shape is
watertight whatever overlaps. Lengths are in metres, z points up, solids stand on z = 0 unless their ends are given.
"""

from collections.abc import Callable, Sequence

import numpy as np
from manifold3d import CrossSection, FillRule, JoinType, Manifold, Mesh64, OpType
from scipy.interpolate import PchipInterpolator

Number = float | int
Point = Sequence[Number] | np.ndarray
Points = Sequence[Point] | np.ndarray
SEGMENTS = 32
THIN = 14  # segments around a leg or a spoke
TURNED = 40  # segments around a turned body


def _section(outline: Points) -> CrossSection:
    return CrossSection([np.asarray(outline, float)], FillRule.EvenOdd)


def box(width: Number, depth: Number, height: Number, at: Point = (0, 0, 0)) -> Manifold:
    """A block whose bottom is centred at ``at``."""
    return Manifold.cube((width, depth, height), center=True).translate((at[0], at[1], at[2] + height / 2))


def between(a: Point, b: Point, low: Number, high: Number | None = None, square: bool = False) -> Manifold:
    """A round or square bar from ``a`` to ``b`` with these half-widths at its two ends."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    axis = b - a
    length = float(np.linalg.norm(axis))
    high = low if high is None else high
    if square:
        section = CrossSection.square((2 * low, 2 * low), center=True)
        bar = Manifold.extrude(section, length, scale_top=(high / low, high / low))
    else:
        bar = Manifold.cylinder(length, low, high, THIN if max(low, high) < 0.06 else SEGMENTS)
    return place(bar, axis / length, a)


def place(solid: Manifold, axis: np.ndarray, origin: Point) -> Manifold:
    """Turns the z axis of a solid to ``axis`` and moves its origin to ``origin``."""
    side = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = np.cross(side, axis)
    x /= np.linalg.norm(x)
    return solid.transform(np.stack([x, np.cross(axis, x), axis, np.asarray(origin, float)], axis=1))


def disc(radius: Number, height: Number, at: Point = (0, 0, 0), high: Number | None = None) -> Manifold:
    """An upright cylinder or frustum."""
    return Manifold.cylinder(height, radius, radius if high is None else high, SEGMENTS).translate(tuple(at))


def slab(width: Number, depth: Number, height: Number, corner: Number, at: Point = (0, 0, 0)) -> Manifold:
    """A block with rounded upright edges of radius ``corner``."""
    corner = min(corner, 0.499 * width, 0.499 * depth)
    core = CrossSection.square((width - 2 * corner, depth - 2 * corner), center=True)
    return Manifold.extrude(core.offset(corner, JoinType.Round, circular_segments=24), height).translate(tuple(at))


def ellipsoid(radii: Point, at: Point = (0, 0, 0)) -> Manifold:
    """An ellipsoid centred at ``at``."""
    return Manifold.sphere(1.0, SEGMENTS).scale(tuple(radii)).translate(tuple(at))


def cushion(width: Number, depth: Number, height: Number, at: Point = (0, 0, 0)) -> Manifold:
    """A soft block: the hull of four flattened balls."""
    r = min(width, depth, height) / 2
    ball = Manifold.sphere(r, 16).scale((1, 1, height / 2 / r))
    corners = [ball.translate((x, y, height / 2)) for x in (r - width / 2, width / 2 - r) for y in (r - depth / 2, depth / 2 - r)]
    return Manifold.batch_hull(corners).translate(tuple(at))


def across(outline: Points, width: Number) -> Manifold:
    """A side view in the yz plane made ``width`` wide along x and centred there."""
    solid = Manifold.extrude(_section(outline), width)
    return solid.transform(np.array([[0.0, 0, 1, -width / 2], [1, 0, 0, 0], [0, 1, 0, 0]]))


def lathe(profile: Points) -> Manifold:
    """Revolves a closed profile of (radius, height) around the z axis."""
    return Manifold.revolve(_section(profile), TURNED)


def curve(points: Points, samples: int = 24) -> np.ndarray:
    """A smooth profile (radius, height) through points with rising heights, without overshoot."""
    radius, height = np.asarray(points, float).T
    heights = np.linspace(height[0], height[-1], samples)
    return np.stack([PchipInterpolator(height, radius)(heights), heights], axis=1)


def turned(outside: np.ndarray) -> Manifold:
    """A solid of revolution below an outer profile (radius, height)."""
    bottom, top = outside[0, 1], outside[-1, 1]
    return lathe([(0, bottom), *outside, (0, top)])


def hollow(outside: np.ndarray, wall: Number, floor: Number) -> Manifold:
    """A vessel: the solid below an outer profile without its inside, open at the top."""
    bottom, top = outside[0, 1] + floor, outside[-1, 1] + wall
    lowest = (np.interp(bottom, outside[:, 1], outside[:, 0]), bottom)
    inside = np.vstack([lowest, outside[outside[:, 1] > bottom]]) - (wall, 0)
    inside[:, 0] = np.maximum(inside[:, 0], 0.25 * wall)
    return turned(outside) - lathe([(0, bottom), *inside, (inside[-1, 0], top), (0, top)])


def tube(path: Points, radius: Number | Sequence[float] | np.ndarray) -> Manifold:
    """A round tube along an open path that bends gently: rings around its points, joined, with a cap at either end.

    Args:
        path: (k, 3) points.
        radius: one, or one for each point.
    """
    path = np.asarray(path, float)
    count = len(path)
    radii = np.broadcast_to(np.asarray(radius, float), count)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent[0], np.eye(3)[np.argmin(np.abs(tangent[0]))])
    angles = 2 * np.pi * np.arange(THIN) / THIN
    rings = []
    for point, along, r in zip(path, tangent, radii, strict=True):
        side = side - along * (side @ along)  # carried along the path without twist
        side /= np.linalg.norm(side)
        rings.append(point + r * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * np.cross(along, side)))
    k = np.arange(THIN)
    after = (k + 1) % THIN
    faces = []
    for low in range(0, (count - 1) * THIN, THIN):
        a, b, c, d = low + k, low + after, low + THIN + after, low + THIN + k
        faces += [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
    first, last = count * THIN, count * THIN + 1
    top = (count - 1) * THIN
    faces += [np.stack([after, k, np.full(THIN, first)], 1), np.stack([top + k, top + after, np.full(THIN, last)], 1)]
    vertices = np.vstack([*rings, path[0], path[-1]])
    return Manifold(Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(np.vstack(faces), np.uint64)))


def ring(radius: Number, thick: Number, z: Number) -> Manifold:
    """A torus around the z axis."""
    angles = 2 * np.pi * np.arange(10) / 10
    return lathe(np.stack([radius + thick * np.cos(angles), z + thick * np.sin(angles)], 1))


def union(solids: Sequence[Manifold]) -> Manifold:
    """One solid of all."""
    return Manifold.batch_boolean(list(solids), OpType.Add)


def mirrored(solid: Manifold) -> Manifold:
    """The solid and its mirror image at x = 0."""
    return solid + solid.mirror((1, 0, 0))


def warped(solid: Manifold, change: Callable[[np.ndarray], np.ndarray]) -> Manifold:
    """Moves every vertex: ``change`` maps (k, 3) positions to (k, 3) positions and must keep their order along rays."""
    return solid.warp_batch(lambda points: np.ascontiguousarray(change(np.asarray(points, float))))
