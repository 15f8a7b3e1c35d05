"""Given parts of clouds: samples that contain given points, and how given and generated points become one cloud.

The centre of the whole cloud is unknown until it is there, so a given part moves rigidly, by translation alone, to where the prediction has
it (:mod:`molgen.diffusion.inpaint`); in the end everything is moved back and the given points are what was given, to the bit.

In a latent cloud the part has latent points of its own, as many of all as its points are of all points. They stand where its cells are, and
what its cells look like depends on where they stand, so that their features are described anew wherever they move. Only the cells that
are not given are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Walks
from molgen.domain import Constraint, Domain
from molgen.errors import InputError
from molgen.nn.point_autoencoder import Autoencoder, LatentCloud
from molgen.shapes.domain import Shapes
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.latent import DETAIL, ShapeLatents, mixed
from molgen.shapes.latent_statistics import LatentStatistics
from molgen.shapes.shape import Shape, check_points, cloud
from molgen.tags import Value
from molgen.types import Float, PerSample, Prediction, Tensor

LARGEST_RADIUS = 2.0  # of a part about its mean, in normalised units; a whole shape fills the unit sphere


@dataclass(frozen=True, eq=False)
class Part(Constraint):
    """Samples that contain a given part, its points first and in its frame.

    Args:
        points: (k, 3) in the unit of the model; where the centre of the whole is need not be known.
        source: name of the part in messages and tags.

    Raises:
        InputError: points that are no (k, 3) numbers, not finite or mostly copies.

    Example:
        >>> wholes = molgen.load("shapes").sample(4, sizes=[2048], constraint=Part(points))
    """

    points: np.ndarray
    source: str = "part"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", np.ascontiguousarray(cloud(self.points, self.source)))
        if not len(self.points):
            raise InputError(f"{self.source}: expected points (k, 3), got none")
        check_points(self.points, self.source)

    def start(self, process: Joint) -> float:
        return 1.0

    def sampler(self, own: Walks) -> Walks:
        return own

    def restarts(self, process: Joint) -> Sequence[float]:
        return ()

    def sizes(self, statistics: Any, wanted: Sequence[int]) -> list[int]:
        if not isinstance(statistics, ShapeStatistics | LatentStatistics):
            raise InputError(f"{self.source}: only clouds of points can be completed; use a model of shapes")
        sizes = sorted(set(wanted)) or sorted(statistics.sizes)
        if sizes[0] <= len(self.points):
            given = f"{len(self.points)} points are given and {sizes[0]} asked for"
            raise InputError(f"{self.source}: {given}: nothing is left to generate; ask for more points")
        if np.linalg.norm(self.points - self.points.mean(0), axis=-1).max() > LARGEST_RADIUS:
            span = "the given points span more than the unit sphere of the training shapes"
            raise InputError(f"{self.source}: {span}; scale them to the unit of the samples")
        return sizes

    def batch(self, statistics: ShapeStatistics | LatentStatistics, sizes: Sequence[int]) -> Batch:
        if isinstance(statistics, LatentStatistics):
            empty = ShapeLatents().empty(sizes, statistics)
            known = [self._cells(size, statistics).points[0].cpu() for size in sizes]
        else:
            empty = Shapes().empty(sizes, statistics)
            known = [torch.from_numpy(self.points)] * len(sizes)
        for row, points in enumerate(known):
            empty["pos"][row, : len(points)] = points.to(torch.float32)
        return empty

    def guide(self, denoiser: Denoiser, process: Joint, statistics: ShapeStatistics | LatentStatistics, known: Batch) -> Denoiser:
        node = torch.arange(known.mask.shape[1], device=known.mask.device)
        if not isinstance(statistics, LatentStatistics):
            return Inpaint(denoiser, process, known, {"pos": known.mask & (node < len(self.points))})
        statistics.autoencoder.to(known.mask.device)
        sizes = known.labels["points"]
        cells = {size: self._cells(size, statistics) for size in sizes.unique().tolist()}
        counts = torch.tensor([cells[size].points.shape[1] for size in sizes.tolist()], device=node.device)
        return Described(Inpaint(denoiser, process, known, {"pos": node < counts.unsqueeze(1)}), sizes, cells)

    def decode(self, domain: Domain[Shape], batch: Batch, statistics: ShapeStatistics | LatentStatistics) -> list[Shape]:
        if not isinstance(statistics, LatentStatistics):
            return domain.decode(batch, statistics)
        statistics.autoencoder.to(batch.mask.device)
        latents = (batch.select([row]) for row in range(len(batch)))
        clouds = (self._cells(int(one.labels["points"]), statistics).around(one) for one in latents)
        return [Shape(cloud, up=statistics.up, detail=DETAIL) for cloud in clouds]

    def _cells(self, size: int, statistics: LatentStatistics) -> Cells:
        """The given cells of a latent cloud that stands for so many points."""
        return Cells(torch.from_numpy(self.points), size, statistics.autoencoder)

    def restore(self, shape: Shape) -> Shape:
        k = len(self.points)
        shift = (shape.points[:k] - self.points).mean(0)
        return replace(shape, points=np.concatenate([self.points, shape.points[k:] - shift]))

    def failure(self, shape: Shape) -> str:
        return ""

    def tags(self) -> dict[str, Value]:
        return {"contains": self.source}


class Cells:
    """The first latent points of a latent cloud: those of a given part, found on the CPU so that they are the same wherever it is used.

    Args:
        given: (k, 3) in normalised units.
        size: points of the whole cloud.
        network: the trained autoencoder, on the device of the latent clouds.
    """

    def __init__(self, given: Float[Tensor, "k 3"], size: int, network: Autoencoder):
        self.size, self.network = size, network
        self.share = len(given) / size
        count = min(max(round(network.config.latents * self.share), 1), network.config.latents - 1, len(given))
        cloud = given.to(torch.float32).unsqueeze(0)
        mask = torch.ones(cloud.shape[:2], dtype=torch.bool)
        found = (cloud, mask, *network.cells(cloud, mask, count))
        self.cloud, self.mask, self.points, self.owner, self.exists = (value.to(network.mean.device) for value in found)

    def describe(self, positions: Float[Tensor, "b k 3"]) -> Float[Tensor, "b c f"]:
        """Standardised features of the given cells where their latent points are the first ones; masses sum to the share of all points."""
        shift = (positions[:, :1] - self.points[:, :1]).to(self.cloud.dtype)
        mask, owner, exists = (value.expand(len(positions), -1) for value in (self.mask, self.owner, self.exists))
        raw = self.network.describe(self.cloud + shift, mask, self.points + shift, owner, exists, self.share)
        return (raw - self.network.mean) / self.network.std

    def around(self, batch: Batch) -> np.ndarray:
        """The cloud (n, 3) of one clean sample, the given points first, where they stand in it."""
        count = self.points.shape[1]
        new = batch.mask.clone()
        new[:, :count] = False
        with torch.no_grad():
            layout = self.network.layout(batch["feature"], new, self.size - self.cloud.shape[1])
            made = self.network.decode(LatentCloud(batch["pos"], batch["feature"], batch["shape"], batch.mask), *layout)[0]
        shift = (batch["pos"][0, :count] - self.points[0]).mean(0)
        return torch.cat([self.cloud[0] + shift, made[torch.from_numpy(mixed(len(made))).to(made.device)]]).double().cpu().numpy()


@dataclass(frozen=True)
class Described:
    """A denoiser of latent clouds that knows what given cells look like where it has them.

    Args:
        denoiser: has them at their places.
        sizes: (b,) points of the clouds.
        cells: the given ones of clouds of each size.
    """

    denoiser: Denoiser
    sizes: Tensor
    cells: Mapping[int, Cells]

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        prediction = self.denoiser(batch, t, condition, previous)
        feature = prediction["feature"].clone()
        for size, cells in self.cells.items():
            rows = self.sizes == size
            feature[rows, : cells.points.shape[1]] = cells.describe(prediction["pos"][rows]).to(feature.dtype)
        return {**prediction, "feature": feature}
