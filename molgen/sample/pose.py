"""Which axis of a cloud points up, as a model of shapes believes: a cloud in a pose that it knows is denoised better than in others.

The cloud is turned to every axis up and to four fronts each, some noise is put on all of them, the same, and the loss of the prediction
compared (benchmarks/quality_pose.py measures how often that is right). Models that do not care how shapes lie see no difference.
"""

import numpy as np
import torch

from molgen.diffusion.noise import PerSampleNoise
from molgen.errors import InputError
from molgen.sample.model import Model
from molgen.sample.modes import own_modes
from molgen.shapes.fields import Axis, turning
from molgen.shapes.latent import DETAIL
from molgen.shapes.shape import Shape
from molgen.types import Float

NOISE = 0.07
"""Deviation of the noise, in units of the deviation of the data."""
DRAWS = 2  # of the noise
CLEARLY = 0.85
"""Loss of another pose, as a share of that of the given one, from which down it is told."""


def poses(up: Axis) -> dict[str, list[Float[np.ndarray, "3 3"]]]:
    """For every axis, "-x" and the like included, the rotations that turn it to ``up``, one for each of four fronts."""
    found, upright = {}, turning("z", up)
    quarter, over = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.diag([1.0, -1, -1])  # about z, and about x
    for axis in ("x", "y", "z"):
        for name, turned in ((axis, turning(axis, "z")), (f"-{axis}", over @ turning(axis, "z"))):
            found[name] = [upright @ np.linalg.matrix_power(quarter, k) @ turned for k in range(4)]
    return found


def likeliest_up(model: Model, points: np.ndarray) -> str:
    """The axis that points up in a whole shape, (n, 3) in the unit of the model: "x" to "-z".

    The model's own (:attr:`molgen.shapes.fields.ShapeStatistics.up`) unless another fits clearly better. Takes 48 network calls.

    Raises:
        InputError: the model is not one of shapes, does not say which axis points up in them, or does not read the points.

    Example:
        >>> likeliest_up(molgen.load("shapes"), unit_sphere(read_points(Path("chair.obj"))))  # "y", as Blender writes it
    """
    up: Axis = getattr(model.checkpoint.statistics, "up", "")
    if not up:
        raise InputError(f"{model.checkpoint.name}: does not say which axis points up in shapes")
    order = np.random.default_rng(0).permutation(len(points))[:DETAIL]
    turns = poses(up)
    losses = _losses(model, [Shape(points[order] @ turn.T) for fronts in turns.values() for turn in fronts])
    least = dict(zip(turns, losses.reshape(len(turns), -1).min(1).tolist(), strict=True))
    best = min(least, key=least.__getitem__)
    return best if least[best] < CLEARLY * least[up] else up


def _losses(model: Model, shapes: list[Shape]) -> Float[np.ndarray, "n"]:
    """Loss of the prediction for each of them, all with the same noise, the mean of some draws."""
    clean, process = model.encode(shapes), model.denoiser.process
    t = torch.full((len(shapes),), process.clock.time_at(NOISE * process.clock.data_std), device=model.device)
    total = np.zeros(len(shapes))
    with own_modes(model.device.type):
        for seed in range(DRAWS):
            noisy = process.corrupt(clean, t, PerSampleNoise([seed] * len(shapes)))
            losses = process.loss(model.denoiser(noisy, t, {}), clean, t)
            total += torch.stack([*losses.values()]).sum(0).double().cpu().numpy()
    return total / DRAWS
