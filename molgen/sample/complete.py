"""Completion: clouds that contain a given part.

The denoiser is made certain of the given points: their predicted places are replaced by the given ones, so that every sampler keeps them
at ``x0 + r eps`` while the rest is generated around them (replacement, Lugmayr et al. 2022, arXiv 2201.09865). The centre of the whole
cloud is unknown until it is there, so the given points move rigidly, by translation alone, to where the prediction has their mean; at the
end the cloud is moved back and the given points are what was given, to the bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.gaussian import sole_gaussian
from molgen.diffusion.guidance import ClassifierFree
from molgen.diffusion.noise import PerSampleNoise
from molgen.errors import InputError
from molgen.sample.model import Model
from molgen.sample.request import Request
from molgen.types import Float, PerSample, Positions, Prediction, Tensor


@dataclass(frozen=True)
class Containing:
    """A denoiser whose first points are given up to a translation.

    Args:
        denoiser: predicts the rest.
        given: (k, 3) clean positions of the first k points of every sample.
        field: name of the field of positions.
    """

    denoiser: Denoiser
    given: Float[Tensor, "k 3"]
    field: str = "pos"

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        prediction = self.denoiser(batch, t, condition, previous)
        return {**prediction, self.field: insert(prediction[self.field], self.given)}


def insert(positions: Positions, given: Float[Tensor, "k 3"]) -> Positions:
    """The first k points replaced by the given ones, moved so that their mean, and that of all points, stays."""
    count = len(given)
    first = positions[:, :count]
    moved = given + (first - given).mean(1, keepdim=True)
    return torch.cat([moved, positions[:, count:]], 1)


def complete(model: Model, given: np.ndarray, num: int, request: Request) -> Iterator[np.ndarray]:
    """``num`` clouds (n, 3), one by one, whose first k points are the given ones (k, 3), in the unit of the model.

    Sizes of the request say how many points a cloud has; steps, seed, properties and guidance are those of any sample.

    Raises:
        InputError: if nothing is left to generate, the given points do not fit the model's unit, or it has fields other than coordinates.
    """
    process = model.denoiser.process
    if len(process.processes) > 1:
        raise InputError("completion needs a model of points alone")
    name, _ = sole_gaussian(process)
    sizes, seeds = model.plan(request, range(num))
    if min(sizes) <= len(given):
        raise InputError(f"{len(given)} points are given and {min(sizes)} asked for: nothing is left to generate; ask for more points")
    if np.linalg.norm(given - given.mean(0), axis=-1).max() > 2:
        raise InputError("the given points span more than the unit sphere of the training shapes; scale them to the unit of the samples")
    known = torch.from_numpy(given).to(model.device, torch.float32)
    values = {key: model.denoiser.conditions[key].read(value) for key, value in request.properties.items()}  # type: ignore[arg-type]
    for size, seed in zip(sizes, seeds, strict=True):
        like = model.domain.empty([size], model.checkpoint.statistics).to(model.device)
        condition = {key: torch.tensor([value], device=model.device) for key, value in values.items()}
        denoiser = Containing(ClassifierFree(model.denoiser, request.guidance), known, name)
        sampler = model.checkpoint.experiment.sampler
        with torch.no_grad():
            (last,) = deque(sampler.walk(denoiser, process, like, condition, PerSampleNoise([seed]), request.steps), maxlen=1)
        cloud = last.batch[name][0].double().cpu().numpy()
        cloud += (given - cloud[: len(given)]).mean(0)
        yield np.concatenate([given, cloud[len(given) :]])
