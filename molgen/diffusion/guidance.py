"""Guidance wraps a denoiser and is a denoiser; samplers never hear of it.

:class:`ClassifierFree` extrapolates from the unconditional to the conditional prediction, ``u + scale (c - u)``, on coordinates and on
class logits (Ho and Salimans 2022, arXiv 2207.12598). Scale 1 is the plain conditional model, scale 0 the unconditional one.

:class:`Gradient` tilts the model by a differentiable score of clean data, towards ``p(x0) exp(s(x0))``. Given the noisy batch, clean
coordinates are taken as normal around the prediction D with the variance ``v = (r d)^2 / (r^2 + d^2)`` that isotropic data of deviation d
have at noise-to-signal ratio r; the tilted prediction is then the proximal point

    D' = argmax_x  s(x) - |x - D|^2 / (2 v),    to first order    D' = D + v grad s(D).

For a Gaussian and a quadratic score this is exact. A class with probabilities p gets the logits ``l + ds/dp``: exact where the score is
linear in p. The gradient runs through the score alone, not through the network (universal guidance: Bansal et al. 2023, arXiv 2302.07121;
reconstruction guidance: Chung et al. 2023, arXiv 2209.14687).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.field import expand
from molgen.diffusion.process import Joint
from molgen.types import NodeMask, PerSample, Prediction, Tensor

FARTHEST = 3.0
"""Standard deviations that a coordinate moves at most in one round."""


@dataclass(frozen=True)
class ClassifierFree:
    """Classifier-free guidance with one scale for all fields; costs two network calls unless the scale is 0 or 1."""

    denoiser: Denoiser
    scale: float

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        if self.scale == 1 or not condition:
            return self.denoiser(batch, t, condition, previous)
        free = self.denoiser(batch, t, {}, previous)
        if self.scale == 0:
            return free
        bound = self.denoiser(batch, t, condition, previous)
        return {name: free[name] + self.scale * (bound[name] - free[name]) for name in free}


@dataclass(frozen=True)
class Gradient:
    """Guidance by the gradient of a score of clean data.

    Args:
        denoiser: what is guided.
        process: the fields, one of them Gaussian.
        score: (clean coordinates and class probabilities by field, node mask) -> log weight of every sample (b,), differentiable.
        rounds: gradient evaluations for the proximal point; 1 is the first-order shift where that is worth it, else none.
        below: guide only at noise-to-signal ratios below this one. At high noise the prediction is a mean over many samples, drawn together
            around the centre, of which a score of one sample may make nothing.
    """

    denoiser: Denoiser
    process: Joint
    score: Callable[[Prediction, NodeMask], PerSample]
    rounds: int = 6
    below: float = math.inf

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        prediction = self.denoiser(batch, t, condition, previous)
        name, gaussian = self.process.position, self.process.clock
        r = gaussian.ratio(t)
        if self.below < math.inf and bool((r >= self.below).all()):
            return prediction
        variance = expand(gaussian.remaining(r), prediction[name]).to(prediction[name].dtype)
        discrete = self.process.nodes | self.process.pairs
        classes = {field: prediction[field].softmax(-1) for field in discrete}
        moved, tilt = self._proximal(prediction[name], variance, classes, name, batch.mask)
        tilted = dict(prediction)
        tilted[name] = gaussian.space.project(moved, batch.mask)
        for field, process in discrete.items():
            if field in tilt:
                tilted[field] = prediction[field] + process.slope(tilt[field])
        return tilted

    def _gradients(self, clean: Prediction, mask: NodeMask) -> tuple[PerSample, dict[str, Tensor]]:
        """The score (b,) and its gradient with respect to every field that it depends on, zero where it is not finite."""
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in clean.items()}
            value = self.score(leaves, mask)
            if not value.requires_grad:
                return value.detach(), {}
            found = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
        told = {name: grad for name, grad in zip(leaves, found, strict=True) if grad is not None}
        return value.detach(), {name: torch.where(grad.isfinite(), grad, torch.zeros_like(grad)) for name, grad in told.items()}

    def _proximal(
        self, center: Tensor, variance: Tensor, classes: Prediction, name: str, mask: NodeMask
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The proximal point and the gradients of the score there.

        Gradient ascent with Barzilai-Borwein steps (1988); of all rounds each sample keeps the best.
        """
        x, step = center, variance
        best, best_value = center, torch.full_like(variance, -torch.inf)
        before: tuple[Tensor, Tensor] | None = None
        for index in range(self.rounds + 1):
            value, gradients = self._gradients({**classes, name: x}, mask)
            if name not in gradients:
                return center, gradients
            pull = (x - center) / variance
            value = expand(value, x) - (pull * (x - center)).sum((-1, -2), keepdim=True) / 2
            better = value > best_value
            best, best_value = torch.where(better, x, best), torch.where(better, value, best_value)
            if index == self.rounds:
                break
            slope = (gradients[name] - pull) * mask.unsqueeze(-1)
            if not slope.any():  # at rest, as where the score asks for nothing
                break
            if before is not None:
                change, bend = x - before[0], slope - before[1]
                along = (change * bend).sum((-1, -2), keepdim=True).abs()
                step = torch.where(along > 0, change.square().sum((-1, -2), keepdim=True) / along.clamp(min=1e-30), step)
                step = torch.minimum(step, variance)
            before = (x, slope)
            limit = FARTHEST * variance.sqrt() / (step * slope).abs().amax((-1, -2), keepdim=True).clamp(min=1e-30)
            x = x + limit.clamp(max=1) * step * slope
        return best, self._gradients({**classes, name: best}, mask)[1]
