"""Options of what is wanted: filters, guidance by a shape, the best of many by a computed property; for `sample`, some for `conformers`."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.options import listed, once, together
from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.molecules.filters import Filters
    from molgen.molecules.measure import Target
    from molgen.molecules.molecule import Molecule
    from molgen.sample import Model, Request, Tally

WHERE = (
    "Only molecules with this property: mw<500, logp=0..3, rings=1, gap_xtb>5, predicted_NAME>7 (of an estimator), similarity>0.4, or "
    "lipinski, veber, rule_of_three; repeatable."
)

NOVEL = (
    "Only molecules that are not in this SDF, SMILES file, table or prepared data set, are not this SMILES, or that this model (a name or "
    "a run) was not trained on; `training` stands for the model that samples; repeatable."
)

SIMILAR = (
    "What `similarity` is about in --where, --target and --compute: the largest Tanimoto similarity (Morgan, radius 2) to any of these; "
    "repeatable.  [default: the molecule of --around]"
)


class Finite(click.FloatRange):
    """Numbers of at least 0; NaN, which passes every comparison, and infinity are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


FINITE = Finite(0)
OPTIONS = {"where": "--where", "alerts": "--alerts", "has": "--with", "lacks": "--without", "similar_to": "--similar-to"}
"""Arguments of the filters and what they are called here."""
Progress = Callable[[Iterable[Any]], Iterable[Any]]


def compute_option(record: str, examples: str) -> Callable[[Any], Any]:
    """The option of properties that are written of each record, which :func:`computing_of` reads."""
    words = f"Write these properties of each {record} ({examples}, ...) as measured_NAME, beside those of --where; repeatable."
    return click.option("--compute", multiple=True, callback=listed, metavar="NAME,...", help=words)


screening_options = together(
    click.option("--where", multiple=True, metavar="RULE", help=WHERE),
    click.option(
        "--alerts", multiple=True, metavar="NAME", help="Only molecules without these structural alerts (brenk, pains, nih, ...)."
    ),
    click.option("--with", "has", multiple=True, metavar="SMARTS", help="Only molecules with this substructure; repeatable."),
    click.option(
        "--without",
        "lacks",
        multiple=True,
        metavar="SMARTS|FILE",
        help="Only molecules without this substructure, or those of a file .smarts (a pattern and its name on each line); repeatable.",
    ),
    click.option("--similar-to", multiple=True, metavar="FILE|SMILES", help=SIMILAR),
    click.option("--unique", is_flag=True, help="Each molecule once (same graph, stereo aside)."),
    click.option("--novel", multiple=True, metavar="FILE|SMILES|MODEL|training", help=NOVEL),
    click.option("--include-flagged", is_flag=True, help="Also write molecules that the screen for hazardous substances withholds."),
    compute_option("molecule", "logp, tpsa"),
    click.option(
        "--shape",
        type=click.Path(path_type=Path),
        help="Put heavy atoms where those of this molecule (.sdf, .xyz) or these points (.npy, Å) are.",
    ),
    click.option("--shape-strength", default=300.0, show_default=True, type=FINITE, help="Log weight of a perfect match with --shape."),
    click.option(
        "--valence",
        type=FINITE,
        metavar="WEIGHT",
        help="Guide towards closed shells, valences with this weight; 0 for none.  [default: the model's own, 2 for qm9]",
    ),
    click.option(
        "--target",
        multiple=True,
        callback=once(fix="give one, and what else is wanted by --where"),
        metavar="NAME=VALUE",
        help="With --keep-best: rank by this property; VALUE may be max or min.",
    ),
    click.option("--keep-best", type=click.IntRange(1), help="Write only so many, the nearest to --target first."),
    click.option("--from", "pool", type=click.IntRange(1), help="With --keep-best: of so many molecules (instead of --num)."),
    click.option("--rounds", type=click.IntRange(1), help="With --keep-best: rounds, each but the first of variants of the best so far."),
)
"""Options that a command takes as ``**screening`` and hands to the functions below."""


def filters_of(screening: dict[str, Any]) -> "Filters | None":
    """The filters that were asked for, None where there were none and those of the domain apply.

    Raises:
        InputError: a rule, a catalogue or a pattern that does not exist, or a missing file.
    """
    from molgen.molecules.filters import Filters
    from molgen.workers import available_cores

    names = ("where", "alerts", "has", "lacks", "unique", "novel", "include_flagged")
    asked = {name: screening[name] for name in names if screening[name]}
    if not asked:
        return None
    similar = {"similar_to": screening["similar_to"]} if _about_similarity(screening["where"]) else {}
    filters = Filters(**asked, **similar, names=OPTIONS)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        filters.read_known(available_cores())
    for warning in told:
        click.echo(f"molgen: warning: {warning.message}", err=True)
    return filters


def references_of(screening: dict[str, Any]) -> tuple[str, ...]:
    """Files and SMILES that `similarity` is about: those given, or the molecule that is varied.

    Raises:
        InputError: they are given and nothing asks for a similarity.
    """
    if _about_similarity((*screening["where"], screening["target"] or "", *screening["compute"])):
        return screening["similar_to"] or ((screening["around"],) if screening["around"] else ())
    if screening["similar_to"]:
        raise InputError("--similar-to: does nothing without similarity in --where, --target or --compute")
    return ()


def _about_similarity(texts: Iterable[str]) -> bool:
    return any(text.strip().lower().startswith("similarity") for text in texts)


def files_of(screening: dict[str, Any]) -> tuple[Any, ...]:
    """What the options read, which may be SMILES and models among files."""
    from molgen.molecules.patterns import is_file

    return (*screening["novel"], *screening["similar_to"], *filter(is_file, screening["lacks"]), screening["shape"])


def conformers_with(where: tuple[str, ...], compute: tuple[str, ...], include_flagged: bool) -> "Filters":
    """The filters of conformers, by properties of their geometry; what is computed is checked as well.

    Raises:
        InputError: a rule that does not exist, or one about what all conformers of a molecule have in common.
    """
    from molgen.molecules.filters import Filters
    from molgen.molecules.properties import PROPERTIES, Method

    if _about_similarity(compute):
        raise InputError("--compute similarity: is the same for all conformers of a molecule; leave it away")
    filters = Filters(where=where, include_flagged=include_flagged, names=OPTIONS)
    geometric = [name for name, known in PROPERTIES.items() if known.method != Method.RDKIT]
    for rule in filters.rules:
        if other := next((name for name in rule.ranges if name not in geometric), None):
            why = f"{other} is the same for all conformers of a molecule; choose from {', '.join(geometric)}"
            raise InputError(f"--where {rule.text}: {why}, or leave molecules out of the list")
    return filters


def computing_of(screening: dict[str, Any]) -> "Callable[[Molecule], Molecule]":
    """What puts the properties of --compute among those of a molecule.

    Raises:
        InputError: a property that cannot be measured.
    """
    if not screening["compute"]:
        return lambda molecule: molecule
    from functools import partial

    from molgen.molecules.measure import SIMILARITY, find_measured, with_measured
    from molgen.molecules.similarity import Similarity
    from molgen.tags import PREDICTED

    names = [find_measured(name, f"--compute {name}") for name in dict.fromkeys(screening["compute"])]
    if stray := next((name for name in names if name.startswith(PREDICTED)), None):
        raise InputError(f"--compute {stray}: what an estimator predicts is written without being asked for; leave it away")
    similarity = Similarity(screening["similar_to"]) if SIMILARITY in names else None
    return partial(with_measured, names=names, similarity=similarity)


def guides_of(screening: dict[str, Any]) -> tuple[Any, ...]:
    """Guidance beside the model's own.

    Raises:
        InputError: a file that holds no points.
    """
    from molgen.guidance import Gradient, Shape

    return () if screening["shape"] is None else (Gradient(Shape.read(screening["shape"], screening["shape_strength"])),)


def placing(request: "Request") -> "Callable[[Molecule], Molecule]":
    """What moves molecules to the shape that was asked for; those with a given part or molecule have the frame of that."""
    from molgen.guidance import Gradient, Shape

    shapes = [guide.score for guide in request.guides if isinstance(guide, Gradient) and isinstance(guide.score, Shape)]
    return shapes[0].place if shapes and request.constraint is None else lambda molecule: molecule


def with_valence(request: "Request", network: "Model", weight: float | None) -> "Request":
    """The request with this weight of the closed shells in the place of the model's own, which its other guidance goes with."""
    if weight is None:
        return request
    molecules: Any = network.domain
    own = replace(molecules, fields=replace(molecules.fields, valence=weight)).guides(network.checkpoint.statistics)
    return replace(request, own_guides=False, guides=(*own, *request.guides))


@dataclass(frozen=True)
class Ranking:
    """What is searched for: the ``keep`` molecules of ``pool`` that are nearest to the target, in rounds of variation."""

    target: "Target"
    keep: int
    pool: int
    rounds: int
    strength: float

    def check(self, model: "Model") -> None:
        """Refuses a target that the model was to predict and does not.

        Raises:
            InputError: naming the way out.
        """
        from molgen.molecules.measure import check_predicted

        check_predicted([self.target.name], model.foretold, f"--target {self.target.name}")

    def best(self, model: "Model", request: "Request", tally: "Tally", progress: Progress) -> Iterator["Molecule"]:
        """The molecules to write, the best first."""
        from molgen.evolution import search
        from molgen.molecules.measure import keep_best

        if self.rounds == 1:
            return iter(keep_best(progress(model.stream(self.pool, request, tally=tally)), self.target, self.keep))
        found = search(
            model,
            self.target,
            keep=self.keep,
            pool=self.pool,
            rounds=self.rounds,
            strength=self.strength,
            request=request,
            tally=tally,
            progress=progress,
        )
        return iter(found)


def ranking_of(screening: dict[str, Any], strength: float | None, resume: bool) -> Ranking | None:
    """What is searched for; None where every molecule is written.

    Raises:
        InputError: one of the three options without the others, fewer than are kept, or a property that cannot be measured.
    """
    given = {f"--{option}": screening[name] for name, option in (("target", "target"), ("keep_best", "keep-best"), ("pool", "from"))}
    missing = [option for option, value in given.items() if value is None]
    if len(missing) == len(given) and screening["rounds"] is None:
        return None
    if missing:
        raise InputError(f"{missing[0]} is missing: give --target NAME=VALUE, --keep-best K and --from N together")
    if resume:
        raise InputError("--resume goes on with a file that grows, --keep-best writes its file at the end; leave one of them away")
    if screening["pool"] < screening["keep_best"]:
        raise InputError(f"--from {screening['pool']}: expected at least the {screening['keep_best']} of --keep-best")
    rounds = screening["rounds"] or 1
    if rounds > 1 and screening["keep"]:
        raise InputError("--rounds varies molecules as a whole, which a part that is kept does not allow; leave --keep or --rounds away")
    if rounds > screening["pool"]:
        raise InputError(f"--from {screening['pool']}: expected at least one molecule for each of the {rounds} --rounds")
    from molgen.evolution import STRENGTH
    from molgen.molecules.measure import Target

    target = Target.parse(screening["target"], screening["similar_to"], "--target")
    return Ranking(target, screening["keep_best"], screening["pool"], rounds, STRENGTH if strength is None else strength)
