"""Turning molecule files into packed, memory-mapped data sets."""

from molgen.molecules.prepare.labels import Labels
from molgen.molecules.prepare.run import Summary, prepare

__all__ = ["Labels", "Summary", "prepare"]
