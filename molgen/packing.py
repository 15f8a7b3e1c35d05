"""Packed data sets: arrays that grow by rows, how they are opened, and divisions of records into parts.

A packed data set is a folder of .npy files that are read memory-mapped. Rows are appended as records arrive, so that memory is constant
and the number of records need not be known; numpy keeps the length of a header fixed while the first axis grows. A *split* maps the numbers
of the records kept to one mask for each part; the part "" is the data set itself.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molgen.errors import InputError

ROWS = 1 << 20
MAPPED = 1 << 20
"""Size of a file in bytes above which its array is mapped and not read."""
Split = Callable[[np.ndarray], dict[str, np.ndarray]]  # record numbers kept -> masks by part; "" is the data set itself


class ArrayFile:
    """A .npy file that grows by rows."""

    def __init__(self, path: Path, dtype: Any, row: tuple[int, ...] = ()) -> None:
        self.path, self.dtype, self.row, self.count = path, np.dtype(dtype), row, 0
        self._stream = path.open("w+b")
        self._header()
        self._start = self._stream.tell()

    def _header(self) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.count, *self.row)}
        self._stream.seek(0)
        np.lib.format.write_array_header_1_0(self._stream, header)

    def append(self, rows: np.ndarray) -> None:
        """Write `rows` behind the rows already there."""
        rows = np.ascontiguousarray(rows, dtype=self.dtype)
        assert rows.shape[1:] == self.row
        self._stream.write(rows.tobytes())
        self.count += len(rows)

    def close(self) -> None:
        """Write the final number of rows into the header, whose length numpy keeps fixed while the first axis grows."""
        self._header()
        assert self._stream.tell() == self._start
        self._stream.close()


def stream(path: Path) -> Iterator[np.ndarray]:
    """Yield the rows of a .npy file in pieces of bounded size."""
    array = np.load(path, mmap_mode="r")
    for start in range(0, len(array), ROWS):
        yield np.asarray(array[start : start + ROWS])


def load_array(path: Path, dtype: type | None, shape: Sequence[int | None], fix: str = "prepare the data set again") -> np.ndarray:
    """Opens a .npy file; large ones are mapped into memory, read-only.

    Args:
        path: the file.
        dtype: of the array; None for any.
        shape: of the array; None for an axis of any length.
        fix: what mends a file that is missing, damaged or another.

    Raises:
        InputError: it is one of these.
    """
    try:
        array = np.load(path, mmap_mode="r" if path.stat().st_size > MAPPED else None)
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {fix}") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: unreadable ({error}); {fix}") from None
    fits = array.ndim == len(shape) and all(n in (None, found) for n, found in zip(shape, array.shape, strict=True))
    if not fits or (dtype is not None and array.dtype != dtype):
        axes = ", ".join("n" if n is None else str(n) for n in shape) + "," * (len(shape) == 1)
        expected = f"({axes})" if dtype is None else f"{np.dtype(dtype)} ({axes})"
        raise InputError(f"{path}: expected {expected}, got {array.dtype} {array.shape}; {fix}")
    return array


def whole(index: np.ndarray) -> dict[str, np.ndarray]:
    """No split: one data set."""
    return {"": np.ones(len(index), dtype=bool)}


PARTS = ("train", "valid", "test")


def part_of(path: Path, part: str = "") -> Path | None:
    """The packed data set in a folder: this part of a split, the folder itself, or the first part there is; None without any."""
    folders = [path / name for name in ([part] if part else []) + ["", "valid", "test", "train"]]
    return next((folder for folder in folders if (folder / "statistics.json").is_file()), None)


def training_folder(path: Path) -> Path:
    """The packed data set that is trained on: the folder itself, else its part "train"; no other part is taken for it."""
    part = path / "train"
    return part if (part / "statistics.json").is_file() and not (path / "statistics.json").is_file() else path


def by_record(parts: dict[str, np.ndarray]) -> Split:
    """A split given by record numbers of the source."""
    return lambda index: {part: np.isin(index, records) for part, records in parts.items()}


def by_fraction(text: str, seed: int) -> Split:
    """A random split such as 0.8,0.1,0.1 (train, valid, test) that depends on the seed and the number of records alone.

    Raises:
        InputError: The fractions are not two or three positive numbers with sum 1.
    """
    try:
        fractions = [float(word) for word in text.split(",")]
    except ValueError:
        fractions = []
    if not 2 <= len(fractions) <= len(PARTS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"--split {text}: expected 'official', or two or three positive fractions with sum 1 such as 0.8,0.1,0.1")

    def split(index: np.ndarray) -> dict[str, np.ndarray]:
        order = np.random.default_rng(seed).permutation(len(index))
        ends = np.rint(np.cumsum([0.0, *fractions]) * len(index)).astype(int)
        masks = {}
        for part, start, stop in zip(PARTS, ends[:-1], ends[1:], strict=False):
            masks[part] = np.zeros(len(index), dtype=bool)
            masks[part][order[start:stop]] = True
        return masks

    return split
