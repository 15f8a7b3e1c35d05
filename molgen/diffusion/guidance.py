"""Guidance wraps a denoiser and is a denoiser; samplers never hear of it.

:class:`ClassifierFree` extrapolates from the unconditional to the conditional prediction, ``u + scale (c - u)``, on coordinates and on
class logits (Ho and Salimans 2022, arXiv 2207.12598). Scale 1 is the plain conditional model, scale 0 the unconditional one.
"""

from dataclasses import dataclass

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.types import PerSample, Prediction, Tensor


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
