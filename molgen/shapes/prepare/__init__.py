"""Turning meshes and point clouds into packed, memory-mapped data sets."""

from molgen.shapes.prepare.meshes import loose_files, other_files
from molgen.shapes.prepare.records import Source
from molgen.shapes.prepare.run import Summary, prepare
from molgen.shapes.prepare.sources import open_source

__all__ = ["Source", "Summary", "loose_files", "open_source", "other_files", "prepare"]
