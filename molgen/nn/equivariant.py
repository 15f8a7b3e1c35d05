"""The default backbone: an E(3)-equivariant graph transformer on dense, padded molecules.

State: scalars h (b n c), vectors v (b n 3 u), pair features e (b m p) on the m = n (n - 1) / 2 unordered pairs, a displacement F (b n 3).
Storing every pair once makes pair features symmetric by construction and halves the dominant cost; direction enters through
unit vectors, which change sign with the order. Every layer
  1. updates pairs from both ends, the distances of the current estimate ``y = y0 + gain F`` (or of ``z0 + F``, see ``moves``) and inner
     products of vectors;
  2. attends: logits from queries, keys and pairs; values from nodes, pairs and vectors; vector messages along unit differences;
  3. mixes scalars with vector norms through a gated feed-forward network;
  4. moves F along the vectors.
Rotations and reflections act on v, y, F only through linear maps over channels, norms and inner products; translations are removed by
centring.
The noise level, size and conditions modulate the norms (adaptive layer norm, Peebles and Xie 2023, arXiv 2212.09748).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from molgen.geometry import center, pair_mask
from molgen.limits import Layers, Limited, Width
from molgen.nn.embed import Context, RadialBasis
from molgen.nn.layers import check_heads, modulate, normalize_vectors, readout, vector_norm, zero
from molgen.nn.pairs import Pairs
from molgen.types import POSITION_SETS, Float, NodeMask, PerSample, Positions, PositionSets, Tensor


@dataclass(frozen=True, kw_only=True)
class EquivariantTransformer(Limited):
    """Sizes of the backbone; :meth:`build` makes it for given feature widths.

    ``moves`` says what the displacement moves and layers take distances from: the ``estimate`` of clean positions, by ``gain F``, or the
    scaled noisy ``input``, by all of F (VEDA, arXiv 2511.09568). The estimate looks like a molecule at low noise, where the moved input
    shows F itself.
    """

    kind: Literal["equivariant_transformer"] = "equivariant_transformer"
    scalars: Width = 96
    vectors: Width = 24
    pairs: Width = 48
    layers: Layers = 6
    heads: Width = 8
    radial: Width = 16
    context: Width = 96
    moves: Literal["estimate", "input"] = "estimate"

    def build(self, nodes_in: int, pairs_in: int, nodes_out: int, pairs_out: int, conditions: int) -> "Backbone":
        """Makes the network for these numbers of input and output features and condition features.

        Raises:
            InputError: for sizes that do not fit each other.
        """
        check_heads(self.heads, self.scalars, self.vectors)
        return Backbone(self, nodes_in, pairs_in, nodes_out, pairs_out, conditions)


class Layer(nn.Module):
    """One round of pair update, attention, feed-forward and displacement."""

    def __init__(self, config: EquivariantTransformer):
        super().__init__()
        c, u, p, h = config.scalars, config.vectors, config.pairs, config.heads
        self.heads, self.split_sizes = h, [h, p // 2, u]
        rank = 16
        self.modulation = zero(nn.Linear(config.context, 6 * c + 2 * p))
        self.sizes = [c] * 6 + [p] * 2
        # pairs
        self.pair_in = nn.Linear(p + config.radial + 1 + 2 * rank, 2 * p)
        self.pair_ends = nn.Linear(c, 2 * p, bias=False)
        self.pair_scalars = nn.Linear(c, rank, bias=False)
        self.pair_vectors = nn.Linear(u, rank, bias=False)
        self.pair_out = zero(nn.Linear(2 * p, p))
        # attention
        self.query_key_value = nn.Linear(c, 3 * c)
        self.from_pairs = nn.Linear(p, sum(self.split_sizes))
        self.values_vector = nn.Linear(u, u, bias=False)
        self.merge = zero(nn.Linear(c + h * (p // 2) + u, c))
        self.merge_vector = nn.Linear(2 * u, u, bias=False)
        # feed-forward
        self.norm_in = nn.Linear(u, 2 * u, bias=False)
        self.expand = nn.Linear(c + u, 2 * c)
        self.contract = zero(nn.Linear(2 * c, c + 2 * u))
        self.mix_vector = nn.Linear(u, u, bias=False)
        self.displace = zero(nn.Linear(u, 1, bias=False))

    def update_pairs(
        self, h: Tensor, v: Tensor, e: Tensor, distance: Tensor, mods: tuple[Tensor, ...], radial: Tensor, pairs: Pairs
    ) -> Tensor:
        """Pair features from themselves, distances, both ends and inner products; symmetric in the ends.

        Products of the ends come from their sum, ``2 a.b = |a + b|^2 - |a|^2 - |b|^2``; the squares of single ends are linear in the
        nodes and join what the nodes send, so that one sum over ends brings all that a pair needs.
        """
        scalar, vector = self.pair_scalars(h), self.pair_vectors(v)
        squares = torch.cat([vector.square().sum(-2), scalar.square()], -1)
        alone = self.pair_ends(h) - 0.5 * functional.linear(squares, self.pair_in.weight[:, -squares.shape[-1] :])
        total, scalar_sum, vector_sum = pairs.sum_ends(torch.cat([alone, scalar, vector.flatten(2)], -1)).split(
            [alone.shape[-1], scalar.shape[-1], 3 * vector.shape[-1]], -1
        )
        gram = 0.5 * vector_sum.unflatten(-1, (3, -1)).square().sum(-2)
        inner = self.pair_in(torch.cat([modulate(e, mods[6], mods[7]), radial, distance, gram, 0.5 * scalar_sum.square()], -1)) + total
        return e + self.pair_out(functional.silu(inner))

    def attend(self, h: Tensor, v: Tensor, e: Tensor, unit: Tensor, pairs: Pairs, mask: NodeMask) -> tuple[Tensor, Tensor]:
        """Messages to scalars (b n c) and vectors (b n 3 u)."""
        b, n, c = h.shape
        q, k, value = self.query_key_value(h).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias, pair_value, gate = pairs.spread(self.from_pairs(e)).split(self.split_sizes, -1)
        logits = q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5 + bias.permute(0, 3, 1, 2)
        weight = logits.masked_fill(~mask[:, None, None, :], -1e9).softmax(-1)
        from_nodes = (weight @ value).transpose(1, 2).reshape(b, n, c)
        from_pairs = (weight.permute(0, 2, 1, 3) @ pair_value).flatten(2)
        along = unit.transpose(-1, -2) @ gate
        u = v.shape[-1]
        moved = self.values_vector(v).view(b, n, 3, self.heads, u // self.heads).permute(0, 3, 1, 2, 4).flatten(3)
        across = (weight @ moved).view(b, self.heads, n, 3, u // self.heads).permute(0, 2, 3, 1, 4).flatten(3)
        message = self.merge(torch.cat([from_nodes, from_pairs, vector_norm(along)], -1))
        return message, self.merge_vector(torch.cat([along, across], -1))

    def forward(
        self,
        h: Tensor,
        v: Tensor,
        e: Tensor,
        displacement: Tensor,
        y: Tensor,
        context: Tensor,
        basis: RadialBasis,
        pairs: Pairs,
        mask: NodeMask,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns the updated scalars, vectors, pairs and displacement."""
        mods = self.modulation(context).split(self.sizes, -1)
        difference = y.unsqueeze(1) - y.unsqueeze(2)
        distance = (difference.square().sum(-1, keepdim=True) + 1e-8).sqrt()
        count = mask.sum(-1).to(h.dtype).clamp(min=1).sqrt()[:, None, None, None]
        unit = difference * (pair_mask(mask).unsqueeze(-1) / (distance * count))
        flat = pairs.gather(distance)
        e = self.update_pairs(h, v, e, torch.log1p(flat), mods, basis(flat.squeeze(-1)), pairs)
        message, vector_message = self.attend(modulate(h, mods[0], mods[1]), v, e, unit, pairs, mask)
        h = h + (1 + mods[2]).unsqueeze(1) * message
        v = normalize_vectors(v + vector_message)
        left, right = self.norm_in(v).chunk(2, -1)
        inner = torch.cat([modulate(h, mods[3], mods[4]), (left * right).sum(-2)], -1)
        update, gate, keep = self.contract(functional.silu(self.expand(inner))).split([h.shape[-1], v.shape[-1], v.shape[-1]], -1)
        h = h + (1 + mods[5]).unsqueeze(1) * update
        v = v * (1 + keep).unsqueeze(2) + self.mix_vector(v) * gate.unsqueeze(2)
        return h, v, e, displacement + self.displace(v).squeeze(-1)


class Backbone(nn.Module):
    """The network of :class:`EquivariantTransformer`."""

    def __init__(self, config: EquivariantTransformer, nodes_in: int, pairs_in: int, nodes_out: int, pairs_out: int, conditions: int):
        super().__init__()
        self.moves = config.moves
        self.basis = RadialBasis(config.radial)
        self.context = Context(config.context, conditions)
        self.nodes_in = nn.Linear(nodes_in + config.context, config.scalars)
        self.pairs_in = nn.Linear(pairs_in + POSITION_SETS * config.radial, config.pairs)
        self.vectors_in = nn.Linear(POSITION_SETS, config.vectors, bias=False)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.nodes_out = readout(config.scalars, nodes_out)
        self.pairs_out = readout(config.pairs, pairs_out)
        self.ends_out = nn.Linear(config.scalars, config.pairs, bias=False)

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
    ) -> tuple[Positions, Float[Tensor, "b n ka"], Float[Tensor, "b n n ke"]]:
        """Displacement and output features of clean data.

        Args:
            positions: centred position sets of unit scale: the noisy one, and an earlier guess or zeros.
            estimate: first estimate y0 of the clean positions; layer l works at ``y0 + gain F_l``, or at ``z0 + F_l`` with the first of the
                position sets for z0.
            gain: scale of the displacement F.
            nodes: input features of nodes.
            pairs: input features of pairs, symmetric.
            mask: real nodes.
            level: noise level ``ln r / 4``.
            condition: encoded conditions.
        """
        n = mask.shape[1]
        index = Pairs(n, estimate)
        context = self.context(level, condition, mask)
        h = self.nodes_in(torch.cat([nodes, context.unsqueeze(1).expand(-1, n, -1)], -1))
        v = self.vectors_in(positions.transpose(-1, -2)).to(estimate.dtype)  # the precision that layers leave vectors in
        gaps = positions.unsqueeze(2) - positions.unsqueeze(1)
        distances = index.gather((gaps.square().sum(-1) + 1e-8).sqrt())
        e = self.pairs_in(torch.cat([index.gather(pairs), self.basis(distances).flatten(2)], -1))
        displacement = torch.zeros_like(estimate).requires_grad_(h.requires_grad)  # so that the first layer is like all others
        if self.moves == "input":
            estimate, gain = positions[:, :, 0], torch.ones_like(gain)
        for layer in self.layers:
            y = estimate + gain[:, None, None] * displacement
            h, v, e, displacement = layer(h, v, e, displacement, y, context, self.basis, index, mask)
        pair_features = index.spread(self.pairs_out(e + index.sum_ends(self.ends_out(h))))
        return center(displacement, mask), self.nodes_out(h), pair_features
