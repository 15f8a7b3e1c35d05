"""Batches of draws of one request: draws -> walks from noise to clean data -> items -> candidates.

A draw has a seed, of which everything random about it is a function: the values that it asks for, and the noise of its walk. It may have
several candidates, walks towards the same values with noise of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import torch

from molgen.batch import Batch, join
from molgen.checkpoint import Checkpoint
from molgen.diffusion.condition import Scalar
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.estimation import Steered
from molgen.diffusion.guidance import ClassifierFree
from molgen.diffusion.noise import PerSampleNoise
from molgen.diffusion.sampler import Step
from molgen.domain import Constraint, Verdict
from molgen.errors import InputError, got
from molgen.sample.modes import own_modes, undisturbed
from molgen.sample.prediction import predict
from molgen.sample.request import Request, draw_seed
from molgen.tags import MEASURED, PREDICTED, Value, called
from molgen.types import Tensor

UNHEARD = 2.0
"""Factor on the steering towards a property that the network itself is not conditioned on."""


@dataclass(frozen=True)
class Draw:
    """One of the draws of a run, or one of its candidates.

    Args:
        number: in the run, from 0 on.
        size: number of nodes.
        seed: of everything random about it.
        candidate: which of its walks it is, from 0 on.
        constraint: what it has to have in common with a given item; one of the same kind as that of the request.
    """

    number: int
    size: int
    seed: int
    candidate: int = 0
    constraint: Constraint | None = None

    def noise(self, restart: int) -> int:
        """Seed of the noise of the walk, or of one of its restarts, from 1 on."""
        own = draw_seed(self.seed, -self.candidate) if self.candidate else self.seed
        return draw_seed(own, restart) if restart else own


class Restart(NamedTuple):
    """Where a walk starts again: a clean batch, corrupted up to a time with noise of its own for every number."""

    clean: Batch
    time: float
    number: int


@dataclass(frozen=True)
class Candidate:
    """One of the walks of a draw, by number, with the verdict on it, what was measured on it and what was predicted of it."""

    number: int
    item: Any
    verdict: Verdict
    measured: Mapping[str, float]
    predicted: Mapping[str, float]

    def rank(self, asked: Mapping[str, Any], spread: Mapping[str, float]) -> tuple[bool, float]:
        """Less is better: those that pass come first, then the nearest to what was asked for in units of each property's deviation."""
        found = {**self.predicted, **self.measured}
        miss = sum((((found[name] - value) / spread[name]) ** 2 for name, value in asked.items() if name in found), 0.0)
        return bool(self.verdict.reason), math.inf if math.isnan(miss) else miss

    @property
    def found(self) -> dict[str, Value]:
        """Tags of what the check found out, and of what was measured and predicted."""
        values = {f"{MEASURED}{name}": value for name, value in self.measured.items()}
        values |= {f"{PREDICTED}{name}": value for name, value in self.predicted.items()}
        return {**self.verdict.found, **{name: float(f"{value:.6g}") for name, value in values.items()}}


class Walker:
    """Walks batches of draws of one request.

    Args:
        checkpoint: the model, on the device.
        network: its denoiser in the precision of the request.
        request: settled, see :meth:`molgen.sample.Model.settled`.
        device: to compute on.
    """

    def __init__(self, checkpoint: Checkpoint, network: Denoiser, request: Request, device: torch.device):
        assert request.steps is not None, "a settled request"
        assert request.guidance is not None, "a settled request"
        self.checkpoint, self.network, self.request, self.device = checkpoint, network, request, device
        self.steps, self.guidance = request.steps, request.guidance
        self.domain, self.statistics = checkpoint.experiment.domain, checkpoint.statistics
        self.process, self.constraint = checkpoint.denoiser.process, request.constraint
        self.members, self.foretold = checkpoint.members, checkpoint.foretold

    @cached_property
    def restarts(self) -> Sequence[float]:
        """Times from which a sample that fails is walked again."""
        return () if self.constraint is None else self.constraint.restarts(self.process)

    @cached_property
    def denoiser(self) -> Denoiser:
        """The network, guided towards the conditions by itself and by its estimators, with all guides."""
        own, properties = self.checkpoint.denoiser.conditions.names, self.request.properties
        denoiser: Denoiser = ClassifierFree(self.network, 1.0 if properties.keys().isdisjoint(own) else self.guidance)
        for told in self.checkpoint.estimators if self.request.steering > 0 else ():
            factors = {name: 1.0 if name in own else UNHEARD for name in told.names}
            estimator = told.network.to(self.device)
            denoiser = Steered(denoiser, self.process, estimator, told.conditions, told.geometric, self.request.steering, factors)
        for guide in (*(self.domain.guides(self.statistics) if self.request.own_guides else ()), *self.request.guides):
            denoiser = guide.guide(denoiser, self.process, self.statistics)
        return denoiser

    def initial(self, draws: Sequence[Draw]) -> Batch:
        """What is known of the samples before the walk: what the constraint gives, zeros elsewhere."""
        known = list[Batch]()
        for _, alike in groupby(draws, lambda draw: id(draw.constraint)):
            group = [*alike]
            one, sizes = group[0].constraint, [draw.size for draw in group]
            known.append(self.domain.empty(sizes, self.statistics) if one is None else one.batch(self.statistics, sizes))
        return (known[0] if len(known) == 1 else join(known)).to(self.device)

    def walk(self, draws: Sequence[Draw], restart: Restart | None = None) -> Iterator[Step]:
        """Steps of one batch from noise (or where a constraint starts, or a restart) to clean data."""
        return undisturbed(self._walk(draws, restart), self.device.type)

    def _walk(self, draws: Sequence[Draw], restart: Restart | None) -> Iterator[Step]:
        known, constraint, denoiser = self.initial(draws), self.constraint, self.denoiser
        own, start = self.request.sampler, Restart(known, 1.0, 0)
        sampler = own or self.checkpoint.experiment.sampler
        if constraint is not None:
            each = [draw.constraint for draw in draws]
            assert all(one is not None for one in each), "draws of a request with a constraint, see Model.plan"
            denoiser = constraint.guide_each(each, denoiser, self.process, self.statistics, known)
            sampler, start = own or constraint.sampler(sampler), Restart(known, constraint.start(self.process), 0)
        clean, time, number = restart or start
        noise = PerSampleNoise([draw.noise(number) for draw in draws])
        for step in sampler.walk(denoiser, self.process, clean, self._condition(draws), noise, self.steps, time):
            if not isinstance(step, Step):
                raise InputError(f"sampler: {called(sampler)}: expected molgen.diffusion.sampler.Step after Step, got {got(step)}")
            if step.time > time:
                raise InputError(f"sampler: {called(sampler)}: goes from time {time:.3g} to {step.time:.3g}; walk down, from `start` on")
            time = step.time
            yield step
        if time != 0:
            raise InputError(f"sampler: {called(sampler)}: its walk ends at time {time:.3g}; the last step has to be at 0, clean")

    def _condition(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        """What the request asks of the draws, as the network reads it: (b,) or (b, w) each."""
        values = [self.request.values(draw.seed) for draw in draws]
        return {
            name: torch.tensor([self.members[name].read(value[name]) for value in values], dtype=torch.float32, device=self.device)
            for name in self.request.properties
        }

    def run(self, draws: Sequence[Draw], after: Callable[[], None] = lambda: None) -> list[Any]:
        """Items of one batch as in :meth:`walk`, good or not, restarted where a constraint says so.

        ``after`` is called after every step and may raise.
        """
        with own_modes(self.device.type):
            batch = self._last(draws, None, after)
            items, places = self.items(draws, batch), list(range(len(draws)))
            for number, time in enumerate(self.restarts, 1):
                rows = [row for row, place in enumerate(places) if self.judge(draws[place], items[place]).reason]
                if not rows:
                    break
                places = [places[row] for row in rows]
                again = [draws[place] for place in places]
                batch = self._last(again, Restart(batch.take(rows), time, number), after)
                for place, item in zip(places, self.items(again, batch), strict=True):
                    items[place] = item
            return items

    def _last(self, draws: Sequence[Draw], restart: Restart | None, after: Callable[[], None]) -> Batch:
        """The clean batch at the end of a walk; what is known where a constraint starts at time 0."""
        batch: Batch | None = None
        for step in self.walk(draws, restart):
            batch = step.batch
            after()
        return self.initial(draws) if batch is None else batch

    def items(self, draws: Sequence[Draw], batch: Batch) -> list[Any]:
        """Items of a clean batch of these draws, each in the frame of what its constraint gives."""
        common = self.constraint
        decoded = self.domain.decode(batch, self.statistics) if common is None else common.decode(self.domain, batch, self.statistics)
        return [item if draw.constraint is None else draw.constraint.restore(item) for draw, item in zip(draws, decoded, strict=True)]

    def judge(self, draw: Draw, item: Any) -> Verdict:
        """The verdict of the domain's check and, where it passes, of the draw's constraint."""
        verdict = self.domain.check(item)
        reason = verdict.reason or ("" if draw.constraint is None else draw.constraint.failure(item))
        return replace(verdict, reason=reason)

    def candidates(self, draws: Sequence[Draw], items: Sequence[Any]) -> list[Candidate]:
        """Items of these draws, judged; those that pass are measured where several of a draw are compared, and predicted."""
        verdicts = [self.judge(draw, item) for draw, item in zip(draws, items, strict=True)]
        passed = [k for k, verdict in enumerate(verdicts) if self.foretold and not verdict.reason]
        told = predict(self.checkpoint, [items[k] for k in passed], self.device)
        predicted = {k: {name: estimates[name].value for name in self.foretold} for k, estimates in zip(passed, told, strict=True)}
        names = [name for name in self.request.properties if name not in self.foretold] if self.request.walks > 1 else []
        found = []
        for k, (draw, item, verdict) in enumerate(zip(draws, items, verdicts, strict=True)):
            measured = self.domain.measure(item, names) if names and not verdict.reason else {}
            found.append(Candidate(draw.candidate, item, verdict, measured, predicted.get(k, {})))
        return found

    def nearest(self, candidates: Sequence[Candidate], seed: int) -> Candidate:
        """Of the candidates of the draw with this seed the nearest to what it asks for, the first one among equals."""
        asked = self.request.values(seed)
        spread = {member.name: member.scale for member in self.members.values() if isinstance(member, Scalar)}
        return min(candidates, key=lambda candidate: candidate.rank(asked, spread))
