"""Completion: clouds that contain a given part.

The denoiser is made certain of the given part (:mod:`molgen.diffusion.inpaint`), and every sampler generates the rest around it. What
holds a part is for the domain to say: see :mod:`molgen.shapes.part`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch

from molgen.diffusion.noise import PerSampleNoise
from molgen.domain import Clouds
from molgen.errors import InputError
from molgen.sample.gradients import without_gradients
from molgen.sample.model import Model
from molgen.sample.request import Request


def complete(model: Model, given: np.ndarray, num: int, request: Request) -> Iterator[np.ndarray]:
    """``num`` clouds (n, 3), one by one, whose first k points are the given ones (k, 3), in the unit of the model.

    Sizes of the request say how many points a cloud has; steps, seed, properties and guidance are those of any sample.

    Raises:
        InputError: if the request makes no sense, nothing is left to generate, the given points do not fit the model's unit, or the model
            is not one of clouds.
    """
    return without_gradients(_complete(model, given, num, request))


def _complete(model: Model, given: np.ndarray, num: int, request: Request) -> Iterator[np.ndarray]:
    if not isinstance(model.domain, Clouds):
        raise InputError(f"{model.checkpoint.name}: only clouds of points can be completed; use a model of shapes")
    model.warnings(request)
    sizes, seeds = model.plan(request, range(num))
    if min(sizes) <= len(given):
        raise InputError(f"{len(given)} points are given and {min(sizes)} asked for: nothing is left to generate; ask for more points")
    if np.linalg.norm(given - given.mean(0), axis=-1).max() > 2:
        raise InputError("the given points span more than the unit sphere of the training shapes; scale them to the unit of the samples")
    known, process = torch.from_numpy(given).to(model.device), model.denoiser.process
    statistics, sampler = model.checkpoint.statistics, model.checkpoint.experiment.sampler
    for size, seed in zip(sizes, seeds, strict=True):
        like = model.domain.empty([size], statistics).to(model.device)
        part = model.domain.part(known, size, statistics)
        denoiser = part.guide(model.guided(request), process, like)
        walk = sampler.walk(denoiser, process, like, model.condition(request, [seed]), PerSampleNoise([seed]), request.steps)
        (last,) = deque(walk, maxlen=1)
        yield part.finish(last.batch)
