"""Data for a model that is there: what it cannot represent is rejected."""

from dataclasses import dataclass

from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.preparation import Rejected


@dataclass(frozen=True)
class Fit:
    """What a model can represent.

    Args:
        name: Of the model, as reasons call it.
        elements: Atomic numbers.
        charges: Formal charges.
        largest: Most atoms.
        hydrogens: Whether hydrogens are atoms to it.
    """

    name: str
    elements: frozenset[int]
    charges: frozenset[int]
    largest: int
    hydrogens: bool

    @classmethod
    def of(cls, name: str, known: object) -> "Fit":
        """That of a model with these statistics.

        Raises:
            InputError: It is not one of molecules.
        """
        from molgen.molecules.fields import Statistics

        if not isinstance(known, Statistics):
            raise InputError(f"--for {name}: is no model of molecules; leave it out, or give the name of one")
        return cls(name, frozenset(known.elements), frozenset(known.charges), max(known.sizes), known.hydrogens)

    def describe(self) -> dict[str, object]:
        """The same as plain values, for the card."""
        vocabulary = {"elements": sorted(self.elements), "charges": sorted(self.charges)}
        return {"model": self.name, **vocabulary, "atoms": self.largest, "hydrogens": self.hydrogens}

    def check(self, mol: Chem.Mol) -> None:
        """Reject what the model cannot represent.

        Raises:
            Rejected: Naming the elements or charges that it lacks, or its number of atoms.
        """
        atoms = [atom for atom in mol.GetAtoms() if self.hydrogens or atom.GetAtomicNum() != 1]
        if elements := {atom.GetAtomicNum() for atom in atoms} - self.elements:
            raise Rejected(f"has {', '.join(SYMBOLS[number] for number in sorted(elements))}, which the model {self.name} lacks")
        if charges := {atom.GetFormalCharge() for atom in atoms} - self.charges:
            told = ", ".join(f"{charge:+d}" for charge in sorted(charges))
            raise Rejected(f"has the charge {told}, which the model {self.name} lacks")
        if len(atoms) > self.largest:
            raise Rejected(f"more than {self.largest} atoms, the most of the model {self.name}")
