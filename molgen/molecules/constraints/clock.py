"""From noise in Å to the time of a process."""

import torch

from molgen.diffusion.process import Joint
from molgen.molecules.fields import ANGSTROM_PER_UNIT


def time_at(process: Joint, noise: float) -> float:
    """The time at which the noise of coordinates, relative to the signal, has this deviation in Å; 1 where it never has."""
    gaussian = process.clock
    ratio, most = noise / ANGSTROM_PER_UNIT, float(gaussian.ratio(torch.ones(1, dtype=torch.float64)))
    return 1.0 if ratio >= most else float(gaussian.schedule.time(torch.tensor(ratio, dtype=torch.float64)).clamp(max=1))
