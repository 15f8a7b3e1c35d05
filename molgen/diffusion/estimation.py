"""Numbers of a clean sample, estimated from what a denoiser guesses: learning to, and guidance by it.

A denoiser sees a noisy sample x_t and guesses the clean one: coordinates D and class probabilities p. An estimator learns, from guesses
about training samples at all noise levels, the mean m and the deviation s of a label y given the guess (:class:`Estimation`). Bayes' rule
then tilts a guess towards samples with the label that is asked for (:class:`Steered`). With the gap ``g = y - m`` and the gradient of m,

    class a of i   ln p_i(a) + (g m_a - m_a^2 / 2) / s^2,    m_a = dm/dp_i . (e_a - p_i) the change of m where i is a,
    coordinates    D + v g / s^2 dm/dD,    v = (r d)^2 / (r^2 + d^2) the variance of clean coordinates given the noisy ones.

s is the deviation of y over everything that is open, and so no entry corrects more than its share. The rule for classes is first order in
m. The rule for coordinates is exact for Gaussian data and a label that is linear in them; where coordinates follow each other, as in
molecules, the gradient leaves the data, and it is kept for labels that hang on the geometry rather than on the graph. Gradients run through
the estimator alone (EEGSDE, Bao et al. 2023, arXiv 2209.15408, guides by labels of noisy samples; Nisonoff et al. 2024, arXiv 2406.01572,
guides classes by a Taylor expansion).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch

from molgen.batch import Batch
from molgen.chance import coin
from molgen.diffusion.condition import Conditions, Scalar
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.field import expand
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.objective import strata
from molgen.diffusion.process import Joint
from molgen.errors import InputError
from molgen.limits import Limited, NotNegative, Probability
from molgen.types import Float, NodeMask, PerSample, Prediction, Tensor

RATIOS = (0.03, 8.0)
"""Noise-to-signal ratios that estimators learn; guesses beyond are taken as at the nearer end."""
SMALLEST_DEVIATION = 0.05
"""Smallest deviation of an estimate that is believed, in units of the deviation of the label."""
LARGEST_TILT = 6.0
"""Largest change of the log probability of a class in one step."""
OUTLIER = 8.0
"""Largest error that is learned from, in deviations of the label."""


class Guess(NamedTuple):
    """A denoiser's guess as estimators see it: coordinates in units of the network, class probabilities of nodes and pairs."""

    positions: Float[Tensor, "b n 3"]
    nodes: list[Float[Tensor, "b n k"]]
    pairs: list[Float[Tensor, "b n n k"]]


@runtime_checkable
class Estimates(Protocol):
    """A network that estimates labels, standardised, with deviations; (b, k) each. See :mod:`molgen.nn.estimator`."""

    def __call__(self, positions: Tensor, nodes: Tensor, pairs: Tensor, mask: NodeMask, ratio: PerSample) -> tuple[Tensor, Tensor]: ...


def read_guess(process: Joint, prediction: Prediction) -> Guess:
    """What a prediction of a denoiser says about the clean sample."""
    nodes, pairs = ([prediction[name].softmax(-1) for name in fields] for fields in (process.nodes, process.pairs))
    return Guess(prediction[process.position], nodes, pairs)


def read_clean(process: Joint, clean: Batch) -> Guess:
    """A clean sample as a guess that is sure of everything."""
    positions = clean[process.position]
    one_hot = torch.nn.functional.one_hot
    nodes, pairs = (
        [one_hot(clean[name], field.space.classes).to(positions.dtype) for name, field in fields.items()]
        for fields in (process.nodes, process.pairs)
    )
    return Guess(positions, nodes, pairs)


def estimate(network: Estimates, guess: Guess, mask: NodeMask, ratio: PerSample) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
    """Means and deviations of the labels of a guess made at this noise-to-signal ratio."""
    ratio = ratio.to(guess.positions.dtype).clamp(*RATIOS)
    return network(guess.positions, torch.cat(guess.nodes, -1), torch.cat(guess.pairs, -1), mask, ratio)


def standardised(conditions: Conditions, values: Mapping[str, Tensor]) -> Float[Tensor, "b k"]:
    """Labels in units of their deviation, in the order of the conditions; NaN where a label is missing."""
    columns, some = [], next(iter(values.values()))
    missing = some.new_full((len(some),), math.nan)
    for member in conditions.members:
        assert isinstance(member, Scalar), "only numbers are estimated"
        columns.append(member.standardise(values.get(member.name, missing)))
    return torch.stack(columns, -1)


@dataclass(frozen=True, kw_only=True)
class Estimation(Limited):
    """The objective of an estimator: the likelihood of labels given guesses, ``(y - m)^2 / (2 s^2) + ln s``.

    Every label and sample weighs s, held fixed, so that what is nearly known does not drown what is not (Seitzer et al. 2022, arXiv
    2203.09168). Guesses are made without conditions, at noise-to-signal ratios that are even in their logarithm.

    Args:
        kind: selects this objective.
        denoiser: the model whose guesses are read: its name, run folder or weights file.
        self_condition: share of the batches in which the denoiser guesses twice, as in sampling.
        truth: share of the batches that are read as they are, as guesses come out at the lowest noise; guesses are most of the cost.
        weights: of the losses; there is one, ``likelihood``.
        geometric: labels that hang on the geometry of a given graph, such as a dipole: guidance moves coordinates for these alone.
    """

    needs = "model.kind=property_estimator", "objective.kind=estimation"
    unsampled = "an estimator has nothing to sample; name its model and give it by --estimator, or put its folder into that of its model"
    completes = False

    kind: Literal["estimation"] = "estimation"
    denoiser: str = ""
    self_condition: Probability = 0.5
    truth: Probability = 0.0
    weights: Mapping[str, NotNegative] = field(default_factory=dict)
    geometric: tuple[str, ...] = ()

    def network(self, model: Any, process: Joint, conditions: Conditions) -> Any:
        """The estimator of these sizes with fresh weights.

        Raises:
            InputError: there is nothing to estimate, it is not all numbers, or geometric labels are not estimated.
        """
        if not conditions.members or not all(isinstance(member, Scalar) for member in conditions.members):
            raise InputError("data.conditions: expected the names of the numbers to estimate, such as [logp,qed]")
        if strange := set(self.geometric) - set(conditions.names):
            raise InputError(f"objective.geometric: {min(strange)!r} is not among data.conditions ({', '.join(conditions.names)})")
        nodes, pairs = (sum(p.space.classes for p in fields.values()) for fields in (process.nodes, process.pairs))
        return model.build(nodes, pairs, len(conditions.members))

    def terms(self, process: Any) -> tuple[str, ...]:
        """Names of the losses."""
        return ("likelihood",)

    def loss(
        self,
        network: Estimates,
        conditions: Conditions,
        denoiser: Denoiser,
        process: Joint,
        clean: Batch,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Mean loss over the labels that are known.

        Args:
            network: the estimator.
            conditions: the labels.
            denoiser: whose guesses are read.
            process: of the denoiser.
            clean: training samples with labels.
            generator: of everything random.
        """
        low, high = (math.log(end) for end in RATIOS)
        ratio = torch.exp(low + (high - low) * strata(len(clean), generator, clean.mask.device))
        ratio = torch.minimum(ratio, process.clock.ratio(torch.ones_like(ratio)))  # schedules may end below
        if self.truth > 0 and coin(generator) < self.truth:
            guess, ratio = read_clean(process, clean), torch.full_like(ratio, RATIOS[0])
        else:
            guess = self._guess(denoiser, process, clean, ratio, generator)
        mean, deviation = estimate(network, guess, clean.mask, ratio)
        label = standardised(conditions, clean.labels)
        known = ~label.isnan()
        error = (mean - torch.where(known, label, mean.detach())).clamp(-OUTLIER, OUTLIER)
        loss = (0.5 * (error / deviation).square() + deviation.log()) * deviation.detach()
        return (loss * known).sum() / known.sum().clamp(min=1)

    @torch.no_grad()
    def _guess(self, denoiser: Denoiser, process: Joint, clean: Batch, ratio: PerSample, generator: torch.Generator | None) -> Guess:
        t = process.clock.schedule.time(ratio.double()).clamp(max=1).to(clean[process.position].dtype)
        noisy = process.corrupt(clean, t, SharedNoise(generator))
        prediction = denoiser(noisy, t, {})
        if self.self_condition > 0 and coin(generator) < self.self_condition:
            prediction = denoiser(noisy, t, {}, prediction)
        return read_guess(process, prediction)


@dataclass(frozen=True)
class Steered:
    """Guidance by an estimator towards the labels among the conditions; costs no network call of the denoiser.

    Args:
        denoiser: what is guided.
        process: its fields.
        network: the estimator.
        conditions: the labels that it estimates.
        geometric: names of those that move coordinates.
        scale: factor on the gradients of the log likelihood; 1 is Bayes' rule.
        factors: on the scale, of the labels that are guided to, by name; 1 of all labels by default.
    """

    denoiser: Denoiser
    process: Joint
    network: Estimates
    conditions: Conditions
    geometric: tuple[str, ...] = ()
    scale: float = 1.0
    factors: Mapping[str, float] | None = None

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        prediction = self.denoiser(batch, t, condition, previous)
        factors = dict.fromkeys(self.conditions.names, 1.0) if self.factors is None else self.factors
        asked = [k for k, name in enumerate(self.conditions.names) if name in condition and name in factors]
        if not asked:
            return prediction
        name, gaussian = self.process.position, self.process.clock
        r = gaussian.ratio(t).to(prediction[name].dtype)
        guess = read_guess(self.process, prediction)
        classes = self.process.nodes | self.process.pairs
        probabilities = [*guess.nodes, *guess.pairs]
        label = standardised(self.conditions, condition)
        with torch.enable_grad():
            leaves = [leaf.detach().requires_grad_() for leaf in (guess.positions, *probabilities)]
            split = 1 + len(guess.nodes)
            mean, deviation = estimate(self.network, Guess(leaves[0], leaves[1:split], leaves[split:]), batch.mask, r)
            slopes = [torch.autograd.grad(mean[:, k].sum(), leaves, retain_graph=k != asked[-1], materialize_grads=True) for k in asked]
        pull, tilts = torch.zeros_like(leaves[0]), [torch.zeros_like(p) for p in probabilities]
        for k, slope in zip(asked, slopes, strict=True):
            gap, scale = label[:, k] - mean[:, k].detach(), self.scale * factors[self.conditions.names[k]]
            # who asks for nothing gets nothing: of an unknown label every value is as likely as any other
            variance = deviation[:, k].detach().clamp(min=SMALLEST_DEVIATION).square().masked_fill(gap.isnan(), torch.inf)
            gap = torch.nan_to_num(gap)
            if self.conditions.names[k] in self.geometric:
                pull += expand(scale * gap / variance, pull) * slope[0]
            for tilt, p, raw, process in zip(tilts, probabilities, slope[1:], classes.values(), strict=True):
                gradient = process.slope(raw)
                change = gradient - (gradient * p).sum(-1, keepdim=True)
                tilt += scale * (expand(gap, change) * change - change.square() / 2) / expand(variance, change)
        steered = dict(prediction)
        variance = expand(gaussian.remaining(r), pull)
        move = variance * pull
        length = move.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        move = move * (variance.sqrt() / length).clamp(max=1)  # a node goes no farther than it is uncertain
        steered[name] = gaussian.space.project(prediction[name] + move, batch.mask)
        for field_name, tilt in zip(classes, tilts, strict=True):
            steered[field_name] = prediction[field_name] + tilt.clamp(-LARGEST_TILT, LARGEST_TILT)
        return steered
