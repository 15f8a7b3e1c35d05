"""From noise in Å to the time of a process."""

import torch

from molgen.diffusion.gaussian import sole_gaussian
from molgen.diffusion.process import Joint
from molgen.molecules.fields import ANGSTROM_PER_UNIT


def time_at(process: Joint, noise: float) -> float:
    """The time at which the noise of coordinates, relative to the signal, has this deviation in Å; 1 where it never has."""
    _, gaussian = sole_gaussian(process)
    return float(gaussian.schedule.time(torch.tensor(noise / ANGSTROM_PER_UNIT, dtype=torch.float64)).clamp(max=1))
