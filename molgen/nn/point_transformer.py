"""A backbone for small clouds with features, such as latent points: an E(3)-equivariant transformer without pair features.

State: scalars h (b n c), vectors v (b n 3 u), a displacement F (b n 3). Every layer lets all points attend to all (logits fall with the
squared distance of the current estimate ``y = y0 + gain F``, with one learned width a head), mixes scalars with vectors, and moves F along
the vectors. Compared with :mod:`molgen.nn.equivariant` nothing is stored for pairs: a cloud of 64 points has 2,016 of them, and their
features would take most of the time, while molecules need them for bonds.

``frame`` names the reference directions of data in a canonical pose, see :mod:`molgen.nn.frame`. Noise level, size and conditions
modulate the norms (adaptive layer norm, Peebles and Xie 2023, arXiv 2212.09748).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from molgen.errors import InputError
from molgen.limits import Layers, Limited, Width
from molgen.nn.frame import Frame, directions
from molgen.nn.layers import check_heads, readout, zero
from molgen.nn.point_blocks import Attention, CloudNetwork, Mix, State, blank
from molgen.types import NodeMask, PerSample, Positions, Tensor


@dataclass(frozen=True, kw_only=True)
class PointTransformer(Limited):
    """Sizes of the backbone; :meth:`build` makes it for given feature widths.

    Args:
        kind: selects this backbone.
        scalars: scalar channels.
        vectors: vector channels.
        layers: rounds of attention.
        heads: attention heads.
        context: width of what noise level, size and conditions become.
        frame: reference directions: none, the axis that points up, or all three.
    """

    kind: Literal["point_transformer"] = "point_transformer"
    scalars: Width = 128
    vectors: Width = 8
    layers: Layers = 6
    heads: Width = 8
    context: Width = 128
    frame: Frame = "none"

    def build(self, nodes_in: int, pairs_in: int, nodes_out: int, pairs_out: int, conditions: int) -> "Backbone":
        """Makes the network for these numbers of input and output features and condition features.

        Raises:
            InputError: for pair features, which it does not have, and for sizes that do not fit each other.
        """
        if pairs_in or pairs_out:
            raise InputError("model.kind=point_transformer: has no pair features; use equivariant_transformer for molecules")
        check_heads(self.heads, self.scalars, self.vectors)
        return Backbone(self, nodes_in, nodes_out, conditions)


class Backbone(CloudNetwork):
    """The network of :class:`PointTransformer`."""

    def __init__(self, config: PointTransformer, nodes_in: int, nodes_out: int, conditions: int):
        c, u, axes = config.scalars, config.vectors, directions(config.frame)
        super().__init__(config.frame, c, u, config.context, nodes_in, conditions)
        self.attend = nn.ModuleList(Attention(c, u, config.heads, config.context) for _ in range(config.layers))
        self.mix = nn.ModuleList(Mix(c, u, config.context) for _ in range(config.layers))
        self.displace = nn.ModuleList(zero(nn.Linear(u, 1, bias=False)) for _ in range(config.layers))
        self.displace_frame = nn.ModuleList(zero(nn.Linear(c, len(axes))) for _ in range(config.layers)) if axes else None
        self.nodes_out = readout(c, nodes_out) if nodes_out else None

    def propagate(
        self, state: State, x: Positions, estimate: Positions, gain: PerSample, mask: NodeMask, context: Tensor
    ) -> tuple[Positions, Tensor]:
        """Displacement, not yet centred, and scalars of the points; see :class:`CloudNetwork`."""
        displacement = torch.zeros_like(estimate)
        for layer, (attend, mix, displace) in enumerate(zip(self.attend, self.mix, self.displace, strict=True)):
            y = estimate + gain[:, None, None] * displacement
            state = blank(mix(*attend(state, state, (y, y), mask, context), context), mask)
            displacement = displacement + displace(state[1]).squeeze(-1)
            if self.displace_frame is not None:
                displacement = displacement + self.displace_frame[layer](state[0]) @ self.frame
        return displacement, state[0]
