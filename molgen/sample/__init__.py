"""Sampling: a request and a model make molecules or shapes."""

from molgen.sample.kept import Vain
from molgen.sample.loading import load
from molgen.sample.model import Model
from molgen.sample.modes import find_device
from molgen.sample.request import Request, Tally, draw_seed, size_probabilities
from molgen.sample.walker import Draw

__all__ = ["Draw", "Model", "Request", "Tally", "Vain", "draw_seed", "find_device", "load", "size_probabilities"]
