"""Constraints on samples: keep a part of a molecule, stay near one, keep its graph. Each implements :class:`molgen.domain.Constraint`."""

from molgen.molecules.constraints.around import Around
from molgen.molecules.constraints.conformers import Conformers
from molgen.molecules.constraints.keep import Keep

__all__ = ["Around", "Conformers", "Keep"]
