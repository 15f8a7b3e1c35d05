"""Whether a file or folder holds shapes, told from names alone, so that commands can ask without loading numpy or a mesh library."""

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb")
"""Of mesh files."""
ARRAYS = (".npz", ".npy")
"""Suffixes of files of arrays, which hold clouds."""
WORDS = ("procedural", "modelnet", "shapenet")
"""Sources that are not a path."""


def find(folder: Path) -> Iterator[Path]:
    """Mesh files at any depth, hidden ones left out."""
    return (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not _hidden(path, folder))


def find_arrays(folder: Path) -> Iterator[Path]:
    """Files of arrays at any depth, without hidden ones and those of prepared data sets."""
    for path in folder.rglob("*.np[yz]"):
        if not _hidden(path, folder) and not any((above / "statistics.json").is_file() for above in path.parents[:2]):
            yield path


def find_all(folder: Path) -> list[Path]:
    """Files of meshes and of arrays at any depth, sorted."""
    return sorted({*find(folder), *find_arrays(folder)})


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)


def holds_shapes(place: str | Path) -> bool:
    """Whether data are about shapes: a word, a mesh, an array, or a folder of them.

    A folder is, if it is a packed data set of shapes, has meshes at any depth, or arrays and no .xyz files in it.
    """
    path = Path(place)
    if not path.is_dir():
        return str(place) in WORDS or path.suffix.lower() in (*SUFFIXES, *ARRAYS)
    if any((path / part / "captions.txt").is_file() and (path / part / "statistics.json").is_file() for part in ("", "train")):
        return True
    return next(find(path), None) is not None or (next(find_arrays(path), None) is not None and not any(path.glob("*.xyz*")))
