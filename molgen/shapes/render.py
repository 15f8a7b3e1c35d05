"""Pictures of clouds and meshes without a graphics card: points splatted into a depth buffer.

A mesh is drawn as a dense sample of its surface, so that one rasteriser serves both. A pixel shows the nearest point; its brightness is
Lambert's law for one lamp over the camera's shoulder plus a part that falls with depth. Clouds without normals are shaded by depth and
height. Pictures are drawn at twice the size and averaged down.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from molgen.files import atomic_path

BACKGROUND = np.array([255, 255, 255], np.float32)
COLOUR = np.array([92, 140, 196], np.float32)
_DENSE = 120_000  # points that stand for the surface of a mesh
_FINE = 2  # pictures are drawn so many times larger and averaged


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


def picture(
    points: np.ndarray,
    normals: np.ndarray | None = None,
    *,
    size: int = 256,
    view: np.ndarray | None = None,
    radius: float = 1.6,
    colour: np.ndarray = COLOUR,
) -> np.ndarray:
    """Draws a cloud.

    Args:
        points: (n, 3), any units; the picture fits around them whatever the view.
        normals: (n, 3) unit normals, for shading; their sign does not matter.
        size: pixels on each side.
        view: rotation to the camera; see :func:`camera`.
        radius: of a point in pixels.
        colour: (3,) red, green, blue from 0 to 255.

    Returns:
        (size, size, 3) uint8.
    """
    view = camera() if view is None else view
    fine = size * _FINE
    middle = (points.max(0) + points.min(0)) / 2
    reach = float(np.linalg.norm(points - middle, axis=1).max()) or 1.0
    seen = (points - middle) @ view.T / reach
    x = (fine / 2 * (1 + 0.95 * seen[:, 0])).astype(np.int64)
    y = (fine / 2 * (1 - 0.95 * seen[:, 1])).astype(np.int64)
    if normals is None:
        shade = 0.55 + 0.45 * np.clip((seen[:, 2] + 1) / 2, 0, 1)
    else:
        turned = normals @ view.T
        turned = np.where(turned[:, 2:] < 0, -turned, turned)
        lamp = np.array([-0.35, 0.55, 0.76])
        shade = 0.35 + 0.6 * np.clip(turned @ lamp, 0, 1) + 0.05 * (seen[:, 2] + 1) / 2
    order = np.argsort(seen[:, 2], kind="stable")  # painted from far to near
    x, y, shade = x[order], y[order], shade[order]
    reach_px = max(0, round(radius * _FINE) - 1)
    image = np.broadcast_to(BACKGROUND, (fine, fine, 3)).copy()
    depth = np.full((fine, fine), -np.inf)
    near = seen[order, 2]
    for dx in range(-reach_px, reach_px + 1):
        for dy in range(-reach_px, reach_px + 1):
            if dx * dx + dy * dy > (reach_px + 0.5) ** 2:
                continue
            u, v = np.clip(x + dx, 0, fine - 1), np.clip(y + dy, 0, fine - 1)
            layer, painted = np.full((fine, fine), -np.inf), np.zeros((fine, fine), np.float32)
            layer[v, u], painted[v, u] = near, shade  # the last, nearest one stays
            front = layer > depth
            depth[front] = layer[front]
            image[front] = colour * painted[front][:, None]
    return image.reshape(size, _FINE, size, _FINE, 3).mean((1, 3)).clip(0, 255).astype(np.uint8)


def mesh_picture(mesh: trimesh.Trimesh, *, size: int = 256, view: np.ndarray | None = None, colour: np.ndarray = COLOUR) -> np.ndarray:
    """Draws a mesh; see :func:`picture`."""
    points, faces = trimesh.sample.sample_surface(mesh, _DENSE, seed=0)
    return picture(np.asarray(points), mesh.face_normals[faces], size=size, view=view, radius=1.0, colour=colour)


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
