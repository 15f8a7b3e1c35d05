"""A network that estimates numbers of a clean sample, such as its properties, from a denoiser's guess of it.

A guess has positions, class probabilities of nodes and of pairs, and the noise level r at which it was made. Nodes carry features h_i. In
each layer a node sees the others through channels g_r: radial functions of the distance below a cutoff, and the class probabilities of the
pair,

    a_irc = sum_j g_r(ij) h_jc          (how much of c at this distance, over this bond),
    v_irc = sum_j g_r(d_ij) u_ij h_jc   (in which direction),

and mixes a and the lengths of linear combinations of v into an update of h_i. What is read off are sums of node features (additive
quantities), means with learned weights (those that sit on few atoms) and lengths of ``sum_i q_i x_i`` with learned charges q of sum 0
(dipoles): nothing that changes under rotation, reflection or renumbering. Every number comes with a deviation, which grows with the noise.

References: Schütt et al. 2018, SchNet, 10.1063/1.5019779 (continuous filters); Drautz 2019, 10.1103/PhysRevB.99.014104 (angles from
densities); Bao et al. 2023, EEGSDE, arXiv 2209.15408 (properties of noisy molecules to guide by).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from molgen.geometry import pair_mask
from molgen.limits import Layers, Limited, Positive, Width
from molgen.types import Float, NodeMask, PerSample, Positions, Tensor

LOG_DEVIATIONS = (-5.0, 1.5)
"""Range of the logarithm of a deviation."""


@dataclass(frozen=True, kw_only=True)
class PropertyEstimator(Limited):
    """Sizes of the network; :meth:`build` makes it.

    Args:
        kind: selects this network.
        width: features of a node.
        channels: of these that nodes send.
        radial: functions of the distance.
        directed: functions of the distance in sums of directions.
        layers: looks at the other nodes.
        cutoff: of distances, in units of the network (of molecules 1.5 Å).
    """

    kind: Literal["property_estimator"] = "property_estimator"
    width: Width = 64
    channels: Width = 32
    radial: Width = 16
    directed: Width = 8
    layers: Layers = 4
    cutoff: Positive = 10 / 3

    def build(self, nodes: int, pairs: int, numbers: int) -> "Estimator":
        """Makes the network for so many classes of nodes and of pairs, and numbers to estimate."""
        return Estimator(self, nodes, pairs, numbers)


class Look(nn.Module):
    """One look at the other nodes."""

    def __init__(self, config: PropertyEstimator, pairs: int):
        super().__init__()
        width, half = config.width, config.channels // 2
        self.split = [config.channels, half]
        self.send = nn.Linear(width, config.channels + half)
        self.amount = nn.Linear((config.radial + pairs) * config.channels, width)
        self.direction = nn.Linear(config.directed * half, width, bias=False)
        self.update = nn.Sequential(nn.LayerNorm(3 * width), nn.Linear(3 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, seen: Tensor, directed: Tensor) -> Tensor:
        """Args: h: (b, n, width); seen: channels (b, n, radial + pairs, n); directed: (b, n, 3 directed, n). Returns new features."""
        b, n, _ = h.shape
        near, far = self.send(h).split(self.split, -1)
        amount = self.amount((seen.reshape(b, -1, n) @ near).reshape(b, n, -1))
        direction = self.direction((directed.reshape(b, -1, n) @ far).reshape(b, n, 3, -1))
        return h + self.update(torch.cat([h, amount, (direction.square().sum(-2) + 1e-6).sqrt()], -1))


class Estimator(nn.Module):
    """Numbers of samples, in units of their deviation in the training data, each with a standard deviation of its own."""

    process = None
    """It knows no noise of its own; :class:`molgen.diffusion.estimation.Estimation` brings that of the denoiser."""

    def __init__(self, config: PropertyEstimator, nodes: int, pairs: int, numbers: int):
        super().__init__()
        self.config, width = config, config.width
        self.heads, self.charges, pooled = 8, 8, 64
        self.embed = nn.Linear(nodes, width)
        self.level = nn.Sequential(nn.Linear(2, width // 2), nn.SiLU(), nn.Linear(width // 2, width))
        self.looks = nn.ModuleList(Look(config, pairs) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.weigh, self.value = nn.Linear(width, self.heads), nn.Linear(width, pooled)
        self.add, self.charge = nn.Linear(width, pooled), nn.Linear(width, self.charges)
        inner = 2 * width
        self.read = nn.Sequential(
            nn.Linear(2 * pooled + self.charges + 1 + width, inner),
            nn.SiLU(),
            nn.Linear(inner, inner),
            nn.SiLU(),
            nn.Linear(inner, 2 * numbers),
        )

    def forward(
        self, positions: Positions, nodes: Float[Tensor, "b n f"], pairs: Float[Tensor, "b n n o"], mask: NodeMask, ratio: PerSample
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """Means and standard deviations.

        Args:
            positions: of the guess, in units of the network.
            nodes: class probabilities of nodes.
            pairs: class probabilities of pairs.
            mask: real nodes.
            ratio: noise-to-signal ratio r at which the guess was made.
        """
        real = mask.unsqueeze(-1).to(positions.dtype)
        seen, directed = self._channels(positions, pairs, mask)
        log = ratio.log()
        level = self.level(torch.stack([log / 4, log.square() / 16], -1))
        h = (self.embed(nodes) + level.unsqueeze(1)) * real
        for look in self.looks:
            h = look(h, seen, directed)
        h, count = self.norm(h), real.sum(1)
        weights = self.weigh(h).masked_fill(~mask.unsqueeze(-1), -torch.inf).softmax(1)
        mean = (weights.repeat_interleave(self.value.out_features // self.heads, -1) * self.value(h)).sum(1)
        total = (self.add(h) * real).sum(1) / 18
        charge = self.charge(h) * real
        charge = (charge - charge.sum(1, keepdim=True) / count.unsqueeze(1)) * real
        moment = (torch.einsum("bnc,bnx->bcx", charge, positions).square().sum(-1) + 1e-4).sqrt()
        means, logs = self.read(torch.cat([mean, total, moment, count / 18, level], -1)).chunk(2, -1)
        return means, logs.clamp(*LOG_DEVIATIONS).exp()

    @torch.no_grad()
    def widen(self, factors: Float[Tensor, "k"]) -> None:
        """Multiplies the deviations that it states, each by a factor of its own, within :data:`LOG_DEVIATIONS`."""
        last = self.read[-1]
        assert isinstance(last, nn.Linear)
        last.bias[len(factors) :] += factors.log()

    @torch.no_grad()
    def tell_others(self, numbers: Sequence[tuple[int, tuple[float, float]] | None]) -> dict[str, Tensor]:
        """Weights of a network of the same sizes that tells other numbers.

        Args:
            numbers: for each of them which number of this network it is, and by which factor f and shift g, ``f x + g``; or None where it
                is new, which starts as 0 with the deviation 1.
        """
        last = self.read[-1]
        assert isinstance(last, nn.Linear)
        count = last.out_features // 2
        weight, bias = last.weight.new_zeros(2 * len(numbers), last.in_features), last.bias.new_zeros(2 * len(numbers))
        for row, (known, log) in enumerate((number, len(numbers) + row) for row, number in enumerate(numbers)):
            if known is None:
                continue
            place, (factor, shift) = known
            weight[row], bias[row] = factor * last.weight[place], factor * last.bias[place] + shift
            weight[log], bias[log] = last.weight[count + place], last.bias[count + place] + math.log(factor)
        end = f"read.{len(self.read) - 1}"
        return {**self.state_dict(), f"{end}.weight": weight, f"{end}.bias": bias}

    def _channels(self, positions: Tensor, pairs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Channels through which nodes see each other, (b, n, radial + pairs, n), and directed ones, (b, n, 3 directed, n)."""
        config, there = self.config, pair_mask(mask).to(positions.dtype)
        difference = positions.unsqueeze(1) - positions.unsqueeze(2)
        distance = (difference.square().sum(-1) + 1e-4).sqrt()
        window = (0.5 * torch.cos(distance.clamp(max=config.cutoff) * (math.pi / config.cutoff)) + 0.5) * there
        near = bells(distance, config.radial, config.cutoff) * window.unsqueeze(2)
        units = (difference / (distance + 0.04 * config.cutoff).unsqueeze(-1)).movedim(-1, 2)
        directed = units.unsqueeze(3) * (bells(distance, config.directed, config.cutoff) * window.unsqueeze(2)).unsqueeze(2)
        return torch.cat([near, pairs.movedim(-1, 2) * there.unsqueeze(2)], 2), directed.flatten(2, 3)


def bells(distance: Tensor, number: int, cutoff: float) -> Tensor:
    """Gaussians spaced evenly from 0.16 of the cutoff to the cutoff, as wide as their spacing; (b, n, n) -> (b, n, number, n)."""
    spacing = 0.84 * cutoff / number
    centres = 0.16 * cutoff + spacing * torch.arange(number, dtype=distance.dtype, device=distance.device)
    return torch.exp(-0.5 * ((distance.unsqueeze(2) - centres[:, None]) / spacing).square())
