"""Denoisers: (noisy batch, t, condition) -> prediction about clean data.

:class:`Preconditioned` turns a backbone into a denoiser. For the position field, with ``z = x_t / alpha``, ``r = sigma / alpha``
and data deviation d,

    D = c_skip z + c_out F,    c_skip = d^2 / (r^2 + d^2),    c_out = r d / sqrt(r^2 + d^2),    c_in = 1 / sqrt(r^2 + d^2)

(Karras et al. 2022, arXiv 2206.00364), where F is the *displacement* found by the backbone, a vector of unit variance. Inside, the backbone
follows the moving estimate ``c_skip z / d + (c_out / d) F``, so that distances are those of the molecule it believes in.
For a class field the skip is Bayes' rule: the network adds to ``ln q(x_t | x0) + ln marginal(x0)``, the posterior of an entry seen alone.
Predictions of an earlier pass (self-conditioning, Chen et al. 2022, arXiv 2208.04202) enter as further positions and features.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn import functional

from molgen.batch import Batch
from molgen.diffusion.categorical import Discrete
from molgen.diffusion.condition import Conditions
from molgen.diffusion.gaussian import sole_gaussian
from molgen.diffusion.process import Joint, expand
from molgen.types import PerSample, Prediction, Tensor


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
        process: the fields; exactly one Gaussian (positions), any number of discrete ones on nodes or pairs.
        conditions: the named conditions that the backbone was built for.
    """

    def __init__(self, backbone: nn.Module, process: Joint, conditions: Conditions):
        super().__init__()
        self.backbone = backbone
        self.process = process
        self.conditions = conditions
        self.position, self.gaussian = sole_gaussian(process)
        self.nodes = {n: p for n, p in process.processes.items() if isinstance(p, Discrete) and not p.space.pairs}
        self.pairs = {n: p for n, p in process.processes.items() if isinstance(p, Discrete) and p.space.pairs}

    @staticmethod
    def widths(process: Joint) -> tuple[int, int, int, int]:
        """Input and output widths of a backbone for these fields: nodes in, pairs in, nodes out, pairs out."""
        discrete = [p for p in process.processes.values() if isinstance(p, Discrete)]
        entering = [sum(p.states + p.space.classes for p in discrete if p.space.pairs == kind) for kind in (False, True)]
        leaving = [sum(p.space.classes for p in discrete if p.space.pairs == kind) for kind in (False, True)]
        return entering[0], entering[1], leaving[0], leaving[1]

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
        gaussian = self.gaussian
        x, d = batch[self.position], gaussian.data_std
        r = gaussian.ratio(t).to(x.dtype)
        total = (r.square() + d**2).sqrt()
        z = x / expand(gaussian.schedule.alpha(t).to(x.dtype), x)
        seen = previous[self.position] / d if previous is not None else torch.zeros_like(x)
        displacement, node_out, pair_out = self.backbone(
            positions=torch.stack([z / expand(total, x), seen], 2),
            estimate=expand((d / total) / total, x) * z,
            gain=r / total,
            nodes=self._features(self.nodes, batch, previous, x.dtype),
            pairs=self._features(self.pairs, batch, previous, x.dtype),
            mask=batch.mask,
            level=r.log() / 4,
            condition=self.conditions.encode(condition, len(batch), x.device, x.dtype),
        )
        prediction = {
            self.position: gaussian.space.project(expand((d / total).square(), x) * z + expand(r * d / total, x) * displacement, batch.mask)
        }
        for fields, out in ((self.nodes, node_out), (self.pairs, pair_out)):
            widths = [p.space.classes for p in fields.values()]
            for (name, process), logits in zip(fields.items(), out.split(widths, -1), strict=True):
                prediction[name] = logits + process.evidence(batch[name], t).to(logits.dtype)
        return prediction
