"""Turning molecule files into packed, memory-mapped data sets."""

from molgen.molecules.prepare.labels import Labels, read_table
from molgen.molecules.prepare.records import Source
from molgen.molecules.prepare.run import Split, Summary, prepare, whole
from molgen.molecules.prepare.sources import open_source
from molgen.molecules.prepare.split import by_fraction, by_record

__all__ = ["Labels", "Source", "Split", "Summary", "by_fraction", "by_record", "open_source", "prepare", "read_table", "whole"]
