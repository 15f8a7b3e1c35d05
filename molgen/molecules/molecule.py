"""The molecule as plain arrays: what goes into a data set and what comes out of a sampler.

Bonds are Kekulé bonds with integer orders and every hydrogen is an atom, so that valences are sums of integers; a molecule from a data set
prepared without hydrogens says so, and its open valences count as hydrogens. RDKit is imported only when a conversion is asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from molgen.errors import InputError

if TYPE_CHECKING:
    from rdkit import Chem


@dataclass(frozen=True, eq=False)
class Molecule:
    """Atoms, coordinates, formal charges and bonds of one molecule.

    Args:
        atomic_numbers: (n,) int64.
        positions: (n, 3) float64, Å.
        charges: (n,) int64 formal charges, e.
        bonds: (m, 3) int64 rows ``i, j, order`` with ``i < j`` and order 1, 2 or 3.
        properties: named values, written as SD tags.
        implicit_hydrogens: hydrogens are no atoms; an open valence is a hydrogen, not an unpaired electron.

    Raises:
        InputError: arrays that do not fit each other.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    charges: np.ndarray
    bonds: np.ndarray
    properties: dict[str, float | int | str | bool] = field(default_factory=dict)
    implicit_hydrogens: bool = False

    def __post_init__(self) -> None:
        n, bonds = len(self.atomic_numbers), self.bonds
        for name, found, expected in (
            ("positions", self.positions, (n, 3)),
            ("charges", self.charges, (n,)),
            ("bonds", bonds, (len(bonds), 3)),
        ):
            if np.shape(found) != expected:
                raise InputError(f"{name}: expected an array {expected} for {n} atoms, got {np.shape(found)}")
        if len(bonds) and not (bonds[:, :2].min() >= 0 and bonds[:, :2].max() < n):
            raise InputError(f"bonds: expected atoms 0 to {n - 1}, got {bonds[:, :2].min()} to {bonds[:, :2].max()}")

    def __len__(self) -> int:
        return len(self.atomic_numbers)

    def digest(self, *more: object) -> str:
        """Eight hexadecimal digits that differ where atoms, coordinates, charges, bonds, or ``more`` as Python writes it, do."""
        content = [np.ascontiguousarray(a).tobytes() for a in (self.atomic_numbers, self.positions, self.charges, self.bonds)]
        return hashlib.blake2b(b"/".join([*content, repr(more).encode()]), digest_size=4).hexdigest()

    def to_rdkit(self, sanitize: bool = False) -> Chem.Mol:
        """RDKit molecule with one 3D conformer, hydrogens as they are here and the properties as SD tags.

        Raises:
            rdkit.Chem.MolSanitizeException: with ``sanitize`` if RDKit refuses the molecule (valence, kekulisation).
        """
        from molgen.molecules.convert import to_rdkit

        return to_rdkit(self, sanitize)

    @classmethod
    def from_rdkit(cls, mol: Chem.Mol) -> Molecule:
        """Arrays of an RDKit molecule with a 3D conformer and explicit hydrogens; aromatic bonds are kekulised.

        Raises:
            ValueError: without a 3D conformer, with implicit hydrogens, or with bonds that are not single, double or triple.
        """
        from molgen.molecules.convert import from_rdkit

        return from_rdkit(mol)
