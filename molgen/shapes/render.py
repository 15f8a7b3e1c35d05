"""Pictures of clouds and meshes without a graphics card: points splatted, triangles filled, into a depth buffer.

A pixel shows the nearest point or triangle. The brightness of a triangle is Lambert's law for one lamp over the camera's shoulder plus a
part that falls with depth, that of a point falls with depth alone. Pictures are drawn at twice the size and averaged down.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from molgen.files import atomic_path
from molgen.shapes.fields import Axis, turning
from molgen.shapes.points import sample
from molgen.shapes.reading import explained, read_named

BACKGROUND = np.array([255, 255, 255], np.float32)
COLOUR = np.array([92, 140, 196], np.float32)
RADIUS = 1.6  # of a point, in pixels
_FINE = 2  # pictures are drawn so many times larger and averaged
_MARGIN = 1e-6  # pixels by which triangles overlap, so that rounding leaves no gap between neighbours


def camera(turn: float = 35.0, lift: float = 22.0) -> np.ndarray:
    """Rotation (3, 3) that takes the world (z up) to the camera: right, up, towards the viewer.

    Args:
        turn: degrees to the right of the front (-y).
        lift: degrees above the horizon.
    """
    a, b = np.radians(turn), np.radians(lift)
    towards = np.array([np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b), np.sin(b)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def picture(points: np.ndarray, *, size: int = 256, view: np.ndarray | None = None) -> np.ndarray:
    """Draws a cloud.

    Args:
        points: (n, 3), any units; the picture fits around them whatever the view.
        size: pixels on each side.
        view: rotation to the camera; see :func:`camera`.

    Returns:
        (size, size, 3) uint8.
    """
    view = camera() if view is None else view
    fine = size * _FINE
    at, near = _framed(points, view, fine)
    x, y = at.astype(np.int64).T
    shade = 0.55 + 0.45 * np.clip((near + 1) / 2, 0, 1)
    order = np.argsort(near, kind="stable")  # painted from far to near
    x, y, near, shade = x[order], y[order], near[order], shade[order]
    reach_px = max(0, round(RADIUS * _FINE) - 1)
    image = np.broadcast_to(BACKGROUND, (fine, fine, 3)).copy()
    depth = np.full((fine, fine), -np.inf)
    for dx in range(-reach_px, reach_px + 1):
        for dy in range(-reach_px, reach_px + 1):
            if dx * dx + dy * dy > (reach_px + 0.5) ** 2:
                continue
            u, v = np.clip(x + dx, 0, fine - 1), np.clip(y + dy, 0, fine - 1)
            layer, painted = np.full((fine, fine), -np.inf), np.zeros((fine, fine), np.float32)
            layer[v, u], painted[v, u] = near, shade  # the last, nearest one stays
            front = layer > depth
            depth[front] = layer[front]
            image[front] = COLOUR * painted[front][:, None]
    return _averaged(image)


def mesh_picture(mesh: trimesh.Trimesh, *, size: int = 256, view: np.ndarray | None = None) -> np.ndarray:
    """Draws a mesh, closed or not, every triangle in one shade; see :func:`picture`."""
    view = camera() if view is None else view
    fine = size * _FINE
    at, near = _framed(np.asarray(mesh.triangles).reshape(-1, 3), view, fine)
    pixel, face, depth = _filled(np.c_[at, near].reshape(-1, 3, 3), fine)
    shade = _lit(np.asarray(mesh.face_normals)[face] @ view.T, depth)
    order = np.argsort(depth, kind="stable")  # painted from far to near
    image = np.broadcast_to(BACKGROUND, (fine, fine, 3)).copy()
    image.reshape(-1, 3)[pixel[order]] = COLOUR * shade[order, None]
    return _averaged(image)


def draw_file(path: Path, up: Axis = "z") -> Iterator[np.ndarray]:
    """A picture (256, 256, 3) of the mesh, or of each cloud, of a file; ``up`` points up where the file does not say so.

    Raises:
        InputError: the file is missing, cannot be read or cannot be drawn.
    """
    found, upright = read_named(path, up), turning(up, "z").T
    if isinstance(found, trimesh.Trimesh):
        with explained(path):
            sample(found, 1, np.random.default_rng(0))  # refuses what cannot be drawn
        yield mesh_picture(trimesh.Trimesh(found.vertices @ upright, found.faces, process=False))
    else:
        yield from map(picture, found @ upright)


def _framed(points: np.ndarray, view: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 2), with fractions, right and down, and depths (n,) from -1, far, to 1; the picture fits around the points."""
    middle = (points.max(0) + points.min(0)) / 2
    reach = float(np.linalg.norm(points - middle, axis=1).max()) or 1.0
    seen = (points - middle) @ view.T / reach
    return fine / 2 * (1 + 0.95 * seen[:, :2] * [1, -1]), seen[:, 2]


def _lit(normals: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Brightness (n,) of surfaces by their normals (n, 3), of either sign, and depths (n,) as the camera sees them."""
    towards = np.where(normals[:, 2:] < 0, -normals, normals)
    lamp = np.array([-0.35, 0.55, 0.76])
    return 0.35 + 0.6 * np.clip(towards @ lamp, 0, 1) + 0.05 * (near + 1) / 2


def _spans(first: np.ndarray, last: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Which span (m,) and which pixel (m,) of it, for all pixels whose middle lies between ``first`` (n,) and ``last`` (n,)."""
    low = np.clip(np.ceil(first - 0.5 - _MARGIN), 0, fine).astype(np.int64)
    high = np.clip(np.floor(last - 0.5 + _MARGIN), -1, fine - 1).astype(np.int64)
    count = np.maximum(high - low + 1, 0)
    span = np.repeat(np.arange(len(low)), count)
    return span, low[span] + np.arange(len(span)) - np.repeat(np.cumsum(count) - count, count)


def _filled(corners: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (m,), numbered row by row, that triangles (f, 3, 3) of right, down and depth cover, their triangles (m,) and depths (m,)."""
    face, row = _spans(corners[..., 1].min(1), corners[..., 1].max(1), fine)
    begin, end = corners[face], np.roll(corners[face], -1, axis=1)
    rise = end[..., 1] - begin[..., 1]
    along = (row[:, None] + 0.5 - begin[..., 1]) / np.where(rise == 0, np.inf, rise)
    crossing = begin + np.clip(along, 0, 1)[..., None] * (end - begin)
    crossed = (rise != 0) & (np.abs(crossing[..., 1] - row[:, None] - 0.5) <= 2 * _MARGIN)
    each = np.arange(len(face))
    left = crossing[each, np.where(crossed, crossing[..., 0], np.inf).argmin(1)]
    right = crossing[each, np.where(crossed, crossing[..., 0], -np.inf).argmax(1)]
    span, column = _spans(left[:, 0], right[:, 0], fine)
    width = np.maximum(right[span, 0] - left[span, 0], _MARGIN)
    share = np.clip((column + 0.5 - left[span, 0]) / width, 0, 1)
    depth = left[span, 2] + share * (right[span, 2] - left[span, 2])
    return row[span] * fine + column, face[span], depth


def _averaged(image: np.ndarray) -> np.ndarray:
    """A picture of the size that was asked for from one that is ``_FINE`` times larger."""
    size = len(image) // _FINE
    return image.reshape(size, _FINE, size, _FINE, 3).mean((1, 3)).clip(0, 255).astype(np.uint8)


def sheet(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size side by side, row after row."""
    size = pictures[0].shape[0]
    rows = -(-len(pictures) // columns)
    whole = np.full((rows * size, columns * size, 3), 255, np.uint8)
    for k, one in enumerate(pictures):
        i, j = divmod(k, columns)
        whole[i * size : (i + 1) * size, j * size : (j + 1) * size] = one
    return whole


def save_png(path: Path | str, image: np.ndarray) -> None:
    """Writes a picture, complete or not at all."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
