"""Files of shapes: clouds as .ply or .npz, meshes as .ply, .obj, .glb or .stl. Every file is complete or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from molgen.errors import InputError
from molgen.files import atomic_path
from molgen.shapes.fields import TO_Y
from molgen.shapes.shape import Shape

CLOUDS = (".ply", ".npz")
MESHES = (".ply", ".obj", ".glb", ".stl")
FORMATS = tuple(dict.fromkeys(suffix.lstrip(".") for suffix in (*CLOUDS, *MESHES)))


def write_cloud(path: Path | str, points: np.ndarray, properties: Mapping[str, Any] | None = None) -> None:
    """Writes a cloud; its named values travel in comment lines of a .ply or as arrays of an .npz.

    Args:
        path: ends with .ply or .npz.
        points: (n, 3), written as float32.
        properties: named values.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    named = dict(properties or {})
    if path.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {"points": np.asarray(points, np.float32)[None]}
        if "points" in named:
            raise InputError(f"{path}: a property may not be called 'points'")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays, **{name: np.array([value]) for name, value in named.items()})
        return
    if path.suffix.lower() != ".ply":
        raise InputError(f"{path}: clouds are written as {' or '.join(CLOUDS)}; a mesh can be {', '.join(MESHES)}")
    header = ["ply", "format binary_little_endian 1.0", "comment written by molgen"]
    header += [f"comment {name} {' '.join(str(value).split())}" for name, value in named.items()]
    header += [f"element vertex {len(points)}", *(f"property float {axis}" for axis in "xyz"), "end_header", ""]
    with atomic_path(path) as temporary:
        temporary.write_bytes("\n".join(header).encode() + np.asarray(points, "<f4").tobytes())


def write_mesh(path: Path | str, mesh: trimesh.Trimesh, up: str = "") -> None:
    """Writes a mesh; in a .glb, whose format says that y points up, the shape is turned so that its own up axis does.

    Args:
        path: ends with .ply, .obj, .glb or .stl.
        mesh: to write.
        up: axis of the mesh that points up, "" where unknown.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESHES:
        raise InputError(f"{path}: meshes are written as {', '.join(MESHES)}")
    if suffix == ".glb" and up in TO_Y:
        mesh = trimesh.Trimesh(mesh.vertices @ TO_Y[up].T, mesh.faces, process=False)
    content = mesh.export(file_type=suffix[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_shape(path: Path | str, shape: Shape, *, up: str = "", mesh: bool = False, vertices: int | None = None) -> None:
    """Writes a shape in the format of the suffix: a cloud as .ply and .npz, a watertight mesh as .obj, .glb and .stl.

    Args:
        path: the file.
        shape: to write.
        up: axis that points up, "" where unknown.
        mesh: whether a .ply gets a mesh as well.
        vertices: largest number of vertices of a mesh.

    Raises:
        InputError: another suffix, the file cannot be written, or no surface fits the points.
    """
    suffix = Path(path).suffix.lower()
    if suffix in CLOUDS and not (mesh and suffix == ".ply"):
        write_cloud(path, shape.points, shape.properties)
    elif suffix in MESHES:
        try:
            made = shape.to_mesh(vertices=vertices)
        except InputError as error:
            raise InputError(f"{Path(path).name}: {error}") from None
        write_mesh(path, made, up)
    else:
        raise InputError(f"{path}: unknown suffix {suffix!r}; expected one of {', '.join(FORMATS)}")
