"""Conformers of many molecules by one model.

One molecule after the other would walk batches of a handful. So neighbours are put into groups of about as many draws as a window of free
samples has, and the draws of a group are walked side by side: first as many of each as are wanted, then what failed ones need. The groups
follow from the molecules alone and are walked as a whole, so that a run that goes on makes what one run would have made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from operator import index

from molgen.counting import counted
from molgen.errors import InputError, check_whole, got
from molgen.molecules.constraints import Conformers
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, Tally, Vain
from molgen.sample.kept import Kept
from molgen.sample.loading import require_model
from molgen.sample.model import IMPATIENCE
from molgen.sample.parallel import LARGEST_WINDOW, LARGEST_WORK, Cores, quiet, wanted
from molgen.sample.settling import check_request
from molgen.sample.walker import Draw


def conformers(
    model: Model,
    graphs: Sequence[Conformers],
    num: int,
    *,
    request: Request | None = None,
    done: Iterable[Iterable[int]] = (),
    tally: Tally | None = None,
) -> Iterator[Iterator[Molecule]]:
    """For every molecule in order an iterator of its conformers; far faster for many molecules than to sample one after the other.

    An iterator that ends with :class:`~molgen.sample.Vain`, an :class:`~molgen.InputError`, has those that there are: a hundred further
    draws in a row had other stereo, a stretched bond or atoms too close. Take them in turn, as :func:`zip` does.

    Args:
        model: of molecules.
        graphs: the molecules.
        num: conformers of each.
        request: steps, seed and more of all draws, without a constraint.
        done: for every molecule the ascending numbers (tag `index`) of its draws that an earlier run has handed out; they are not again.
        tally: counts what is drawn.

    Raises:
        InputError: for what is no model of molecules, no list of graphs, or a molecule that the model does not know.

    Example:
        >>> graphs = [molgen.Conformers.from_smiles(smiles) for smiles in ("CCO", "C[C@H](O)N")]
        >>> for graph, found in zip(graphs, molgen.conformers(molgen.load("qm9"), graphs, 5)):
        ...     molgen.write_sdf(f"{graph}.sdf", found)
    """
    require_model(model, "conformers")
    graphs = [*graphs] if isinstance(graphs, Iterable) else [graphs]
    if not all(isinstance(graph, Conformers) for graph in graphs):
        raise InputError("graphs: expected a list of molgen.Conformers, such as [molgen.Conformers.from_smiles('CCO')]")
    if len({graph.pull for graph in graphs}) > 1:
        raise InputError("graphs: expected one pull for all, as they are walked together")
    check_whole("num", num, 1)
    request = Request() if request is None else request
    check_request(request)
    if request.constraint is not None:
        raise InputError("request: the graphs are its constraints; leave its own one out")
    if getattr(request.filters, "unique", False):
        raise InputError("filters: unique lets one conformer of a molecule through; leave it out")
    if tally is not None and not isinstance(tally, Tally):
        raise InputError(f"tally: expected a molgen.sample.Tally, got {got(tally)}")
    settled, numbers = [model.settled(replace(request, constraint=graph)) for graph in graphs], _numbers(done, len(graphs))
    return _in_turn(model, settled, num, numbers, Tally() if tally is None else tally)


def _in_turn(
    model: Model, requests: Sequence[Request], num: int, done: Sequence[Sequence[int]], tally: Tally
) -> Iterator[Iterator[Molecule]]:
    """The conformers of all requests, in their order."""
    costs = [len(_graph(request).molecule) ** 2 * (request.steps or 1) * request.walks for request in requests]
    for chosen in groups(costs, num, model.room):
        if len(chosen) == 1:  # may be many conformers: those of a window are handed out before the next one is walked
            yield model.stream(num, requests[chosen[0]], done[chosen[0]], tally, IMPATIENCE)
            continue
        group = _Group(model, [requests[k] for k in chosen], num, [done[k] for k in chosen], tally)
        yield from map(group.of, range(len(chosen)))


def groups(costs: Sequence[int], num: int, room: int) -> Iterator[range]:
    """Numbers of neighbouring molecules whose draws fill a window.

    Args:
        costs: pairs times steps of a draw of each, times its candidates.
        num: draws of each.
        room: 1 on a CPU, see :func:`molgen.sample.parallel.affordable`.
    """
    start, work = 0, 0
    for k, cost in enumerate(costs):
        if k > start and ((k + 1 - start) * num > room * LARGEST_WINDOW or work + num * cost > room * LARGEST_WORK):
            yield range(start, k)
            start, work = k, 0
        work += num * cost
    if costs:
        yield range(start, len(costs))


def _graph(request: Request) -> Conformers:
    """What the request gives."""
    assert isinstance(request.constraint, Conformers)
    return request.constraint


class _Group:
    """Molecules whose draws are walked together, as soon as the first of them is asked for; see :func:`_in_turn`."""

    def __init__(self, model: Model, requests: Sequence[Request], num: int, done: Sequence[Sequence[int]], tally: Tally):
        self.model, self.requests, self.num, self.done, self.tally = model, requests, num, done, tally

    def of(self, place: int) -> Iterator[Molecule]:
        """The conformers of one of the molecules."""
        found, lost = self._found[place]
        yield from found
        if lost is not None:
            raise lost

    @cached_property
    def _found(self) -> list[tuple[list[Molecule], Vain | None]]:
        """The conformers of each, and why there are no more; what is interrupted is walked again when it is asked for again.

        Draws of an earlier run are walked as well, for what they are beside, but not handed out.
        """
        model, num, tally = self.model, self.num, Tally()
        screen, walker = model.screen(self.requests[0], self.tally), model.walker(self.requests[0])
        all_kept = [Kept(one, model.domain, tally, screen, IMPATIENCE, own) for one, own in zip(self.requests, self.done, strict=True)]
        found, lost, drawn = [list[Molecule]() for _ in all_kept], dict[int, Vain](), [0] * len(all_kept)
        open_ = [] if all(len(own) >= num for own in self.done) else [*range(len(all_kept))]
        with Cores(model.device) as cores:
            while open_ := [k for k in open_ if all_kept[k].before(drawn[k]) < num and k not in lost]:
                draws, homes = list[Draw](), list[int]()
                for k in open_:
                    more = wanted(num, all_kept[k].before(drawn[k]), drawn[k])
                    draws += model.plan(self.requests[k], range(drawn[k], drawn[k] + more))
                    homes += [k] * more
                    drawn[k] += more
                made = model.window(walker, draws, cores, quiet, len(draws))
                for k, draw, (item, reason) in zip(homes, draws, made, strict=True):
                    kept = all_kept[k]
                    if draw.number < kept.next or len(kept.numbers) >= num or k in lost:
                        continue
                    try:
                        if kept.takes(item, reason):
                            found[k].append(item)
                    except Vain as error:
                        lost[k] = error
        self.tally.add(tally)
        return [(each, lost.get(k)) for k, each in enumerate(found)]


def _numbers(done: Iterable[Iterable[int]], molecules: int) -> list[list[int]]:
    """Numbers of draws for every molecule; none of any where there are none.

    Raises:
        InputError: they are no ascending whole numbers, or not of so many molecules.
    """
    try:
        lists = [[*map(index, own)] for own in done]
    except TypeError:
        lists = [[-1]]
    if any(own != sorted({*own}) or min(own, default=0) < 0 for own in lists):
        raise InputError("done: expected a list of ascending whole numbers for every molecule, the tags `index` of its conformers")
    if lists and len(lists) != molecules:
        raise InputError(f"done: expected numbers for each of {counted(molecules, 'molecule')}, got {counted(len(lists), 'list')}")
    return lists or [[] for _ in range(molecules)]
