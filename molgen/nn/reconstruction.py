"""The training objective of a point autoencoder.

The encoder sees a random part of a cloud; what the decoder makes of its latent cloud, under noise, is compared with other random points of
the same surface, so that nothing is gained by remembering points. With d the spacing of the latent points, the losses are

    chamfer    (mean_x min_y |x - y|^2 + mean_y min_x |x - y|^2) / d^2: every point near the surface, and the surface near points,
    cells      squared sliced Wasserstein distance (Bonneel et al. 2015, 10.1007/s10851-014-0506-3) of every cell over d^2: points as
               dense as those of the surface, which the Chamfer distance does not ask for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import PositiveInt

from molgen.batch import Batch
from molgen.nn.point_autoencoder import Autoencoder, LatentCloud, spacing
from molgen.nn.point_blocks import gather
from molgen.types import Bool, Float, Int, NodeMask, Positions, Tensor

MOMENTUM = 0.02  # of the running moments of features


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Chamfer and sliced Wasserstein losses.

    Args:
        kind: selects this objective.
        weights: of the losses ``chamfer`` and ``cells``; 1 where not given.
        points: the encoder sees between so many points, evenly in the logarithm.
        targets: points that the decoded ones are compared with.
        slices: directions of the sliced distance, drawn anew for every batch.
    """

    kind: Literal["reconstruction"] = "reconstruction"
    weights: Mapping[str, float] = field(default_factory=dict)
    points: tuple[int, int] = (512, 768)
    targets: PositiveInt = 768
    slices: PositiveInt = 4

    def terms(self, process: None) -> tuple[str, ...]:
        """Names of the losses."""
        return ("chamfer", "cells")

    def __call__(
        self, network: Autoencoder, process: None, clean: Batch, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and each loss, means over the batch; there is no process of noise."""
        device, available = clean.mask.device, clean.mask.shape[1]
        low, high = torch.tensor(self.points, dtype=torch.float64).log().tolist()
        share = torch.rand((), generator=generator, device=device, dtype=torch.float64).item()
        seen, others = (
            torch.randperm(available, generator=generator, device=device)[:count]
            for count in (round(float(torch.tensor(low + share * (high - low)).exp())), self.targets)
        )
        x, mask = clean["pos"][:, seen], clean.mask[:, seen]
        points, owner, exists = network.cells(x, mask)
        raw, whole = network.describe(x, mask, points, owner, exists), network.outline(x, mask)
        if network.training:
            mean, std = moments(raw, exists)
            shape_mean, shape_std = moments(whole.unsqueeze(1), exists[:, :1])
            with torch.no_grad():
                kept = (network.mean, network.std, network.shape_mean, network.shape_std)
                for moment, now in zip(kept, (mean, std, shape_mean, shape_std), strict=True):
                    moment.lerp_(now, MOMENTUM)
        else:
            mean, std, shape_mean, shape_std = network.mean, network.std, network.shape_mean, network.shape_std
        features = (raw - mean) / std * exists.unsqueeze(-1)
        shape = (whole - shape_mean) / shape_std
        unit = spacing(points, exists)
        config = network.config
        features, shape = (
            clear + config.feature_noise * torch.randn(clear.shape, generator=generator, device=device, dtype=x.dtype)
            for clear in (features, shape)
        )
        shift = config.position_noise * torch.randn(points.shape, generator=generator, device=device, dtype=x.dtype)
        points = points + unit[:, None, None] * shift * exists.unsqueeze(-1)
        owner, order = owner.masked_fill(~mask, exists.shape[1] - 1).sort(-1)
        codes = 2 * torch.rand(*owner.shape, 2, generator=generator, device=device, dtype=x.dtype) - 1
        made = network.decode(LatentCloud(points, features, shape, exists), owner, codes)
        losses = {
            "chamfer": (chamfer(made, mask.gather(1, order), clean["pos"][:, others], clean.mask[:, others]) / unit.square()).mean(),
            "cells": (sliced(made, gather(x, order), owner, self.slices, generator) / unit.square()).mean(),
        }
        return torch.stack([self.weights.get(name, 1.0) * value for name, value in losses.items()]).sum(), losses


def moments(raw: Float[Tensor, "b k f"], exists: Bool[Tensor, "b k"]) -> tuple[Float[Tensor, "f"], Float[Tensor, "f"]]:
    """Mean and standard deviation of features over all latent points that exist."""
    raw = raw.float()  # sums over a batch, also where layers answer in bfloat16
    weight = exists.unsqueeze(-1).to(raw.dtype) / exists.sum().clamp(min=1)
    mean = (raw * weight).sum((0, 1))
    return mean, (((raw - mean).square() * weight).sum((0, 1)) + 1e-6).sqrt()


def chamfer(x: Positions, x_mask: NodeMask, y: Float[Tensor, "b m 3"], y_mask: Bool[Tensor, "b m"]) -> Float[Tensor, "b"]:
    """Squared Chamfer distance of padded clouds, ``mean_x min_y |x - y|^2 + mean_y min_x |x - y|^2``; differentiable, exact."""
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):  # the terms of a small distance are large
        # |x - y|^2 up to what all candidates share
        height_x, height_y = (cloud.square().sum(-1).masked_fill(~mask, torch.inf) for cloud, mask in ((x, x_mask), (y, y_mask)))
        to_y = torch.baddbmm(height_y.unsqueeze(1), x, y.transpose(1, 2), alpha=-2).min(2).indices
        to_x = torch.baddbmm(height_x.unsqueeze(1), y, x.transpose(1, 2), alpha=-2).min(2).indices
    there = ((x - gather(y, to_y)).square().sum(-1) * x_mask).sum(-1) / x_mask.sum(-1).clamp(min=1)
    back = ((y - gather(x, to_x)).square().sum(-1) * y_mask).sum(-1) / y_mask.sum(-1).clamp(min=1)
    return there + back


def sliced(
    x: Positions, y: Positions, owner: Int[Tensor, "b n"], slices: int, generator: torch.Generator | None = None
) -> Float[Tensor, "b"]:
    """Three times the mean over directions of the squared Wasserstein distance of projections, cell by cell.

    Point i of ``x`` and of ``y`` is in the cell ``owner`` i, ascending. For two points the expectation is their squared distance.
    """
    axes = torch.nn.functional.normalize(torch.randn(3, slices, generator=generator, device=x.device, dtype=x.dtype), dim=0)
    far = 100.0 * owner.unsqueeze(-1)
    first, second = (sort_within(cloud @ axes, far) for cloud in (x, y))
    return 3 * (first - second).square().mean((1, 2))


def sort_within(values: Float[Tensor, "b n s"], far: Float[Tensor, "b n 1"]) -> Float[Tensor, "b n s"]:
    """Values sorted within each cell."""
    order = (values.detach() + far).argsort(1)
    return values.gather(1, order)
