"""The fields of a molecule and their processes.

``pos`` centred coordinates in network units of 1.5 Å, ``atom`` index into the elements of the data set, ``charge`` index into its formal
charges, ``bond`` order 0 to 3 of every unordered pair. Nowhere else do Å and network units meet.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch

from molgen.alternatives import Alternatives
from molgen.diffusion.categorical import Discrete, Marginal, Masked, Uniform
from molgen.diffusion.condition import Conditions, Scalar
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import PositionSchedule, VarianceExploding
from molgen.diffusion.space import Categorical, Centered, SymmetricCategorical
from molgen.errors import InputError
from molgen.limits import Limited, NotNegative
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.statistics import VERSION, Label, find_label, number, read_statistics

ANGSTROM_PER_UNIT = 1.5
BOND_ORDERS = 4
FAR = 1e9
LARGEST = 65_535  # atoms of a molecule in a data set
VALENCES = {1: 1, 5: 3, 6: 4, 7: 3, 8: 2, 9: 1, 14: 4, 15: 3, 16: 2, 17: 1, 32: 4, 33: 3, 34: 2, 35: 1, 50: 4, 52: 2, 53: 1}
"""Atomic number -> the usual number of bonds of the neutral atom."""

_ClassNoise = Uniform | Marginal | Masked
ClassNoise = Annotated[_ClassNoise, Alternatives(_ClassNoise)]


@dataclass(frozen=True, kw_only=True)
class MoleculeFields(Limited):
    """Which noise each field of a molecule gets.

    ``valence`` is the weight of the guidance towards closed shells and no net charge that samples get, see
    :class:`molgen.molecules.penalties.Valence`: about 2 for data of such molecules with all their hydrogens, 0 for any other. ``one_piece``
    is for data of single molecules that are large enough to fall apart (:class:`molgen.molecules.guiding.OnePiece`).
    """

    kind: Literal["molecule"] = "molecule"
    pos: PositionSchedule = VarianceExploding()
    atom: ClassNoise = Marginal()
    charge: ClassNoise = Marginal()
    bond: ClassNoise = Marginal()
    valence: NotNegative = 0.0
    one_piece: bool = False


@dataclass(frozen=True)
class Statistics:
    """What a model must know of its training data: vocabulary, class frequencies, sizes, coordinate scale, labels."""

    num_molecules: int
    elements: tuple[int, ...]
    charges: tuple[int, ...]
    sizes: Mapping[int, int]
    atom_marginal: tuple[float, ...]
    charge_marginal: tuple[float, ...]
    bond_marginal: tuple[float, ...]
    coordinate_std: float
    labels: tuple[Label, ...] = ()
    hydrogens: bool = True

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Statistics:
        """Reads the content of ``statistics.json``.

        Raises:
            ValueError: a number of it is none, or none that it can be.
        """
        elements, charges = _classes(raw, "elements", 1, len(SYMBOLS) - 1), _classes(raw, "charges", -128, 127)
        return cls(
            num_molecules=number("num_molecules", raw["num_molecules"], 0.0),
            elements=elements,
            charges=charges,
            sizes=_sizes(raw["sizes"]),
            atom_marginal=_shares(raw, "atom_marginal", len(elements)),
            charge_marginal=_shares(raw, "charge_marginal", len(charges)),
            bond_marginal=_shares(raw, "bond_marginal", BOND_ORDERS),
            coordinate_std=number("coordinate_std", raw["coordinate_std"], 0.0),
            labels=tuple(Label.from_dict(label) for label in raw["labels"]),
            hydrogens=raw["hydrogens"],
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of ``statistics.json``: the inverse of :meth:`from_dict`."""
        sizes, labels = {str(n): count for n, count in self.sizes.items()}, [label.to_dict() for label in self.labels]
        return {"version": VERSION, "domain": "molecule", **asdict(self), "sizes": sizes, "labels": labels}

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Reads a ``statistics.json``.

        Raises:
            InputError: if the file is missing, broken, of another version or not about molecules.
        """
        return read_statistics(path, "molecule", cls.from_dict)

    def label(self, name: str) -> Label:
        """The label of this name.

        Raises:
            InputError: naming the nearest labels there are.
        """
        return find_label(self.labels, name)

    @property
    def vocabulary(self) -> dict[str, tuple[int, ...]]:
        """Elements and formal charges, whose positions are the classes of the fields."""
        return {"elements": self.elements, "charges": self.charges}

    @property
    def classes(self) -> dict[str, tuple[int, ...]]:
        """What the classes of each discrete field stand for: elements, formal charges, bond orders."""
        return {"atom": self.elements, "charge": self.charges, "bond": tuple(range(BOND_ORDERS))}

    def relatives(self, field: str, name: int, known: Sequence[int]) -> list[int]:
        """Known classes from which a new one may start: elements of the same valence (else all), the nearest charges."""
        if field == "atom":
            same = [number for number in known if number in VALENCES and VALENCES[number] == VALENCES.get(name)]
            return same or list(known)
        nearest = min(abs(name - other) for other in known)
        return [other for other in known if abs(name - other) == nearest]

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions that the data can teach: their labels."""
        return tuple(label.name for label in self.labels)

    def inherit(self, source: Statistics) -> Statistics:
        """These statistics with the coordinate scale of a model's, in whose unit it sees distances.

        Raises:
            InputError: one has hydrogens as atoms, the other has not.
        """
        if self.hydrogens != source.hydrogens:
            have, need = ("with", "without") if self.hydrogens else ("without", "with")
            raise InputError(f"the data are {have} hydrogens, the model was trained {need} them; prepare the data again")
        return replace(self, coordinate_std=source.coordinate_std)

    @property
    def companions(self) -> dict[str, Path]:
        """A model of molecules needs no other network."""
        return {}

    def density(self, name: str, size: int, value: float) -> float:
        """Normal density of a label among molecules of one size, up to a constant."""
        label = self.label(name)
        count, mean, std = (label.by_size or {}).get(size, (0, label.mean, label.std))
        # few molecules of a size say little about its spread: shrink towards the whole data set
        spread = math.sqrt((count * std**2 + 10 * label.std**2) / (count + 10)) or 1.0
        far = min(abs(value - mean) / spread, FAR)  # its square has to be a number
        return math.exp(-0.5 * far**2) / spread


def _classes(raw: Mapping[str, Any], name: str, low: int, high: int) -> tuple[int, ...]:
    """Whole numbers, each once, that the classes of a field stand for."""
    found = tuple(raw[name])
    if not found or len(set(found)) < len(found) or not all(type(one) is int and low <= one <= high for one in found):
        raise ValueError(f"{name}: expected different whole numbers from {low} to {high}, got {reprlib.repr(found)}")
    return found


def _shares(raw: Mapping[str, Any], name: str, count: int) -> tuple[float, ...]:
    """How frequent each class of a field is."""
    found = tuple(number(name, one, 0.0) for one in raw[name])
    if len(found) != count or not sum(found) > 0:
        raise ValueError(f"{name}: expected {count} numbers that are not all 0, got {reprlib.repr(found)}")
    return found


def _sizes(raw: Mapping[str, Any]) -> dict[int, int]:
    """How many molecules have how many atoms."""
    found = {int(size): number(f"sizes {size}", count, 0.0) for size, count in raw.items()}
    if not any(found.values()) or not all(1 <= size <= LARGEST for size in found):
        raise ValueError(f"sizes: expected counts of molecules of 1 to {LARGEST:,} atoms, got {reprlib.repr(found)}")
    return found


def build_process(fields: MoleculeFields, statistics: Statistics) -> Joint:
    """The joint process of a molecule with the marginals and the coordinate scale of the data."""

    def discrete(noise: Uniform | Marginal | Masked, marginal: tuple[float, ...], pairs: bool) -> Discrete:
        space = SymmetricCategorical(len(marginal)) if pairs else Categorical(len(marginal))
        return Discrete(noise, space, torch.tensor(marginal, dtype=torch.float32))

    return Joint(
        {
            "pos": Gaussian(fields.pos, Centered(), max(statistics.coordinate_std, 0.1) / ANGSTROM_PER_UNIT),
            "atom": discrete(fields.atom, statistics.atom_marginal, pairs=False),
            "charge": discrete(fields.charge, statistics.charge_marginal, pairs=False),
            "bond": discrete(fields.bond, statistics.bond_marginal, pairs=True),
        }
    )


def build_conditions(names: tuple[str, ...], statistics: Statistics) -> Conditions:
    """Scalar conditions for the labels of these names."""
    labels = [statistics.label(name) for name in names]
    return Conditions(tuple(Scalar(x.name, x.mean, x.std, x.min, x.max, x.unit) for x in labels))
