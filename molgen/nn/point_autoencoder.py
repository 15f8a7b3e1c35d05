"""An autoencoder of point clouds whose code is a smaller cloud: K latent points, each with a few features, and a few numbers for the whole.

A cloud is cut into K cells: farthest points, moved by Lloyd's algorithm to the means of their cells, so that cells are of about one size
and the latent points follow the surface rather than the draw of its points. A latent point is the mean of its cell with

    features    what a network of points (PointNet, Qi et al. 2017, arXiv 1612.00593) sees in the cell, a mean over its points,
    mass        the logarithm of the share of the points in the cell, the last feature.

The shape latent (LION: Zeng et al. 2022, arXiv 2210.06978) is what a second network of points sees in the cloud as a whole; it modulates
every layer of the decoder.

The decoder lets the latent points attend to each other and then moves points from a ball around each of them onto the surface: they follow
a velocity that depends on where they are, on the time and on the nearest latent points, learned by flow matching (Lipman et al. 2023, arXiv
2210.02747). What flows is a density, so that points do not shrink into patches where the latent cloud is not sure of the surface, and
cells join, because a point on its way no longer knows which cell it came from. Cells get points in proportion to their mass, which start
where a sequence puts them that fills space evenly at any length: one latent cloud decodes to any number of points, always to the same ones.

Features are standardised by running moments, and the decoder is trained on latent clouds with more or less noise, some of whose points are
missing, and is told how much: it learns to mend the errors of a model of them. Without a frame features are invariants, velocities are made
of vectors, and decoder after encoder is equivariant under rotations and reflections of the cloud together with the starts; with a frame
(data in a canonical pose) features are plain numbers in it.
"""

import hashlib
import operator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from molgen.geometry import average, center, farthest_points, spacing
from molgen.limits import Layers, Limited, NotNegative, Positive, Probability, Width
from molgen.nn.frame import Frame, directions, waves
from molgen.nn.layers import check_heads, normalize_vectors
from molgen.nn.point_blocks import Attention, Mix, State, gather
from molgen.types import Bool, Float, Int, NodeMask, PerSample, Positions, Tensor

LatentPoints = Float[Tensor, "b k 3"]
LatentMask = Bool[Tensor, "b k"]
UNIT = 0.35  # positions of clouds in the unit sphere have about this deviation


class LatentCloud(NamedTuple):
    """Codes of clouds: latent points, their features, shape latents, and which latent points exist."""

    points: LatentPoints
    features: Float[Tensor, "b k features"]
    shape: Float[Tensor, "b g"]
    exists: LatentMask


class Scene(NamedTuple):
    """What points on their way see of latent clouds: latent points, which exist, their spacing, what they know, and vectors of theirs."""

    points: LatentPoints
    exists: LatentMask
    unit: Float[Tensor, "b"]
    known: Float[Tensor, "b k width"]
    axes: Float[Tensor, "b k 3 vectors"]


@dataclass(frozen=True, kw_only=True)
class PointAutoencoder(Limited):
    """Sizes of the autoencoder; :meth:`build` makes it.

    Args:
        kind: selects this network.
        latents: K, the number of latent points.
        features: of a latent point besides its mass.
        shape: numbers of the shape latent.
        rounds: of Lloyd's algorithm.
        hidden: width of the networks of points.
        scalars: scalar channels of a latent point in the decoder.
        vectors: vector channels, likewise.
        layers: rounds of attention between latent points in the decoder.
        heads: attention heads.
        neighbours: latent points that a point on its way sees.
        spread: deviation of the places that points start from, in units of the spacing of the latent points.
        steps: of the flow, of second order, shorter towards the end.
        feature_noise: largest deviation of the noise on standardised features and shape latents in training.
        position_noise: largest deviation of the noise on latent points in training, in units of their spacing.
        missing: largest share of latent points that are left out in training.
        doubt: share of all these that the decoder takes the latent clouds to have which it is given.
        frame: reference directions: none, the axis that points up, or all three.
    """

    kind: Literal["point_autoencoder"] = "point_autoencoder"
    latents: Width = 64
    features: Width = 8
    shape: Width = 16
    rounds: Layers = 3
    hidden: Width = 64
    scalars: Width = 96
    vectors: Width = 16
    layers: Layers = 3
    heads: Width = 8
    neighbours: Width = 4
    spread: Positive = 0.4
    steps: Layers = 3
    feature_noise: NotNegative = 0.5
    position_noise: NotNegative = 0.5
    missing: Annotated[float, Field(ge=0, lt=1)] = 0.12
    doubt: Probability = 0.4
    frame: Frame = "none"

    FIXED: ClassVar[tuple[str, ...]] = ("features", "shape", "rounds", "hidden", "scalars", "vectors", "layers", "heads", "frame")
    """Settings that weights depend on; a network that goes on from others may have other values of the rest."""

    def build(self) -> "Autoencoder":
        """Makes the network.

        Raises:
            InputError: for sizes that do not fit each other.
        """
        check_heads(self.heads, self.scalars, self.vectors)
        return Autoencoder(self)


class Autoencoder(nn.Module):
    """The network of :class:`PointAutoencoder`."""

    process = None
    """An autoencoder knows no noise."""

    frame: Tensor
    mean: Tensor
    std: Tensor
    shape_mean: Tensor
    shape_std: Tensor

    def __init__(self, config: PointAutoencoder):
        super().__init__()
        self.config = config
        f, width = len(directions(config.frame)), config.hidden
        self.register_buffer("frame", torch.tensor(directions(config.frame)).view(-1, 3), persistent=False)
        self.register_buffer("mean", torch.zeros(config.features + 1))
        self.register_buffer("std", torch.ones(config.features + 1))
        self.register_buffer("shape_mean", torch.zeros(config.shape))
        self.register_buffer("shape_std", torch.ones(config.shape))
        self.see = nn.Sequential(nn.Linear(6 + 3 * f, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.tell = nn.Sequential(nn.Linear(width + 2, width), nn.SiLU(), nn.Linear(width, config.features))
        self.look = nn.Sequential(nn.Linear(6 + waves(torch.zeros(1, f)).shape[-1], width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.compare = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.sum_up = nn.Linear(width, config.shape)
        c, u, context = config.scalars, config.vectors, config.shape + 1
        self.scalars_in = nn.Linear(config.features + 2 + waves(torch.zeros(1, f)).shape[-1], c)
        self.vectors_in = nn.Linear(1 + f, u, bias=False)
        self.attend = nn.ModuleList(Attention(c, u, config.heads, context) for _ in range(config.layers))
        self.mix = nn.ModuleList(Mix(c, u, context) for _ in range(config.layers))
        self.known, self.place, self.clock = nn.Linear(c, width), nn.Linear(2 * (u + f) + 1, width), nn.Linear(3, width)
        self.trust = nn.Linear(width, 1)
        self.move = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, u + f)
        )

    @property
    def encoder(self) -> nn.ModuleList:
        """The networks of the encoder."""
        return nn.ModuleList([self.see, self.tell, self.look, self.compare, self.sum_up])

    @property
    def learns_features(self) -> bool:
        """Whether the encoder is being trained, so that features change their meaning."""
        return self.training and any(parameter.requires_grad for parameter in self.encoder.parameters())

    @property
    def meaning(self) -> str:
        """Digest of all that gives features their meaning, whatever the number of latent points."""
        known = hashlib.sha256(f"{self.config.rounds} {self.config.frame}".encode())
        for tensor in (*self.encoder.parameters(), self.mean, self.std, self.shape_mean, self.shape_std):
            known.update(tensor.detach().cpu().numpy().tobytes())
        return known.hexdigest()

    @property
    def fingerprint(self) -> str:
        """Digest by which latent clouds are told apart: networks with the same one make the same."""
        return hashlib.sha256(f"{self.config.latents} {self.meaning}".encode()).hexdigest()

    def cells(self, x: Positions, mask: NodeMask, latents: int | None = None) -> tuple[LatentPoints, Int[Tensor, "b n"], LatentMask]:
        """So many latent points (default those of a whole cloud), the cell of every point, and which latent points exist."""
        index, exists = farthest_points(x, mask, latents or self.config.latents)
        points = gather(x, index)
        for _ in range(self.config.rounds):
            member = self.members(self.nearest(x, points, exists), mask, points.shape[1])
            count = member.sum(1).unsqueeze(-1)
            with torch.autocast(x.device.type, enabled=False):
                points = torch.where(count > 0, member.transpose(1, 2) @ x / count.clamp(min=1), points)
        return points * exists.unsqueeze(-1), self.nearest(x, points, exists), exists

    @staticmethod
    def nearest(x: Positions, points: LatentPoints, exists: LatentMask) -> Int[Tensor, "b n"]:
        """The nearest latent point of every point."""
        return gaps(x, points, exists).min(-1).indices

    def members(self, owner: Int[Tensor, "b n"], mask: NodeMask, count: int) -> Float[Tensor, "b n k"]:
        """One where a point is in a cell, of so many cells."""
        return ((owner.unsqueeze(-1) == torch.arange(count, device=owner.device)) & mask.unsqueeze(-1)).to(self.mean.dtype)

    def describe(
        self, x: Positions, mask: NodeMask, points: LatentPoints, owner: Int[Tensor, "b n"], exists: LatentMask, share: float = 1.0
    ) -> Float[Tensor, "b k features"]:
        """Features and logarithm of mass, not standardised, where these are a share of all points of the cloud."""
        member = self.members(owner, mask, points.shape[1])
        count = member.sum(1).unsqueeze(-1)
        shares = (member / count.clamp(min=1).transpose(1, 2)).transpose(1, 2)
        unit = spacing(points, exists)[:, None, None]
        away = (x - gather(points, owner)) / unit
        outer = (shares @ (away.unsqueeze(-1) * away.unsqueeze(-2)).flatten(2)).unflatten(-1, (3, 3))
        turned = (gather(outer.flatten(2), owner).unflatten(-1, (3, 3)) @ away.unsqueeze(-1)).squeeze(-1)
        vectors = torch.stack([away, turned, gather(points, owner) / UNIT], 2)
        seen = self.see(torch.cat([products(vectors), (vectors @ self.frame.to(x.dtype).T).flatten(2)], -1))
        mass = (share * count / mask.sum(-1)[:, None, None].clamp(min=1)).clamp(min=1e-4).log()
        extent = outer.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
        told = self.tell(torch.cat([shares @ seen, mass, extent], -1))
        return torch.cat([told, mass], -1)

    def outline(self, x: Positions, mask: NodeMask) -> Float[Tensor, "b g"]:
        """Shape latents of centred clouds, not standardised."""
        place = x / UNIT * mask.unsqueeze(-1)
        second = place.transpose(1, 2) @ place
        second = 3 * second / second.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None].clamp(min=1e-6)
        turned = place @ second
        along = waves(place @ self.frame.to(x.dtype).T)
        seen = self.look(torch.cat([products(torch.stack([place, turned, turned @ second], 2)), along], -1))
        common = average(seen, mask).unsqueeze(1).expand_as(seen)
        return self.sum_up(average(self.compare(torch.cat([seen, common], -1)), mask))

    def encode(self, x: Positions, mask: NodeMask) -> LatentCloud:
        """The latent clouds of centred clouds."""
        points, owner, exists = self.cells(x, mask)
        features = (self.describe(x, mask, points, owner, exists) - self.mean) / self.std
        shape = (self.outline(x, mask) - self.shape_mean) / self.shape_std
        return LatentCloud(center(points, exists), features * exists.unsqueeze(-1), shape, exists)

    def layout(
        self, features: Float[Tensor, "b k features"], exists: LatentMask, count: int
    ) -> tuple[Int[Tensor, "b n"], Float[Tensor, "b n 3"]]:
        """The cell of each of ``count`` points, in proportion to its mass, and where it starts there, normally distributed."""
        told = (features[..., -1] * self.std[-1] + self.mean[-1]).nan_to_num(nan=0.0)  # of a walk that diverged
        mass = told.clamp(-12, 2).exp() * exists
        share = count * mass / mass.sum(-1, keepdim=True).clamp(min=1e-12)
        whole = share.floor()
        rank = (share - whole).masked_fill(~exists, -1).argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        ends = (whole + (rank < count - whole.sum(-1, keepdim=True))).long().cumsum(-1)
        place = torch.arange(count, device=features.device).expand(len(features), -1).contiguous()
        owner = torch.searchsorted(ends, place, right=True).clamp(max=exists.shape[1] - 1)
        starts = functional.pad(ends[:, :-1], (1, 0))
        step = place - starts.gather(1, owner)
        even = torch.quasirandom.SobolEngine(3).draw(int(step.max()) + 2, dtype=torch.float64)[1:]  # the first is the corner
        return owner, torch.special.ndtri(even).to(features)[step]

    def scene(self, latent: LatentCloud, doubt: PerSample) -> Scene:
        """What points on their way see of latent clouds, which have these shares of the largest noise."""
        points, features, shape, exists = latent
        b, k, _ = points.shape
        frame = self.frame.to(points.dtype)
        place = points / UNIT
        along = place @ frame.T
        context = torch.cat([shape, doubt.unsqueeze(-1)], -1)
        h = self.scalars_in(torch.cat([features, place.square().sum(-1, keepdim=True), waves(along)], -1))
        v = self.vectors_in(torch.cat([place.unsqueeze(-1), frame.T.expand(b, k, -1, -1)], -1))
        state: State = (h, v)
        for attend, mix in zip(self.attend, self.mix, strict=True):
            state = mix(*attend(state, state, (place, place), exists, context), context)
        h, v = state
        axes = torch.cat([normalize_vectors(v), frame.T.expand(b, k, -1, -1)], -1)
        return Scene(points, exists, spacing(points, exists), self.known(functional.layer_norm(h, h.shape[-1:])), axes)

    def velocity(self, x: Positions, t: Float[Tensor, "b n"], scene: Scene) -> Positions:
        """The velocity of points at places ``x`` at times ``t``, in spacings of the latent points: a mean over the nearest of these."""
        points, exists, unit, known, axes = scene
        index = gaps(x, points, exists).topk(min(self.config.neighbours, points.shape[1]), largest=False).indices
        away = (x.unsqueeze(2) - gather(points, index)) / unit[:, None, None, None]
        distance = away.square().sum(-1, keepdim=True)
        basis = gather(axes.flatten(2), index).unflatten(-1, (3, -1))
        along = (away.unsqueeze(-2) @ basis).squeeze(-2)
        clock = torch.stack([t, torch.sin(torch.pi * t), (1.02 - t).log()], -1)
        place = self.place(torch.cat([along, along.square(), distance], -1))
        inner = functional.silu(gather(known, index) + place + self.clock(clock).unsqueeze(2))
        trust = self.trust(inner) - 2 * distance
        share = trust.masked_fill(~gather(exists, index).unsqueeze(-1), -torch.inf).softmax(2).to(inner.dtype)
        weights = self.move((share.transpose(2, 3) @ inner).squeeze(2))
        return ((basis * share.unsqueeze(-1)).sum(2) @ weights.unsqueeze(-1)).squeeze(-1)

    def decode(self, latent: LatentCloud, owner: Int[Tensor, "b n"], start: Float[Tensor, "b n 3"]) -> Positions:
        """Points that start in these cells, at these places in units of the deviation there."""
        config = self.config
        scene = self.scene(latent, torch.full_like(latent.shape[:, 0], config.doubt))
        unit = scene.unit[:, None, None]
        x = gather(scene.points, owner) + config.spread * unit * start
        times = [1 - (1 - k / config.steps) ** 2 for k in range(config.steps + 1)]
        for now, step in zip(times, map(operator.sub, times[1:], times), strict=False):  # midpoints
            clock = torch.full_like(x[..., 0], now)
            halfway = x + step / 2 * unit * self.velocity(x, clock, scene)
            x = x + step * unit * self.velocity(halfway, clock + step / 2, scene)
        return x

    def forward(self, latent: LatentCloud, count: int) -> Positions:
        """``count`` points of every latent cloud."""
        return self.decode(latent, *self.layout(latent.features, latent.exists, count))


def gaps(x: Positions, points: LatentPoints, exists: LatentMask) -> Float[Tensor, "b n k"]:
    """Squared distances to latent points up to what all those of a point share; infinite where there is none."""
    height = points.square().sum(-1).masked_fill(~exists, torch.inf).unsqueeze(1)
    with torch.autocast(x.device.type, enabled=False):  # the terms of a small distance are large
        return torch.baddbmm(height, x, points.transpose(1, 2), alpha=-2)


def products(vectors: Float[Tensor, "b n 3 3"]) -> Float[Tensor, "b n 6"]:
    """Inner products of three vectors of each point, which lie along the third axis."""
    i, j = torch.triu_indices(3, 3, device=vectors.device)
    return (vectors @ vectors.transpose(-1, -2))[:, :, i, j]
