"""Turning molecule files into packed, memory-mapped data sets."""

from molgen.molecules.prepare.labels import Labels, LabelTable, read_table
from molgen.molecules.prepare.records import Source
from molgen.molecules.prepare.run import Summary, prepare
from molgen.molecules.prepare.sources import open_source

__all__ = ["LabelTable", "Labels", "Source", "Summary", "open_source", "prepare", "read_table"]
