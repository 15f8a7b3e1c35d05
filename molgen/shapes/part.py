"""Given parts of clouds: what a sample is held to, and how given and generated points become one cloud.

The centre of the whole cloud is unknown until it is there, so a given part moves rigidly, by translation alone, to where the prediction has
it; in the end everything is moved back and the given points are what was given, to the bit.

In a latent cloud the part has latent points of its own, as many of all as its points are of all points. They stand where its cells are, and
what its cells look like depends on where they stand, so that their features are described anew wherever they move. Only the cells that
are not given are decoded.
"""

from __future__ import annotations

import numpy as np
import torch

from molgen.batch import Batch
from molgen.nn.point_autoencoder import Autoencoder
from molgen.types import Float, Positions, Prediction, Tensor


class PointPart:
    """The first k points of a cloud of points.

    Args:
        given: (k, 3) in normalised units.
    """

    def __init__(self, given: Float[Tensor, "k 3"]):
        self.given = given

    def hold(self, prediction: Prediction) -> Prediction:
        """The prediction with the given points where it has them."""
        return {**prediction, "pos": insert(prediction["pos"], self.given.to(prediction["pos"].dtype))}

    def finish(self, batch: Batch) -> np.ndarray:
        """The cloud (n, 3) of a clean sample, the given points first."""
        return joined(self.given, batch["pos"][0], batch["pos"][0, len(self.given) :])


class LatentPart:
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

    def hold(self, prediction: Prediction) -> Prediction:
        """The prediction with the given latent points where it has them, and the features that they have there."""
        positions = insert(prediction["pos"], self.points[0].to(prediction["pos"].dtype))
        count = self.points.shape[1]
        features = [self.describe(moved) for moved in (positions[:, :1] - self.points[:, :1]).to(self.cloud.dtype)]
        rest = prediction["feature"][:, count:]
        return {**prediction, "pos": positions, "feature": torch.cat([torch.cat(features).to(rest.dtype), rest], 1)}

    def describe(self, shift: Float[Tensor, "1 3"]) -> Float[Tensor, "1 c f"]:
        """Standardised features of the given cells where the part has moved by a shift; their masses sum to its share of all points."""
        raw = self.network.describe(self.cloud + shift, self.mask, self.points + shift, self.owner, self.exists, self.share)
        return (raw - self.network.mean) / self.network.std

    def finish(self, batch: Batch) -> np.ndarray:
        """The cloud (n, 3) of a clean sample, the given points first."""
        count = self.points.shape[1]
        new = batch.mask.clone()
        new[:, :count] = False
        with torch.no_grad():
            layout = self.network.layout(batch["feature"], new, self.size - len(self.given))
            made = self.network.decode(batch["pos"], batch["feature"], batch.mask, *layout)[0]
        shift = (batch["pos"][0, :count] - self.points[0]).mean(0)
        return joined(self.given, self.given.to(shift.dtype) + shift, made)


def insert(positions: Positions, given: Float[Tensor, "k 3"]) -> Positions:
    """The first k points replaced by the given ones, moved so that their mean, and that of all points, stays."""
    count = len(given)
    first = positions[:, :count]
    moved = given + (first - given).mean(1, keepdim=True)
    return torch.cat([moved, positions[:, count:]], 1)


def joined(given: Float[Tensor, "k 3"], held: Float[Tensor, "n 3"], made: Float[Tensor, "m 3"]) -> np.ndarray:
    """Given points, and made ones moved back by what the first ones of ``held`` are away from the given ones."""
    exact = given.cpu().numpy()
    shift = held[: len(given)].double().cpu().numpy() - exact
    return np.concatenate([exact, made.double().cpu().numpy() - shift.mean(0)])
