"""Denoisers: (noisy batch, t, condition) -> prediction about clean data.

:class:`Preconditioned` turns a backbone into a denoiser. For the position field, with ``z = x_t / alpha``, ``r = sigma / alpha``
and data deviation d,

    D = c_skip z + c_out F,    c_skip = d^2 / (r^2 + d^2),    c_out = r d / sqrt(r^2 + d^2),    c_in = 1 / sqrt(r^2 + d^2)

(Karras et al. 2022, arXiv 2206.00364), where F is the *displacement* found by the backbone, a vector of unit variance. Inside, the backbone
follows the moving estimate ``c_skip z / d + (c_out / d) F``, so that distances are those of the molecule it believes in.
Real features of nodes are preconditioned the same way, with outputs of the backbone for F; those of samples as a whole enter beside the
conditions, and the mean of node outputs is their F.
For a class field the skip is Bayes' rule: the network adds to ``ln q(x_t | x0) + ln marginal(x0)``, the posterior of an entry seen alone.
Predictions of an earlier pass (self-conditioning, Chen et al. 2022, arXiv 2208.04202) enter as further positions and features. A backbone
that was trained to complete parts (:mod:`molgen.diffusion.parts`) has one more feature that tells which nodes are given.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn
from torch.nn import functional

from molgen.batch import Batch
from molgen.diffusion.categorical import Discrete
from molgen.diffusion.condition import Conditions
from molgen.diffusion.gaussian import Gaussian, sole_gaussian
from molgen.diffusion.process import Joint, expand
from molgen.diffusion.space import Features, Whole
from molgen.geometry import average
from molgen.types import NodeMask, PerSample, Prediction, Tensor

Space = TypeVar("Space", Features, Whole)
Reals = Mapping[str, tuple[Gaussian, Features | Whole]]


class Seen(NamedTuple):
    """A noisy field as ``z = x_t / alpha``, its noise-to-signal ratio r and ``sqrt(r^2 + d^2)``, (b,) both."""

    z: Tensor
    ratio: PerSample
    total: PerSample


@runtime_checkable
class Denoiser(Protocol):
    """Anything that predicts clean data from a noisy batch."""

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        """Predicts clean positions and class logits; ``condition`` maps names to (b,) values, NaN meaning null."""
        ...


class Preconditioned(nn.Module):
    """Denoiser made of an equivariant backbone.

    Args:
        backbone: see :class:`molgen.nn.equivariant.EquivariantTransformer` for the interface.
        process: the fields; exactly one Gaussian field of positions, any number of real features of nodes
            and of samples, and of classes of nodes or pairs.
        conditions: the named conditions that the backbone was built for.
        completes: whether the backbone was built with an input for given nodes.
    """

    def __init__(self, backbone: nn.Module, process: Joint, conditions: Conditions, completes: bool = False):
        super().__init__()
        self.backbone = backbone
        self.process = process
        self.conditions = conditions
        self.completes = completes
        self.position, self.gaussian = sole_gaussian(process)
        self.features = features_in(process, Features)
        self.wholes = features_in(process, Whole)
        self.nodes, self.pairs = (class_fields(process, kind) for kind in (False, True))

    @staticmethod
    def widths(process: Joint, conditions: int = 0, completes: bool = False) -> tuple[int, int, int, int, int]:
        """Input and output widths of a backbone for these fields: nodes in, pairs in, nodes out, pairs out, conditions."""
        discrete = [p for p in process.processes.values() if isinstance(p, Discrete)]
        entering = [sum(p.states + p.space.classes for p in discrete if p.space.pairs == kind) for kind in (False, True)]
        leaving = [sum(p.space.classes for p in discrete if p.space.pairs == kind) for kind in (False, True)]
        real = sum(space.width for _, space in features_in(process, Features).values())
        whole = sum(space.width for _, space in features_in(process, Whole).values())
        return entering[0] + 2 * real + completes, entering[1], leaving[0] + real + whole, leaving[1], 2 * whole + conditions

    def _scaled(self, fields: Reals, batch: Batch, t: PerSample, previous: Prediction | None) -> list[Tensor]:
        """Real features of unit scale: the noisy ones, and those of an earlier prediction."""
        parts = []
        for name, (gaussian, _) in fields.items():
            x = batch[name]
            total = expand(gaussian.total(gaussian.ratio(t)).to(x.dtype), x)
            parts.append(x / (expand(gaussian.schedule.alpha(t).to(x.dtype), x) * total))
            parts.append(previous[name].to(x.dtype) / gaussian.data_std if previous is not None else torch.zeros_like(x))
        return parts

    def _given(self, batch: Batch, dtype: torch.dtype) -> list[Tensor]:
        """One at given nodes, for backbones that were trained to complete."""
        if not self.completes:
            return []
        given = torch.zeros_like(batch.mask) if batch.given is None else batch.given
        return [given.unsqueeze(-1).to(dtype)]

    def _features(self, fields: dict[str, Discrete], batch: Batch, previous: Prediction | None, dtype: torch.dtype) -> Tensor:
        parts = []
        for name, process in fields.items():
            parts.append(functional.one_hot(batch[name], process.states).to(dtype))
            if previous is None:
                parts.append(torch.zeros(*batch[name].shape, process.space.classes, dtype=dtype, device=batch.mask.device))
            else:
                parts.append(previous[name].softmax(-1).to(dtype))
        rows = batch.mask.shape if fields is self.nodes else (*batch.mask.shape, batch.mask.shape[1])
        return torch.cat(parts, -1) if parts else torch.zeros(*rows, 0, dtype=dtype, device=batch.mask.device)

    def forward(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        x, d = batch[self.position], self.gaussian.data_std
        seen = _see(self.gaussian, x, t)
        z, r, total = seen
        before = previous[self.position] / d if previous is not None else torch.zeros_like(x)
        displacement, node_out, pair_out = self.backbone(
            positions=torch.stack([z / expand(total, x), before], 2),
            estimate=expand((d / total) / total, x) * z,
            gain=r / total,
            nodes=torch.cat(
                [
                    self._features(self.nodes, batch, previous, x.dtype),
                    *self._scaled(self.features, batch, t, previous),
                    *self._given(batch, x.dtype),
                ],
                -1,
            ),
            pairs=self._features(self.pairs, batch, previous, x.dtype),
            mask=batch.mask,
            level=r.log() / 4,
            condition=torch.cat(
                [*self._scaled(self.wholes, batch, t, previous), self.conditions.encode(condition, len(batch), x.device, x.dtype)], -1
            ),
        )
        prediction = {self.position: skip(self.gaussian, seen, displacement, batch.mask)}
        plain: Reals = {**self.features, **self.wholes}
        classes, *real = node_out.split(
            [sum(p.space.classes for p in self.nodes.values()), *(space.width for _, space in plain.values())], -1
        )
        for (name, (feature, space)), out in zip(plain.items(), real, strict=True):
            found = out if isinstance(space, Features) else average(out, batch.mask)
            prediction[name] = skip(feature, _see(feature, batch[name], t), found, batch.mask)
        for fields, out in ((self.nodes, classes), (self.pairs, pair_out)):
            widths = [p.space.classes for p in fields.values()]
            for (name, process), logits in zip(fields.items(), out.split(widths, -1), strict=True):
                # the evidence is exact, and so in full precision also where the network is not
                prediction[name] = logits + process.evidence(batch[name], t)
        return prediction


def class_fields(process: Joint, pairs: bool) -> dict[str, Discrete]:
    """The class fields of nodes, or of pairs."""
    return {name: p for name, p in process.processes.items() if isinstance(p, Discrete) and p.space.pairs == pairs}


def features_in(process: Joint, kind: type[Space]) -> dict[str, tuple[Gaussian, Space]]:
    """The real features among the fields, of nodes or of samples as the kind of space says, with their spaces."""
    return {n: (p, p.space) for n, p in process.processes.items() if isinstance(p, Gaussian) and isinstance(p.space, kind)}


def skip(gaussian: Gaussian, seen: Seen, found: Tensor, mask: NodeMask) -> Tensor:
    """Clean data from a noisy field and the F of unit variance that a backbone found: ``D = c_skip z + c_out F``."""
    z, r, total = seen
    d = gaussian.data_std
    return gaussian.space.project(expand((d / total).square(), z) * z + expand(r * d / total, z) * found, mask)


def _see(gaussian: Gaussian, x: Tensor, t: PerSample) -> Seen:
    r = gaussian.ratio(t).to(x.dtype)
    return Seen(x / expand(gaussian.schedule.alpha(t).to(x.dtype), x), r, gaussian.total(r))
