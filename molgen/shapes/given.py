"""Files of single shapes: clouds that a sampler is given to start from, and pictures of them.

A .ply file without faces and an .npz file with ``points`` (n, 3) hold a cloud as it is, an .npz file with ``points`` (s, n, 3) several of
them; any other mesh file stands for points drawn from its surface.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import trimesh

from molgen.errors import InputError
from molgen.shapes.fields import Axis
from molgen.shapes.prepare.meshes import load_mesh, sample
from molgen.shapes.prepare.records import Rejected
from molgen.shapes.render import mesh_picture, picture


def read_points(path: Path, count: int | None = None, up: Axis = "z") -> np.ndarray:
    """The points of a file (n, 3) as float64.

    Args:
        path: a cloud (.ply without faces, .npz with ``points``) or a mesh.
        count: how many; a larger cloud is thinned, from a mesh as many are drawn. None for all points of a cloud, and 2,048 of a mesh.
        up: axis that points up in the frame wanted (`statistics.up` of a model), to which a .glb is turned, "" leaves it as it is.

    Raises:
        InputError: the file is missing or unreadable, holds several clouds, or has fewer points.
    """
    found = _load(path, up)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:8], "big"))
    if isinstance(found, trimesh.Trimesh):
        with _explained(path):
            return sample(found, count or 2048, rng).points
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} clouds, one is needed; write it to a file of its own")
    points = found[0]
    if count is None or count == len(points):
        return points
    if count > len(points):
        raise InputError(f"{path}: holds {len(points)} points, {count} are needed; give --points {len(points)} or a denser cloud")
    return points[np.sort(rng.permutation(len(points))[:count])]


def draw_file(path: Path) -> Iterator[np.ndarray]:
    """A picture (256, 256, 3) of the mesh, or of each cloud, of a file.

    Raises:
        InputError: the file is missing or unreadable.
    """
    found = _load(path, "z")
    yield from [mesh_picture(found)] if isinstance(found, trimesh.Trimesh) else map(picture, found)


def unit_sphere(points: np.ndarray) -> np.ndarray:
    """The cloud centred and scaled so that its farthest point is at distance 1, as models of single shapes see it."""
    centred = points - points.mean(0)
    return centred / max(float(np.linalg.norm(centred, axis=-1).max()), 1e-12)


def _load(path: Path, up: Axis) -> np.ndarray | trimesh.Trimesh:
    """The points (s, n, 3) of clouds, or the mesh of any other file."""
    if not path.is_file():
        raise InputError(f"{path}: is a folder; give one of its files" if path.is_dir() else f"{path}: no such file; check the name")
    points = _cloud(path)
    if points is None:
        with _explained(path):
            return load_mesh(path, up)
    if points.ndim not in (2, 3) or points.shape[-1] != 3 or not points.size or not np.isfinite(points).all():
        raise InputError(f"{path}: expected points (n, 3) or (s, n, 3) with finite coordinates, got an array of shape {points.shape}")
    return points if points.ndim == 3 else points[None]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Says which file it is whose mesh cannot be used."""
    try:
        yield
    except Rejected as reason:
        raise InputError(f"{path}: {reason}; give a mesh with faces, or a cloud as .ply or .npz") from None


def _cloud(path: Path) -> np.ndarray | None:
    """Points (n, 3) or (s, n, 3) of a file without faces; None for any other."""
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return file["points"].astype(np.float64)
        if path.suffix.lower() != ".ply":
            return None
        loaded = trimesh.load(path, process=False)
    except Exception as error:  # readers raise whatever a damaged file leads them to
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split()) or type(error).__name__}); write it again") from None
    return np.asarray(loaded.vertices, np.float64) if isinstance(loaded, trimesh.PointCloud) else None
