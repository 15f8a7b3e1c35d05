"""Training with Lightning. Needs neither rdkit nor trimesh.

Everything random in step g is a function of (seed, g): the batch, the times, the noise, the dropped conditions. A run that resumes at
step g therefore sees what an uninterrupted run would have seen, and with the restored weights, averages and optimiser has the same losses.
"""

from molgen.train.data import DataModule
from molgen.train.module import Module
from molgen.train.run import fit
from molgen.train.stream import split_validation

__all__ = ["DataModule", "Module", "fit", "split_validation"]
