"""Data for a model that is there: what it cannot represent is rejected."""

from dataclasses import dataclass

from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.vocabulary import Vocabulary
from molgen.preparation import Rejected


@dataclass(frozen=True)
class Fit:
    """What a model can represent.

    Args:
        name: Of the model, as reasons call it.
        vocabulary: Its own.
    """

    name: str
    vocabulary: Vocabulary

    @classmethod
    def of(cls, name: str, known: object) -> "Fit":
        """That of a model with these statistics.

        Raises:
            InputError: It is not one of molecules.
        """
        from molgen.molecules.fields import Statistics

        if not isinstance(known, Statistics):
            raise InputError(f"--for {name}: is no model of molecules; leave it out, or give the name of one")
        return cls(name, Vocabulary.of(known))

    def describe(self) -> dict[str, object]:
        """The same as plain values, for the card."""
        own = self.vocabulary
        known = {"elements": sorted(own.elements), "charges": sorted(own.charges)}
        return {"model": self.name, **known, "atoms": own.largest, "hydrogens": own.hydrogens}

    def check(self, mol: Chem.Mol) -> None:
        """Reject what the model cannot represent.

        Raises:
            Rejected: Naming the elements or charges that it lacks, or its number of atoms.
        """
        own = self.vocabulary
        atoms = [atom for atom in mol.GetAtoms() if own.hydrogens or atom.GetAtomicNum() != 1]
        if lacking := own.lacking((atom.GetAtomicNum() for atom in atoms), (atom.GetFormalCharge() for atom in atoms)):
            raise Rejected(f"has {lacking}, which the model {self.name} lacks")
        if len(atoms) > own.largest:
            raise Rejected(f"more than {own.largest} atoms, the most of the model {self.name}")
