"""The training objective of a point autoencoder: flow matching (Lipman et al. 2023, arXiv 2210.02747) from cells to the surface.

The encoder sees a random part of a cloud. Noise is put on its latent cloud and some latent points are left out, both by a random share
of the largest amount. Other random points x of the same surface, so that nothing is gained by remembering points, are the ends of straight
ways from starts s around the nearest latent points. At a random time t of each point the decoder, which knows that latent cloud and the
share, is asked for the velocity x - s at s + t (x - s). Its mean over all ways through a place is the velocity of a flow that carries the
starts to the surface, in the density of its points. With d the spacing of the latent points the loss is

    flow    mean |v - (x - s)|^2 / d^2

whose least value is not 0, because ways cross; what decoded points have lost is measured on them (benchmarks/quality_latent.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from pydantic import PositiveInt

from molgen.batch import Batch
from molgen.chance import coin
from molgen.geometry import spacing
from molgen.limits import Limited, NotNegative
from molgen.nn.point_autoencoder import Autoencoder, LatentCloud
from molgen.nn.point_blocks import gather
from molgen.types import Bool, Float, Tensor

MOMENTUM = 0.02  # of the running moments of features


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Limited):
    """Flow matching from the cells of a latent cloud to the surface.

    Args:
        kind: selects this objective.
        weights: of the loss ``flow``; 1 where not given.
        points: the encoder sees between so many points, evenly in the logarithm.
        targets: points that ways lead to.
    """

    needs = "model.kind=point_autoencoder", "objective.kind=reconstruction", "fields.kind=shape"
    unsampled = "an autoencoder has nothing to sample; train `shapes_latent` with fields.autoencoder=RUN and sample that"
    completes = False

    kind: Literal["reconstruction"] = "reconstruction"
    weights: Mapping[str, NotNegative] = field(default_factory=dict)
    points: tuple[PositiveInt, PositiveInt] = (512, 768)
    targets: PositiveInt = 768

    def network(self, model: Any, process: Any, conditions: Any) -> Any:
        """The autoencoder of these sizes with fresh weights; it knows neither noise nor conditions."""
        return model.build()

    def terms(self, process: None) -> tuple[str, ...]:
        """Names of the losses."""
        return ("flow",)

    def __call__(self, network: Autoencoder, clean: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a mean over the batch."""
        device, dtype, available, config = clean.mask.device, clean["pos"].dtype, clean.mask.shape[1], network.config

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, device=device, dtype=dtype)

        low, high = torch.tensor(self.points, dtype=torch.float64).log().tolist()
        share = coin(generator)
        seen, others = (
            torch.randperm(available, generator=generator, device=device)[:count]
            for count in (round(float(torch.tensor(low + share * (high - low)).exp())), self.targets)
        )
        x, mask = clean["pos"][:, seen], clean.mask[:, seen]
        goal, real = clean["pos"][:, others], clean.mask[:, others]
        points, owner, exists = network.cells(x, mask)
        features, shape = standardised(network, network.describe(x, mask, points, owner, exists), network.outline(x, mask), exists)
        doubt = torch.rand(len(x), generator=generator, device=device, dtype=dtype)
        missing = torch.rand(exists.shape, generator=generator, device=device, dtype=dtype) < config.missing * doubt.unsqueeze(-1)
        missing[:, 0] = False  # one has to stay
        exists = exists & ~missing
        home = network.nearest(goal, points, exists)
        features = features + config.feature_noise * doubt[:, None, None] * noise(features)
        shape = shape + config.feature_noise * doubt[:, None] * noise(shape)
        shift = config.position_noise * (doubt * spacing(points, exists))[:, None, None] * noise(points)
        scene = network.scene(LatentCloud(points + shift * exists.unsqueeze(-1), features, shape, exists), doubt)
        unit = scene.unit[:, None, None]
        start = gather(scene.points, home) + config.spread * unit * noise(goal)
        t = torch.rand(home.shape, generator=generator, device=device, dtype=dtype)
        found = network.velocity(torch.lerp(start, goal, t.unsqueeze(-1)), t, scene)
        wrong = (found - (goal - start) / unit).square().sum(-1) * real
        flow = (wrong.sum(-1) / real.sum(-1).clamp(min=1)).mean()
        return self.weights.get("flow", 1.0) * flow, {"flow": flow}


def standardised(
    network: Autoencoder, raw: Float[Tensor, "b k f"], whole: Float[Tensor, "b g"], exists: Bool[Tensor, "b k"]
) -> tuple[Float[Tensor, "b k f"], Float[Tensor, "b g"]]:
    """Features and shape latents by the moments of the batch where the encoder is trained, which the running ones follow, else by these.

    The running ones begin as those of the first batch.
    """
    kept = (network.mean, network.std, network.shape_mean, network.shape_std)
    if network.learns_features:
        now = (*moments(raw, exists), *moments(whole.unsqueeze(1), exists[:, :1]))
        with torch.no_grad():
            starts = torch.stack([*((moment == 0).all() for moment in kept[::2]), *((moment == 1).all() for moment in kept[1::2])]).all()
            for moment, value in zip(kept, now, strict=True):
                moment.lerp_(value, torch.where(starts, 1.0, MOMENTUM).to(moment.dtype))
        kept = now
    mean, std, shape_mean, shape_std = kept
    return (raw - mean) / std * exists.unsqueeze(-1), (whole - shape_mean) / shape_std


def moments(raw: Float[Tensor, "b k f"], exists: Bool[Tensor, "b k"]) -> tuple[Float[Tensor, "f"], Float[Tensor, "f"]]:
    """Mean and standard deviation of features over all latent points that exist."""
    raw = raw.float()  # sums over a batch, also where layers answer in bfloat16
    weight = exists.unsqueeze(-1).to(raw.dtype) / exists.sum().clamp(min=1)
    mean = (raw * weight).sum((0, 1))
    return mean, (((raw - mean).square() * weight).sum((0, 1)) + 1e-6).sqrt()
