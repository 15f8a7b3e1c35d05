"""The backbone for point clouds: an E(3)-equivariant graph U-Net whose cost is linear in the number of points.

    n points --- k-nearest-neighbour convolution -----------------+ skip + --- convolution on the moved points --- displacement F
       | farthest-point pooling, attention                        |
       +-- m1 centres --- attention layers -----------+ skip + ---+
              | pooling                               |
              +-- m2 centres --- attention layers ----+

The numbers of centres are fixed, so that n x m attention between the levels is linear in n and the coarse levels look alike for 512 and for
8,192 points: the network runs at numbers of points that it was not trained with. Graphs follow the noisy positions of unit scale.
The last convolution sees the neighbours where the coarse levels moved them, at ``y0 + gain F``.

A cloud in a canonical pose has directions that mean something: ``frame`` tells the network the up axis, which leaves rotations about it, or
the whole frame, which leaves none. Reference directions enter as further vectors, and coordinates along them as scalars.
"""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from molgen.errors import InputError
from molgen.geometry import farthest_points, nearest_neighbours
from molgen.limits import Layers, Limited, Width
from molgen.nn.frame import Frame, directions
from molgen.nn.layers import check_heads, readout, zero
from molgen.nn.point_blocks import Attention, CloudNetwork, Mix, Neighbours, State, blank, gather, take
from molgen.types import NodeMask, PerSample, Positions, Tensor


@dataclass(frozen=True, kw_only=True)
class PointUNet(Limited):
    """Sizes of the backbone; :meth:`build` makes it for given feature widths.

    Args:
        kind: selects this backbone.
        scalars: scalar channels of points; centres have ``coarse`` times as many.
        vectors: vector channels of points, likewise.
        coarse: factor on the channels of all centres.
        neighbours: k of the graph of points.
        levels: numbers of centres from fine to coarse.
        layers: attention layers on each side of a level.
        heads: attention heads.
        context: width of what noise level, size and conditions become.
        frame: reference directions: none, the axis that points up, or all three.
    """

    kind: Literal["point_unet"] = "point_unet"
    scalars: Width = 64
    vectors: Width = 8
    coarse: Width = 2
    neighbours: Width = 12
    levels: tuple[Width, ...] = (128, 32)
    layers: Layers = 2
    heads: Width = 8
    context: Width = 96
    frame: Frame = "none"

    def build(self, nodes_in: int, pairs_in: int, nodes_out: int, pairs_out: int, conditions: int) -> "Backbone":
        """Makes the network for these numbers of input and output features and condition features.

        Raises:
            InputError: for pair features, which a point cloud does not have, and for sizes that do not fit each other.
        """
        if pairs_in or pairs_out:
            raise InputError("model.kind=point_unet: has no pair features; use equivariant_transformer for molecules")
        check_heads(self.heads, self.scalars, self.vectors)
        if not self.levels:
            raise InputError("model.levels: expected at least one number of centres, got none")
        return Backbone(self, nodes_in, nodes_out, conditions)


class Level(nn.Module):
    """A set of centres: pooling from the finer set, attention, and the way back."""

    def __init__(self, config: PointUNet, count: int, widths: tuple[int, int], inner: "Level | None"):
        super().__init__()
        c, u = config.coarse * config.scalars, config.coarse * config.vectors
        self.count, self.inner = count, inner
        self.lower, self.lower_vectors = nn.Linear(widths[0], c), nn.Linear(widths[1], u, bias=False)
        self.raise_, self.raise_vectors = nn.Linear(c, widths[0]), nn.Linear(u, widths[1], bias=False)
        self.pool = Attention(c, u, config.heads, config.context)
        sides = 1 if inner is None else 2
        self.attend = nn.ModuleList([Attention(c, u, config.heads, config.context) for _ in range(sides * config.layers)])
        self.mix = nn.ModuleList([Mix(c, u, config.context) for _ in range(sides * config.layers)])
        self.spread = Attention(*widths, config.heads, config.context)

    def forward(self, fine: State, x: Positions, mask: NodeMask, context: Tensor) -> State:
        """The finer state after a visit to the coarser levels; the skip connection is the state itself."""
        index, exists = farthest_points(x, mask, self.count)
        centres = gather(x, index)
        source = self.lower(fine[0]), self.lower_vectors(fine[1])
        state = self.pool(take(source, index), source, (centres, x), mask, context)
        half = len(self.attend) if self.inner is None else len(self.attend) // 2
        for layer, (attend, mix) in enumerate(zip(self.attend, self.mix, strict=True)):
            if self.inner is not None and layer == half:
                state = self.inner(blank(state, exists), centres, exists, context)
            state = mix(*attend(state, state, (centres, centres), exists, context), context)
        lifted = self.raise_(state[0]), self.raise_vectors(state[1])
        return self.spread(fine, lifted, (x, centres), exists, context)


class Backbone(CloudNetwork):
    """The network of :class:`PointUNet`."""

    def __init__(self, config: PointUNet, nodes_in: int, nodes_out: int, conditions: int):
        c, u, f = config.scalars, config.vectors, len(directions(config.frame))
        super().__init__(config.frame, c, u, config.context, nodes_in, conditions)
        self.neighbours = config.neighbours
        self.first, self.first_mix = Neighbours(c, u, f, config.context), Mix(c, u, config.context)
        level: Level | None = None
        widths = (config.coarse * c, config.coarse * u)
        for depth in reversed(range(len(config.levels))):
            level = Level(config, config.levels[depth], widths if depth else (c, u), level)
        assert level is not None, "build() refuses a network without levels"
        self.levels: Level = level
        self.middle_mix = Mix(c, u, config.context)
        self.middle_out, self.middle_frame = zero(nn.Linear(u, 1, bias=False)), readout(c, f) if f else None
        self.last, self.last_mix = Neighbours(c, u, f, config.context), Mix(c, u, config.context)
        self.last_out, self.last_frame = zero(nn.Linear(u, 1, bias=False)), readout(c, f) if f else None
        self.nodes_out = readout(c, nodes_out) if nodes_out else None

    def propagate(
        self, state: State, x: Positions, estimate: Positions, gain: PerSample, mask: NodeMask, context: Tensor
    ) -> tuple[Positions, Tensor]:
        """Displacement, not yet centred, and scalars of the points; see :class:`CloudNetwork`."""
        index, exists = nearest_neighbours(x, mask, self.neighbours)
        state = self.first_mix(*self.first(*state, x, index, exists, self.frame, context), context)
        state = self.levels(blank(state, mask), x, mask, context)
        h, v = self.middle_mix(*state, context)
        moved = self._displace(h, v, self.middle_out, self.middle_frame)
        y = estimate + gain[:, None, None] * moved
        h, v = self.last_mix(*self.last(h, v, y, index, exists, self.frame, context), context)
        return moved + self._displace(h, v, self.last_out, self.last_frame), h

    def _displace(self, h: Tensor, v: Tensor, out: nn.Linear, coefficients: nn.Module | None) -> Positions:
        moved = out(v).squeeze(-1)
        return moved if coefficients is None else moved + coefficients(h) @ self.frame
