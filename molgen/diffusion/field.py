"""Processes of single fields: how one is corrupted as time runs from 0 (clean) to 1 (noise), and how it is walked back.

A process owns the law ``q(x_t | x0)``. Given a prediction about x0 it also owns the step ``x_t -> x_s`` with s < t, the forward step
``x_s -> x_t`` (noise lift) and the loss of a prediction. A prediction is clean data for Gaussian fields and logits over clean classes for
categorical ones.
"""

from typing import Protocol, runtime_checkable

from molgen.diffusion.noise import Noise
from molgen.types import NodeMask, PerSample, Tensor


def expand(t: PerSample, like: Tensor) -> Tensor:
    """Appends axes to (b,) so that it broadcasts against ``like`` (b, ...)."""
    return t.reshape(-1, *(1,) * (like.dim() - 1))


@runtime_checkable
class Process(Protocol):
    """Corruption and restoration of one field."""

    def prior(self, like: Tensor, mask: NodeMask, noise: Noise) -> Tensor:
        """Draws ``x_1``, shaped like the clean field ``like``."""
        ...

    def corrupt(self, x0: Tensor, t: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        """Draws ``x_t ~ q(x_t | x0)``."""
        ...

    def lift(self, x: Tensor, s: PerSample, t: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        """Draws ``x_t ~ q(x_t | x_s = x)`` for t >= s: adds noise."""
        ...

    def reverse(self, x: Tensor, prediction: Tensor, t: PerSample, s: PerSample, mask: NodeMask, noise: Noise, eta: float) -> Tensor:
        """Steps from ``x_t = x`` to ``x_s``, s <= t; ``eta``: share of fresh noise of a Gaussian step (0 deterministic, 1 ancestral)."""
        ...

    def settle(self, prediction: Tensor, mask: NodeMask) -> Tensor:
        """The most probable clean field under the prediction."""
        ...

    def sharpen(self, prediction: Tensor, factor: float) -> Tensor:
        """Predictions of classes with their logits multiplied by ``factor``; predictions of coordinates as they are."""
        ...

    def impose(self, prediction: Tensor, x0: Tensor, fixed: Tensor) -> Tensor:
        """The prediction made certain of ``x0`` at the entries where ``fixed`` (nodes or pairs) is true."""
        ...

    def reveal(self, x: Tensor, x0: Tensor, fixed: Tensor, t: PerSample) -> Tensor:
        """The state ``x`` at time t with its noise taken away at the entries where ``fixed`` is true, whose clean values are ``x0``."""
        ...

    def log_probability(self, prediction: Tensor, x0: Tensor, fixed: Tensor, t: PerSample) -> PerSample:
        """``ln p(x0)`` (b,) of the entries where ``fixed`` is true under the prediction made at time t, up to a constant."""
        ...

    def extrapolate(self, now: Tensor, before: Tensor, t: PerSample, t_before: PerSample, s: PerSample) -> Tensor:
        """Effective prediction of a second-order multistep from t to s, from those at t and at an earlier ``t_before > t``."""
        ...

    def correct(self, start: Tensor, end: Tensor, t: PerSample, s: PerSample) -> Tensor:
        """Effective prediction of a second-order (Heun) step from t to s, from the predictions at both ends."""
        ...

    def loss(self, prediction: Tensor, x0: Tensor, t: PerSample, mask: NodeMask) -> PerSample:
        """Training loss of each sample."""
        ...
