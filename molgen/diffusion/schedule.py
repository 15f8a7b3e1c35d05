"""Noise schedules: time t in [0, 1] -> signal and noise scales of ``x_t = alpha(t) x0 + sigma(t) eps``.

Every schedule is clean at t = 0 (``alpha = 1, sigma = 0``) and its noise-to-signal ratio ``r(t) = sigma(t) / alpha(t)`` grows strictly.
Rescaling ``x_t / alpha`` turns each schedule into a variance-exploding one with noise scale r, so networks and samplers only need r and
its inverse :meth:`time`. Categorical fields use :class:`Keep`: the probability ``kappa(t) = 1 - t^nu`` that a class is still the clean one.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from pydantic import Field

from molgen.alternatives import Alternatives
from molgen.errors import InputError
from molgen.limits import Limited, Positive
from molgen.types import Tensor

SMALL = 1e-3
"""Probability below which its difference from 1 is not taken: in float32 that keeps four digits of it or fewer."""


@runtime_checkable
class Schedule(Protocol):
    """Signal scale, noise scale and the inverse of their ratio."""

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale, 1 at t = 0."""
        ...

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale, 0 at t = 0, in the unit of the data."""
        ...

    def time(self, ratio: Tensor) -> Tensor:
        """Time at which ``sigma / alpha`` equals ``ratio``."""
        ...


def check_schedule(schedule: Schedule) -> None:
    """Refuses a schedule, which may be one's own, that does not keep the laws at the head of this module.

    Raises:
        InputError: naming it and the law.
    """
    name, t = type(schedule).__name__, torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = (torch.as_tensor(scale).to(t).expand_as(t) for scale in (schedule.alpha(t), schedule.sigma(t)))
    found = sigma / alpha
    if abs(float(alpha[0]) - 1) > 1e-6 or abs(float(sigma[0])) > 1e-6 * abs(float(sigma[-1])):
        raise InputError(f"{name}: expected alpha 1 and sigma 0 at t = 0, clean data, got {float(alpha[0]):.3g} and {float(sigma[0]):.3g}")
    if not found.isfinite().all():
        raise InputError(f"{name}: expected a finite noise-to-signal ratio sigma / alpha up to t = 1; end with a little signal")
    if not (found.diff() > 0).all():
        raise InputError(f"{name}: expected a noise-to-signal ratio sigma / alpha that grows with t")
    if not torch.allclose(torch.as_tensor(schedule.time(found)).to(t), t, atol=1e-3):
        raise InputError(f"{name}: expected time(ratio) to be the time at which sigma / alpha is this ratio")


def ratio(schedule: Schedule, t: Tensor) -> Tensor:
    """Noise-to-signal ratio ``r(t) = sigma(t) / alpha(t)``."""
    return schedule.sigma(t) / schedule.alpha(t)


@dataclass(frozen=True, kw_only=True)
class VarianceExploding(Limited, Schedule):
    """``alpha = 1, sigma(t) = sigma_min (R^t - 1)`` with ``R = 1 + sigma_max / sigma_min``.

    Geometric in t like Song et al. 2021 (arXiv 2011.13456), shifted so that sigma(0) is exactly 0; ``sigma(1) = sigma_max``.
    """

    kind: Literal["variance_exploding"] = "variance_exploding"
    sigma_min: Positive = 0.004
    sigma_max: Positive = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma_min >= self.sigma_max:
            raise InputError(f"expected sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}")

    @property
    def _log_base(self) -> float:
        return math.log1p(self.sigma_max / self.sigma_min)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.expm1(self._log_base * t)

    def time(self, ratio: Tensor) -> Tensor:
        return torch.log1p(ratio / self.sigma_min) / self._log_base


@dataclass(frozen=True, kw_only=True)
class Cosine(Limited, Schedule):
    """``alpha = cos(a t), sigma = sin(a t)`` with ``a = atan(max_ratio)``.

    Variance preserving (Nichol and Dhariwal 2021, arXiv 2102.09672).
    """

    kind: Literal["cosine"] = "cosine"
    max_ratio: Positive = 1000.0

    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(math.atan(self.max_ratio) * t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(math.atan(self.max_ratio) * t)

    def time(self, ratio: Tensor) -> Tensor:
        return torch.atan(ratio) / math.atan(self.max_ratio)


@dataclass(frozen=True, kw_only=True)
class Linear(Limited, Schedule):
    """DDPM's linear beta in continuous time: ``-ln alpha^2 = b0 t + (b1 - b0) t^2 / 2`` (Ho et al. 2020, arXiv 2006.11239)."""

    kind: Literal["linear"] = "linear"
    beta_min: Positive = 0.1
    beta_max: Positive = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta_min >= self.beta_max:
            raise InputError(f"expected beta_min < beta_max, got {self.beta_min} and {self.beta_max}")

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t.square()

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integral(t))

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(t)))

    def time(self, ratio: Tensor) -> Tensor:
        target = torch.log1p(ratio.square())
        slope = self.beta_max - self.beta_min
        return 2 * target / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * slope * target))


@dataclass(frozen=True, kw_only=True)
class Polynomial(Limited, Schedule):
    """``alpha = 1 - (1 - e) t^p, sigma = sqrt(1 - alpha^2)`` with e the signal that remains at t = 1.

    The noise of EDM (Hoogeboom et al. 2022, arXiv 2203.17003).
    """

    kind: Literal["polynomial"] = "polynomial"
    power: Positive = 2.0
    end: Annotated[float, Field(gt=0, lt=1)] = 1e-3

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - (1 - self.end) * t**self.power

    def sigma(self, t: Tensor) -> Tensor:
        lost = (1 - self.end) * t**self.power
        return torch.sqrt(lost * (2 - lost))

    def time(self, ratio: Tensor) -> Tensor:
        lost = ratio.square() / (1 + ratio.square() + torch.sqrt(1 + ratio.square()))
        return (lost / (1 - self.end)) ** (1 / self.power)


_Schedule = VarianceExploding | Cosine | Linear | Polynomial
SCHEDULES = Alternatives(_Schedule, "alpha")
PositionSchedule = Annotated[_Schedule, SCHEDULES]


@dataclass(frozen=True, kw_only=True)
class Keep(Limited):
    """Probability that a class is untouched at time t: ``kappa(t) = 1 - t^exponent``."""

    exponent: Positive = 1.0

    def __call__(self, t: Tensor) -> Tensor:
        return 1 - t**self.exponent

    def lost(self, t: Tensor) -> Tensor:
        """``1 - kappa(t) = t^exponent``, exact to the last digits also where kappa rounds to 1."""
        power = t**self.exponent
        return torch.where(power < SMALL, power, 1 - self(t))

    def between(self, s: Tensor, t: Tensor) -> Tensor:
        """Probability ``kappa(t) / kappa(s)`` that a class is untouched from time s to a later t."""
        return self(t) / self(s).clamp(min=1e-12)

    def lost_between(self, s: Tensor, t: Tensor) -> Tensor:
        """``1 - kappa(t) / kappa(s) = (t^exponent - s^exponent) / kappa(s)``, exact also where both kappa round to 1."""
        power = t**self.exponent
        return torch.where(power < SMALL, (power - s**self.exponent) / self(s), 1 - self.between(s, t))
