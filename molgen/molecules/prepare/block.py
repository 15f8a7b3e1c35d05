"""A block holds the records of one chunk as concatenated arrays: what workers send back and what resuming reads."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from molgen import preparation
from molgen.molecules.prepare.records import Record


@dataclass(frozen=True)
class Block(preparation.Block):
    """M records with N atoms and B bonds in all, and the entries that were rejected: number, name, label where one is to blame, reason."""

    words: ClassVar[int] = 3
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

    @classmethod
    def of(cls, records: list[Record], rejected: list[tuple[int, str, str, str]], num_labels: int) -> "Block":
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
        return replace(self, **{name: array[masks.get(name, keep)] for name, array in self.arrays.items()})

    @property
    def total_charges(self) -> np.ndarray:
        """(M,) int64, e."""
        return np.add.reduceat(self.charges, np.cumsum(self.sizes) - self.sizes, dtype=np.int64)
