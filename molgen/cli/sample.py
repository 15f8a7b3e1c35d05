"""``molgen sample``: draw molecules from a model into a file."""

import time
from array import array
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.constraining import constraint_of, constraint_options, refuse_input
from molgen.cli.domains import ByDomain, kind_of_model, refuse_idle
from molgen.cli.progress import bar
from molgen.cli.reasons import tell_reasons
from molgen.cli.requesting import Misses, closed, parse_properties, precision_option, sampler_option
from molgen.cli.resuming import left_by, records_left, refuse_fewer
from molgen.cli.screening import (
    computing_of,
    files_of,
    filters_of,
    guides_of,
    placing,
    ranking_of,
    references_of,
    screening_options,
    with_valence,
)
from molgen.errors import InputError
from molgen.files import require_place
from molgen.molecules.formats import FORMATS, file_format
from molgen.ranges import MOST_ATOMS, MOST_CANDIDATES, MOST_STEPS

if TYPE_CHECKING:
    from molgen.domain import Constraint
    from molgen.known import Known
    from molgen.molecules.molecule import Molecule
    from molgen.sample import Model, Request, Tally

CANDIDATES = (
    "Candidates for every molecule with requested properties; the nearest, measured or estimated, is kept.  "
    "[default: 4 if all can be measured or estimated; 1 otherwise and with --keep-best]"
)


@click.command(
    cls=ByDomain, others={"shape": "molgen.cli.sample_shapes", "shape_latent": "molgen.cli.sample_shapes"}, kind_of=kind_of_model
)
@click.argument("model", default="qm9")
@click.option("--num", default=64, show_default=True, type=click.IntRange(1), help="Molecules to write.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .sdf .xyz .smi .csv .tsv, each also with .gz.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Overrules the suffix of --out.")
@click.option(
    "--steps",
    default=50,
    show_default=True,
    type=click.IntRange(1, MOST_STEPS),
    help="Network calls per molecule; where properties are requested for each candidate, twice as many unless --guidance is 1.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same molecules.")
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="NAME=VALUE|LOW..HIGH",
    help="Requested value, or a range of values, in physical units; an omitted end is that of the training data; repeatable.",
)
@click.option("--candidates", type=click.IntRange(1, MOST_CANDIDATES), metavar="K", help=CANDIDATES)
@click.option(
    "--guidance", type=float, help="Strength of the request; 1 is the plain conditional model.  [default: 1 with candidates, else 2]"
)
@click.option(
    "--steering", default=1.0, show_default=True, help="Strength of the estimator of properties if the model has one; 0 turns it off."
)
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    type=click.Path(),
    metavar="RUN",
    help="Run of `molgen train estimator` for this model: its properties can be requested, and are predicted; repeatable.",
)
@click.option("--size", metavar="12,15-18", help="Numbers of atoms, hydrogens included; by default drawn as in training.")
@click.option("--keep-invalid", is_flag=True, help="Write molecules that fail the check as well.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run of the same command.")
@click.option("--trajectory", type=click.Path(path_type=Path), help="Also write every step of the first draw to this .xyz or .sdf file.")
@click.option("--device", help="torch device; default the GPU if there is one.")
@precision_option
@sampler_option
@constraint_options
@screening_options
def command(
    model: str,
    num: int,
    out: Path,
    kind: str | None,
    estimators: tuple[str, ...],
    resume: bool,
    trajectory: Path | None,
    device: str | None,
    sampler: tuple[str, ...],
    **asked: Any,
) -> None:
    """Sample molecules from MODEL (qm9), the name of a model that ships, a run folder or a model.safetensors."""
    from molgen.config import change_sampler
    from molgen.molecules.export import open_writer
    from molgen.molecules.records import READERS
    from molgen.sample import Tally, Vain, load

    inputs = (*asked["keep"], asked["around"], *files_of(asked))
    refuse_input(out, *inputs)
    alone = "" if asked["properties"] else "does nothing without --property"
    refuse_idle(
        {
            "guidance": alone,
            "steering": alone,
            "shape_strength": "" if asked["shape"] else "does nothing without --shape",
            "num": "does nothing beside --keep-best, which writes its K of --from N" if asked["keep_best"] else "",
        }
    )
    asked["similar_to"] = references_of(asked)
    ranking, compute = ranking_of(asked, asked["strength"], resume), computing_of(asked)
    request = request_of(asked, constraint_of(asked, model))
    draws = num if ranking is None else ranking.pool
    name = file_format(out, kind)
    if trajectory is not None:
        refuse_input(trajectory, *inputs, option="--trajectory")
        check_trajectory(trajectory, out)
    if resume and name not in READERS:
        raise InputError(f"{out}: --resume goes on with .sdf and .xyz files alone; use one of these, or leave --resume away")
    before = left_by(out, name, resume)
    network = load(model, device, estimators)
    request = with_valence(replace(request, properties=closed(request.properties, network.properties)), network, asked["valence"])
    if sampler:
        request = replace(request, sampler=change_sampler(network.checkpoint.experiment, sampler))
    for line in network.warnings(request):
        click.echo(f"molgen: warning: {line}", err=True)
    request = network.settled(request)
    place = placing(request)
    if ranking is not None:
        ranking.check(network)
    done, began, tally, misses, ranked = array("Q"), time.perf_counter(), Tally(), Misses(), list[float]()
    for tags in records_left(before, name, lambda tags: request.tags(network.checkpoint.name, tags["index"])):
        done.append(tags["index"])
        tally.recall(tags)
    refuse_fewer(before, len(done), num)
    with open_writer(out, kind, append=resume, keep_partial=name in READERS) as writer, bar(draws, writer.count) as advance:
        try:
            found = (
                advance(network.stream(num, request, done, tally)) if ranking is None else ranking.best(network, request, tally, advance)
            )
            for molecule in found:
                writer.write(titled(compute(place(molecule))))
                misses.see(molecule.properties)
                ranked += [float(molecule.properties[ranking.target.tag])] if ranking is not None else []
        except KeyboardInterrupt:
            click.echo(f"  drawn {tally.drawn}, valid {tally.valid}, unique {tally.unique}")
            tell_reasons(tally)
            raise KeyboardInterrupt(writer.left) from None
        except Vain as error:
            raise InputError(f"{error}; {writer.left}" if writer.count else str(error)) from None
        total = writer.count
    if trajectory is not None:
        write_trajectory(network, request, trajectory)
    report(out, draws, total, tally, time.perf_counter() - began, network.checkpoint.known)
    if ranking is not None and ranked:
        click.echo(f"  {ranking.target.tag}: {ranked[0]:.4g} to {ranked[-1]:.4g}, {sum(ranked) / len(ranked):.4g} on average")
    for line in misses.lines(request.walks):
        click.echo(line)


def request_of(asked: dict[str, Any], constraint: "Constraint | None") -> "Request":
    """What the options ask for, of samples that have in common what the constraint says.

    Raises:
        InputError: a property, a size, a filter or a guide that makes no sense.
    """
    from molgen.sample import Request

    return Request(
        properties=parse_properties(asked["properties"]),
        guidance=asked["guidance"],
        candidates=asked["candidates"] or (1 if asked["keep_best"] else None),
        steering=asked["steering"],
        sizes=parse_sizes(asked["size"]),
        steps=asked["steps"],
        seed=asked["seed"],
        keep_invalid=asked["keep_invalid"],
        filters=filters_of(asked),
        guides=guides_of(asked),
        precision=asked["precision"],
        constraint=constraint,
    )


def titled(molecule: "Molecule") -> "Molecule":
    """The molecule under a name that tells it from all others of the file: model, seed, round of a search, number of the draw."""
    tags = molecule.properties
    name = "_".join(str(tags[part]) for part in ("model", "seed", "round", "index") if part in tags)
    return replace(molecule, properties={"title": name, **tags})


def parse_sizes(text: str | None) -> list[int]:
    """Numbers of atoms of ``18``, ``12-20`` or ``12,15-18``.

    Raises:
        InputError: for anything else.
    """
    from molgen.molecules.constraints.select import parse_numbers

    sizes = parse_numbers(text, "--size") if text is not None else ()
    if sizes and not 1 <= min(sizes) <= max(sizes) <= MOST_ATOMS:
        raise InputError(f"--size {text}: expected numbers of atoms from 1 to {MOST_ATOMS}")
    return list(sizes)


def check_trajectory(path: Path, out: Path) -> None:
    """Refuses a trajectory file that cannot be written, before anything is sampled.

    Raises:
        InputError: for another format, a missing folder, or the file of the molecules.
    """
    from molgen.molecules.records import READERS

    if file_format(path) not in READERS:
        raise InputError(f"--trajectory {path}: expected a file name ending in .xyz or .sdf; others have no coordinates")
    require_place(path)
    if path.resolve() == out.resolve():
        raise InputError(f"--trajectory {path}: is the file of --out; give the name of another file")


def write_trajectory(network: "Model", request: "Request", path: Path) -> None:
    """Writes what the model believes at every step of the first draw, one record a step, in the frame of what is given."""
    from molgen.molecules.export import write_molecules

    steps, place = network.trajectory(request), placing(request)
    write_molecules(path, (replace(place(item), properties={"step": step.index, "time": step.time}) for step, item in steps))


def report(out: Path, num: int, total: int, tally: "Tally", seconds: float, known: "Known | None") -> None:
    """Prints what was asked, drawn, valid, unique and not in the training data, and why draws failed.

    After --resume, drawn and valid are those of this run.
    """
    now = f" ({tally.kept} of them now)" if tally.kept < total else ""
    if not tally.drawn:
        click.echo(f"{out}: asked {num}, all {total} were there, nothing to draw")
        return
    valid = f"valid {tally.valid} ({100 * tally.valid / tally.drawn:.1f} %), unique {tally.unique}"
    if known is not None:
        valid += f", novel {tally.novel(known)}"
    speed = f"{seconds:.1f} s ({tally.kept / max(seconds, 1e-9):.1f} molecules/s)"
    click.echo(f"{out}: asked {num}, wrote {total}{now}, drawn {tally.drawn}, {valid}, {speed}")
    tell_reasons(tally)
