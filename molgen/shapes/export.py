"""Files of shapes: clouds as .ply, .npz, .npy or .xyz, meshes as .ply, .obj, .glb, .stl or .off. Every file is complete or not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
import trimesh

from molgen.errors import InputError
from molgen.files import atomic_path
from molgen.shapes.fields import TO_Y, Axis, turning
from molgen.shapes.shape import Shape
from molgen.shapes.surface import TooFewVertices

CLOUDS = (".ply", ".npz", ".npy", ".xyz")
MESHES = (".ply", ".obj", ".glb", ".stl", ".off")
FORMATS = tuple(dict.fromkeys(suffix.lstrip(".") for suffix in (*CLOUDS, *MESHES)))
SETS = (".npz", ".npy")
"""Suffixes of files that hold many clouds."""


def write_cloud(path: Path | str, points: np.ndarray, properties: Mapping[str, Any] | None = None) -> None:
    """Writes a cloud; its named values travel in comment lines of a .ply or as arrays of an .npz, elsewhere they are left out.

    Args:
        path: ends with .ply, .npz (an array ``points`` (1, n, 3)), .npy (an array (n, 3)) or .xyz (a row ``x y z`` for each point).
        points: (n, 3), written as float32.
        properties: named values.

    Raises:
        InputError: another suffix, points that are not (n, 3) finite numbers, or the file cannot be written.
    """
    path = Path(path)
    named, suffix = dict(properties or {}), path.suffix.lower()
    points = _sound(path, points)
    if suffix == ".npz":
        _write_arrays(path, points[None], {name: np.array([value]) for name, value in named.items()})
    elif suffix == ".npy":
        _write_array(path, points)
    elif suffix == ".xyz":
        with atomic_path(path) as temporary:
            np.savetxt(temporary, points, fmt="%.9g")
    elif suffix == ".ply":
        header = ["ply", "format binary_little_endian 1.0", "comment written by molgen"]
        header += [f"comment {name} {' '.join(str(value).split())}" for name, value in named.items()]
        header += [f"element vertex {len(points)}", *(f"property float {axis}" for axis in "xyz"), "end_header", ""]
        with atomic_path(path) as temporary:
            temporary.write_bytes("\n".join(header).encode() + points.astype("<f4").tobytes())
    else:
        raise InputError(f"{path}: clouds are written as {', '.join(CLOUDS[:-1])} or {CLOUDS[-1]}; a mesh can be {', '.join(MESHES)}")


def write_clouds(path: Path | str, shapes: Sequence[Shape], *, up: Axis = "", height: float | None = None) -> None:
    """Writes all clouds as one array (s, n, 3) float32: ``points`` of an .npz, with an array (s,) for each named value, or an .npy.

    Args:
        path: ends with .npz or .npy.
        shapes: of one number of points each.
        up: see :func:`write_shape`.
        height: see :func:`write_shape`.

    Raises:
        InputError: another suffix, no shapes, different numbers of points, see :func:`write_shape`, points that are not finite, or the file
            cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SETS:
        raise InputError(f"{path}: many clouds are written as {' or '.join(SETS)}")
    if len({len(shape) for shape in shapes}) != 1:
        raise InputError(f"{path}: expected shapes of one number of points, got {sorted({len(shape) for shape in shapes}) or 'none'}")
    clouds = np.stack([_sound(path, _placed(shape.points, shape.up, up or shape.up, height)) for shape in shapes])
    if path.suffix.lower() == ".npz":
        names = dict.fromkeys(name for shape in shapes for name in shape.properties)
        values = {name: [shape.properties.get(name) for shape in shapes] for name in names}
        _write_arrays(path, clouds, {name: np.array(["" if v is None else v for v in column]) for name, column in values.items()})
    else:
        _write_array(path, clouds)


def _sound(path: Path, points: np.ndarray) -> np.ndarray:
    """Points of a cloud (n, 3) as float32.

    Raises:
        InputError: there are none, or they are of another shape or not finite in single precision.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "iuf" or not len(points):
        raise InputError(f"{path.name}: expected points (n, 3), got {points.shape}")
    if not (np.abs(points) <= np.finfo(np.float32).max).all():
        raise InputError(f"{path.name}: some coordinates are not finite; drop these points")
    return points.astype(np.float32)


def _write_array(path: Path, points: np.ndarray) -> None:
    """Writes an .npy of one cloud (n, 3) or of several (s, n, 3)."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, points, allow_pickle=False)


def _write_arrays(path: Path, clouds: np.ndarray, named: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz of clouds (s, n, 3) and arrays (s,) of named values."""
    if "points" in named:
        raise InputError(f"{path}: a property may not be called 'points'")
    arrays: dict[str, Any] = {"points": clouds, **named}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def write_mesh(path: Path | str, mesh: trimesh.Trimesh, up: Axis = "") -> None:
    """Writes a mesh; in a .glb, whose format says that y points up, the shape is turned so that its own up axis does.

    Args:
        path: ends with .ply, .obj, .glb, .stl or .off.
        mesh: to write.
        up: axis of the mesh that points up, "" where unknown.

    Raises:
        InputError: another suffix, an unknown axis, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESHES:
        raise InputError(f"{path}: meshes are written as {', '.join(MESHES)}")
    _refuse_unknown(up)
    if suffix == ".glb" and up in TO_Y:
        mesh = trimesh.Trimesh(mesh.vertices @ TO_Y[up].T, mesh.faces, process=False)
    content = mesh.export(file_type=suffix[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_shape(
    path: Path | str,
    shape: Shape,
    *,
    up: Axis = "",
    height: float | None = None,
    mesh: bool = False,
    vertices: int | None = None,
    strict: bool = True,
) -> int:
    """Writes a shape in the format of the suffix: a cloud as .ply, .npz, .npy and .xyz, a watertight mesh as .obj, .glb, .stl and .off.

    Args:
        path: the file.
        shape: to write.
        up: axis that points up in the file; by default y in a .glb, whose format says so, and that of the shape (``shape.up``) elsewhere.
        height: extent of what is written along the axis that points up, in which its lowest point gets 0; None leaves scale and place.
        mesh: whether a .ply gets a mesh as well.
        vertices: largest number of vertices of a mesh.
        strict: whether to refuse a number of vertices that is too small; else there are as few as the surface takes.

    Returns:
        The number of vertices of the mesh, 0 of a cloud.

    Raises:
        InputError: another suffix, an unknown axis, an axis or a height where the shape does not say which of its axes points up, the file
            cannot be written, or no surface fits the points.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (*CLOUDS, *MESHES):
        raise InputError(f"{path}: unknown suffix {suffix!r}; expected one of {', '.join(FORMATS)}")
    refuse_placing(suffix, shape.up, up, height)
    target: Axis = up or shape.up
    if suffix in CLOUDS and not (mesh and suffix == ".ply"):
        write_cloud(path, _placed(shape.points, shape.up, target, height), shape.properties)
        return 0
    try:
        made = shape.to_mesh(vertices=vertices, strict=strict)
    except TooFewVertices as error:
        raise TooFewVertices(error.least, error.got, path.name) from None
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    write_mesh(path, trimesh.Trimesh(_placed(made.vertices, shape.up, target, height), made.faces, process=False), target)
    return len(made.vertices)


def refuse_placing(suffix: str, own: Axis, up: Axis, height: float | None) -> None:
    """Refuses an axis or a height that a file of this suffix cannot have, for shapes whose axis ``own`` points up, "" where unknown.

    Raises:
        InputError: in one line.
    """
    _refuse_unknown(up)
    if suffix == ".glb" and up not in ("", "y"):
        raise InputError(f"up: in a .glb y points up by definition, got {up!r}; write another format")
    if (up or height is not None) and not own:
        what = "up" if up else "height"
        raise InputError(f"{what}: it is not known which axis of the shape points up; tell it, Shape(points, up='z') or prepare --up z")
    if height is not None and not (isinstance(height, Real) and 0 < height < np.inf):
        raise InputError(f"height: expected a number above 0, got {height!r}")


def _refuse_unknown(up: Axis) -> None:
    if up not in get_args(Axis):
        raise InputError(f"up: expected one of x, y, z, or '' for that of the format or the shape, got {up!r}")


def _placed(points: np.ndarray, own: Axis, up: Axis, height: float | None) -> np.ndarray:
    """Points (n, 3) turned so that their axis ``own`` becomes ``up``, and set on the floor with a height where one is given."""
    if own != up and own and up:
        points = points @ turning(own, up).T
    if height is None:
        return points
    axis = "xyz".index(up)
    low, high = points[:, axis].min(), points[:, axis].max()
    if not high > low:
        raise InputError(f"height: the shape has no extent along {up}, which points up")
    placed = points * (height / (high - low))
    placed[:, axis] -= placed[:, axis].min()
    return placed
