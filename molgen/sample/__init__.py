"""Sampling: a request and a model make molecules."""

from molgen.sample.model import Model, find_device, load
from molgen.sample.request import FOUND, Constraint, Request, Tally, draw_seed, size_probabilities

__all__ = ["FOUND", "Constraint", "Model", "Request", "Tally", "draw_seed", "find_device", "load", "size_probabilities"]
