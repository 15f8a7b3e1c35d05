"""Files of arrays that hold clouds, told from names alone, so that commands can ask without loading numpy."""

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".npz", ".npy")


def find_arrays(folder: Path) -> Iterator[Path]:
    """Files of arrays at any depth, without hidden ones and those of prepared data sets."""
    for path in folder.rglob("*.np[yz]"):
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
        if not hidden and not any((above / "statistics.json").is_file() for above in path.parents[:2]):
            yield path


def holds_clouds(path: Path) -> bool:
    """Whether a path is a file of arrays, or a folder with such files at any depth and no .xyz files in it."""
    if path.is_dir():
        return next(find_arrays(path), None) is not None and not any(path.glob("*.xyz*"))
    return path.suffix.lower() in SUFFIXES
