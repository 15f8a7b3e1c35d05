"""One batch: sizes and seeds -> a walk from noise to clean data -> items.

A draw has a seed, of which everything random about it is a function: the values that it asks for, and the noise of its walk. It may have
several candidates, walks towards the same values with noise of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint
from molgen.diffusion.condition import Member
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.estimation import Steered
from molgen.diffusion.guidance import ClassifierFree
from molgen.diffusion.noise import PerSampleNoise
from molgen.diffusion.rounding import Rounded
from molgen.diffusion.sampler import Step
from molgen.domain import Verdict
from molgen.errors import InputError
from molgen.sample.device import find_device
from molgen.sample.modes import own_modes, undisturbed
from molgen.sample.prediction import Estimate, predict
from molgen.sample.request import Request, draw_seed
from molgen.types import Tensor

UNHEARD = 2.0
"""Factor on the steering towards a property that the network itself is not conditioned on."""
USUAL_CANDIDATES = 4
"""Walks towards a request from which the nearest is taken."""


class Walker:
    """A loaded model that walks batches of samples from noise to clean data.

    Args:
        checkpoint: weights, experiment and statistics.
        device: torch device; the GPU if there is one.

    Raises:
        InputError: if there is no such device.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device | None = None):
        self.checkpoint = checkpoint
        self.device = find_device(device)
        self.denoiser = checkpoint.denoiser.to(self.device)
        self.domain = checkpoint.experiment.domain

    def settled(self, request: Request) -> Request:
        """The request with what is usual where nobody says it: several candidates if they can be compared, guidance and steps.

        Raises:
            InputError: several are asked for and cannot be compared.
        """
        strange = [name for name in request.properties if name not in self.foretold and not self.domain.measures([name])]
        comparable = bool(request.properties) and not strange
        if request.walks > 1 and not comparable:
            names = ", ".join(strange)
            why = f"{names} cannot be measured on what is made, nor told by an estimator" if names else "no property is asked for"
            raise InputError(f"candidates: {request.candidates} of a draw cannot be compared, as {why}; expected 1")
        candidates = request.candidates or (USUAL_CANDIDATES if comparable else 1)
        usual = 1.0 if candidates > 1 else self.domain.guidance
        guidance = usual if request.guidance is None else request.guidance
        return replace(request, candidates=candidates, guidance=guidance, steps=self.steps(request))

    def steps(self, request: Request) -> int:
        """The steps of a walk: those asked for, or those that are usual."""
        return self.domain.steps if request.steps is None else request.steps

    @cached_property
    def _members(self) -> dict[str, Member]:
        """What can be asked for, by name: the conditions of the network, and what estimators tell."""
        told = {member.name: member for told in self.checkpoint.estimators for member in told.members.values()}
        return told | {member.name: member for member in self.denoiser.conditions.members}

    @cached_property
    def foretold(self) -> list[str]:
        """Properties that are predicted of what is made: the model has an estimator of them, and they cannot be measured."""
        names = [member.name for told in self.checkpoint.estimators for member in told.members.values()]
        return [name for name in names if not self.domain.measures([name])]

    def predict(self, items: Sequence[Any]) -> list[Mapping[str, Estimate]]:
        """What the estimators of the model say about finished items, by name of the property: value and standard deviation.

        Args:
            items: molecules with hydrogens, or without where the model has none; the coordinates count too.

        Raises:
            InputError: for an element or a formal charge that the model does not know.

        Example:
            >>> model.predict(molgen.read_sdf("mine.sdf"))[0]["gap_xtb"].value  # eV
        """
        if not isinstance(items, Sequence):
            raise InputError(f"items: expected a list, got {type(items).__name__}; write [item]")
        with own_modes(self.device.type):
            return predict(self.checkpoint, items, self.device)

    @cached_property
    def _rounded(self) -> Denoiser:
        return Rounded(self.denoiser)

    def walk(
        self,
        sizes: Sequence[int],
        seeds: Sequence[int],
        request: Request,
        candidates: Sequence[int] = (),
        again: tuple[Batch, float, int] | None = None,
    ) -> Iterator[Step]:
        """Steps of one batch of samples, from noise (or where a constraint starts) to clean data.

        Args:
            sizes: numbers of nodes of the samples.
            seeds: of their draws.
            request: what is asked of them.
            candidates: which candidate of its draw each is, from 0 on; the first one of each by default.
            again: start from this clean batch, corrupted up to this time with noise of its own for every number.
        """
        return undisturbed(self._walk(sizes, seeds, request, candidates, again), self.device.type)

    def _walk(
        self,
        sizes: Sequence[int],
        seeds: Sequence[int],
        request: Request,
        candidates: Sequence[int],
        again: tuple[Batch, float, int] | None,
    ) -> Iterator[Step]:
        known, constraint, process = self._known(sizes, request), request.constraint, self.denoiser.process
        condition = self.condition(request, seeds)
        denoiser = self.guided(request)
        if constraint is not None:
            denoiser = constraint.guide(denoiser, process, self.checkpoint.statistics, known)
        like, start, number = again or (known, 1.0 if constraint is None else constraint.start(process), 0)
        own = [draw_seed(seed, -which) if which else seed for seed, which in zip(seeds, candidates or [0] * len(seeds), strict=True)]
        noise = PerSampleNoise([draw_seed(seed, number) for seed in own] if number else own)
        usual = request.sampler or self.checkpoint.experiment.sampler
        sampler = usual if constraint is None else constraint.sampler(usual)
        yield from sampler.walk(denoiser, process, like, condition, noise, self.steps(request), start)

    def guided(self, request: Request) -> Denoiser:
        """The network in the precision of the request, guided towards the conditions by itself and by its estimator, with all guides."""
        network = self.denoiser if request.precision == "fp32" else self._rounded
        heard = not request.properties.keys().isdisjoint(self.denoiser.conditions.names)
        guidance = self.settled(request).guidance if heard else 1.0
        assert guidance is not None, "settled"
        denoiser: Denoiser = ClassifierFree(network, guidance)
        for told in self.checkpoint.estimators if request.steering > 0 else ():
            factors = {name: 1.0 if name in self.denoiser.conditions.names else UNHEARD for name in told.names}
            estimator = told.network.to(self.device)
            denoiser = Steered(denoiser, self.denoiser.process, estimator, told.conditions, told.geometric, request.steering, factors)
        own = self.domain.guides(self.checkpoint.statistics) if request.own_guides else ()
        for guide in (*own, *request.guides):
            denoiser = guide.guide(denoiser, self.denoiser.process, self.checkpoint.statistics)
        return denoiser

    def condition(self, request: Request, seeds: Sequence[int]) -> dict[str, Tensor]:
        """What the request asks of the samples with these seeds, as the network reads it: (b,) or (b, w) each."""
        values = [request.values(seed) for seed in seeds]
        return {
            name: torch.tensor([self._members[name].read(value[name]) for value in values], dtype=torch.float32, device=self.device)
            for name in request.properties
        }

    def _known(self, sizes: Sequence[int], request: Request) -> Batch:
        """What is known before the walk: what the constraint gives, or nothing."""
        if request.constraint is None:
            return self.domain.empty(sizes, self.checkpoint.statistics).to(self.device)
        return request.constraint.batch(self.checkpoint.statistics, sizes).to(self.device)

    def run(
        self,
        sizes: Sequence[int],
        seeds: Sequence[int],
        request: Request,
        candidates: Sequence[int] = (),
        after: Callable[[], None] = lambda: None,
    ) -> list[Any]:
        """Items of one batch as in :meth:`walk`, good or not, restarted where a constraint says so.

        ``after`` is called after every step and may raise.
        """
        with own_modes(self.device.type):
            return self._run(sizes, seeds, request, candidates or [0] * len(sizes), after)

    def _run(
        self, sizes: Sequence[int], seeds: Sequence[int], request: Request, candidates: Sequence[int], after: Callable[[], None]
    ) -> list[Any]:
        batch = self._last(self.walk(sizes, seeds, request, candidates), sizes, request, after)
        items, places = self._items(batch, request), list(range(len(sizes)))
        for number, time in enumerate(self._restarts(request), 1):
            rows = [row for row, place in enumerate(places) if self._judge(items[place], request).reason]
            if not rows:
                break
            places = [places[row] for row in rows]
            chosen, own, which = ([row[place] for place in places] for row in (sizes, seeds, candidates))
            batch = self._last(self.walk(chosen, own, request, which, (batch.take(rows), time, number)), chosen, request, after)
            for place, item in zip(places, self._items(batch, request), strict=True):
                items[place] = item
        return items

    def _restarts(self, request: Request) -> Sequence[float]:
        return () if request.constraint is None else request.constraint.restarts(self.denoiser.process)

    def _last(self, walk: Iterator[Step], sizes: Sequence[int], request: Request, after: Callable[[], None]) -> Batch:
        """The clean batch at the end of a walk; what is known where a constraint starts at time 0."""
        batch: Batch | None = None
        for step in walk:
            batch = step.batch
            after()
        return self._known(sizes, request) if batch is None else batch

    def _items(self, batch: Batch, request: Request) -> list[Any]:
        items = self.domain.decode(batch, self.checkpoint.statistics)
        return [request.constraint.restore(item) for item in items] if request.constraint is not None else items

    def _judge(self, item: Any, request: Request) -> Verdict:
        """The verdict of the domain's check and, where it passes, of the constraint."""
        verdict = self.domain.check(item)
        reason = verdict.reason or (request.constraint.failure(item) if request.constraint is not None else "")
        return replace(verdict, reason=reason)
