"""Search for molecules: rounds of samples, each but the first made of variants of the best so far.

Of independent draws the best improve with the logarithm of their number. Variants of the best start where they are: a molecule is corrupted
up to some noise and walked back (:class:`~molgen.molecules.constraints.Around`), which is a mutation that the model proposes, so that what
comes is as sound as its free samples. The best of parents and variants are the parents of the next round (an elitist evolution strategy,
mu + lambda; Beyer and Schwefel 2002, 10.1023/A:1015059928466). What is searched for may be any function of a molecule.

A variant has as many atoms as what it is made of. So that sizes are searched as well, a third of the variants are made of their parent with
one or two hydrogens less or more; what the elements, bonds and places of all atoms become is for the model to say. The variants of all
parents are walked together.
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from molgen.counting import counted
from molgen.errors import InputError, check_whole
from molgen.known import Known
from molgen.molecules.constraints import Around
from molgen.molecules.fields import Statistics
from molgen.molecules.filters import Filters, Screen
from molgen.molecules.measure import Best, Score, Target, check_predicted
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, Tally, Vain, draw_seed
from molgen.sample.loading import require_model
from molgen.sample.settling import check_request
from molgen.strength import check_strength

ROUNDS = 5
STRENGTH = 0.6
"""Usual strength of the variation, see :class:`~molgen.molecules.constraints.Around`."""
PATIENCE = 50
"""Variants in a row that may come to nothing, times the number of parents, before the round ends."""

CHANGES = (0, 0, 0, 0, 0, 0, 0, 0, -2, -1, 1, 2)
"""Hydrogens that a parent gains, one of these by chance."""
BOND = 1.1
"""Length of a bond to a hydrogen, Å."""

Progress = Callable[[Iterable[Molecule]], Iterable[Molecule]]


def search(
    model: Model,
    target: Target | Score | str,
    *,
    keep: int = 20,
    pool: int = 1000,
    rounds: int = ROUNDS,
    strength: float = STRENGTH,
    request: Request | None = None,
    tally: Tally | None = None,
    progress: Progress = iter,
) -> list[Molecule]:
    """The ``keep`` best of ``pool`` different molecules that passed the check and the filters, the best first.

    Each carries the tag ``measured_NAME`` of a target (``predicted_NAME`` of what an estimator tells), or ``score``, and ``round``, from 1
    on; variants also ``around`` with the SMILES of their parent.

    Args:
        model: of molecules.
        target: wished value of a computed or predicted property, also as text such as `qed=max` or `predicted_NAME=max`, or a function of
            a molecule whose larger values are better; NaN or an exception drops the molecule, exceptions are counted and warned of.
        keep: how many molecules survive a round.
        pool: molecules in all rounds together.
        rounds: the first is of draws as the request asks for them, the others of variants of the best so far.
        strength: of the variation, from 0 to 1.
        request: properties, filters, steps, seed and more of all draws; it may vary a given molecule, which the first round then does.
        tally: counts what is drawn.
        progress: sees every molecule on its way.

    Raises:
        InputError: what is no loaded model or one of shapes, numbers or filters that make no sense, a part that is to be kept, a first
            round of which nothing passes, or a pool of which nothing can be scored.

    Example:
        >>> best = molgen.search(molgen.load("leads"), lambda molecule: my_docking_score(molecule.to_rdkit()), keep=10, pool=500)
    """
    require_model(model, "search")
    if isinstance(target, str):
        target = Target.parse(target)
    if not isinstance(target, Target) and not callable(target):
        raise InputError(f"target: expected a function of a molecule or a text such as 'qed=max', got {target!r}")
    if isinstance(target, Target):
        check_predicted([target.name], model.foretold, f"target {target.name}")
    request, tally = Request() if request is None else request, Tally() if tally is None else tally
    for name, number in (("keep", keep), ("pool", pool), ("rounds", rounds)):
        check_whole(name, number)
    check_request(request)
    check_strength(strength)
    if min(keep, rounds) < 1 or pool < max(keep, rounds):
        raise InputError(
            f"expected 1 or more to keep, of a pool of at least as many and one a round, got {keep} of {pool} in {rounds} rounds"
        )
    if request.constraint is not None and not isinstance(request.constraint, Around):
        raise InputError("rounds: molecules are varied as a whole, a part cannot be kept; ask for one round")
    if request.keep_invalid:
        raise InputError("keep_invalid: what fails the check cannot be varied; leave it out")
    filters = request.filters or Filters()
    if not isinstance(filters, Filters):
        raise InputError(f"filters: expected molgen.Filters(where=[...]), got {filters!r}")
    filters = replace(filters, unique=True)
    screen = filters.start(tally.smiles, model.checkpoint.known, model.foretold)
    request, best = replace(request, filters=_Started(filters, screen)), Best(target, keep)
    for number in range(rounds):
        share = pool // rounds + (number < pool % rounds)
        fresh = replace(request, seed=draw_seed(request.seed, -number)) if number else request
        parents = best.molecules
        asked = replace(fresh, constraint=_varied(model, fresh, parents, share, strength)) if parents else fresh
        patience = PATIENCE * max(1, len(parents)) if number else 0
        for molecule in progress(_passing(model, share, asked, tally, patience)):
            best.see(replace(molecule, properties={**molecule.properties, "round": number + 1}))
    if not best.molecules:
        what = f"it fails with {best.failure}" if best.failures else "look at what the function gives for one of them"
        raise InputError(f"target: none of {counted(best.seen, 'molecule')} could be scored; {what}")
    if best.failures:
        lost = f"target: the function failed for {best.failures.total()} of {best.seen} molecules, which were dropped"
        warnings.warn(f"{lost}; most often with {best.failure}", stacklevel=2)
    return best.molecules


@dataclass(frozen=True)
class _Started:
    """Filters at work: one screen for all requests, as a file of known molecules takes long to read."""

    filters: Filters
    screen: Screen

    def describe(self) -> str:
        """As the filters do."""
        return self.filters.describe()

    def start(self, seen: Iterable[int] = (), trained: Known | None = None, predicted: Collection[str] = ()) -> Screen:
        """The one screen, which remembers by itself what it let through."""
        return self.screen


@dataclass(frozen=True, kw_only=True)
class _Resized(Around):
    """Varies what need not be sound itself."""

    def sizes(self, statistics: Statistics, wanted: Sequence[int]) -> list[int]:
        return [len(self.molecule)]


@dataclass(frozen=True, kw_only=True)
class _Varied(_Resized):
    """Every draw varies a molecule of its own, in turns and with the same strength; ``molecule`` is the first."""

    variants: tuple[Around, ...]

    def for_draw(self, number: int) -> Around:
        return self.variants[number % len(self.variants)]


def _varied(model: Model, request: Request, parents: list[Molecule], share: int, strength: float) -> _Varied:
    """Variants of the parents in turns, a third of them of other sizes; as many as a round has molecules, then the same again."""
    sizes = [*request.sizes] or list(model.checkpoint.statistics.sizes)
    rng, variants = np.random.default_rng(request.seed), list[_Resized]()
    for place in range(max(share, len(parents))):
        parent = parents[place % len(parents)]
        other = resized(parent, int(rng.choice(CHANGES)), rng)
        start = other if len(other) in sizes else parent
        variants.append(_Resized(molecule=start, strength=strength, source=str(parent.properties.get("smiles", ""))))
    return _Varied(molecule=variants[0].molecule, strength=strength, variants=tuple(variants))


def resized(molecule: Molecule, change: int, rng: np.random.Generator) -> Molecule:
    """The molecule with so many hydrogens more, on other atoms chosen by chance, or fewer; as it is where it has no such atoms."""
    hydrogens, others = np.flatnonzero(molecule.atomic_numbers == 1), np.flatnonzero(molecule.atomic_numbers != 1)
    if change == 0 or (change > 0 and not (len(hydrogens) and len(others))) or len(hydrogens) < -change:
        return molecule
    numbers, positions, charges, bonds = molecule.atomic_numbers, molecule.positions, molecule.charges, molecule.bonds
    if change < 0:
        kept = np.setdiff1d(np.arange(len(molecule)), rng.choice(hydrogens, -change, replace=False))
        return molecule.take(kept)
    hosts = rng.choice(others, change)
    outward = positions[hosts] - positions.mean(0)
    way = outward / (np.linalg.norm(outward, axis=1, keepdims=True) + 1e-3) + rng.normal(size=(change, 3))
    new = positions[hosts] + BOND * way / np.linalg.norm(way, axis=1, keepdims=True)
    added = np.column_stack([hosts, len(molecule) + np.arange(change), np.ones(change, np.int64)])
    return replace(
        molecule,
        atomic_numbers=np.append(numbers, np.ones(change, np.int64)),
        positions=np.concatenate([positions, new]),
        charges=np.append(charges, np.zeros(change, np.int64)),
        bonds=np.concatenate([bonds, added]),
    )


def _passing(model: Model, count: int, request: Request, tally: Tally, patience: int) -> Iterator[Molecule]:
    """Molecules of one request; with a patience, that of later rounds, so many as there are."""
    try:
        yield from model.stream(count, request, tally=tally, patience=patience)
    except Vain:
        if not patience:
            raise
