"""Clouds that a sampler is given to start from: read from files, and whether they look like a part of a shape."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from molgen.errors import InputError
from molgen.shapes.fields import Axis
from molgen.shapes.points import sample
from molgen.shapes.reading import explained, read_named
from molgen.shapes.shape import check_points

USUAL_AREA = 4.5  # of a whole shape in the unit sphere; of the procedural family 0.5 to 17, half of them 2.5 to 7
MOST = 0.5  # of the points of a shape, in a part that is drawn from a mesh
SPARSE = 2.0  # spacing of points times the root of their number; of a whole shape in the unit sphere 0.3 to 1.7, mostly about 0.9
FEWEST = 1 / 16  # of the points of a shape, below which a part tells little of it


def read_points(path: Path, count: int | None = None, up: Axis = "z", whole: int | None = None) -> np.ndarray:
    """The points of a file (n, 3) as float64.

    Args:
        path: a cloud or a mesh, see :mod:`molgen.shapes.reading`.
        count: how many; a larger cloud is thinned, from a mesh as many are drawn. None for all points of a cloud, and 2,048 of a mesh.
        up: axis that points up in the frame wanted (`statistics.up` of a model), to which a .glb is turned, "" leaves it as it is.
        whole: points of the shape that a mesh is a part of, in the unit sphere: drawn are as many as make the part about as dense, by its
            area beside the usual one of a whole, half of them at most.

    Raises:
        InputError: the file is missing or unreadable, holds several clouds, has fewer points, or most of them are copies.
    """
    found = read_named(path, up)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:8], "big"))
    if isinstance(found, trimesh.Trimesh):
        with explained(path):
            share = min(max(found.area / USUAL_AREA, FEWEST), MOST)
            return sample(found, count or (2048 if whole is None else max(1, round(share * whole))), rng).points
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} clouds, one is needed; write it to a file of its own")
    points = found[0]
    check_points(points, path)
    if count is None or count == len(points):
        return points
    if count > len(points):
        raise InputError(f"{path}: holds {len(points)} points, {count} are needed; give --points {len(points)} or a denser cloud")
    return points[np.sort(rng.permutation(len(points))[:count])]


def doubt_part(given: np.ndarray, count: int) -> str:
    """What is strange about a part (n, 3) of a shape of ``count`` points: "" unless it is small or its points lie too far apart."""
    given = np.unique(given, axis=0)
    spacing = float(np.median(cKDTree(given).query(given, 2)[0][:, 1]))
    if spacing * count**0.5 > SPARSE:
        wrong = f"its {len(given)} points lie farther apart than the {count} of a whole shape"
    elif len(given) < FEWEST * count:
        wrong = f"its {len(given)} points are {len(given) / count:.1%} of the {count} of a whole shape"
    else:
        return ""
    return f"{wrong}; a part is as dense as the whole, give more points of it or a smaller --points"
