"""A loaded model: draws -> batches -> items (molecules, shapes), in a fixed order and in constant memory.

Draws are made in windows, sorted by size, cut into batches of bounded cost, decoded, checked and handed out in the order of their numbers.
Failed draws are counted by reason and skipped, so that ``num`` items that pass come out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint, load_checkpoint
from molgen.diffusion.condition import Member
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.estimation import Steered
from molgen.diffusion.guidance import ClassifierFree
from molgen.diffusion.inpaint import RESAMPLING
from molgen.diffusion.noise import PerSampleNoise
from molgen.diffusion.rounding import Rounded
from molgen.diffusion.sampler import Step
from molgen.domain import Constraint, Filters, Guide, Verdict
from molgen.errors import InputError
from molgen.sample.device import find_device
from molgen.sample.gradients import without_gradients
from molgen.sample.parallel import LARGEST_WINDOW, Cores, affordable, cut, wanted
from molgen.sample.request import STEERING, Request, Tally, draw_seed, size_probabilities
from molgen.types import Tensor

PATIENCE = 1000  # draws in a row that may come to nothing
ACCELERATED = 16  # a GPU takes so many times the pairs and the draws at once


class Model:
    """A loaded model that samples items: molecules or shapes.

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
        self._room = 1 if self.device.type == "cpu" else ACCELERATED

    @cached_property
    def _rounded(self) -> Denoiser:
        return Rounded(self.denoiser)

    @property
    def properties(self) -> list[Member]:
        """Properties that can be requested, with unit and training range, or with their classes."""
        return list(self.denoiser.conditions.members)

    def warnings(self, request: Request) -> list[str]:
        """One line for every requested value outside the training range and every size never seen.

        Raises:
            InputError: for a property that the model was not trained with, numbers that make no sense, and constraints that cannot be met.
        """
        request.check()
        if min(request.sizes, default=1) < 1:
            raise InputError(f"expected a size of at least 1 {self.domain.node}, got {min(request.sizes)}")
        if request.constraint is not None:
            request.constraint.sizes(self.checkpoint.statistics, request.sizes)
        known = {condition.name: condition for condition in self.properties}
        lines = []
        for name, value in request.properties.items():
            if name not in known:
                raise InputError(f"{self.checkpoint.name}: unknown property {name!r}; it was trained with {', '.join(known) or 'none'}")
            for end in value if isinstance(value, tuple) else (value,):
                if doubt := known[name].doubt(end):
                    lines.append(doubt)
        if doubt := self.domain.doubt(request.sizes, self.checkpoint.statistics):
            lines.append(doubt)
        return lines

    def walk(
        self, sizes: Sequence[int], seeds: Sequence[int], request: Request, again: tuple[Batch, float, int] | None = None
    ) -> Iterator[Step]:
        """Steps of one batch of samples with these sizes and seeds, from noise (or where a constraint starts) to clean data.

        With ``again`` the walk starts from this clean batch, corrupted up to this time with noise of its own for every number.
        """
        return without_gradients(self._walk(sizes, seeds, request, again))

    def _walk(self, sizes: Sequence[int], seeds: Sequence[int], request: Request, again: tuple[Batch, float, int] | None) -> Iterator[Step]:
        known, constraint, process = self._known(sizes, request), request.constraint, self.denoiser.process
        condition = self.condition(request, seeds)
        denoiser = self.guided(request)
        if constraint is not None:
            denoiser = constraint.guide(denoiser, process, self.checkpoint.statistics, known)
        like, start, number = again or (known, 1.0 if constraint is None else constraint.start(process), 0)
        noise = PerSampleNoise([draw_seed(seed, number) for seed in seeds] if number else seeds)
        sampler = RESAMPLING if constraint else self.checkpoint.experiment.sampler
        yield from sampler.walk(denoiser, process, like, condition, noise, request.steps, start)

    def guided(self, request: Request) -> Denoiser:
        """The network in the precision of the request, guided towards the conditions by itself and by its estimator, with all guides."""
        network = self.denoiser if request.precision == "fp32" else self._rounded
        denoiser: Denoiser = ClassifierFree(network, request.guidance)
        told = self.checkpoint.estimator
        if told is not None and request.steering > 0:
            estimator = told.network.to(self.device)
            denoiser = Steered(denoiser, self.denoiser.process, estimator, told.conditions, told.geometric, request.steering)
        own = self.domain.guides(self.checkpoint.statistics) if request.own_guides else ()
        for guide in (*own, *request.guides):
            denoiser = guide.guide(denoiser, self.denoiser.process, self.checkpoint.statistics)
        return denoiser

    def condition(self, request: Request, seeds: Sequence[int]) -> dict[str, Tensor]:
        """What the request asks of the samples with these seeds, as the network reads it: (b,) or (b, w) each."""
        values = [request.values(seed) for seed in seeds]
        return {
            name: torch.tensor([self.denoiser.conditions[name].read(value[name]) for value in values], device=self.device)
            for name in request.properties
        }

    def _known(self, sizes: Sequence[int], request: Request) -> Batch:
        """What is known before the walk: what the constraint gives, or nothing."""
        if request.constraint is None:
            return self.domain.empty(sizes, self.checkpoint.statistics).to(self.device)
        return request.constraint.batch(self.checkpoint.statistics, sizes).to(self.device)

    def plan(self, request: Request, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        """Sizes and seeds of the draws with these numbers; see :func:`size_probabilities` for the sizes.

        Raises:
            InputError: if a requested size is not positive.
        """
        statistics, seeds = self.checkpoint.statistics, [draw_seed(request.seed, k) for k in numbers]
        if request.ranged:  # every draw has values, and so odds, of its own
            odds = [size_probabilities(statistics, replace(request, properties=request.values(seed))) for seed in seeds]
        else:
            odds = [size_probabilities(statistics, request)] * len(seeds)
        return [int(np.random.default_rng(seed).choice(sizes, p=p)) for seed, (sizes, p) in zip(seeds, odds, strict=True)], seeds

    def draws(self, request: Request, first: int = 0, window: Callable[[int], int] = lambda start: 256) -> Iterator[tuple[Any, str]]:
        """Endless draws from number ``first`` on, each with the reason why it fails ("" if it passes), in order.

        ``window`` tells how many to make together from a number on. They are cut from number 0 on whatever ``first`` is: a draw is
        computed beside the same ones, with the same rounding.
        """
        self.warnings(request)
        start = 0
        with Cores(self.device) as cores:
            while True:
                most = max(1, min(window(start), self._room * LARGEST_WINDOW))
                chosen, seeds = self.plan(request, range(start, start + most))
                count = affordable(chosen, request.steps, self._room)
                made = self._window(request, start, chosen[:count], seeds[:count], cores) if first < start + count else []
                yield from made[max(0, first - start) :]
                start += count

    def _window(self, request: Request, start: int, chosen: list[int], seeds: list[int], cores: Cores) -> list[tuple[Any, str]]:
        """The draws from number ``start`` on with these sizes and seeds, each with the reason why it fails."""

        def make(group: Sequence[int]) -> list[Any]:
            return self.run([chosen[g] for g in group], [seeds[g] for g in group], request, cores.go_on)

        groups = cut(chosen, self._room * self.domain.pairs_per_batch, cores.count)
        done: dict[int, tuple[Any, str]] = {}
        for group, items in zip(groups, cores.map(make, groups), strict=True):
            for g, item in zip(group, items, strict=True):
                verdict = self._judge(item, request)
                asked = request.tags(self.checkpoint.name, start + g)
                tags = {"index": start + g, **asked, "passed": not verdict.reason, **verdict.found}
                done[g] = replace(item, properties=tags), verdict.reason
        return [done[g] for g in range(len(chosen))]

    def run(self, sizes: Sequence[int], seeds: Sequence[int], request: Request, after: Callable[[], None] = lambda: None) -> list[Any]:
        """Items of one batch, good or not, restarted where a constraint says so; ``after`` is called after every step and may raise."""
        batch = self._last(self.walk(sizes, seeds, request), sizes, request, after)
        items, places = self._items(batch, request), list(range(len(sizes)))
        for number, time in enumerate(self._restarts(request), 1):
            rows = [row for row, place in enumerate(places) if self._judge(items[place], request).reason]
            if not rows:
                break
            places = [places[row] for row in rows]
            chosen, own = [sizes[place] for place in places], [seeds[place] for place in places]
            batch = self._last(self.walk(chosen, own, request, (batch.take(rows), time, number)), chosen, request, after)
            for place, item in zip(places, self._items(batch, request), strict=True):
                items[place] = item
        return items

    def trajectory(self, request: Request) -> Iterator[tuple[Step, Any]]:
        """Every step of the first draw, restarts included, with what the model believes in there."""
        (sizes, seeds), process, again = self.plan(request, [0]), self.denoiser.process, None
        for number, time in enumerate((*self._restarts(request), 0.0), 1):
            for step in self.walk(sizes, seeds, request, again):
                (item,) = self._items(process.settle(step.batch, step.prediction), request)
                yield step, item
                again = step.batch, time, number
            if again is None:  # the walk starts at time 0, where it ends
                known = self._known(sizes, request)
                yield Step(0, 0.0, known, {}), self._items(known, request)[0]
                return
            if not self._judge(item, request).reason:
                return

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

    def stream(self, num: int, request: Request, done: Sequence[int] = (), tally: Tally | None = None) -> Iterator[Any]:
        """The items that are missing to ``num``; failed ones only with ``keep_invalid``.

        Items that the filters rule out are counted in ``tally.withheld`` and replaced by further draws. What an earlier run of the same
        request has handed out is known from ``done``, the ascending numbers of its draws, and from ``tally``; what comes is the rest.

        Raises:
            InputError: for bad requests, and when ``PATIENCE`` draws in a row come to nothing.
        """
        tally = tally if tally is not None else Tally()
        in_vain, kept = 0, array("Q", done)
        if len(kept) >= num:
            return
        filters = request.filters or self.domain.filters()
        screen = filters.start(tally.smiles) if filters is not None else None

        first = kept[-1] + 1 if kept else 0
        draws = self.draws(request, first, lambda start: wanted(num, bisect_left(kept, start), start))
        for number, (item, reason) in enumerate(draws, first):
            tally.draw(reason)
            failed = bool(reason) and not request.keep_invalid
            withheld = screen(item) if screen is not None and not failed else ""
            if withheld:
                tally.withheld[withheld] += 1
            in_vain = in_vain + 1 if failed or withheld else 0
            if in_vain >= PATIENCE:
                counts = tally.withheld if request.keep_invalid else tally.failures + tally.withheld
                ((worst, _),) = counts.most_common(1)
                what = "were ruled out" if tally.withheld else "failed the check"
                raise InputError(f"{PATIENCE} draws in a row {what} (most often: {worst}); ask for other properties, sizes or filters")
            if not failed and not withheld:
                kept.append(number)
                tally.keep(item)
                yield item
                if len(kept) >= num:
                    return

    def sample(
        self,
        num: int,
        *,
        properties: Mapping[str, float | str | tuple[float, float]] | None = None,
        guidance: float = 2.0,
        steering: float = STEERING,
        sizes: Sequence[int] = (),
        steps: int = 50,
        seed: int = 0,
        keep_invalid: bool = False,
        filters: Filters | None = None,
        guides: Sequence[Guide] = (),
        own_guides: bool = True,
        precision: str = "fp32",
        constraint: Constraint | None = None,
    ) -> list[Any]:
        """``num`` molecules (Å) or shapes (unit of the data) that passed; :class:`Request` has the arguments, `stream` the errors.

        Example:
            >>> molecules = molgen.load("qm9").sample(8, properties={"gap_xtb": 6.0})  # eV
        """
        request = Request(
            properties=properties or {},
            guidance=guidance,
            steering=steering,
            sizes=sizes,
            steps=steps,
            seed=seed,
            keep_invalid=keep_invalid,
            filters=filters,
            guides=guides,
            own_guides=own_guides,
            precision=precision,
            constraint=constraint,
        )
        return list(self.stream(num, request))


def load(source: str | Path, device: str | torch.device | None = None) -> Model:
    """Loads a model that ships (by name), a run folder or a ``model.safetensors``.

    Raises:
        InputError: if there is no such model or its files are damaged.
    """
    return Model(load_checkpoint(source), device)
