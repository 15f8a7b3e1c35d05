"""Whether a file or folder holds shapes, told from names and first lines: commands can ask without loading numpy or a mesh library."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb")
"""Of mesh files."""
ARRAYS = (".npz", ".npy")
"""Suffixes of files of arrays, which hold clouds."""
ROWS = (".xyz", ".txt", ".csv")
"""Suffixes of files that hold a cloud if each of their lines is a point, see :func:`holds_rows`."""
WORDS = ("procedural", "modelnet", "shapenet")
"""Sources that are not a path."""
_BETWEEN = re.compile(r"[\s,;]+")
_TITLE = ("x", "y", "z")
_OPENING = 4096  # bytes in which the first row lies


def find(folder: Path) -> Iterator[Path]:
    """Mesh files at any depth, hidden ones left out."""
    return (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not _hidden(path, folder))


def find_arrays(folder: Path) -> Iterator[Path]:
    """Files of arrays at any depth, without hidden ones and those of prepared data sets."""
    for path in folder.rglob("*.np[yz]"):
        if not _hidden(path, folder) and not _packed(path):
            yield path


def find_rows(folder: Path) -> Iterator[Path]:
    """Files of rows of numbers at any depth, without hidden ones and those of prepared data sets."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in ROWS and not _hidden(path, folder) and not _packed(path) and holds_rows(path):
            yield path


def find_all(folder: Path) -> list[Path]:
    """Files of meshes and of clouds at any depth, sorted."""
    return sorted({*find(folder), *find_arrays(folder), *find_rows(folder)})


def find_others(folder: Path) -> Counter[str]:
    """How many files at any depth are neither of those of :func:`find_all` nor hidden nor of a prepared data set, by suffix."""
    known = set(find_all(folder))
    others = (path for path in folder.rglob("*") if path not in known and path.is_file() and not _hidden(path, folder))
    return Counter(path.suffix.lower() or path.name for path in others if not _packed(path))


def holds_rows(path: Path) -> bool:
    """Whether a file is rows of three numbers (x y z), or of six (with a normal), between blanks, commas or semicolons.

    The first line that is neither empty nor begins with ``#`` tells, or the second where the first one names the columns. A molecule as
    .xyz begins with the number of its atoms.
    """
    if path.suffix.lower() not in ROWS:
        return False
    try:
        with path.open("rb") as file:
            opening = file.read(_OPENING).decode("utf-8", "replace")
    except OSError:
        return False
    rows = (cells for line in opening.splitlines() if (cells := split_row(line)))
    first, second = [*islice(rows, 2), [], []][:2]
    return _numbers(first) or (is_title(first) and _numbers(second))


def split_row(line: str) -> list[str]:
    """The cells of a line of a file of rows, none of an empty one or a comment; beside semicolons commas are decimal ones."""
    line = line.strip().removeprefix("\ufeff")
    if ";" in line:
        line = line.replace(",", ".")
    return [] if line.startswith("#") else [cell for cell in _BETWEEN.split(line) if cell]


def is_title(cells: list[str]) -> bool:
    """Whether cells name the columns: x, y, z and perhaps others."""
    return tuple(cell.strip('"').lower() for cell in cells[:3]) == _TITLE


def _numbers(cells: list[str]) -> bool:
    """Whether cells are three or six numbers."""
    try:
        return len([float(cell) for cell in cells]) in (3, 6)
    except ValueError:
        return False


def _packed(path: Path) -> bool:
    """Whether a file belongs to a prepared data set."""
    return any((above / "statistics.json").is_file() for above in path.parents[:2])


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)


def holds_shapes(place: str | Path) -> bool:
    """Whether data are about shapes: a word, a mesh, an array, rows of numbers, or a folder of them.

    A folder is, if it is a packed data set of shapes, has meshes at any depth, or clouds and no .xyz files of molecules in it.
    """
    path = Path(place)
    if not path.is_dir():
        return str(place) in WORDS or path.suffix.lower() in (*SUFFIXES, *ARRAYS) or holds_rows(path)
    if any((path / part / "captions.txt").is_file() and (path / part / "statistics.json").is_file() for part in ("", "train")):
        return True
    if next(find(path), None) is not None:
        return True
    molecules = any(not holds_rows(file) for file in path.glob("*.xyz*"))
    return not molecules and (next(find_arrays(path), None) is not None or next(find_rows(path), None) is not None)
