"""Given parts of clouds: what a sample is held to, and how given and generated points become one cloud.

The centre of the whole cloud is unknown until it is there, so a given part moves rigidly, by translation alone, to where the prediction has
it (:mod:`molgen.diffusion.inpaint`); in the end everything is moved back and the given points are what was given, to the bit.

In a latent cloud the part has latent points of its own, as many of all as its points are of all points. They stand where its cells are, and
what its cells look like depends on where they stand, so that their features are described anew wherever they move. Only the cells that
are not given are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from molgen.batch import Batch
from molgen.clouds import Part
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.process import Joint
from molgen.nn.point_autoencoder import Autoencoder, LatentCloud
from molgen.types import Float, PerSample, Prediction, Tensor


@dataclass(frozen=True)
class PointPart(Part):
    """The first k points of a cloud of points.

    Args:
        given: (k, 3) in normalised units.
    """

    given: Float[Tensor, "k 3"]

    def guide(self, denoiser: Denoiser, process: Joint, like: Batch) -> Denoiser:
        return first_nodes(denoiser, process, like, self.given)

    def finish(self, batch: Batch) -> np.ndarray:
        cloud = batch["pos"][0]
        return joined(self.given, cloud[: len(self.given)], cloud[len(self.given) :])


class LatentPart(Part):
    """The first latent points of a latent cloud.

    Args:
        given: (k, 3) in normalised units.
        size: points of the whole cloud.
        network: the trained autoencoder.
    """

    def __init__(self, given: Float[Tensor, "k 3"], size: int, network: Autoencoder):
        self.given, self.size, self.network = given, size, network
        self.share = len(given) / size
        count = min(max(round(network.config.latents * self.share), 1), network.config.latents - 1, len(given))
        self.cloud = given.to(torch.float32).unsqueeze(0)
        self.mask = torch.ones(self.cloud.shape[:2], dtype=torch.bool, device=given.device)
        self.points, self.owner, self.exists = network.cells(self.cloud, self.mask, count)

    def guide(self, denoiser: Denoiser, process: Joint, like: Batch) -> Denoiser:
        return Described(first_nodes(denoiser, process, like, self.points[0]), self)

    def describe(self, positions: Float[Tensor, "1 k 3"]) -> Float[Tensor, "1 c f"]:
        """Standardised features of the given cells where their latent points are the first ones; masses sum to the share of all points."""
        shift = (positions[:, :1] - self.points[:, :1]).to(self.cloud.dtype)
        raw = self.network.describe(self.cloud + shift, self.mask, self.points + shift, self.owner, self.exists, self.share)
        return (raw - self.network.mean) / self.network.std

    def finish(self, batch: Batch) -> np.ndarray:
        count = self.points.shape[1]
        new = batch.mask.clone()
        new[:, :count] = False
        with torch.no_grad():
            layout = self.network.layout(batch["feature"], new, self.size - len(self.given))
            made = self.network.decode(LatentCloud(batch["pos"], batch["feature"], batch["shape"], batch.mask), *layout)[0]
        shift = (batch["pos"][0, :count] - self.points[0]).mean(0)
        return joined(self.given, self.given.to(shift.dtype) + shift, made)


@dataclass(frozen=True)
class Described:
    """A denoiser of latent clouds that knows what given cells look like where it has them."""

    denoiser: Denoiser
    part: LatentPart

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        prediction = self.denoiser(batch, t, condition, previous)
        features = self.part.describe(prediction["pos"])
        return {**prediction, "feature": torch.cat([features, prediction["feature"][:, features.shape[1] :]], 1)}


def first_nodes(denoiser: Denoiser, process: Joint, like: Batch, given: Float[Tensor, "k 3"]) -> Inpaint:
    """The denoiser made certain of the positions of the first nodes of one sample."""
    known = torch.zeros_like(like["pos"])
    known[0, : len(given)] = given.to(known.dtype)
    fixed = torch.zeros_like(like.mask)
    fixed[0, : len(given)] = True
    return Inpaint(denoiser, process, like.replace({"pos": known}), {"pos": fixed})


def joined(given: Float[Tensor, "k 3"], held: Float[Tensor, "k 3"], made: Float[Tensor, "m 3"]) -> np.ndarray:
    """Given points, and made ones moved back by what the held ones are away from the given ones."""
    exact = given.cpu().numpy()
    shift = held.double().cpu().numpy() - exact
    return np.concatenate([exact, made.double().cpu().numpy() - shift.mean(0)])
