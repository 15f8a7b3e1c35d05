"""Interpolation: from one given cloud of points to another through the noise that the model sees in them.

The deterministic flow ``dz/dr = (z - D) / r`` runs both ways. Run upwards it takes a given cloud x to the noise eps from which the model
would make x; noise of two clouds, whose nodes are paired by an assignment of least squared distance, is mixed along the great circle

    eps(w) = (sin((1 - w) phi) eps_a + sin(w phi) eps_b) / sin(phi),    cos(phi) = eps_a.eps_b / (|eps_a| |eps_b|)

field by field, so that its norm stays that of noise, and run down again (Song et al. 2021, arXiv 2010.02502, section 5.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from molgen.batch import Batch
from molgen.diffusion.field import expand
from molgen.diffusion.noise import SharedNoise
from molgen.domain import require
from molgen.errors import InputError
from molgen.sample.model import Model
from molgen.sample.modes import undisturbed
from molgen.shapes.shape import Shape
from molgen.types import Float, Tensor

LARGEST_PAIRING = 8192  # nodes: a minute, and half a gigabyte
LARGEST_CHUNK = 64  # clouds that flow together
SMALLEST_RATIO = 0.01  # noise below which the flow of a given cloud starts, in units of its deviation


def interpolate(model: Model, first: np.ndarray, second: np.ndarray, num: int, steps: int | None = None) -> Iterator[np.ndarray]:
    """``num`` clouds (n, 3), one by one, on the way from one given cloud to another, both (n, 3) in the unit of the model.

    The ends are reconstructions. Takes about ``steps`` network calls (by default 30) up and as many down.

    Raises:
        InputError: if the clouds have different numbers of points or too many, or points that are not finite or mostly copies, the model is
            not one of clouds, or a cloud on the way fails the check.
    """
    return undisturbed(_interpolate(model, first, second, num, model.domain.steps if steps is None else steps), model.device.type)


def _interpolate(model: Model, first: np.ndarray, second: np.ndarray, num: int, steps: int) -> Iterator[np.ndarray]:
    if first.shape != second.shape or first.ndim != 2:
        raise InputError(f"expected two clouds of as many points, got {len(first)} and {len(second)}; give --points to draw that many")
    require("shapes", model.domain, model.checkpoint.name, "interpolation")
    statistics = model.checkpoint.statistics
    ends = model.domain.encode([Shape(first), Shape(second)], statistics)
    process = model.denoiser.process
    name, gaussian = process.position, process.clock
    places = ends[name].double().numpy()
    if places.shape[1] > LARGEST_PAIRING:
        raise InputError(f"{places.shape[1]} points: at most {LARGEST_PAIRING} can be paired; give --points {LARGEST_PAIRING} or fewer")
    partner = linear_sum_assignment(cdist(places[0], places[1], "sqeuclidean"))[1]
    paired = {key: torch.stack([value[0], value[1][partner]]) if value.dim() > 2 else value for key, value in ends.fields.items()}
    ends = Batch(paired, ends.mask).to(model.device)
    low = gaussian.time_at(SMALLEST_RATIO * gaussian.data_std)
    up = torch.linspace(low, 1, steps // 2 + 2, dtype=torch.float64)
    noise = _flow(model, ends, up)
    weights = torch.linspace(0, 1, num, device=model.device)
    down = torch.cat([up.flip(0)[:-1], torch.zeros(1, dtype=torch.float64)])
    size = max(1, min(LARGEST_CHUNK, model.domain.pairs_per_batch // len(first) ** 2))
    for start in range(0, num, size):
        chunk = weights[start : start + size]
        like = model.domain.empty([len(first)] * len(chunk), statistics).to(model.device)
        mixed = Batch({key: slerp(value[0], value[1], chunk) for key, value in noise.fields.items()}, like.mask, like.labels)
        for number, shape in enumerate(model.domain.decode(_flow(model, mixed, down), statistics), start + 1):
            if reason := model.domain.check(shape).reason:
                raise InputError(f"shape {number} of {num} on the way fails the check ({reason}); take more steps, or give other clouds")
            yield shape.points


def slerp(a: Float[Tensor, "*n k"], b: Float[Tensor, "*n k"], weights: Float[Tensor, "w"]) -> Float[Tensor, "w *n k"]:
    """Points on the great circle from ``a`` to ``b``, with lengths interpolated linearly."""
    lengths = a.norm(), b.norm()
    cosine = (a * b).sum() / (lengths[0] * lengths[1])
    angle = torch.arccos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    w = expand(weights, a.unsqueeze(0))
    unit = (torch.sin((1 - w) * angle) * a / lengths[0] + torch.sin(w * angle) * b / lengths[1]) / torch.sin(angle)
    return unit * ((1 - w) * lengths[0] + w * lengths[1])


def _flow(model: Model, batch: Batch, times: Float[Tensor, "steps"]) -> Batch:
    """Follows the deterministic flow along these times, up or down, by trapezoidal steps (Karras et al. 2022, algorithm 1).

    Guesses are not conditioned on earlier ones, which differ on the way up and down: only then do both ways meet.
    """
    process = model.denoiser.process
    for now, then in pairwise(times.tolist()):
        t, s = (torch.full((len(batch),), time, device=batch.mask.device) for time in (now, then))
        first = model.denoiser(batch, t, {})
        trial = process.reverse(batch, first, t, s, SharedNoise(), 0.0)
        if then == 0:
            return trial
        second = model.denoiser(trial, s, {})
        batch = process.reverse(batch, process.correct(first, second, t, s), t, s, SharedNoise(), 0.0)
    return batch
