"""Files of single shapes: clouds that a sampler is given to start from, and pictures of them.

A .ply file without faces, an .npz file with ``points`` (n, 3) and an .npy file of that shape hold a cloud as it is, one with (s, n, 3)
several of them; any other mesh file stands for points drawn from its surface.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from molgen.errors import InputError
from molgen.shapes.fields import Axis
from molgen.shapes.prepare.meshes import load_mesh, sample
from molgen.shapes.prepare.records import Rejected
from molgen.shapes.recognise import ARRAYS
from molgen.shapes.render import mesh_picture, picture

SPARSE = 2.0  # spacing of points times the root of their number; of a whole shape in the unit sphere 0.3 to 1.7, mostly about 0.9
FEWEST = 1 / 16  # of the points of a shape, below which a part tells little of it


def read_points(path: Path, count: int | None = None, up: Axis = "z") -> np.ndarray:
    """The points of a file (n, 3) as float64.

    Args:
        path: a cloud (.ply without faces, .npz with ``points``, .npy) or a mesh.
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
    if isinstance(found, trimesh.Trimesh):
        with _explained(path):
            sample(found, 1, np.random.default_rng(0))  # refuses what cannot be drawn
    yield from [mesh_picture(found)] if isinstance(found, trimesh.Trimesh) else map(picture, found)


def doubt_part(given: np.ndarray, count: int) -> str:
    """What is strange about a part (n, 3) of a shape of ``count`` points: "" unless it is small or its points lie too far apart."""
    spacing = float(np.median(cKDTree(given).query(given, 2)[0][:, 1]))
    if spacing * count**0.5 > SPARSE:
        wrong = f"its {len(given)} points lie farther apart than the {count} of a whole shape"
    elif len(given) < FEWEST * count:
        wrong = f"its {len(given)} points are {len(given) / count:.1%} of the {count} of a whole shape"
    else:
        return ""
    return f"{wrong}; a part is as dense as the whole, give more points of it or a smaller --points"


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
        raise InputError(f"{path}: {reason}; give a mesh with faces, or a cloud as .ply, .npz or .npy") from None


def _cloud(path: Path) -> np.ndarray | None:
    """Points (n, 3) or (s, n, 3) of a file without faces; None for any other."""
    try:
        if path.suffix.lower() in ARRAYS:
            with path.open("rb") as raw:
                found = np.load(raw, allow_pickle=False)
                return np.asarray(found if path.suffix.lower() == ".npy" else found["points"], np.float64)
        if path.suffix.lower() != ".ply":
            return None
        loaded = trimesh.load(path, process=False)
    except Exception as error:  # readers raise whatever a damaged file leads them to
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split()) or type(error).__name__}); write it again") from None
    return np.asarray(loaded.vertices, np.float64) if isinstance(loaded, trimesh.PointCloud) else None
