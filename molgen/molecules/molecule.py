"""The molecule as plain arrays: what goes into a data set and what comes out of a sampler.

Bonds are Kekulé bonds with integer orders and every hydrogen is an atom, so that valences are sums of integers; a molecule from a data set
prepared without hydrogens says so, and its open valences count as hydrogens. RDKit is imported only when a conversion is asked for.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from molgen.counting import counted
from molgen.errors import InputError, check_whole, got
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.values import plain
from molgen.tags import Value, same_tags

if TYPE_CHECKING:
    from rdkit import Chem


HEAVIEST = 118
_KINDS = (("atomic_numbers", "iu"), ("positions", "f"), ("charges", "iu"), ("bonds", "iu"))
"""Arrays and the numpy kinds of their numbers."""
SHOWN = 6
"""Properties that a molecule names where it is printed."""
LABELS = "isotope labels are not kept"
"""What warnings tell."""


@dataclass(frozen=True, eq=False, repr=False)
class Molecule:
    """Atoms, coordinates, formal charges and bonds of one molecule.

    Args:
        atomic_numbers: (n,) int64.
        positions: (n, 3) float64, Å.
        charges: (n,) int64 formal charges, e.
        bonds: (m, 3) int64 rows ``i, j, order`` with ``i < j`` and order 1, 2 or 3.
        properties: named values, written as SD tags; `title` is the name, the first line of a record.
        implicit_hydrogens: hydrogens are no atoms; an open valence is a hydrogen, not an unpaired electron.

    Lists, and arrays of other numbers, become such arrays. Molecules are equal where all of this is exactly, atoms and bonds in this order;
    NaN equals itself, and so do properties without a value (None, NaN, NA of pandas), which files leave out. Copies have properties of
    their own. In a notebook a molecule shows its structure.

    Raises:
        InputError: arrays that do not fit each other, other atomic numbers than 1 to 118, or bonds that are double, of another order, or of
            atoms that are not there.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    charges: np.ndarray
    bonds: np.ndarray
    properties: dict[str, Value] = field(default_factory=dict)
    implicit_hydrogens: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", {**self.properties})
        for name, kinds in _KINDS:
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
                object.__setattr__(self, name, _array(name, value, kinds))
        n = len(self.atomic_numbers) if self.atomic_numbers.ndim else 0
        expected = {"atomic_numbers": (n,), "positions": (n, 3), "charges": (n,), "bonds": (*self.bonds.shape[:1], 3)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"{name}: expected an array {shape} for {n} atoms, got {getattr(self, name).shape}")
        numbers, bonds = self.atomic_numbers.tolist(), self.bonds.tolist()
        if n and not (min(numbers) >= 1 and max(numbers) <= HEAVIEST):
            place, number = next((place, number) for place, number in enumerate(numbers) if not 1 <= number <= HEAVIEST)
            raise InputError(f"atomic_numbers[{place}]: expected 1 to {HEAVIEST}, got {number}")
        sound = {(i, j) if i < j else (j, i) for i, j, order in bonds if i != j and 0 <= i < n and 0 <= j < n and 1 <= order <= 3}
        if len(sound) < len(bonds):
            _refuse(bonds, n)

    def __len__(self) -> int:
        return len(self.atomic_numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Molecule):
            return NotImplemented
        same = all(np.array_equal(getattr(self, name), getattr(other, name), equal_nan=kinds == "f") for name, kinds in _KINDS)
        ours, theirs = ({name: plain(value) for name, value in one.properties.items()} for one in (self, other))
        return same and self.implicit_hydrogens == other.implicit_hydrogens and same_tags(ours, theirs)

    def __hash__(self) -> int:
        places = np.nan_to_num(self.positions.astype(np.float64)) + 0.0  # -0 is 0
        return hash((tuple(self.atomic_numbers.tolist()), tuple(self.charges.tolist()), places.tobytes(), len(self.bonds)))

    def __copy__(self) -> Molecule:
        return replace(self)

    def __repr__(self) -> str:
        n, charge, names = len(self), int(self.charges.sum()), [*self.properties]
        parts = [_formula(self.atomic_numbers.tolist())] * bool(n) + [counted(n, "atom")]
        parts += [f"charge {charge:+d}"] * bool(charge) + ["implicit hydrogens"] * self.implicit_hydrogens
        more = f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
        parts += [f"properties: {', '.join(names[:SHOWN])}{more}"] * bool(names)
        return f"Molecule({', '.join(parts)})"

    def _repr_svg_(self) -> str | None:
        from molgen.molecules.drawing import draw

        return draw(self) or None

    def take(self, indices: np.ndarray | Sequence[int] | Sequence[bool]) -> Molecule:
        """The molecule of some atoms, with the bonds among them, sorted, and the properties.

        Args:
            indices: (k,) whole numbers from 0, the atoms in this order, negative ones from the end; or (n,) booleans, True for each.

        Raises:
            InputError: something else, an atom that is not there, or one twice.
        """
        indices = _indices(indices, len(self))
        place = np.full(len(self), -1)
        place[indices] = np.arange(len(indices))
        ends = np.sort(place[self.bonds[:, :2]], axis=1)
        bonds = np.column_stack([ends, self.bonds[:, 2]])[(ends >= 0).all(1)]
        arrays = {name: getattr(self, name)[indices] for name in ("atomic_numbers", "positions", "charges")}
        return replace(self, **arrays, bonds=bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))])

    def digest(self, *more: object) -> str:
        """Eight hexadecimal digits that differ where atoms, coordinates, charges, bonds, or ``more`` as Python writes it, do."""
        content = [np.ascontiguousarray(a).tobytes() for a in (self.atomic_numbers, self.positions, self.charges, self.bonds)]
        return hashlib.blake2b(b"/".join([*content, repr(more).encode()]), digest_size=4).hexdigest()

    def to_rdkit(self, sanitize: bool = False) -> Chem.Mol:
        """RDKit molecule with one 3D conformer, hydrogens as they are here, the title as `_Name` and the other properties as SD tags.

        Properties without a value (None, NaN, NA of pandas) are left out, and so is one whose name is the empty text, which RDKit has no
        place for.

        Raises:
            rdkit.Chem.MolSanitizeException: with ``sanitize`` if RDKit refuses the molecule (valence, kekulisation).
            ValueError: the bonds of an atom have more orders together than RDKit counts, as of a draw that is no molecule at all.
        """
        from molgen.molecules.convert import to_rdkit

        return to_rdkit(self, sanitize)

    def to_smiles(self) -> str:
        """Canonical SMILES with stereo from the geometry, what `.smi` files hold.

        Hydrogens are atoms of it only where they tell the stereo of a double bond (imines).

        Of a molecule that RDKit refuses it is the SMILES of its atoms and bonds as they are, with hydrogens.
        """
        from molgen.molecules.convert import to_smiles

        return to_smiles(self)

    @classmethod
    def from_smiles(cls, smiles: str, seed: int = 0) -> Molecule:
        """The molecule of a SMILES with hydrogens and one conformer (ETKDG, relaxed with MMFF94): its atoms, then the hydrogens.

        The same SMILES and seed give the same coordinates. Stereocentres without a mark come out either way. Isotope labels are not kept,
        of which a warning tells.

        Raises:
            InputError: RDKit cannot read it, it holds no atom, a `*` or more than one molecule, or no conformer is found.
        """
        from molgen.molecules.embed import unmarked

        check_whole("seed", seed)
        molecule, labelled = unmarked(smiles, int(seed))
        if labelled:
            warnings.warn(f"{smiles}: {LABELS}", stacklevel=2)
        return molecule

    @classmethod
    def from_rdkit(cls, mol: Chem.Mol, conformer: int = -1) -> Molecule:
        """Arrays of an RDKit molecule with a 3D conformer and explicit hydrogens; aromatic bonds are kekulised, isotopes not kept.

        Its `_Name` becomes the property `title`; texts of its properties become numbers by the rule of :func:`molgen.read_sdf`. A warning
        tells of isotope labels, and of further conformers where none was chosen.

        Args:
            mol: of RDKit.
            conformer: RDKit's id of the conformer to take; -1 is the first.

        Raises:
            InputError: without a 3D conformer, or without one of this id, with implicit hydrogens, or with bonds that are not single,
                double or triple.
        """
        from molgen.molecules.convert import from_rdkit, has_isotopes

        molecule = from_rdkit(mol, conformer)
        if conformer == -1 and mol.GetNumConformers() > 1:
            ways = "choose by conformer=ID, or take all: [Molecule.from_rdkit(mol, one.GetId()) for one in mol.GetConformers()]"
            warnings.warn(f"the first of {mol.GetNumConformers()} conformers is taken; {ways}", stacklevel=2)
        if has_isotopes(mol):
            warnings.warn(f"the molecule of RDKit: {LABELS}", stacklevel=2)
        return molecule

    @staticmethod
    def to_conformers(molecules: Iterable[Molecule]) -> Chem.Mol:
        """One RDKit molecule with a conformer of each of these, in their order, as :meth:`to_rdkit` makes one.

        The title and the properties are those that all of them have alike; bonds may come in any order.

        Args:
            molecules: one or more with the same atoms, in the same order, and the same bonds.

        Raises:
            InputError: none, something else, or other atoms or bonds; names the first that differs.
        """
        from molgen.molecules.convert import to_conformers

        return to_conformers(molecules)


def _formula(numbers: list[int]) -> str:
    """Elements and how many there are of each, in Hill's order: with carbon, C and H come first."""
    counts = Counter(SYMBOLS[number] for number in numbers)
    first = ("C", "H") if "C" in counts else ()
    ordered = sorted(counts, key=lambda symbol: (symbol not in first, symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in ordered)


def _array(name: str, value: Any, kinds: str) -> np.ndarray:
    """Numbers of any origin as the array of a molecule.

    Raises:
        InputError: they are no numbers, or fractions where whole ones are expected.
    """
    dtype = np.float64 if kinds == "f" else np.int64
    try:
        found = np.asarray(value)
        array = found.astype(dtype) if found.dtype.kind in "iuf" else np.zeros(found.shape, dtype)
        sound = found.dtype.kind in "iuf" or not found.size
        sound = sound and bool((array == found).all() or dtype == np.float64)
    except (TypeError, ValueError):  # rows of different lengths
        sound = False
    if not sound:
        what = "numbers" if kinds == "f" else "whole numbers"
        raise InputError(f"{name}: expected an array of {what}, got {got(value)}")
    return array.reshape(-1, 3) if name in ("positions", "bonds") and array.shape == (0,) else array


def _indices(given: Any, n: int) -> np.ndarray:
    """Whole numbers (k,) of atoms, or a mask (n,) of them, as numbers from 0.

    Raises:
        InputError: something else, an atom that is not there, or one twice.
    """
    array = np.asarray(given)
    array = array.astype(np.int64) if not array.size and array.dtype.kind == "f" else array  # an empty list
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise InputError(f"indices: expected whole numbers of atoms from 0, or {n} booleans, got {got(given)}")
    if array.dtype.kind == "b":
        if len(array) != n:
            raise InputError(f"indices: expected {n} booleans, one for each atom, got {len(array)}")
        return np.flatnonzero(array)
    strays = array[(array < -n) | (array >= n)]
    if strays.size:
        raise InputError(f"indices: expected atoms 0 to {n - 1}, got {strays[0]}")
    found = np.where(array < 0, array + n, array).astype(np.int64)
    numbers, counts = np.unique(found, return_counts=True)
    if len(numbers) < len(found):
        raise InputError(f"indices: atom {numbers[counts > 1][0]} is named twice; name each once")
    return found


def _refuse(bonds: list[list[int]], n: int) -> NoReturn:
    """Says which row of bonds between n atoms is not sound.

    Raises:
        InputError: always.
    """
    seen = set[frozenset[int]]()
    for row, (i, j, order) in enumerate(bonds):
        if not (0 <= i < n and 0 <= j < n):
            raise InputError(f"bonds[{row}]: expected atoms 0 to {n - 1}, got {i} and {j}")
        if i == j:
            raise InputError(f"bonds[{row}]: joins atom {i} to itself; leave it out")
        if order not in (1, 2, 3):
            raise InputError(f"bonds[{row}]: expected an order of 1, 2 or 3, got {order}; give aromatic bonds as single and double ones")
        if {i, j} in seen:
            raise InputError(f"bonds[{row}]: atoms {i} and {j} are bonded twice; keep one row with the order")
        seen.add(frozenset((i, j)))
    raise AssertionError(bonds)
