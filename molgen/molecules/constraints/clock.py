"""From noise in Å to the time of a process."""

from molgen.diffusion.process import Joint
from molgen.molecules.fields import ANGSTROM_PER_UNIT


def time_at(process: Joint, noise: float) -> float:
    """The time at which the noise of coordinates, relative to the signal, has this deviation in Å; 1 where it never has."""
    return process.clock.time_at(noise / ANGSTROM_PER_UNIT)
