"""Known molecules: sets of fingerprints, and the file of a model that tells what it was trained on.

A fingerprint is a 64-bit hash of a canonical SMILES without stereo. ``training.npy`` holds the leading 32 bits of those of the training
molecules, sorted: 4 bytes a molecule. Of the molecules that are new to a set of n, one in 2^32 / n is taken for known (n = 200,000: one
in 21,000).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from molgen.errors import InputError
from molgen.files import atomic_path
from molgen.models import find_model
from molgen.packing import load_array

FILE = "training.npy"
"""Name of the file in the folder of a model."""


def fingerprint(text: str) -> int:
    """64-bit hash of a SMILES, the same in every process; 0 for the empty text. Two of a million collide with chance 3e-8."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") if text else 0


def packed_fingerprints(folder: Path) -> list[int]:
    """Fingerprints of the SMILES of a packed data set in the order of its molecules, 0 for one without; empty if it has no list of them."""
    path = folder / "smiles.txt"
    return [fingerprint(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


class Known:
    """A set of fingerprints.

    Args:
        leading: the leading bits of the fingerprints, sorted and distinct: all 64 of them (uint64), or 32 (uint32).
    """

    def __init__(self, leading: np.ndarray) -> None:
        self.leading = leading

    @classmethod
    def of(cls, fingerprints: Iterable[int] | np.ndarray) -> Known:
        """The set of these; 0, of what has no SMILES, is left out."""
        if not isinstance(fingerprints, np.ndarray):
            fingerprints = np.fromiter(fingerprints, np.uint64)
        distinct = np.unique(fingerprints.astype(np.uint64, copy=False))
        return cls(distinct[distinct != 0])

    def __len__(self) -> int:
        return len(self.leading)

    @classmethod
    def merged(cls, sets: Iterable[Known]) -> list[Known]:
        """As few sets as hold the same: those of whole fingerprints become one."""
        found = list(sets)
        whole = [one.leading for one in found if one.leading.dtype == np.uint64]
        rest = [one for one in found if one.leading.dtype != np.uint64]
        return [cls(np.unique(np.concatenate(whole))), *rest] if whole else rest

    def __contains__(self, fingerprint: int) -> bool:
        return bool(self.holds(np.array([fingerprint], np.uint64))[0])

    def __or__(self, other: Known) -> Known:
        return Known(np.union1d(self._short, other._short))

    @property
    def _short(self) -> np.ndarray:
        return np.unique(_leading(self.leading, np.dtype(np.uint32))) if self.leading.dtype == np.uint64 else self.leading

    def holds(self, fingerprints: np.ndarray) -> np.ndarray:
        """Which of the fingerprints, uint64 (n,), are in the set: bool (n,); 0 never is."""
        wanted = _leading(fingerprints, self.leading.dtype)
        places = np.minimum(np.searchsorted(self.leading, wanted), len(self.leading) - 1)
        return (self.leading[places] == wanted) & (fingerprints != 0) if len(self.leading) else np.zeros(len(wanted), bool)

    def save(self, folder: Path) -> None:
        """Writes the file of a model, whole or not at all.

        Raises:
            InputError: if it cannot be written or the disk is full.
        """
        with atomic_path(folder / FILE) as path:
            np.save(path, self._short)

    @classmethod
    def load(cls, folder: Path) -> Known | None:
        """What the model in a folder was trained on; None if it does not say.

        Raises:
            InputError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        fix = "copy the model again, or delete the file"
        array = load_array(path, np.uint32, (None,), fix)
        if not (array[1:] > array[:-1]).all():
            raise InputError(f"{path}: expected ascending numbers; {fix}")
        return cls(array)

    @classmethod
    def of_model(cls, source: Path) -> Known | None:
        """What a run, a weights file or a model that ships (by name) was trained on; None where there is no such model.

        Raises:
            InputError: the model does not say, or its file is damaged.
        """
        folder = find_model(source, hidden=True)
        if folder is None:
            return None
        known = cls.load(folder)
        if known is None:
            raise InputError(f"{source}: does not say what it was trained on ({FILE} is missing); give the training data")
        return known


def _leading(fingerprints: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Their leading bits as numbers of this type."""
    return (fingerprints >> np.uint64(64 - 8 * dtype.itemsize)).astype(dtype)
