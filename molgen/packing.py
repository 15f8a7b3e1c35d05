"""Writing packed data sets: arrays that grow by rows, and divisions of records into parts.

A packed data set is a folder of .npy files that are read memory-mapped. Rows are appended as records arrive, so that memory is constant
and the number of records need not be known; numpy keeps the length of a header fixed while the first axis grows. A *split* maps the numbers
of the records kept to one mask for each part; the part "" is the data set itself.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from molgen.errors import InputError

ROWS = 1 << 20
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


def whole(index: np.ndarray) -> dict[str, np.ndarray]:
    """No split: one data set."""
    return {"": np.ones(len(index), dtype=bool)}


PARTS = ("train", "valid", "test")


def part_of(path: Path, part: str = "") -> Path | None:
    """The packed data set in a folder: this part of a split, the folder itself, or the first part there is; None without any."""
    folders = [path / name for name in ([part] if part else []) + ["", "valid", "test", "train"]]
    return next((folder for folder in folders if (folder / "statistics.json").is_file()), None)


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
