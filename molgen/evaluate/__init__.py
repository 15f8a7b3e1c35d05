"""Evaluation of generated molecules: any SDF or XYZ file, beside real molecules scored by the same code."""

from molgen.evaluate.run import Evaluation, Settings, evaluate
from molgen.evaluate.summary import Figure, Summary

__all__ = ["Evaluation", "Figure", "Settings", "Summary", "evaluate"]
