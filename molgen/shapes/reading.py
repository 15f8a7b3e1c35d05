"""Reading files of shapes: meshes, and clouds of points.

A .npy file holds the points (n, 3) of one cloud or (s, n, 3) of several, an .npz file such an array ``points`` and maybe ``normals`` of the
same shape, a .ply or .obj file without faces one cloud, an .xyz, .txt or .csv file a row of three numbers for each point, or of six with
its normal. Every other file is a mesh. What cannot be used is rejected in words that are the same for all files of its kind;
:func:`read_named` makes an error of them for a file that somebody has named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from molgen.counting import counted
from molgen.errors import InputError
from molgen.preparation import Rejected
from molgen.shapes.fields import TO_Y, Axis
from molgen.shapes.recognise import ARRAYS, ROWS, is_title, split_row

LARGEST = 1 << 30  # bytes of a mesh file
NUMBERS = "fiu"  # kinds of the types of numpy
POINTS = (".ply", ".obj")  # that may hold points without faces
PointsAndNormals = tuple[np.ndarray, np.ndarray | None]
"""Of clouds, both (s, n, 3); None for the normals where there are none."""


class Unreadable(Rejected):
    """A file that its reader makes nothing of; `detail` is what the reader says."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"not readable as {path.suffix.lower().lstrip('.')}")
        self.detail = " ".join(str(error).split()) or type(error).__name__


class NoPoints(Rejected):
    """An array that is no points of clouds; `got` says what it is, or that there is none, with the names of the arrays there are."""

    def __init__(self, array: np.ndarray | None, path: Path | None = None) -> None:
        super().__init__("no points (n, 3)")
        self.got = "none" if array is None else str(array.shape) if array.dtype.kind in NUMBERS else f"{array.shape} of {array.dtype}"
        if array is None and path is not None and (names := names_of(path)):
            self.got += f"; the file has {', '.join(map(repr, names))}: save the array of points under the name 'points'"


def read_arrays(path: Path, names: Sequence[str] = ("points", "normals")) -> dict[str, np.ndarray]:
    """The arrays of these names of an .npz file; the array of an .npy file as ``points``.

    Raises:
        Unreadable: it is damaged or holds other things than plain arrays.
    """
    try:
        with path.open("rb") as raw:
            loaded = np.load(raw, allow_pickle=False)
            return {"points": loaded} if path.suffix.lower() == ".npy" else {name: loaded[name] for name in names if name in loaded.files}
    except Exception as error:  # whatever a damaged file leads numpy to
        raise Unreadable(path, error) from error


def names_of(path: Path) -> list[str]:
    """Names of the arrays of an .npz file."""
    with np.load(path, allow_pickle=False) as loaded:
        return list(loaded.files)


def as_clouds(array: np.ndarray | None) -> np.ndarray | None:
    """Points (s, n, 3) of an array (n, 3) or (s, n, 3) of numbers; None for any other."""
    if array is None or array.ndim not in (2, 3) or array.shape[-1] != 3 or not array.size or array.dtype.kind not in NUMBERS:
        return None
    return array if array.ndim == 3 else array[None]


def read_clouds(path: Path) -> PointsAndNormals:
    """Points and normals of the clouds of an .npz or .npy file.

    Raises:
        Rejected: it cannot be read or holds something else.
    """
    found = read_arrays(path)
    points, normals = as_clouds(found.get("points")), as_clouds(found.get("normals"))
    if points is None:
        raise NoPoints(found.get("points"), path)
    return points, normals if normals is not None and normals.shape == points.shape else None


def read_rows(path: Path) -> PointsAndNormals:
    """The points of a file of rows of three numbers, or of six with normals, between blanks, commas or semicolons.

    Raises:
        Rejected: it cannot be read, or a row has another number of cells.
    """
    _refuse_size(path)
    try:
        rows = [cells for line in path.read_text(encoding="utf-8").splitlines() if (cells := split_row(line))]
        rows = rows[1:] if rows and is_title(rows[0]) else rows
        if lengths := {len(cells) for cells in rows} - {3, 6}:
            raise ValueError(f"rows of 3 or 6 numbers expected, one has {min(lengths)} cells")
        table = np.array(rows, np.float64)
    except (OSError, ValueError) as error:
        raise Unreadable(path, error) from error
    if table.ndim != 2:
        raise NoPoints(table)
    return table[None, :, :3], table[None, :, 3:] if table.shape[1] == 6 else None


def read_shape(path: Path, up: Axis) -> trimesh.Trimesh | PointsAndNormals:
    """The mesh of a file, the parts of a scene put together, or its clouds.

    Args:
        path: the file.
        up: axis that points up in the frame wanted; a .glb, in which y does by definition, is turned there, "" leaves it as it is.

    Raises:
        Rejected: it cannot be read, is too large, or holds neither.
    """
    if path.suffix.lower() in ARRAYS:
        return read_clouds(path)
    if path.suffix.lower() in ROWS:
        return read_rows(path)
    loaded = _loaded(path)
    if path.suffix.lower() in POINTS and not (loaded is None or isinstance(loaded, trimesh.Trimesh)):
        return np.asarray(loaded.vertices, np.float64)[None], None
    if not isinstance(loaded, trimesh.Trimesh) or not len(loaded.faces):
        raise Rejected("no faces")
    if loaded.faces.min() < 0 or loaded.faces.max() >= len(loaded.vertices):
        raise Unreadable(path, ValueError("faces of vertices that are not there"))
    if path.suffix.lower() == ".glb" and up in TO_Y:
        loaded.vertices = np.asarray(loaded.vertices, np.float64) @ TO_Y[up]
    return loaded


def _loaded(path: Path) -> Any:
    """What trimesh reads: a mesh of all faces, points or lines of a file that holds nothing else, None of an empty scene."""
    _refuse_size(path)
    try:
        with np.errstate(invalid="ignore"):  # of numbers that become none, which are looked for later
            scene = _scene(path)
        parts = list(scene.geometry.values())
        if len(parts) == 1 and not isinstance(parts[0], trimesh.Trimesh):
            return parts[0]
        return scene.to_mesh() if parts else None
    except MemoryError:
        raise Rejected("does not fit in memory") from None
    except Exception as error:  # trimesh's readers raise whatever a damaged file leads them to
        raise Unreadable(path, error) from error


def _scene(path: Path) -> Any:
    """What trimesh makes of a file; it stumbles over .off files that mix faces of more than four corners with others."""
    try:
        return trimesh.load_scene(path, process=False, skip_materials=True)
    except TypeError:
        if path.suffix.lower() != ".off":
            raise
    return trimesh.load_scene(BytesIO(_triangles(path.read_text(encoding="utf-8")).encode()), file_type="off", process=False)


def _triangles(text: str) -> str:
    """The text of an .off file whose faces are cut into triangles around their first corners."""
    rows = [words for line in text.partition("OFF")[2].splitlines() if (words := line.partition("#")[0].split())]
    vertices, faces = int(rows[0][0]), int(rows[0][1])
    listed = (row[1 : int(row[0]) + 1] for row in rows[1 + vertices : 1 + vertices + faces])
    cut = [["3", corners[0], a, b] for corners in listed for a, b in pairwise(corners[1:])]
    return "\n".join(["OFF", f"{vertices} {len(cut)} 0", *(" ".join(row) for row in (*rows[1 : 1 + vertices], *cut)), ""])


def _refuse_size(path: Path) -> None:
    """Refuses what is empty or too large to be read.

    Raises:
        Rejected: it is.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise Rejected(f"file larger than {LARGEST >> 30} GiB; simplify the mesh or cut it up")
    if size == 0:
        raise Rejected("empty file")


def described(path: Path) -> Iterator[tuple[str, str]]:
    """What a file of a mesh or of clouds holds, as names and words.

    Raises:
        InputError: as :func:`read_named`.
    """
    found = read_named(path, "")
    if isinstance(found, trimesh.Trimesh):
        found.merge_vertices()  # which .stl lists anew for every face
        pieces = found.body_count
        closed = f"closed, volume {found.volume:.4g}" if found.is_volume else "not closed"
        yield "mesh", f"{len(found.vertices):,} vertices, {len(found.faces):,} faces, {counted(pieces, 'piece')}, {closed}"
        points = np.asarray(found.vertices)[None]
    else:
        yield "clouds", f"{len(found):,} of {found.shape[1]:,} points"
        points = found
    low, high = points.reshape(-1, 3).min(0), points.reshape(-1, 3).max(0)
    yield "extent", ", ".join(f"{axis} {a:.4g} to {b:.4g}" for axis, a, b in zip("xyz", low, high, strict=True))


def read_named(path: Path, up: Axis) -> trimesh.Trimesh | np.ndarray:
    """The mesh of a file that somebody has named, or the points (s, n, 3) of its clouds as float64.

    Raises:
        InputError: the file is missing, cannot be read or holds neither.
    """
    if not path.is_file():
        raise InputError(f"{path}: is a folder; give one of its files" if path.is_dir() else f"{path}: no such file; check the name")
    with explained(path):
        found = read_shape(path, up)
        if isinstance(found, trimesh.Trimesh):
            if not np.isfinite(found.vertices).all():
                raise Rejected("coordinates not finite")
            return found
        if not np.isfinite(found[0]).all():
            refused = NoPoints(found[0])
            refused.got = "some that are not finite"
            raise refused
    return np.asarray(found[0], np.float64)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Makes an error that names the file of the reason why it was rejected.

    Raises:
        InputError: instead of what is rejected in the block.
    """
    try:
        yield
    except Unreadable as reason:
        raise InputError(f"{path}: cannot be read ({reason.detail}); write it again") from None
    except NoPoints as reason:
        raise InputError(f"{path}: expected points (n, 3) or (s, n, 3) with finite coordinates, got {reason.got}") from None
    except Rejected as reason:
        raise InputError(f"{path}: {reason}; give a mesh with faces, or a cloud as .ply, .npz or .npy") from None
