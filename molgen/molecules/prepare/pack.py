"""Writing a packed data set without holding its molecules in memory.

Arrays of all molecules lie behind one another; molecule i owns rows offsets[i]:offsets[i+1]. Rows are appended to
.npy files as blocks arrive; what only the whole set can tell (which elements occur, how wide a bond index must be)
is settled by one more pass over the files at the end.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from molgen.molecules.prepare.block import Block
from molgen.packing import ArrayFile, stream


class Writer:
    """Writes blocks into `folder`.

    A context manager that closes the files; `finish` comes after it.

    Attributes:
        elements: Atomic numbers seen.
        charges: Formal charges seen, and 0.
    """

    def __init__(self, folder: Path, num_labels: int) -> None:
        self.folder = folder
        self._arrays = {
            "positions": ArrayFile(folder / "positions.npy", np.float32, (3,)),
            "atomic_numbers": ArrayFile(folder / "atomic_numbers.npy", np.uint8),
            "charges": ArrayFile(folder / "charges.npy", np.int8),
            "bonds": ArrayFile(folder / "bonds_wide.npy", np.uint16, (3,)),
            "labels": ArrayFile(folder / "labels.npy", np.float32, (num_labels,)),
            "index": ArrayFile(folder / "records.npy", np.int64),
        }
        self._offsets = {
            "sizes": ArrayFile(folder / "atom_offsets.npy", np.int64),
            "bond_counts": ArrayFile(folder / "bond_offsets.npy", np.int64),
        }
        self._ends = dict.fromkeys(self._offsets, 0)
        for offsets in self._offsets.values():
            offsets.append(np.zeros(1, np.int64))
        self._smiles = (folder / "smiles.txt").open("w", encoding="utf-8")
        self._largest = 0
        self.elements: set[int] = set()
        self.charges: set[int] = {0}

    def append(self, block: Block) -> None:
        """Add the records of a block."""
        if not len(block.sizes):
            return
        for name, array in self._arrays.items():
            array.append(getattr(block, name))
        for name, array in self._offsets.items():
            ends = self._ends[name] + np.cumsum(getattr(block, name))
            array.append(ends)
            self._ends[name] = int(ends[-1])
        self._smiles.write("".join(f"{smiles}\n" for smiles in block.smiles))
        self.elements |= set(np.unique(block.atomic_numbers).tolist())
        self.charges |= set(np.unique(block.charges).tolist())
        self._largest = max(self._largest, int(block.sizes.max()))

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for array in (*self._arrays.values(), *self._offsets.values()):
            array.close()
        self._smiles.close()

    def finish(self, elements: list[int]) -> None:
        """Settle types and widths once all rows are written: type k is `elements[k]`."""
        types = np.zeros(256, dtype=np.uint8)
        types[elements] = np.arange(len(elements))
        _convert(self.folder / "atomic_numbers.npy", self.folder / "atoms.npy", np.uint8, types)
        _convert(self.folder / "bonds_wide.npy", self.folder / "bonds.npy", np.uint8 if self._largest <= 255 else np.uint16)


def _convert(source: Path, target: Path, dtype: Any, table: np.ndarray | None = None) -> None:
    """Rewrite an array in another type, through a look-up table where given, and remove the source."""

    def copy() -> None:  # behind which no rows, views of the mapped file, are left: Windows keeps such a file
        array = ArrayFile(target, dtype, np.load(source, mmap_mode="r").shape[1:])
        for rows in stream(source):
            array.append(rows if table is None else table[rows])
        array.close()

    copy()
    source.unlink()
