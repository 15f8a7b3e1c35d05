"""Samples near a given molecule: its fields are corrupted up to a time and walked back (SDEdit, Meng et al. 2022, arXiv 2108.01073).

Strength 0 gives the molecule itself, 1 a free sample with as many atoms. In between the walk back completes what survives the corruption:
classes with probability ``kappa(t)``, structure larger than the noise of coordinates. The graph is lost while that noise grows from 0.4
to 0.8 Å, whatever a schedule makes of time; time itself, or noise on a linear scale, would be a cliff. So strength is read off a measured
curve:

    strength = 1 - (T(sigma) + S(sigma)) / 2,

where T and S are the mean Tanimoto and shape similarity to the molecule after a start at the noise sigma, both from 1 without noise to 0
for free samples. `NOISE` holds sigma at strengths 0, 0.1, ... 1 (benchmarks/quality_vary.py prints it); in between
``sigma / (1 Å + sigma)``, which is finite for free samples, is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.process import Joint
from molgen.domain import Constraint
from molgen.molecules.constraints.clock import time_at
from molgen.molecules.constraints.sound import strained
from molgen.molecules.encode import check_molecule, encode, own_size
from molgen.molecules.fields import Statistics
from molgen.molecules.molecule import Molecule
from molgen.strength import check_strength, noise_at
from molgen.tags import Value

NOISE = (0.0, 0.159, 0.353, 0.451, 0.524, 0.58, 0.653, 0.679, 0.753, 0.81, math.inf)
"""Deviation (Å) of the noise of coordinates at the start, for strengths in steps of a tenth."""


def noise_of(strength: float) -> float:
    """Deviation (Å) of the noise of coordinates at the start: 0 for strength 0, infinite for 1."""
    return noise_at(strength, NOISE)


@dataclass(frozen=True, kw_only=True)
class Around(Constraint):
    """Vary a molecule; samples have its number of atoms, their order and its frame.

    Args:
        molecule: the given molecule.
        strength: from 0, the molecule itself, to 1, a free sample; see :func:`noise_of`.
        source: name of the molecule in messages.
    """

    molecule: Molecule
    strength: float = 0.5
    source: str = "molecule"

    def __post_init__(self) -> None:
        check_molecule(self.molecule)
        check_strength(self.strength)

    def start(self, process: Joint) -> float:
        return time_at(process, noise_of(self.strength))

    def restarts(self, process: Joint) -> Sequence[float]:
        return ()

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
        return strained(molecule) if self.strength else ""

    def tags(self) -> dict[str, Value]:
        return {"around": self.source, "strength": self.strength, "given": self.molecule.digest()}
