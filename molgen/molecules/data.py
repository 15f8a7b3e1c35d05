"""Packed data sets: memory-mapped arrays on disk, padded batches in memory. Needs numpy and torch only."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from molgen.batch import Batch, mask_of
from molgen.errors import InputError
from molgen.molecules.fields import ANGSTROM_PER_UNIT, BOND_ORDERS, Statistics
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.molecule import Molecule
from molgen.packing import check_offsets, load_array, pieces, training_folder


class PackedMolecules:
    """A folder written by ``molgen prepare``.

    Args:
        path: the folder.
        labels: names of the labels that batches carry; all by default.

    Raises:
        InputError: if a file is missing, truncated, does not fit the others or has values that no molecule has.
    """

    def __init__(self, path: str | Path, labels: Sequence[str] | None = None):
        self.path = training_folder(Path(path))
        if self.path.is_file():
            raise InputError(
                f"{self.path}: is a file; make a data set of it by `molgen prepare {self.path} --out DIR` and give that folder"
            )
        self.statistics = Statistics.load(self.path / "statistics.json")
        known = [label.name for label in self.statistics.labels]
        self.positions = load_array(self.path / "positions.npy", np.float32, (None, 3))
        self.atoms = load_array(self.path / "atoms.npy", np.uint8, (None,))
        self.charges = load_array(self.path / "charges.npy", np.int8, (None,))
        self.bonds = load_array(self.path / "bonds.npy", None, (None, 3))
        self.atom_offsets = np.asarray(load_array(self.path / "atom_offsets.npy", np.int64, (None,)))
        self.bond_offsets = np.asarray(load_array(self.path / "bond_offsets.npy", np.int64, (None,)))
        values = load_array(self.path / "labels.npy", np.float32, (None, len(known)))
        check_offsets(self.path / "atom_offsets.npy", self.atom_offsets, len(self.positions), least=1)
        check_offsets(self.path / "bond_offsets.npy", self.bond_offsets, len(self.bonds), least=0)
        counts = {len(self.atom_offsets), len(self.bond_offsets), len(values) + 1}
        if len(counts) > 1 or {len(self.atoms), len(self.charges)} != {len(self.positions)}:
            raise InputError(f"{self.path}: arrays of different lengths; the data set is damaged, prepare it again")
        for name in labels or ():
            if name not in known:
                choice = f"give data.conditions=[{','.join(map(quoted, known))}] or fewer, or prepare the data with --label {name}"
                raise InputError(f"{self.path}: unknown property {name!r}; known: {', '.join(known) or 'none'}; {choice}")
        self.labels = {name: np.asarray(values[:, known.index(name)]) for name in (known if labels is None else labels)}
        self.sizes = np.diff(self.atom_offsets)
        self._elements = np.arange(256)  # stored class -> class of the vocabulary
        self._check()

    def _check(self) -> None:
        """Checks the values of atoms and bonds, in pieces.

        Raises:
            InputError: with the file and the first molecule that has others than a molecule can have.
        """
        known = np.zeros(256, bool)
        known[np.array(self.statistics.charges)] = True
        for start, stop in pieces(self.atom_offsets):
            rows = slice(int(self.atom_offsets[start]), int(self.atom_offsets[stop]))
            for name, right, words in (
                ("positions.npy", np.isfinite(self.positions[rows]).all(1), "coordinates that are not finite"),
                ("atoms.npy", self.atoms[rows] < len(self.statistics.elements), "a class without an element"),
                ("charges.npy", known[self.charges[rows]], "a charge that statistics.json lacks"),
            ):
                self._refuse(name, right, words, self.atom_offsets, rows.start)
        if self.bonds.dtype.kind not in "iu":
            raise InputError(f"{self.path / 'bonds.npy'}: expected integers, got {self.bonds.dtype}; prepare the data set again")
        for start, stop in pieces(self.bond_offsets):
            rows = slice(int(self.bond_offsets[start]), int(self.bond_offsets[stop]))
            i, j, order = self.bonds[rows].T
            size = np.repeat(self.sizes[start:stop], np.diff(self.bond_offsets[start : stop + 1]))
            right = (i >= 0) & (i < size) & (j >= 0) & (j < size) & (i != j) & (order > 0) & (order < BOND_ORDERS)
            self._refuse("bonds.npy", right, "a bond that is none of two of its atoms with order 1 to 3", self.bond_offsets, rows.start)

    def _refuse(self, name: str, right: np.ndarray, words: str, offsets: np.ndarray, first: int) -> None:
        """Refuses rows, of which the first is number ``first``, where one is not right.

        Raises:
            InputError: with the file and the molecule.
        """
        if not right.all():
            molecule = int(np.searchsorted(offsets, first + int(right.argmin()), side="right")) - 1
            raise InputError(f"{self.path / name}: molecule {molecule} has {words}; the data set is damaged, prepare it again")

    def translated(self, model: Statistics, name: str) -> PackedMolecules:
        """The same molecules and labels in the vocabulary of a model, with its scale of coordinates.

        Raises:
            InputError: the model called ``name`` lacks an element or a charge of the data, or one of the two has no hydrogens.
        """
        own = self.statistics
        if own.vocabulary == model.vocabulary and own.hydrogens == model.hydrogens:
            return self
        if lacking := self._lacking(model):
            fix = f"`molgen prepare ... --for {name}` leaves such molecules out"
            raise InputError(f"{self.path}: has {lacking} of {len(self)} molecules, which the model {name} lacks; {fix}")
        other = copy.copy(self)
        other.statistics = replace(own.inherit(model), elements=model.elements, charges=model.charges)
        other.statistics = replace(other.statistics, atom_marginal=model.atom_marginal, charge_marginal=model.charge_marginal)
        other._elements = np.array([model.elements.index(element) for element in own.elements])
        return other

    def _lacking(self, model: Statistics) -> str:
        """Elements and charges that a model lacks, each with the number of molecules that have some of them."""
        own = self.statistics
        elements = [z for z in own.elements if z not in model.elements]
        charges = [charge for charge in own.charges if charge not in model.charges]
        found = []
        for words, classes, atoms in (
            (", ".join(SYMBOLS[z] for z in elements), [own.elements.index(z) for z in elements], self.atoms),
            ("the charge " + ", ".join(f"{charge:+d}" for charge in charges), charges, self.charges),
        ):
            holders = np.searchsorted(self.atom_offsets, np.flatnonzero(np.isin(atoms, classes)), side="right")
            found += [f"{words} in {len(np.unique(holders))}"] * bool(classes)
        return " and ".join(found)

    def __len__(self) -> int:
        return len(self.atom_offsets) - 1

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Padded batch of these molecules, (b,) numbers from 0 or a mask: ``pos`` in network units, classes, symmetric bonds, labels.

        Raises:
            IndexError: there is no such molecule, or none is asked for.
        """
        indices = self._rows(indices)
        b, n = len(indices), int(self.sizes[indices].max())
        pos, atom, charge = np.zeros((b, n, 3), np.float32), np.zeros((b, n), np.int64), np.zeros((b, n), np.int64)
        bond = np.zeros((b, n, n), np.int64)
        lookup = np.zeros(256, np.int64)
        lookup[np.array(self.statistics.charges)] = np.arange(len(self.statistics.charges))
        row, source = _ranges(self.atom_offsets, indices)
        place = source - self.atom_offsets[indices][row]
        pos[row, place], atom[row, place], charge[row, place] = (
            self.positions[source],
            self._elements[self.atoms[source]],
            lookup[self.charges[source]],
        )
        row, source = _ranges(self.bond_offsets, indices)
        i, j, order = self.bonds[source].T
        bond[row, i, j] = bond[row, j, i] = order
        fields = {
            "pos": torch.from_numpy(pos / ANGSTROM_PER_UNIT),
            "atom": torch.from_numpy(atom),
            "charge": torch.from_numpy(charge),
            "bond": torch.from_numpy(bond),
        }
        labels = {name: torch.from_numpy(values[indices]) for name, values in self.labels.items()}
        return Batch(fields, mask_of(torch.from_numpy(self.sizes[indices]), n), labels)

    def molecule(self, index: int) -> Molecule:
        """One molecule as plain arrays, with its labels as properties; from the end where the number is below 0.

        Raises:
            IndexError: there is no such molecule.
        """
        (index,) = self._rows([index]).tolist()
        start, stop = self.atom_offsets[index], self.atom_offsets[index + 1]
        return Molecule(
            atomic_numbers=np.array(self.statistics.elements, np.int64)[self._elements[self.atoms[start:stop]]],
            positions=self.positions[start:stop].astype(np.float64),
            charges=self.charges[start:stop].astype(np.int64),
            bonds=self.bonds[self.bond_offsets[index] : self.bond_offsets[index + 1]].astype(np.int64),
            properties={name: float(values[index]) for name, values in self.labels.items()},
            implicit_hydrogens=not self.statistics.hydrogens,
        )

    def _rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Numbers of molecules as a sequence counts them, as numbers from 0."""
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ and len(rows) == len(self) else rows
        if rows.ndim != 1 or not len(rows) or rows.dtype.kind not in "iu" or not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"{self.path}: expected numbers of its {len(self)} molecules, from 0, got {indices}")
        return np.where(rows < 0, rows + len(self), rows)


def quoted(name: str) -> str:
    """The name of a label as a list in a setting takes it."""
    return name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"


def _ranges(offsets: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The records ``offsets[k]`` to ``offsets[k + 1] - 1`` of every k in ``indices``: position of k in ``indices``, its number."""
    first, count = offsets[indices], offsets[indices + 1] - offsets[indices]
    row = np.repeat(np.arange(len(indices)), count)
    return row, np.arange(len(row)) + (first - np.concatenate([[0], count.cumsum()[:-1]]))[row]
