"""Whether a file or folder holds shapes, told from names alone, so that commands can ask without loading a mesh library."""

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb")
"""Of mesh files."""
WORDS = ("procedural", "modelnet", "shapenet")
"""Sources that are not a path."""


def find(folder: Path) -> Iterator[Path]:
    """Mesh files at any depth, hidden ones left out."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts):
            yield path


def holds_shapes(name: str) -> bool:
    """Whether a source is about shapes: one of the words, a mesh or .npz file, or a folder with mesh files at any depth."""
    path = Path(name)
    if path.is_dir():
        return next(find(path), None) is not None
    return name in WORDS or path.suffix.lower() in (*SUFFIXES, ".npz")
