"""Sampling: a request and a model make molecules."""

from molgen.sample.device import find_device
from molgen.sample.loading import load
from molgen.sample.model import Model, Vain
from molgen.sample.request import Request, Tally, draw_seed, size_probabilities

__all__ = ["Model", "Request", "Tally", "Vain", "draw_seed", "find_device", "load", "size_probabilities"]
