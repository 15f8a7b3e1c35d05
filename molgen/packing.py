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
Split = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""Numbers of the records kept and, for each, a number that is the same for records of the same thing -> masks by part."""


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
    except Exception as error:  # whatever a damaged header leads numpy to, such as more memory than there is
        raise InputError(f"{path}: unreadable ({' '.join(str(error).split())}); {fix}") from None
    fits = array.ndim == len(shape) and all(n in (None, found) for n, found in zip(shape, array.shape, strict=True))
    if not fits or (dtype is not None and array.dtype != dtype):
        axes = ", ".join("n" if n is None else str(n) for n in shape) + "," * (len(shape) == 1)
        expected = f"({axes})" if dtype is None else f"{np.dtype(dtype)} ({axes})"
        raise InputError(f"{path}: expected {expected}, got {array.dtype} {array.shape}; {fix}")
    return array


def check_offsets(path: Path, offsets: np.ndarray, rows: int, least: int) -> None:
    """Checks that record k has the rows ``offsets[k]`` to ``offsets[k + 1] - 1`` of an array, at least ``least`` of them.

    Raises:
        InputError: with the file and the first record that has not.
    """
    fix = "the data set is damaged, prepare it again"
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != rows:
        ends = f"{offsets[0]} to {offsets[-1]}" if len(offsets) else "none"
        raise InputError(f"{path}: expected offsets from 0 to {rows}, got {ends}; {fix}")
    if (short := np.diff(offsets) < least).any():
        k = int(short.argmax())
        raise InputError(f"{path}: record {k} goes from {offsets[k]} to {offsets[k + 1]}; {fix}")


def pieces(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cuts records into pieces ``start, stop`` of about `ROWS` rows, or of one record with more."""
    start = 0
    while start < len(offsets) - 1:
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + ROWS, side="right")) - 1)
        yield start, stop
        start = stop


def whole(index: np.ndarray, alike: np.ndarray) -> dict[str, np.ndarray]:
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
    return lambda index, alike: {part: np.isin(index, records) for part, records in parts.items()}


def cut_between(order: np.ndarray, alike: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order in which records of the same thing follow each other, and where to cut it so that none of these are torn apart.

    A thing stands where its first record stood, so that things of many records come no earlier than others.

    Args:
        order: (n,) numbers of the records, at random; where all are different it comes back.
        alike: (n,) equal for records of the same thing.
        ends: ascending places to cut, 0 and n among them; moved to the nearest place between two things that leaves no part empty. Where
            there are fewer things than parts, order and places stay as they are.
    """
    _, lead, group = np.unique(alike, return_index=True, return_inverse=True)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first = place[lead][group[order]]
    gathered = np.argsort(first, kind="stable")
    between = np.append(np.flatnonzero(np.diff(first[gathered], prepend=-1)), len(order))
    after = np.searchsorted(between, ends)
    before = np.maximum(after - 1, 0)
    cuts = np.where(ends - between[before] < between[after] - ends, before, after)
    apart = np.concatenate([[0], np.cumsum(np.diff(ends) > 0)])  # cuts that must not meet
    if apart[-1] > len(lead):
        return order, ends
    cuts = np.maximum.accumulate(cuts - apart) + apart
    cuts = np.minimum(cuts, len(lead) - (apart[-1] - apart))
    return order[gathered], between[cuts]


def by_fraction(text: str, seed: int) -> Split:
    """A random split such as 0.8,0.1,0.1 (train, valid, test) that depends on the seed and on which records are of the same thing.

    Records of the same thing, such as the conformers of a molecule, go to the same part (:func:`cut_between`).

    Raises:
        InputError: The fractions are not two or three positive numbers with sum 1.
    """
    try:
        fractions = [float(word) for word in text.split(",")]
    except ValueError:
        fractions = []
    if not 2 <= len(fractions) <= len(PARTS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"--split {text}: expected 'official', or two or three positive fractions with sum 1 such as 0.8,0.1,0.1")

    def split(index: np.ndarray, alike: np.ndarray) -> dict[str, np.ndarray]:
        order = np.random.default_rng(seed).permutation(len(index))
        order, ends = cut_between(order, alike, np.rint(np.cumsum([0.0, *fractions]) * len(index)).astype(int))
        masks = {}
        for part, start, stop in zip(PARTS, ends[:-1], ends[1:], strict=False):
            masks[part] = np.zeros(len(index), dtype=bool)
            masks[part][order[start:stop]] = True
        return masks

    return split
