"""A loaded model: draws -> batches -> items (molecules, shapes), in a fixed order and in constant memory.

Draws are made in windows, sorted by size, cut into batches of bounded cost, decoded, checked and handed out in the order of their numbers.
Failed draws are counted by reason and skipped, so that ``num`` items that pass come out. Where properties are asked for that can be
measured on what is made, a draw is the nearest of several candidates: walks towards the same values with noise of their own.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Generic
from warnings import warn

import numpy as np
from typing_extensions import TypeVar

from molgen.diffusion.condition import SMALLEST_STD, Member, Scalar
from molgen.diffusion.sampler import Step, Walks
from molgen.domain import Constraint, Filters, Guide, Value, Verdict
from molgen.errors import InputError
from molgen.sample.doubts import doubts, relief
from molgen.sample.parallel import LARGEST_WINDOW, Cores, affordable, cut, wanted
from molgen.sample.request import STEERING, Request, Tally, draw_seed, size_probabilities, unknown
from molgen.sample.walker import Walker
from molgen.tags import MEASURED, PREDICTED

Sampled = TypeVar("Sampled", default=Any)
"""What a model samples: a molecule, a shape."""

PATIENCE, HOPELESS, IMPATIENCE = 1000, 250, 100  # draws in a row that may come to nothing; where none has passed; of sizes never seen
ACCELERATED = 16  # a GPU takes so many times the pairs and the draws at once


class Vain(InputError):
    """Too many draws in a row came to nothing."""

    @classmethod
    def after(cls, reasons: Counter[str], what: str, fix: str) -> Vain:
        """The error after these draws, by reason: what became of them and what helps, in words."""
        ((worst, _),) = reasons.most_common(1)
        return cls(f"{reasons.total()} draws in a row {what} (most often: {worst}); {fix}")


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


class Model(Walker, Generic[Sampled]):
    """A loaded model that samples items: molecules or shapes."""

    def __repr__(self) -> str:
        return f"Model({self.checkpoint.name!r}, {self.domain.items}, {self.device}, properties: {', '.join(self._members) or 'none'})"

    @property
    def _room(self) -> int:
        return 1 if self.device.type == "cpu" else ACCELERATED

    @property
    def properties(self) -> list[Member]:
        """Properties that can be requested, with unit and training range, or with their classes."""
        return list(self._members.values())

    def warnings(self, request: Request) -> list[str]:
        """One line for every requested value outside the training range, for sizes never seen, and whatever else is strange.

        Raises:
            InputError: for a property that the model was not trained with, numbers that make no sense, and constraints that cannot be met.
        """
        request.check()
        if min(request.sizes, default=1) < 1:
            raise InputError(f"expected a size of at least 1 {self.domain.node}, got {min(request.sizes)}")
        if request.constraint is not None:
            request.constraint.sizes(self.checkpoint.statistics, request.sizes)
        lines, known = [], self._members
        for name, value in request.named(known).properties.items():
            if name not in known:
                raise InputError(f"{self.checkpoint.name}: {unknown(name, [*known])}")
            for end in value if isinstance(value, tuple) else (value,):
                if doubt := known[name].doubt(end):
                    lines.append(doubt)
        lines.append(self.domain.doubt(request.sizes, self.checkpoint.statistics))
        if request.constraint is not None:
            lines.append(request.constraint.doubt())
        return [line for line in lines if line] + doubts(request, self.domain)

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
        start, request = 0, self.settled(request.named(self._members))
        with Cores(self.device) as cores:
            while True:
                most = max(1, min(window(start), self._room * LARGEST_WINDOW))
                chosen, seeds = self.plan(request, range(start, start + most))
                count = affordable(chosen, self.steps(request), self._room, request.walks)
                made = self._window(request, start, chosen[:count], seeds[:count], cores) if first < start + count else []
                yield from made[max(0, first - start) :]
                start += count

    def _window(self, request: Request, start: int, chosen: list[int], seeds: list[int], cores: Cores) -> list[tuple[Any, str]]:
        """The draws from number ``start`` on with these sizes and seeds, each with the reason why it fails."""
        several = request.walks
        sizes, owners = [size for size in chosen for _ in range(several)], [seed for seed in seeds for _ in range(several)]

        def make(group: Sequence[int]) -> list[Any]:
            return self.run([sizes[k] for k in group], [owners[k] for k in group], request, [k % several for k in group], cores.go_on)

        groups = cut(sizes, self._room * self.domain.pairs_per_batch, cores.count)
        made: dict[int, Any] = {}
        for group, items in zip(groups, cores.map(make, groups), strict=True):
            made |= zip(group, items, strict=True)
        done = []
        judged = self._candidates([made[k] for k in range(len(sizes))], request)
        for number, seed in enumerate(seeds):
            best = self._nearest(judged[number * several : (number + 1) * several], request, seed)
            asked = request.tags(self.checkpoint.name, start + number)
            tags = {"index": start + number, **asked, "passed": not best.verdict.reason, **best.found}
            done.append((replace(best.item, properties=tags), best.verdict.reason))
        return done

    def _candidates(self, items: Sequence[Any], request: Request) -> list[Candidate]:
        """The candidates of one draw after the other, judged; those that pass are measured where they are compared, and predicted."""
        several, verdicts = request.walks, [self._judge(item, request) for item in items]
        predicted = self._predicted(items, verdicts)
        names = [name for name in request.properties if name not in self.foretold] if several > 1 else []
        candidates = []
        for k, (item, verdict) in enumerate(zip(items, verdicts, strict=True)):
            measured = self.domain.measure(item, names) if names and not verdict.reason else {}
            candidates.append(Candidate(k % several, item, verdict, measured, predicted.get(k, {})))
        return candidates

    def _predicted(self, items: Sequence[Any], verdicts: Sequence[Verdict]) -> dict[int, dict[str, float]]:
        """What estimators tell of the items that pass, by position and property."""
        if not self.foretold:
            return {}
        passed = [k for k, verdict in enumerate(verdicts) if not verdict.reason]
        told = self.predict([items[k] for k in passed])
        return {k: {name: estimates[name].value for name in self.foretold} for k, estimates in zip(passed, told, strict=True)}

    def _nearest(self, candidates: Sequence[Candidate], request: Request, seed: int) -> Candidate:
        """Of the candidates of a draw the nearest to what was asked for, the first one among equals."""
        asked = request.values(seed)
        spread = {member.name: max(member.std, SMALLEST_STD) for member in self.properties if isinstance(member, Scalar)}
        return min(candidates, key=lambda candidate: candidate.rank(asked, spread))

    def trajectory(self, request: Request) -> Iterator[tuple[Step, Any]]:
        """Every step of the first draw, restarts included, with what the model believes in there.

        Raises:
            InputError: as :meth:`warnings`.
        """
        self.warnings(request)
        request = self.settled(request.named(self._members))
        (sizes, seeds), process, again = self.plan(request, [0]), self.denoiser.process, None
        chosen = [0]
        if request.walks > 1:
            made = self.run(sizes * request.walks, seeds * request.walks, request, range(request.walks))
            chosen = [self._nearest(self._candidates(made, request), request, seeds[0]).number]
        for number, time in enumerate((*self._restarts(request), 0.0), 1):
            for step in self.walk(sizes, seeds, request, chosen, again):
                (item,) = self._items(process.settle(step.batch, step.prediction), request)
                yield step, item
                again = step.batch, time, number
            if again is None:  # the walk starts at time 0, where it ends
                known = self._known(sizes, request)
                yield Step(0, 0.0, known, {}), self._items(known, request)[0]
                return
            if not self._judge(item, request).reason:
                return

    def stream(
        self, num: int, request: Request, done: Sequence[int] = (), tally: Tally | None = None, patience: int = 0
    ) -> Iterator[Sampled]:
        """The items that are missing to ``num``; failed ones only with ``keep_invalid``.

        Items that the filters rule out are counted in ``tally.withheld`` and replaced by further draws. What an earlier run of the same
        request has handed out is known from ``done``, the ascending numbers of its draws, and from ``tally``; what comes is the rest.

        Raises:
            InputError: for bad requests.
            Vain: when ``patience`` draws in a row come to nothing (``PATIENCE`` by default; ``IMPATIENCE`` at most where the model saw no
                such size, ``HOPELESS`` where nothing has passed the check yet, but for constraints, which few draws may meet).
        """
        if not isinstance(num, Integral) or num < 0:
            raise InputError(f"num: expected a whole number of at least 0, got {num!r}")
        request.check()
        tally = tally if tally is not None else Tally()
        vain, kept = Counter[str](), array("Q", done)
        if len(kept) >= num:
            return
        unseen = bool(request.sizes) and all(self.domain.doubt([size], self.checkpoint.statistics) for size in request.sizes)
        patience = patience or PATIENCE
        patience = min(patience, IMPATIENCE) if unseen else patience
        filters = request.filters or self.domain.filters()
        screen = filters.start(tally.smiles, self.checkpoint.known, self.foretold) if filters is not None else None

        first = kept[-1] + 1 if kept else 0
        draws = self.draws(request, first, lambda start: wanted(num, bisect_left(kept, start), start))
        for number, (item, reason) in enumerate(draws, first):
            tally.draw(reason)
            failed = bool(reason) and not request.keep_invalid
            withheld = screen(item) if screen is not None and not failed else ""
            if withheld:
                tally.withheld[withheld] += 1
            if not failed and not withheld:
                vain.clear()
            else:
                vain[reason if failed else withheld] += 1
            hopeless = not kept and not tally.valid and request.constraint is None
            if vain.total() >= (min(patience, HOPELESS) if hopeless else patience):
                ruled = bool(vain.keys() & tally.withheld.keys())
                what, fix = ("were ruled out", "") if ruled else ("failed the check", f"{relief(request, self.domain)}take more steps, or ")
                raise Vain.after(vain, what, f"{fix}ask for other properties, sizes or filters")
            if not failed and not withheld:
                kept.append(number)
                tally.keep(item)
                yield item
                if len(kept) >= num:
                    return

    def sample(
        self,
        num: int,
        request: Request | None = None,
        *,
        properties: Mapping[str, float | str | tuple[float, float]] | None = None,
        guidance: float | None = None,
        candidates: int | None = None,
        steering: float = STEERING,
        sizes: Sequence[int] = (),
        steps: int | None = None,
        sampler: Walks | None = None,
        seed: int = 0,
        keep_invalid: bool = False,
        filters: Filters | None = None,
        guides: Sequence[Guide] = (),
        own_guides: bool = True,
        precision: str = "fp32",
        constraint: Constraint | None = None,
    ) -> list[Sampled]:
        """``num`` molecules (Å) or shapes (unit of the data) that passed, as a :class:`Request` or its arguments ask; errors: `stream`.

        Example:
            >>> molecules = molgen.load("qm9").sample(8, properties={"gap_xtb": 6.0})  # eV
        """
        asked = Request(
            properties=properties or {},
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
        for line in self.warnings(request or asked):
            warn(line, stacklevel=2)
        return list(self.stream(num, request or asked))
