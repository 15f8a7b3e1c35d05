"""Samples near a given molecule: its fields are corrupted up to a time and walked back (SDEdit, Meng et al. 2022, arXiv 2108.01073).

The time is the strength: 0 gives the molecule itself, 1 a free sample with as many atoms. Similarity falls in between, because the walk
back completes what survives the corruption: classes with probability ``kappa(t)``, structure larger than ``sigma(t)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.process import Joint
from molgen.errors import InputError
from molgen.molecules.encode import encode, own_size
from molgen.molecules.fields import Statistics
from molgen.molecules.molecule import Molecule


@dataclass(frozen=True, kw_only=True)
class Around:
    """Vary a molecule; samples have its number of atoms, their order and its frame.

    Args:
        molecule: the given molecule.
        strength: time in [0, 1] up to which it is corrupted.
        source: name of the molecule in messages.
    """

    molecule: Molecule
    strength: float = 0.5
    source: str = "molecule"

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise InputError(f"strength: expected a number from 0 to 1, got {self.strength}")

    @property
    def start(self) -> float:
        return self.strength

    def sizes(self, statistics: Statistics, wanted: Sequence[int]) -> list[int]:
        return own_size(self.molecule, statistics, wanted, self.source, "samples around it")

    def batch(self, statistics: Statistics, sizes: Sequence[int]) -> Batch:
        return encode(self.molecule, statistics, sizes)

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics, known: Batch) -> Denoiser:
        return denoiser

    def restore(self, molecule: Molecule) -> Molecule:
        if self.strength == 0:
            return replace(molecule, positions=self.molecule.positions)
        return replace(molecule, positions=molecule.positions + self.molecule.positions.mean(0))

    def failure(self, molecule: Molecule) -> str:
        return ""

    def tags(self) -> dict[str, float | int | str | bool]:
        return {"around": self.source, "strength": self.strength}
