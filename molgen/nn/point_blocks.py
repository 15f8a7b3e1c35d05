"""Building blocks of networks on point clouds: neighbour convolution, distance-biased attention, feed-forward mixing.

State of a set of points: positions x (b n 3), scalars h (b n c), vectors v (b n 3 u). Rotations and reflections act on x and v; h changes
only through norms and inner products, v only through linear maps over channels and weights made of scalars. Translations are removed by
using differences of positions.

:class:`Neighbours` sums messages over a graph of k nearest points, O(n k). :class:`Attention` lets n targets look at m sources with logits
``q.k / sqrt(c) - |x_i - x_j|^2 / (2 w^2)``, one learned width w a head: narrow heads see a patch, wide ones the whole cloud. The mean
position of what a head sees, minus the own position, is the mean shift of a kernel density (Comaniciu and Meer 2002): it points to where
points gather, in the direction of denoising.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional

from molgen.geometry import center
from molgen.nn.embed import Context
from molgen.nn.frame import Frame, directions, waves
from molgen.nn.layers import modulate, normalize_vectors, vector_norm, zero
from molgen.types import POSITION_SETS, Bool, Float, Int, NodeMask, PerSample, Positions, PositionSets, Tensor

State = tuple[Tensor, Tensor]
"""Scalars (b n c) and vectors (b n 3 u)."""


class CloudNetwork(nn.Module, ABC):
    """What backbones of point clouds share: the first state of the points before, and the readout after what each does by itself.

    That is its ``propagate``, from the first state to the displacement F and the last scalars, from which ``nodes_out`` reads features.
    """

    frame: Tensor
    nodes_out: nn.Module | None

    def __init__(self, frame: Frame, c: int, u: int, context: int, nodes_in: int, conditions: int):
        super().__init__()
        axes = directions(frame)
        self.register_buffer("frame", torch.tensor(axes).view(-1, 3), persistent=False)
        self.context = Context(context, conditions)
        along = waves(torch.zeros(1, POSITION_SETS * len(axes))).shape[-1]
        self.nodes_in = nn.Linear(nodes_in + POSITION_SETS + along + context, c)
        self.vectors_in = nn.Linear(POSITION_SETS + len(axes), u, bias=False)

    @abstractmethod
    def propagate(
        self, state: State, x: Positions, estimate: Positions, gain: PerSample, mask: NodeMask, context: Tensor
    ) -> tuple[Positions, Tensor]:
        """What a backbone does by itself.

        Args:
            state: of the points at first.
            x: noisy positions of unit scale.
            estimate: first estimate y0 of the clean positions.
            gain: scale of the displacement F.
            mask: real points.
            context: of every sample, (b, width).

        Returns:
            F, not yet centred, and scalars of the points.
        """

    def forward(
        self,
        positions: PositionSets,
        estimate: Positions,
        gain: PerSample,
        nodes: Float[Tensor, "b n a"],
        pairs: Float[Tensor, "b n n e"],
        mask: NodeMask,
        level: PerSample,
        condition: Float[Tensor, "b q"],
    ) -> tuple[Positions, Float[Tensor, "b n ka"], Float[Tensor, "b n n e"]]:
        """Displacement of unit scale, node features, and no pair features.

        Args:
            positions: centred position sets of unit scale: the noisy one, and an earlier guess or zeros.
            estimate: first estimate y0 of the clean positions.
            gain: scale of the displacement F.
            nodes: input features of nodes.
            pairs: without features.
            mask: real nodes.
            level: noise level ``ln r / 4``.
            condition: encoded conditions.
        """
        context = self.context(level, condition, mask)
        with torch.autocast(positions.device.type, enabled=False):  # a hundredth of a unit turns the fastest wave
            along = waves((positions @ self.frame.T).flatten(2))
        h = torch.cat([nodes, vector_norm(positions.transpose(-1, -2)), along, context.unsqueeze(1).expand(-1, mask.shape[1], -1)], -1)
        v = torch.cat([positions.transpose(-1, -2), self.frame.T.expand(*mask.shape, -1, -1)], -1)
        state = blank((self.nodes_in(h), normalize_vectors(self.vectors_in(v))), mask)
        displacement, h = self.propagate(state, positions[:, :, 0], estimate, gain, mask, context)
        features = self.nodes_out(h) if self.nodes_out is not None else h[..., :0]
        return center(displacement, mask), features, pairs[..., :0]


class Mix(nn.Module):
    """Feed-forward network in which scalars and vectors meet: inner products feed scalars, scalars gate vectors."""

    def __init__(self, c: int, u: int, context: int):
        super().__init__()
        self.split = [c, u, u]
        self.modulation = zero(nn.Linear(context, 3 * c))
        self.ends = nn.Linear(u, 2 * u, bias=False)
        self.expand = nn.Linear(c + u, 2 * c)
        self.contract = zero(nn.Linear(2 * c, c + 2 * u))
        self.vectors = nn.Linear(u, u, bias=False)

    def forward(self, h: Tensor, v: Tensor, context: Tensor) -> State:
        scale, shift, gain = self.modulation(context).chunk(3, -1)
        left, right = self.ends(v).chunk(2, -1)
        inner = functional.silu(self.expand(torch.cat([modulate(h, scale, shift), (left * right).sum(-2)], -1)))
        update, gate, keep = self.contract(inner).split(self.split, -1)
        return h + (1 + gain).unsqueeze(1) * update, v * (1 + keep).unsqueeze(2) + self.vectors(v) * gate.unsqueeze(2)


class Attention(nn.Module):
    """Targets attend to sources, both with scalars and vectors.

    Args:
        c: scalar channels of targets and sources.
        u: vector channels.
        heads: must divide c and u.
        context: width of the context.
    """

    def __init__(self, c: int, u: int, heads: int, context: int):
        super().__init__()
        self.heads = heads
        self.modulation = zero(nn.Linear(context, 3 * c))
        self.query = nn.Linear(c, c)
        self.key_value = nn.Linear(c, 2 * c)
        self.vectors = nn.Linear(u, u, bias=False)
        self.log_width = nn.Parameter(torch.linspace(-2.0, 1.0, heads))
        self.merge = zero(nn.Linear(c + heads, c))
        self.merge_vectors = nn.Linear(u + heads, u, bias=False)

    def forward(
        self,
        target: State,
        source: State,
        places: tuple[Positions, Float[Tensor, "b m 3"]],
        real: Bool[Tensor, "b m"],
        context: Float[Tensor, "b w"],
    ) -> State:
        """Updated targets; ``places``: positions of targets and sources; ``real``: which sources exist."""
        (h, v), (h_source, v_source) = target, source
        (b, n, c), m, u, heads = h.shape, h_source.shape[1], v.shape[-1], self.heads
        scale, shift, gain = self.modulation(context).chunk(3, -1)
        q = self.query(modulate(h, scale, shift)).view(b, n, heads, -1).transpose(1, 2) * (c // heads) ** -0.5
        k, value = self.key_value(functional.layer_norm(h_source, (c,))).view(b, m, 2, heads, -1).permute(2, 0, 3, 1, 4)
        precision = torch.exp(-2 * self.log_width).view(-1, 1, 1)
        here, there = places[0].unsqueeze(1), places[1].unsqueeze(1).expand(-1, heads, -1, -1)
        # -|x - y|^2 p / 2 = p x.y - p |y|^2 / 2 + what all sources share: four more channels of the inner product
        height = torch.where(real[:, None, :, None], -0.5 * precision * there.square().sum(-1, keepdim=True), -1e9)
        moved = self.vectors(v_source).view(b, m, 3, heads, u // heads).permute(0, 3, 1, 2, 4).flatten(3)
        with torch.autocast(h.device.type, enabled=False):  # the terms of a small distance are large, and bf16 has three digits
            q = torch.cat([q.to(here.dtype), precision * here, torch.ones_like(here[..., :1]).expand(-1, heads, -1, -1)], -1)
            k = torch.cat([k.to(here.dtype), there, height], -1)
            weight = (q @ k.transpose(-1, -2)).softmax(-1)
            values = torch.cat([value.to(here.dtype), moved.to(here.dtype), there], -1)
            seen, across, mean = (weight @ values).split([c // heads, 3 * u // heads, 3], -1)
        shift_vectors = (mean.permute(0, 2, 3, 1) - places[0].unsqueeze(-1)) * precision.view(-1).sqrt()
        across = across.reshape(b, heads, n, 3, u // heads).permute(0, 2, 3, 1, 4).flatten(3)
        h = h + (1 + gain).unsqueeze(1) * self.merge(torch.cat([seen.transpose(1, 2).flatten(2), vector_norm(shift_vectors)], -1))
        return h, normalize_vectors(v + self.merge_vectors(torch.cat([across, shift_vectors], -1)))


class Neighbours(nn.Module):
    """Convolution over the nearest points, whose distances are measured in units of their mean, so that density does not matter.

    Args:
        c: scalar channels.
        u: vector channels.
        frame: number of reference directions.
        context: width of the context.
    """

    def __init__(self, c: int, u: int, frame: int, context: int):
        super().__init__()
        rank = min(4, u)
        self.modulation = zero(nn.Linear(context, 3 * c))
        self.ends = nn.Linear(c, 2 * c)
        self.vector_ends = nn.Linear(u, 2 * rank, bias=False)
        self.edge = nn.Linear(2 + 2 * rank + frame, c, bias=False)
        self.gate = nn.Linear(c, u)
        self.merge = zero(nn.Linear(c + u + 1, c))
        self.vectors = nn.Linear(u, u, bias=False)

    def forward(
        self, h: Tensor, v: Tensor, x: Positions, index: Int[Tensor, "b n k"], exists: Bool[Tensor, "b n k"], frame: Tensor, context: Tensor
    ) -> State:
        """Updated scalars and vectors of all points at positions ``x``; ``frame``: reference directions (f, 3)."""
        scale, shift, gain = self.modulation(context).chunk(3, -1)
        count = exists.sum(-1, keepdim=True).clamp(min=1).to(h.dtype)
        difference = gather(x, index) - x.unsqueeze(2)
        distance = (difference.square().sum(-1, keepdim=True) + 1e-8).sqrt()
        unit = difference / distance
        mean = (distance.squeeze(-1) * exists).sum(-1, keepdim=True) / count + 1e-4
        relative = distance / mean.unsqueeze(2)
        own, other = self.ends(modulate(h, scale, shift)).chunk(2, -1)
        vector_own, vector_other = self.vector_ends(v).chunk(2, -1)
        along_own = unit @ vector_own
        along_other = (unit.unsqueeze(-1) * gather(vector_other.flatten(2), index).unflatten(-1, (3, -1))).sum(-2)
        edge = self.edge(torch.cat([relative, 1 / (1 + relative), along_own, along_other, unit @ frame.T], -1))
        message = functional.silu(own.unsqueeze(2) + gather(other, index) + edge) * exists.unsqueeze(-1)
        pulled = unit.transpose(-1, -2) @ (self.gate(message) * exists.unsqueeze(-1)) / count.unsqueeze(-1)
        update = self.merge(torch.cat([message.sum(2) / count, vector_norm(pulled), mean.log()], -1))
        return h + (1 + gain).unsqueeze(1) * update, normalize_vectors(v + self.vectors(pulled))


def gather(x: Tensor, index: Int[Tensor, "b n *k"]) -> Tensor:
    """Rows of ``x`` (b, m, w) at indices (b, n, ...) -> (b, n, ..., w)."""
    rows = torch.arange(len(x), device=x.device).view(-1, *(1,) * (index.dim() - 1))
    return x[rows, index]


def take(state: State, index: Int[Tensor, "b m"]) -> State:
    """The state of some of the points."""
    h, v = state
    return gather(h, index), gather(v.flatten(2), index).unflatten(-1, (3, -1))


def blank(state: State, mask: NodeMask) -> State:
    """Zero at points that do not exist."""
    return state[0] * mask.unsqueeze(-1), state[1] * mask[..., None, None]
