"""A loaded model: draws -> batches -> items (molecules, shapes), in a fixed order and in constant memory.

Draws are made in windows, sorted by size, cut into batches of bounded cost, decoded, checked and handed out in the order of their numbers.
Failed draws are counted by reason and skipped, so that ``num`` items that pass come out. Where properties are asked for that can be
measured on what is made, a draw is the nearest of several candidates: walks towards the same values with noise of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, cast
from warnings import warn

import numpy as np
import torch
from typing_extensions import TypeVar

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.rounding import Rounded
from molgen.diffusion.sampler import Step, Walks
from molgen.domain import Constraint, Filters, Guide
from molgen.errors import InputError, check_whole
from molgen.sample.batches import decode, encode
from molgen.sample.kept import Kept
from molgen.sample.modes import find_device, own_modes, undisturbed
from molgen.sample.parallel import LARGEST_WINDOW, Cores, Progress, affordable, cut, quiet, wanted
from molgen.sample.prediction import Estimate, listed, predict
from molgen.sample.request import STEERING, Request, Tally, draw_seed, size_probabilities
from molgen.sample.settling import check_request, settle
from molgen.sample.walker import Draw, Restart, Walker

Sampled = TypeVar("Sampled", default=Any)
"""What a model samples: a molecule, a shape."""
Asked = TypeVar("Asked", default=Any)
"""What its properties are: numbers alone, or classes and words as well."""

PATIENCE, IMPATIENCE = 1000, 100  # draws in a row that may come to nothing; of sizes never seen
ACCELERATED = 16  # a GPU takes so many times the pairs and the draws at once


class Model(Generic[Sampled, Asked]):
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

    def __repr__(self) -> str:
        names = ", ".join(self.checkpoint.members) or "none"
        return f"Model({self.checkpoint.name!r}, {self.domain.items}, {self.device}, properties: {names})"

    @property
    def room(self) -> int:
        """How many times the pairs and draws of a CPU are walked at once."""
        return 1 if self.device.type == "cpu" else ACCELERATED

    @cached_property
    def _rounded(self) -> Denoiser:
        with own_modes(self.device.type):
            return Rounded(self.denoiser)

    @property
    def properties(self) -> list[Asked]:
        """Properties that can be requested, with unit and training range, or with their classes."""
        return cast("list[Asked]", [*self.checkpoint.members.values()])

    @property
    def foretold(self) -> list[str]:
        """Properties that are predicted of what is made: the model has an estimator of them, and they cannot be measured."""
        return self.checkpoint.foretold

    def predict(self, items: Iterable[Any]) -> list[Mapping[str, Estimate]]:
        """What the estimators of the model say about finished items, by name of the property: value and standard deviation.

        Args:
            items: molecules with hydrogens, or without where the model has none, in a list or a column; the coordinates count too.

        Raises:
            InputError: for an element or a formal charge that the model does not know, or what is no list of molecules.

        Example:
            >>> model.predict(molgen.read_sdf("mine.sdf"))[0]["gap_xtb"].value  # eV
        """
        return predict(self.checkpoint, listed(items, self.domain.items), self.device)

    def encode(self, items: Iterable[Any]) -> Batch:
        """Clean batch of molecules (with hydrogens where the model has them) or of whole shapes, as ``model.denoiser`` reads it.

        Raises:
            InputError: the model knows no such element or charge, or a shape has too few points or is in another unit.
        """
        return encode(self.checkpoint, items, self.device)

    def decode(self, batch: Batch) -> list[Sampled]:
        """Items of a clean batch, about their middle; latent clouds tell a shape nearly.

        Raises:
            InputError: a field or a label is missing, or is of more or fewer items than the others.
        """
        return decode(self.checkpoint, batch, self.device)

    def settled(self, request: Request) -> Request:
        """The request, checked, with the model's own names of properties and what is usual where nobody says it.

        Raises:
            InputError: for a property that the model was not trained with, numbers that make no sense, constraints that cannot be met, and
                several candidates that cannot be compared.
        """
        return settle(self.checkpoint, request, self.device)[0]

    def warnings(self, request: Request) -> list[str]:
        """One line for every requested value outside the training range, for sizes never seen, and whatever else is strange.

        Raises:
            InputError: as :meth:`settled`.
        """
        return settle(self.checkpoint, request, self.device)[1]

    def walker(self, request: Request) -> Walker:
        """What walks draws of this request.

        Raises:
            InputError: as :meth:`settled`.
        """
        settled = self.settled(request)
        return Walker(self.checkpoint, self.denoiser if settled.precision == "fp32" else self._rounded, settled, self.device)

    def plan(self, request: Request, numbers: Sequence[int]) -> list[Draw]:
        """The draws with these numbers; see :func:`size_probabilities` for their sizes.

        Raises:
            InputError: if a requested size is not positive.
        """
        statistics, seeds, own = self.checkpoint.statistics, [draw_seed(request.seed, k) for k in numbers], [*map(request.of, numbers)]
        if all(one is request for one in own):
            odds = [size_probabilities(statistics, request)] * len(own)
        else:
            odds = [size_probabilities(statistics, one) for one in own]
        chosen = [int(np.random.default_rng(seed).choice(sizes, p=p)) for seed, (sizes, p) in zip(seeds, odds, strict=True)]
        return [
            Draw(number, size, seed, constraint=one.constraint) for number, size, seed, one in zip(numbers, chosen, seeds, own, strict=True)
        ]

    def run(self, draws: Sequence[Draw], request: Request) -> list[Any]:
        """Items of one batch of draws, good or not, in their order.

        Raises:
            InputError: as :meth:`settled`.
        """
        return self.walker(request).run(draws)

    def draws(
        self, request: Request, first: int = 0, window: Callable[[int], int] = lambda start: 256, progress: Progress = quiet
    ) -> Iterator[tuple[Any, str]]:
        """Endless draws from number ``first`` on, each with the reason why it fails ("" if it passes), in order.

        ``window`` tells how many to make together from a number on. They are cut from number 0 on whatever ``first`` is: a draw is
        computed beside the same ones, with the same rounding. ``progress`` is told after every batch how many there are, from number 0 on.
        """
        walker, start = self.walker(request), 0
        with Cores(self.device) as cores:
            while True:
                hoped = window(start)
                most = max(1, min(hoped, self.room * LARGEST_WINDOW))
                planned = self.plan(walker.request, range(start, start + most))
                count = affordable([draw.size for draw in planned], walker.steps, self.room, walker.request.walks)
                made = self.window(walker, planned[:count], cores, progress, start + hoped) if first < start + count else []
                yield from made[max(0, first - start) :]
                start += count

    def window(self, walker: Walker, draws: Sequence[Draw], cores: Cores, progress: Progress, planned: int) -> list[tuple[Any, str]]:
        """The items of these draws, each with the reason why it fails; ``planned`` is the number of all draws."""
        request, several = walker.request, walker.request.walks
        walks = [replace(draw, candidate=k) for draw in draws for k in range(several)]
        groups = cut([draw.size for draw in walks], self.room * self.domain.pairs_per_batch, cores.count)
        made: dict[int, Any] = {}
        for group, items in zip(groups, cores.map(lambda group: walker.run([walks[k] for k in group], cores.go_on), groups), strict=True):
            made |= zip(group, items, strict=True)
            progress(draws[0].number + len(made) // several, planned)
        judged, done = walker.candidates(walks, [made[k] for k in range(len(walks))]), []
        for place, draw in enumerate(draws):
            best = walker.nearest(judged[place * several : (place + 1) * several], draw.seed)
            asked = replace(request, constraint=draw.constraint).tags(self.checkpoint.name, draw.number)
            tags = {"index": draw.number, **asked, "passed": not best.verdict.reason, **best.found}
            done.append((replace(best.item, properties=tags), best.verdict.reason))
        return done

    def trajectory(self, request: Request) -> Iterator[tuple[Step, Sampled]]:
        """Every step of the first draw, restarts included, with what the model believes in there.

        Raises:
            InputError: as :meth:`settled`.
        """
        return undisturbed(self._trajectory(request), self.device.type)

    def _trajectory(self, request: Request) -> Iterator[tuple[Step, Sampled]]:
        walker, restart = self.walker(request), None
        draws = self.plan(walker.request, [0])
        if walker.request.walks > 1:
            walks = [replace(draws[0], candidate=k) for k in range(walker.request.walks)]
            best = walker.nearest(walker.candidates(walks, walker.run(walks)), draws[0].seed)
            draws = [walks[best.number]]
        for number, time in enumerate((*walker.restarts, 0.0), 1):
            for step in walker.walk(draws, restart):
                (item,) = walker.items(draws, walker.process.settle(step.batch, step.prediction))
                yield step, item
                restart = Restart(step.batch, time, number)
            if restart is None:  # the walk starts at time 0, where it ends
                start = walker.initial(draws)
                yield Step(0, 0.0, start, {}), walker.items(draws, start)[0]
                return
            if not walker.judge(draws[0], item).reason:
                return

    def stream(
        self,
        num: int,
        request: Request | None = None,
        done: Sequence[int] = (),
        tally: Tally | None = None,
        patience: int = 0,
        progress: Progress = quiet,
    ) -> Iterator[Sampled]:
        """The items that are missing to ``num``, one by one; failed ones only with ``keep_invalid``.

        They come in lumps: up to 256 draws (fewer of large items, many steps or candidates) are made together, which is fastest, and handed
        out when the last is finished; after each of their batches ``progress`` is told how many draws are made, and how many are planned,
        which is reckoned anew from the share that passes. What is strange about a request :meth:`warnings` tells.
        Items that the filters rule out are counted in ``tally.withheld`` and replaced by further draws. What an earlier run of the same
        request has handed out is known from ``done``, the ascending numbers of its draws, and from ``tally``; what comes is the rest.

        Raises:
            InputError: for bad requests.
            Vain: when ``patience`` draws in a row come to nothing (``PATIENCE`` by default; ``IMPATIENCE`` at most where the model saw no
                such size, ``HOPELESS`` where nothing has passed the check yet, but for constraints, which few draws may meet).
        """
        check_whole("num", num, 0)
        if not callable(progress):
            raise InputError(f"progress: expected a function of the draws made and planned, got {progress!r}")
        request, tally = Request() if request is None else request, Tally() if tally is None else tally
        check_request(request)
        if len(done) >= num:
            return
        unseen = bool(request.sizes) and all(self.domain.doubt([size], self.checkpoint.statistics) for size in request.sizes)
        patience = min(patience or PATIENCE, IMPATIENCE) if unseen else patience or PATIENCE
        kept = Kept(request, self.domain, tally, self.screen(request, tally), patience, done)
        draws = self.draws(request, kept.next, lambda start: wanted(num, kept.before(start), start), progress)
        for item, reason in draws:
            if kept.takes(item, reason):
                yield item
                if len(kept.numbers) >= num:
                    return

    def screen(self, request: Request, tally: Tally) -> Callable[[Any], str] | None:
        """The screen of a run that has handed out what is in the tally, see :meth:`molgen.domain.Filters.start`."""
        filters = request.filters or self.domain.filters()
        return None if filters is None else filters.start(tally.smiles, self.checkpoint.known, self.foretold)

    def sample(
        self,
        num: int,
        request: Request | None = None,
        *,
        properties: Mapping[str, float | str | tuple[float, float]] | None = None,
        guidance: float | None = None,
        candidates: int | None = None,
        steering: float = STEERING,
        sizes: Sequence[int] | np.ndarray = (),
        steps: int | None = None,
        sampler: Walks | None = None,
        seed: int = 0,
        keep_invalid: bool = False,
        filters: Filters | None = None,
        guides: Sequence[Guide] = (),
        own_guides: bool = True,
        precision: str = "fp32",
        constraint: Constraint | None = None,
        progress: Progress = quiet,
    ) -> list[Sampled]:
        """``num`` molecules (Å) or shapes (unit of the data) that passed, as a :class:`Request` or its arguments ask; more: `stream`.

        Example:
            >>> molecules = molgen.load("qm9").sample(8, properties={"gap_xtb": 6.0})  # eV
        """
        asked = Request(
            properties={} if properties is None else properties,
            guidance=guidance,
            candidates=candidates,
            steering=steering,
            sizes=sizes,
            steps=steps,
            sampler=sampler,
            seed=seed,
            keep_invalid=keep_invalid,
            filters=filters,
            guides=guides,
            own_guides=own_guides,
            precision=precision,
            constraint=constraint,
        )
        if request is not None and asked != Request():
            raise InputError("request: give a Request or its arguments, not both; dataclasses.replace(request, ...) changes one")
        request = asked if request is None else request
        for line in self.warnings(request):
            warn(line, stacklevel=2)
        return list(self.stream(num, request, progress=progress))
