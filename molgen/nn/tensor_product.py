"""The e3nn tensor-product denoiser: messages and nodes of every degree l <= L, coupled by Clebsch-Gordan coefficients.

State: features x_l (b n u 2l+1) for l = 0..L that transform as the irreducible representation l with parity (-1)^l of O(3),
pair features e (b n n p), a displacement F (b n 3). Every layer works at the estimate ``y = y0 + gain F``:
  1. pairs are updated from distances, the scalars of both ends and the inner products ``sum_m x_lm(i) x_lm(j)``;
  2. messages ``m_i^{l3} = sum_j w_ij (x_j^{l1} (x) Y^{l2}(y_j - y_i))^{l3}``, with path weights w from pair features;
  3. nodes are squared, ``(A x)^{l1} (x) (B x)^{l2} -> l3``, which brings angles between a node's messages: body order grows with depth;
  4. F moves along x_1.
Only paths with even l1 + l2 + l3 exist for these parities. Slower than :mod:`molgen.nn.equivariant` but sees higher angular resolution.

References: Geiger and Smidt, e3nn: Euclidean neural networks, 2022, arXiv 2207.09453. Batzner et al., E(3)-equivariant graph neural
networks for interatomic potentials, 2022, arXiv 2101.03164. Batatia et al., MACE, 2022, arXiv 2206.07697.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import nn
from torch.nn import functional

from molgen.geometry import center, pair_mask
from molgen.limits import Layers, Limited, Width
from molgen.nn.embed import Context, RadialBasis
from molgen.nn.layers import modulate, readout, zero
from molgen.types import POSITION_SETS, Float, NodeMask, PerSample, Positions, PositionSets, Tensor

Features = list[Tensor]
"""One tensor (b n u 2l+1) for every degree l."""

RANK = 16  # inner products per degree that a pair sees


@dataclass(frozen=True, kw_only=True)
class TensorProduct(Limited):
    """Sizes of the backbone; :meth:`build` makes it for given feature widths."""

    kind: Literal["tensor_product"] = "tensor_product"
    scalars: Width = 64
    tensors: Width = 16
    pairs: Width = 32
    degree: PositiveInt = 2
    layers: Layers = 4
    radial: Width = 16
    context: Width = 64

    def build(self, nodes_in: int, pairs_in: int, nodes_out: int, pairs_out: int, conditions: int) -> "Backbone":
        """Makes the network for these numbers of input and output features and condition features."""
        return Backbone(self, nodes_in, pairs_in, nodes_out, pairs_out, conditions)


def paths(degree: int) -> list[tuple[int, int, int]]:
    """All couplings (l1, l2, l3) up to a degree that respect the triangle rule and the parities (-1)^l, sorted."""
    degrees = range(degree + 1)
    return [(a, b, c) for a in degrees for b in degrees for c in degrees if abs(a - b) <= c <= a + b and (a + b + c) % 2 == 0]


class Coupling(nn.Module):
    """The coefficients ``sqrt(2 l3 + 1) C^{l1 l2 l3}_{m q k}`` of all paths, cast to the precision of what they multiply."""

    def __init__(self, degree: int) -> None:
        from e3nn import o3  # here, as it takes two seconds, which models without tensor products can do without

        super().__init__()
        self.paths = paths(degree)
        self.degree = degree
        for path in self.paths:
            coefficients = o3.wigner_3j(*path, dtype=torch.float64) * (2 * path[2] + 1) ** 0.5
            self.register_buffer(self._name(path), coefficients, persistent=False)

    @staticmethod
    def _name(path: tuple[int, int, int]) -> str:
        return "path_{}_{}_{}".format(*path)

    def coefficients(self, path: tuple[int, int, int], like: Tensor) -> Tensor:
        """The coefficients (2 l1 + 1, 2 l2 + 1, 2 l3 + 1) of one path in the precision of a tensor."""
        return self.get_buffer(self._name(path)).to(like.dtype)

    def inputs(self, degree: int) -> int:
        """Number of paths that end in a degree."""
        return sum(path[2] == degree for path in self.paths)

    def _gather(self, products: list[Tensor]) -> Features:
        """Concatenates the channels of all paths that end in the same degree."""
        ends = [path[2] for path in self.paths]
        return [torch.cat([x for x, end in zip(products, ends, strict=True) if end == degree], 2) for degree in range(self.degree + 1)]

    def forward(self, left: Features, right: Features) -> Features:
        """Products of the features of each node channel by channel, (b n u 2l+1) each; returns (b n paths*u 2l+1)."""
        return self._gather(
            [torch.einsum("bnum,bnuq,mqk->bnuk", left[path[0]], right[path[1]], self.coefficients(path, left[0])) for path in self.paths]
        )

    def messages(self, source: Features, sphere: Features, weight: Float[Tensor, "b n n paths u"]) -> Features:
        """Sums ``w_ij (x_j (x) Y_ij)`` over j: source (b n u 2l+1), spherical harmonics (b n n 2l+1); returns (b n paths*u 2l+1)."""
        b, n, u, _ = source[0].shape
        products = []
        for number, path in enumerate(self.paths):
            turn = torch.einsum("bijq,mqk->bijmk", sphere[path[1]], self.coefficients(path, weight))
            weighted = weight[:, :, :, number].unsqueeze(-1) * source[path[0]].unsqueeze(1)
            rows = weighted.transpose(2, 3).reshape(b * n, u, -1)
            products.append((rows @ turn.reshape(b * n, rows.shape[-1], -1)).view(b, n, u, -1))
        return self._gather(products)


class Mix(nn.Module):
    """A linear map over channels for every degree; only scalars may have a bias."""

    def __init__(self, inputs: list[int], outputs: list[int]) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(i, o, bias=degree == 0) for degree, (i, o) in enumerate(zip(inputs, outputs, strict=True)))

    def forward(self, features: Features) -> Features:
        """Maps (b n i 2l+1) to (b n o 2l+1) for every degree l."""
        return [m(x.transpose(-1, -2)).transpose(-1, -2) for m, x in zip(self.maps, features, strict=True)]


def normalize(features: Features, scale: Tensor, shift: Tensor) -> Features:
    """Layer norm for scalars, modulated per sample; higher degrees are divided by their root mean square over channels."""
    scalars = modulate(features[0].squeeze(-1), scale, shift).unsqueeze(-1)
    return [scalars] + [x * torch.rsqrt(x.square().sum(-1, keepdim=True).mean(-2, keepdim=True) + 1e-4) for x in features[1:]]


class Layer(nn.Module):
    """One round of pair update, messages, node products and displacement.

    Args:
        config: the sizes.
        coupling: the tensor product.
        highest: highest degree that leaves the layer; the last layer needs scalars and vectors only.
    """

    def __init__(self, config: TensorProduct, coupling: Coupling, highest: int) -> None:
        super().__init__()
        c, u, p, degrees = config.scalars, config.tensors, config.pairs, config.degree + 1
        self.coupling = coupling
        widths, narrow = [c] + [u] * config.degree, [u] * degrees
        joined = [coupling.inputs(degree) * u for degree in range(degrees)]
        self.sizes = [c] * 4 + [p] * 2
        self.modulation = zero(nn.Linear(config.context, sum(self.sizes)))
        # pairs
        self.invariants = Mix(widths, [RANK] * degrees)
        self.pair_ends = nn.Linear(c, 2 * p, bias=False)
        self.pair_in = nn.Linear(p + config.radial + 1 + RANK * degrees, 2 * p)
        self.pair_out = zero(nn.Linear(2 * p, p))
        # messages
        self.source = Mix(widths, narrow)
        self.weights = nn.Linear(p, len(coupling.paths) * u)
        self.collect = Mix(joined, widths)
        # nodes
        self.left, self.right = Mix(widths, narrow), Mix(widths, narrow)
        self.square = Mix(joined[: highest + 1], widths[: highest + 1])
        self.expand = nn.Linear(2 * c, 2 * c)
        self.contract = zero(nn.Linear(2 * c, c + u * highest))
        self.displace = zero(nn.Linear(u, 1, bias=False))

    def update_pairs(self, x: Features, e: Tensor, distance: Tensor, basis: RadialBasis, scale: Tensor, shift: Tensor) -> Tensor:
        """Pair features (b n n p) from themselves, distances (b n n), both ends and inner products; symmetric in the ends."""
        inner = [torch.einsum("bium,bjum->biju", a, a) for a in self.invariants(x)]
        own = modulate(e.flatten(1, 2), scale, shift).view_as(e)
        ends = self.pair_ends(x[0].squeeze(-1))
        hidden = self.pair_in(torch.cat([own, basis(distance), torch.log1p(distance).unsqueeze(-1), *inner], -1))
        return e + self.pair_out(functional.silu(hidden + ends.unsqueeze(1) + ends.unsqueeze(2)))

    def forward(
        self, x: Features, e: Tensor, displacement: Tensor, y: Positions, context: Tensor, basis: RadialBasis, mask: NodeMask
    ) -> tuple[Features, Tensor, Tensor]:
        """Returns the updated features, pairs and displacement."""
        from e3nn import o3

        mods = self.modulation(context).split(self.sizes, -1)
        difference = y.unsqueeze(1) - y.unsqueeze(2)
        distance = (difference.square().sum(-1) + 1e-8).sqrt()
        unit = difference / distance.unsqueeze(-1)
        degrees = list(range(len(x)))
        sphere = o3.spherical_harmonics(degrees, unit, normalize=False, normalization="component").split([2 * d + 1 for d in degrees], -1)
        inner = normalize(x, mods[0], mods[1])
        e = self.update_pairs(inner, e, distance, basis, mods[4], mods[5])
        real = pair_mask(mask).to(e.dtype) / mask.sum(-1).to(e.dtype).clamp(min=1).sqrt()[:, None, None]
        weight = self.weights(functional.silu(e)).unflatten(-1, (len(self.coupling.paths), -1)) * real[..., None, None]
        collected = self.collect(self.coupling.messages(self.source(inner), list(sphere), weight))
        x = [a + b for a, b in zip(x, collected, strict=True)]
        inner = normalize(x, mods[2], mods[3])
        leaving = len(self.square.maps)
        square = self.square(self.coupling(self.left(inner), self.right(inner))[:leaving])
        hidden = functional.silu(self.expand(torch.cat([inner[0], square[0]], 2).squeeze(-1)))
        update, *gates = self.contract(hidden).split([a.shape[2] for a in x[:leaving]], -1)
        gated = [s * torch.sigmoid(g).unsqueeze(-1) for s, g in zip(square[1:], gates, strict=True)]
        x = [a + b for a, b in zip(x[:leaving], [update.unsqueeze(-1), *gated], strict=True)]
        return x, e, displacement + self.displace(x[1].transpose(-1, -2)).squeeze(-1)


class Backbone(nn.Module):
    """The network of :class:`TensorProduct`; the same interface as :class:`molgen.nn.equivariant.Backbone`."""

    def __init__(self, config: TensorProduct, nodes_in: int, pairs_in: int, nodes_out: int, pairs_out: int, conditions: int) -> None:
        super().__init__()
        c, p = config.scalars, config.pairs
        self.config = config
        self.basis = RadialBasis(config.radial)
        self.context = Context(config.context, conditions)
        self.nodes_in = nn.Linear(nodes_in + config.context, c)
        self.pairs_in = nn.Linear(pairs_in + POSITION_SETS * config.radial, p)
        self.vectors_in = nn.Linear(POSITION_SETS, config.tensors, bias=False)
        coupling = Coupling(config.degree)
        highest = [config.degree] * (config.layers - 1) + [1]
        self.layers = nn.ModuleList(Layer(config, coupling, degree) for degree in highest)
        self.nodes_out = readout(c, nodes_out)
        self.ends_out = nn.Linear(c, p, bias=False)
        self.pairs_out = readout(p, pairs_out)

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
        """Displacement and output features of clean data; the arguments are those of :class:`molgen.nn.equivariant.Backbone`."""
        n = mask.shape[1]
        context = self.context(level, condition, mask)
        scalars = self.nodes_in(torch.cat([nodes, context.unsqueeze(1).expand(-1, n, -1)], -1)).unsqueeze(-1)
        vectors = self.vectors_in(positions.transpose(-1, -2)).transpose(-1, -2)
        higher = [vectors.new_zeros(*vectors.shape[:3], 2 * degree + 1) for degree in range(2, self.config.degree + 1)]
        x: Features = [scalars, vectors, *higher]
        gaps = (positions.unsqueeze(1) - positions.unsqueeze(2)).square().sum(-1)
        e = self.pairs_in(torch.cat([pairs, self.basis((gaps + 1e-8).sqrt()).flatten(3)], -1))
        displacement = torch.zeros_like(estimate)
        for layer in self.layers:
            y = estimate + gain[:, None, None] * displacement
            x, e, displacement = layer(x, e, displacement, y, context, self.basis, mask)
        h = x[0].squeeze(-1)
        ends = self.ends_out(h)
        pair_features = self.pairs_out(e + ends.unsqueeze(1) + ends.unsqueeze(2))
        return center(displacement, mask), self.nodes_out(h), pair_features * pair_mask(mask).unsqueeze(-1)
