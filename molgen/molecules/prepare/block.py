"""A block holds the records of one chunk as concatenated arrays: what workers send back and what resuming reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molgen.files import atomic_path
from molgen.molecules.prepare.records import Record

ARRAYS = ("index", "sizes", "bond_counts", "atomic_numbers", "positions", "charges", "bonds", "labels", "replaced", "isotopes", "smiles")


@dataclass(frozen=True)
class Block:
    """M records with N atoms and B bonds in all, and the entries that were rejected."""

    index: np.ndarray  # (M,) int64, number of the record in its source
    sizes: np.ndarray  # (M,) int64, atoms
    bond_counts: np.ndarray  # (M,) int64
    atomic_numbers: np.ndarray  # (N,) uint8
    positions: np.ndarray  # (N, 3) float32, Å
    charges: np.ndarray  # (N,) int8, e
    bonds: np.ndarray  # (B, 3) uint16
    labels: np.ndarray  # (M, L) float32
    replaced: np.ndarray  # (M, L) bool
    isotopes: np.ndarray  # (M,) bool
    smiles: np.ndarray  # (M,) str
    rejected: tuple[tuple[int, str, str], ...]  # (index, name, reason)

    @classmethod
    def of(cls, records: list[Record], rejected: list[tuple[int, str, str]], num_labels: int) -> "Block":
        """Concatenate records."""

        def stack(arrays: list[np.ndarray], shape: tuple[int, ...], dtype: type) -> np.ndarray:
            return np.concatenate([np.zeros(shape, dtype), *arrays]).astype(dtype)

        return cls(
            index=np.array([record.index for record in records], dtype=np.int64),
            sizes=np.array([len(record.atomic_numbers) for record in records], dtype=np.int64),
            bond_counts=np.array([len(record.bonds) for record in records], dtype=np.int64),
            atomic_numbers=stack([record.atomic_numbers for record in records], (0,), np.uint8),
            positions=stack([record.positions for record in records], (0, 3), np.float32),
            charges=stack([record.charges for record in records], (0,), np.int8),
            bonds=stack([record.bonds for record in records], (0, 3), np.uint16),
            labels=stack([record.labels[None] for record in records], (0, num_labels), np.float32),
            replaced=stack([record.replaced[None] for record in records], (0, num_labels), np.bool_),
            isotopes=np.array([record.isotopes for record in records], dtype=np.bool_),
            smiles=np.array([record.smiles for record in records], dtype=np.str_),
            rejected=tuple(rejected),
        )

    def take(self, keep: np.ndarray) -> "Block":
        """The records for which the (M,) mask `keep` is true."""
        atoms, bonds = np.repeat(keep, self.sizes), np.repeat(keep, self.bond_counts)
        masks = {"atomic_numbers": atoms, "positions": atoms, "charges": atoms, "bonds": bonds}
        return Block(**{name: getattr(self, name)[masks.get(name, keep)] for name in ARRAYS}, rejected=self.rejected)

    def save(self, path: Path) -> None:
        """Write as one .npz, whole or not at all."""
        rejected = np.array([(str(index), name, reason) for index, name, reason in self.rejected], dtype=np.str_).reshape(-1, 3)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, rejected=rejected, **{name: getattr(self, name) for name in ARRAYS})

    @property
    def total_charges(self) -> np.ndarray:
        """(M,) int64, e."""
        return np.add.reduceat(self.charges, np.cumsum(self.sizes) - self.sizes, dtype=np.int64)

    @property
    def records(self) -> int:
        """Records that were read, used or not."""
        return len(self.index) + len(self.rejected)

    @classmethod
    def load(cls, path: Path) -> "Block":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            rejected = tuple((int(index), str(name), str(reason)) for index, name, reason in arrays["rejected"])
            return cls(**{name: arrays[name] for name in ARRAYS}, rejected=rejected)
