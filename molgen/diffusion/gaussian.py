"""Gaussian diffusion of coordinates and of real features.

Forward ``x_t = alpha x0 + sigma eps``. With ``z = x_t / alpha`` and ``r = sigma / alpha`` every schedule reads ``z = x0 + r eps``; a
prediction D of x0 gives ``eps = (z - D) / r``. A step to s < t keeps that direction and refreshes a part of the noise,

    z_s = D + sqrt(r_s^2 - c^2) eps + c xi,    c = eta r_s sqrt(1 - r_s^2 / r_t^2),

which is DDIM for eta = 0 (Song et al. 2021, arXiv 2010.02502) and the exact posterior (ancestral step) for eta = 1.
The loss weighs ``|D - x0|^2`` by ``(r^2 + d^2) / (r d)^2`` (Karras et al. 2022, arXiv 2206.00364; d = standard deviation of the data).
"""

from dataclasses import dataclass

import torch

from molgen.diffusion.field import Process, expand
from molgen.diffusion.noise import Noise
from molgen.diffusion.schedule import Schedule, check_schedule, ratio
from molgen.diffusion.space import Centered, Features, Whole
from molgen.types import NodeMask, PerSample, Tensor

SMALLEST_RATIO = 1e-5
LARGEST_SHARE = 10.0
"""Weight of a second prediction from which on a correction is an extrapolation that no network can take."""


@dataclass(frozen=True)
class Gaussian(Process):
    """Gaussian process with a schedule, a space and the standard deviation of the clean data per degree of freedom.

    Fields are positions (b, n, 3), features of nodes (b, n, k) in the space :class:`Features`, or features of samples (b, k) in
    :class:`Whole`.
    """

    schedule: Schedule
    space: Centered | Features | Whole
    data_std: float = 1.0

    def __post_init__(self) -> None:
        check_schedule(self.schedule)

    def ratio(self, t: PerSample) -> PerSample:
        """Noise-to-signal ratio ``r(t)``, never exactly zero so that it can divide."""
        return ratio(self.schedule, t).clamp(min=SMALLEST_RATIO)

    def time_at(self, ratio: float) -> float:
        """The time at which the noise-to-signal ratio is this; 1 where it never gets there."""
        most = float(self.ratio(torch.ones(1, dtype=torch.float64)))
        return 1.0 if ratio >= most else float(self.schedule.time(torch.tensor(ratio, dtype=torch.float64)).clamp(max=1))

    def total(self, r: Tensor) -> Tensor:
        """Deviation ``sqrt(r^2 + d^2)`` of noisy data z at noise-to-signal ratio r."""
        return (r.square() + self.data_std**2).sqrt()

    def uncertainty(self, r: Tensor) -> Tensor:
        """Deviation ``r d / sqrt(r^2 + d^2)`` that isotropic data of deviation d keep once they are seen at noise-to-signal ratio r."""
        return r * self.data_std / self.total(r)

    def remaining(self, r: PerSample) -> PerSample:
        """Variance ``(r d)^2 / (r^2 + d^2)``, the square of :meth:`uncertainty`."""
        noise, both = self._variances(r)
        return noise / both

    def _variances(self, r: PerSample) -> tuple[PerSample, PerSample]:
        """Numerator ``(r d)^2`` and denominator ``r^2 + d^2`` of :meth:`remaining`."""
        return (r * self.data_std).square(), r.square() + self.data_std**2

    def prior(self, like: Tensor, mask: NodeMask, noise: Noise) -> Tensor:
        one = torch.ones(mask.shape[0], dtype=like.dtype, device=like.device)
        return expand(self.schedule.sigma(one), like) * self.space.noise(like, mask, noise)

    def corrupt(self, x0: Tensor, t: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        alpha, sigma = expand(self.schedule.alpha(t), x0), expand(self.schedule.sigma(t), x0)
        return alpha * x0 + sigma * self.space.noise(x0, mask, noise)

    def lift(self, x: Tensor, s: PerSample, t: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        added = (ratio(self.schedule, t).square() - ratio(self.schedule, s).square()).clamp(min=0).sqrt()
        z = x / expand(self.schedule.alpha(s), x) + expand(added, x) * self.space.noise(x, mask, noise)
        return expand(self.schedule.alpha(t), x) * z

    def reverse(self, x: Tensor, prediction: Tensor, t: PerSample, s: PerSample, mask: NodeMask, noise: Noise, eta: float) -> Tensor:
        r_t, r_s = self.ratio(t), ratio(self.schedule, s)
        fresh = eta * r_s * (1 - (r_s / r_t).square()).clamp(min=0).sqrt()
        kept = (r_s.square() - fresh.square()).clamp(min=0).sqrt()
        z = prediction + expand(kept / r_t, x) * (x / expand(self.schedule.alpha(t), x) - prediction)
        if eta > 0:
            z = z + expand(fresh, x) * self.space.noise(x, mask, noise)
        return self.space.project(expand(self.schedule.alpha(s), x) * z, mask)

    def settle(self, prediction: Tensor, mask: NodeMask) -> Tensor:
        return self.space.project(prediction, mask)

    def sharpen(self, prediction: Tensor, factor: float) -> Tensor:
        return prediction

    def impose(self, prediction: Tensor, x0: Tensor, fixed: NodeMask) -> Tensor:
        return self.space.insert(prediction, x0, fixed)

    def reveal(self, x: Tensor, x0: Tensor, fixed: NodeMask, t: PerSample) -> Tensor:
        return self.space.insert(x, expand(self.schedule.alpha(t), x) * x0, fixed)

    def log_probability(self, prediction: Tensor, x0: Tensor, fixed: NodeMask, t: PerSample) -> PerSample:
        """Normal around the prediction with the variance :meth:`remaining`."""
        noise, both = self._variances(self.ratio(t))
        gap = prediction - self.space.insert(prediction, x0, fixed)
        return -gap.square().flatten(1).sum(1) * both / (2 * noise)

    def extrapolate(self, now: Tensor, before: Tensor, t: PerSample, t_before: PerSample, s: PerSample) -> Tensor:
        """DPM-Solver++(2M): linear in ``-ln r`` (Lu et al. 2022, arXiv 2211.01095); plain at the last step to s = 0."""
        slope = (self.ratio(t) / self.ratio(s)).log() / (2 * (self.ratio(t_before) / self.ratio(t)).log())
        slope = torch.where(s > 0, slope, torch.zeros_like(slope))
        return now + expand(slope, now) * (now - before)

    def correct(self, start: Tensor, end: Tensor, t: PerSample, s: PerSample) -> Tensor:
        """Trapezoidal rule on ``dz/dr = (z - D) / r``; plain Euler when s = 0 (Karras et al. 2022, algorithm 1), or far from it."""
        share = self.ratio(t) / (2 * self.ratio(s))
        share = torch.where((s > 0) & (share <= LARGEST_SHARE), share, torch.zeros_like(s))
        return start + expand(share, start) * (end - start)

    def loss(self, prediction: Tensor, x0: Tensor, t: PerSample, mask: NodeMask) -> PerSample:
        noise, both = self._variances(self.ratio(t))
        return both / noise * (prediction - x0).square().flatten(1).sum(1) / self.space.dimensions(mask)
