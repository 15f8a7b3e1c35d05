"""Turning molecule files into packed, memory-mapped data sets."""

from molgen.molecules.prepare.labels import Labels, LabelTable, read_table
from molgen.molecules.prepare.records import Chunk, Entry, Source
from molgen.molecules.prepare.run import Summary, prepare
from molgen.molecules.prepare.sources import open_source
from molgen.preparation import Rejected

__all__ = ["Chunk", "Entry", "LabelTable", "Labels", "Rejected", "Source", "Summary", "open_source", "prepare", "read_table"]
