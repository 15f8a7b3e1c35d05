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

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn import functional

from molgen.batch import Batch
from molgen.diffusion.categorical import Discrete
from molgen.diffusion.condition import Conditions
from molgen.diffusion.field import expand
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.errors import InputError
from molgen.geometry import average
from molgen.types import NodeMask, PerSample, Prediction, Tensor


class Widths(NamedTuple):
    """Input and output features of a backbone: of nodes, of pairs, and of conditions."""

    nodes_in: int
    pairs_in: int
    nodes_out: int
    pairs_out: int
    conditions: int


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

    @staticmethod
    def widths(process: Joint, conditions: int = 0, completes: bool = False) -> Widths:
        """Input and output features of a backbone for these fields, and so many features of conditions."""
        nodes, pairs = (sum(p.space.classes for p in fields.values()) for fields in (process.nodes, process.pairs))
        noisy_nodes, noisy_pairs = (sum(p.states for p in fields.values()) for fields in (process.nodes, process.pairs))
        real, whole = (sum(p.space.width for p in fields.values()) for fields in (process.features, process.wholes))
        return Widths(noisy_nodes + nodes + 2 * real + completes, noisy_pairs + pairs, nodes + real + whole, pairs, 2 * whole + conditions)

    def _scaled(self, fields: dict[str, Gaussian], batch: Batch, t: PerSample, previous: Prediction | None) -> list[Tensor]:
        """Real features of unit scale: the noisy ones, and those of an earlier prediction."""
        parts = []
        for name, gaussian in fields.items():
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
        rows = batch.mask.shape if fields is self.process.nodes else (*batch.mask.shape, batch.mask.shape[1])
        return torch.cat(parts, -1) if parts else torch.zeros(*rows, 0, dtype=dtype, device=batch.mask.device)

    def _checked(self, found: Any, mask: NodeMask) -> tuple[Tensor, Tensor, Tensor]:
        """The three outputs of a backbone, which may be one's own.

        Raises:
            InputError: they are no tensors of the shapes that it was built for.
        """
        (b, n), widths = mask.shape, self.widths(self.process)
        expected = [(b, n, 3), (b, n, widths.nodes_out), (b, n, n, widths.pairs_out)]
        several = isinstance(found, tuple | list)
        got = [tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__ for out in (found if several else [found])]
        if got != expected:
            name = type(self.backbone).__name__
            raise InputError(f"{name}: expected displacement, features of nodes and features of pairs of shapes {expected}, got {got}")
        displacement, nodes, pairs = found
        return displacement, nodes, pairs

    def forward(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        process, position, gaussian = self.process, self.process.position, self.process.clock
        x, d = batch[position], gaussian.data_std
        z, r = _see(gaussian, x, t)
        total = gaussian.total(r)
        before = previous[position] / d if previous is not None else torch.zeros_like(x)
        found = self.backbone(
            positions=torch.stack([z / expand(total, x), before], 2),
            estimate=expand((d / total) / total, x) * z,
            gain=r / total,
            nodes=torch.cat(
                [
                    self._features(process.nodes, batch, previous, x.dtype),
                    *self._scaled(process.features, batch, t, previous),
                    *self._given(batch, x.dtype),
                ],
                -1,
            ),
            pairs=self._features(process.pairs, batch, previous, x.dtype),
            mask=batch.mask,
            level=r.log() / 4,
            condition=torch.cat(
                [*self._scaled(process.wholes, batch, t, previous), self.conditions.encode(condition, len(batch), x.device, x.dtype)], -1
            ),
        )
        displacement, node_out, pair_out = self._checked(found, batch.mask)
        prediction = {position: skip(gaussian, z, r, displacement, batch.mask)}
        reals = process.features | process.wholes
        logits = sum(p.space.classes for p in process.nodes.values())
        classes, *real = node_out.split([logits, *(p.space.width for p in reals.values())], -1)
        for (name, feature), out in zip(reals.items(), real, strict=True):
            found = average(out, batch.mask) if name in process.wholes else out
            prediction[name] = skip(feature, *_see(feature, batch[name], t), found, batch.mask)
        for fields, out in ((process.nodes, classes), (process.pairs, pair_out)):
            widths = [p.space.classes for p in fields.values()]
            for (name, discrete), found in zip(fields.items(), out.split(widths, -1), strict=True):
                # the evidence is exact, and so in full precision also where the network is not
                prediction[name] = found + discrete.evidence(batch[name], t)
        return prediction


def skip(gaussian: Gaussian, z: Tensor, r: PerSample, found: Tensor, mask: NodeMask) -> Tensor:
    """Clean data from a noisy field and the F of unit variance that a backbone found: ``D = c_skip z + c_out F``."""
    kept = (gaussian.data_std / gaussian.total(r)).square()
    return gaussian.space.project(expand(kept, z) * z + expand(gaussian.uncertainty(r), z) * found, mask)


def _see(gaussian: Gaussian, x: Tensor, t: PerSample) -> tuple[Tensor, PerSample]:
    """A noisy field as ``z = x_t / alpha``, and its noise-to-signal ratio r."""
    return x / expand(gaussian.schedule.alpha(t).to(x.dtype), x), gaussian.ratio(t).to(x.dtype)
