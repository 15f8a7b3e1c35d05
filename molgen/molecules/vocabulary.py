"""What a model knows of molecules: elements, formal charges, and the most atoms of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.molecule import Molecule

if TYPE_CHECKING:
    from molgen.molecules.fields import Statistics


@dataclass(frozen=True)
class Vocabulary:
    """What a model can represent.

    Args:
        elements: atomic numbers.
        charges: formal charges.
        largest: most atoms.
        hydrogens: whether hydrogens are atoms to it.
    """

    elements: frozenset[int]
    charges: frozenset[int]
    largest: int
    hydrogens: bool = True

    @classmethod
    def of(cls, statistics: Statistics) -> Vocabulary:
        """That of a model with these statistics."""
        return cls(frozenset(statistics.elements), frozenset(statistics.charges), max(statistics.sizes), statistics.hydrogens)

    def lacking(self, elements: Iterable[int], charges: Iterable[int]) -> str:
        """In words, those of these elements that it lacks, or else those of these charges; empty where it has them all."""
        if numbers := set(elements) - self.elements:
            return ", ".join(SYMBOLS[number] for number in sorted(numbers))
        unknown = ", ".join(f"{charge:+d}" for charge in sorted(set(charges) - self.charges))
        return f"the charge {unknown}" if unknown else ""

    def holds(self, molecule: Molecule) -> bool:
        """Whether it has the elements and charges of a molecule, and molecules as large."""
        return len(molecule) <= self.largest and not self.lacking(molecule.atomic_numbers.tolist(), molecule.charges.tolist())
