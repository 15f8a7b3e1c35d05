"""Discrete diffusion of classes.

Forward ``q(x_t = j | x0) = kappa(t) 1[j = x0] + (1 - kappa(t)) pi_j``: with probability kappa a class is untouched, otherwise it is drawn
anew from the prior pi: uniform, the marginal of the data, or an extra mask class (absorbing). Between s < t the same law holds with
``kappa(t) / kappa(s)``. Given class probabilities p(x0), the reverse step draws from the exact posterior mixed over x0,

    q(x_s | x_t) = sum_x0 p(x0) q(x_t | x_s) q(x_s | x0) / q(x_t | x0)       (Austin et al. 2021, arXiv 2107.03006),

which costs O(k) because both factors are a multiple of the identity plus a rank-one matrix.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from molgen.diffusion.field import Process, expand
from molgen.diffusion.noise import Noise
from molgen.diffusion.schedule import Keep
from molgen.diffusion.space import Categorical, SymmetricCategorical
from molgen.limits import Limited, Positive, Probability
from molgen.types import Float, NodeMask, PerSample, Tensor

SMALLEST_PROBABILITY = 1e-6
SMALLEST_LIKELIHOOD = torch.finfo(torch.float32).tiny  # of normal numbers: what is less is divided by this
IMPOSSIBLE = -1e4  # a logit whose probability is exactly 0 in float32, and finite so that it survives arithmetic


@dataclass(frozen=True, kw_only=True)
class Uniform(Limited):
    """Noise that draws every class with the same probability."""

    kind: Literal["uniform"] = "uniform"
    exponent: Positive = 1.0

    def prior(self, marginal: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        """Distribution of fully corrupted classes."""
        return torch.full_like(marginal, 1 / len(marginal))


@dataclass(frozen=True, kw_only=True)
class Marginal(Limited):
    """Noise that draws classes as often as the data has them (MiDi, Vignac et al. 2023, arXiv 2302.09048)."""

    kind: Literal["marginal"] = "marginal"
    exponent: Positive = 1.0

    def prior(self, marginal: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        """Distribution of fully corrupted classes."""
        return marginal / marginal.sum()


@dataclass(frozen=True, kw_only=True)
class Masked(Limited):
    """Noise that replaces a class by an extra mask class, numbered after the last one (absorbing state).

    A class that is not masked is certain, also one that a sampler drew wrongly. With ``wrong`` above 0, that share of the noise is drawn
    from the marginal instead: the network learns to doubt what it sees and to mend it (von Rütte et al. 2025, arXiv 2503.04482).
    """

    kind: Literal["masked"] = "masked"
    exponent: Positive = 1.0
    wrong: Probability = 0.0

    def prior(self, marginal: Float[Tensor, "k"]) -> Float[Tensor, "k+1"]:
        """Distribution of fully corrupted classes: on the mask class, but for the share that is wrong."""
        return torch.cat([self.wrong * marginal / marginal.sum(), marginal.new_tensor([1 - self.wrong])])


def draw(probabilities: Float[Tensor, "... k"], uniform: Float[Tensor, "..."]) -> Tensor:
    """Inverse-transform draw of one class per entry; rows need not be normalised and may be the same for all entries."""
    cumulative = probabilities.cumsum(-1)
    chosen = (uniform.unsqueeze(-1) * cumulative[..., -1:] >= cumulative).sum(-1)
    return chosen.clamp(max=probabilities.shape[-1] - 1)


class Discrete(Process):
    """Categorical process on integer classes (b, n) or symmetric (b, n, n), with the law of ``noise`` over ``space.classes`` clean classes.

    Args:
        noise: uniform, marginal or masked corruption with its schedule exponent.
        space: nodes or unordered pairs.
        marginal: (k,) frequencies of the clean classes in the data.
    """

    def __init__(self, noise: Uniform | Marginal | Masked, space: Categorical | SymmetricCategorical, marginal: Float[Tensor, "k"]):
        if len(marginal) != space.classes:
            raise ValueError(f"the marginal needs one entry a class, expected {space.classes}, got {len(marginal)}")
        self.space = space
        self.keep = Keep(exponent=noise.exponent)
        self.marginal = marginal.to(torch.float32) / marginal.sum()
        self.stationary = noise.prior(self.marginal)
        self._copies: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @property
    def states(self) -> int:
        """Number of noisy classes: the clean ones, and the mask class where there is one."""
        return len(self.stationary)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Marginal and stationary distribution on a device, copied there once: every copy would wait for all that a GPU has to do."""
        if device not in self._copies:
            self._copies[device] = self.marginal.to(device), self.stationary.to(device)
        return self._copies[device]

    def _redraw(self, x: Tensor, keep: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        _, prior = self._on(mask.device)
        # one uniform number decides both: below keep the class stays, above it its remainder picks a class from the prior
        uniform = noise.uniform(mask, self.space.pairs)
        kept = expand(keep, uniform)
        fresh = draw(prior, ((uniform - kept) / (1 - kept).clamp(min=1e-12)).clamp(min=0))
        return self.space.project(torch.where(uniform < kept, x, fresh), mask)

    def prior(self, like: Tensor, mask: NodeMask, noise: Noise) -> Tensor:
        return self._redraw(like, torch.zeros(mask.shape[0], device=mask.device), mask, noise)

    def corrupt(self, x0: Tensor, t: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        return self._redraw(x0, self.keep(t), mask, noise)

    def lift(self, x: Tensor, s: PerSample, t: PerSample, mask: NodeMask, noise: Noise) -> Tensor:
        return self._redraw(x, self.keep.between(s, t), mask, noise)

    def likelihood(self, x: Tensor, t: PerSample) -> Float[Tensor, "... k"]:
        """``q(x_t = x | x0 = k)`` for every clean class k."""
        _, prior = self._on(x.device)
        keep, lost = (expand(share, x).unsqueeze(-1) for share in (self.keep(t), self.keep.lost(t)))
        same = functional.one_hot(x, self.states)[..., : self.space.classes].to(keep.dtype)
        return keep * same + lost * prior[x].unsqueeze(-1).to(keep.dtype)

    def evidence(self, x: Tensor, t: PerSample) -> Float[Tensor, "... k"]:
        """The skip of a class network: log posterior of x0 given nothing but this entry.

        Equal to ``ln q(x_t | x0 = k) + ln marginal_k`` up to a constant.
        """
        floor = SMALLEST_PROBABILITY
        marginal, _ = self._on(x.device)
        return self.likelihood(x, t).clamp(min=floor).log() + marginal.clamp(min=floor).log()

    def posterior(self, x: Tensor, probabilities: Float[Tensor, "... k"], t: PerSample, s: PerSample) -> Float[Tensor, "... states"]:
        """``q(x_s | x_t = x)`` over all noisy classes, for given probabilities of the clean classes.

        Where x cannot come from any class that is probable (a mask-free x of probability 0), what is probable is drawn anew.
        """
        prior = self._on(x.device)[1].to(probabilities.dtype)
        likelihood = self.likelihood(x, t)
        weight = torch.where(likelihood > 0, probabilities / likelihood.clamp(min=SMALLEST_LIKELIHOOD), torch.zeros_like(probabilities))
        weight = functional.pad(weight, (0, self.states - self.space.classes))
        shares = self.keep(s), self.keep.lost(s), self.keep.between(s, t), self.keep.lost_between(s, t)
        keep_s, lost_s, keep_step, lost_step = (expand(share, x).unsqueeze(-1) for share in shares)
        reach = keep_step * functional.one_hot(x, self.states) + lost_step * prior[x].unsqueeze(-1)
        joint = reach * (keep_s * weight + lost_s * prior * weight.sum(-1, keepdim=True))
        total, free = joint.sum(-1, keepdim=True), keep_s * functional.pad(probabilities, (0, self.states - self.space.classes))
        return torch.where(total > 0, joint / total.clamp(min=1e-30), free + lost_s * prior)

    def reverse(self, x: Tensor, prediction: Tensor, t: PerSample, s: PerSample, mask: NodeMask, noise: Noise, eta: float) -> Tensor:
        probabilities = self.posterior(x, prediction.softmax(-1), t, s)
        return self.space.project(draw(probabilities, noise.uniform(mask, self.space.pairs)), mask)

    def slope(self, gradient: Tensor) -> Tensor:
        """Derivatives by entry from those by element: an unordered pair stands in two places of the matrix and gets the sum of both."""
        return gradient + gradient.transpose(1, 2) if self.space.pairs else gradient

    def settle(self, prediction: Tensor, mask: NodeMask) -> Tensor:
        return self.space.project(prediction.argmax(-1), mask)

    def sharpen(self, prediction: Tensor, factor: float) -> Tensor:
        return factor * prediction

    def impose(self, prediction: Tensor, x0: Tensor, fixed: Tensor) -> Tensor:
        certain = torch.where(functional.one_hot(x0, self.space.classes).bool(), 0.0, IMPOSSIBLE).to(prediction)
        return torch.where(fixed.unsqueeze(-1), certain, prediction)

    def reveal(self, x: Tensor, x0: Tensor, fixed: Tensor, t: PerSample) -> Tensor:
        return torch.where(fixed, x0, x)

    def log_probability(self, prediction: Tensor, x0: Tensor, fixed: Tensor, t: PerSample) -> PerSample:
        """Sum over entries; an unordered pair counts once."""
        chosen = prediction.log_softmax(-1).gather(-1, x0.unsqueeze(-1)).squeeze(-1)
        return (chosen * fixed).flatten(1).sum(-1) / (2 if self.space.pairs else 1)

    def extrapolate(self, now: Tensor, before: Tensor, t: PerSample, t_before: PerSample, s: PerSample) -> Tensor:
        """Classes jump; the posterior is exact for the prediction at hand, so that is used unchanged."""
        return now

    def correct(self, start: Tensor, end: Tensor, t: PerSample, s: PerSample) -> Tensor:
        """Mean of the class probabilities at both ends of the step."""
        return ((start.softmax(-1) + end.softmax(-1)) / 2).clamp(min=1e-30).log()

    def loss(self, prediction: Tensor, x0: Tensor, t: PerSample, mask: NodeMask) -> PerSample:
        """Cross-entropy to the clean class (nats), averaged over the entries of a sample."""
        entropy = functional.cross_entropy(prediction.flatten(0, -2), x0.flatten(), reduction="none").view(x0.shape)
        present = self.space.present(mask)
        axes = tuple(range(1, x0.dim()))
        return (entropy * present).sum(axes) / present.sum(axes).clamp(min=1)
