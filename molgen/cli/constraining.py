"""Options of ``molgen sample`` for what samples have in common with a given molecule."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.options import together
from molgen.errors import InputError
from molgen.files import exists
from molgen.molecules.formats import name_of

if TYPE_CHECKING:
    from molgen.domain import Constraint
    from molgen.molecules.given import Changes

KEEP = ("atoms", "smarts", "match", "attach", "replace_hydrogens", "new_atoms")


constraint_options = together(
    click.option(
        "--keep",
        "keep",
        multiple=True,
        metavar="FILE|SMILES",
        help="Keep the atoms of this SDF file, in its frame, and generate the rest; several files or records are linked. Or those of "
        "a SMILES, and grow where it has a *.",
    ),
    click.option("--atoms", metavar="1,4-9", help="With --keep: only these atoms, numbered from 1 through all files."),
    click.option("--smarts", metavar="PATTERN", help="With --keep: only the atoms of a match of this pattern."),
    click.option("--match", type=click.IntRange(1), help="With --smarts: which match, in the order of the atom numbers.  [default: 1]"),
    click.option("--attach", metavar="4,7", help="With --keep: kept atoms that may bond to new ones; default all with open valence."),
    click.option("--replace-hydrogens", metavar="12,13", help="With --keep: hydrogens to be replaced, the rest is kept."),
    click.option("--new-atoms", metavar="3,5-9", help="With --keep: numbers of new atoms; by default drawn as sizes in training."),
    click.option("--around", metavar="FILE|SMILES", help="Vary the molecule of this SDF file, or of a SMILES."),
    click.option(
        "--strength",
        type=click.FloatRange(0, 1),
        help="With --around or --rounds: from 0, the molecule itself, to 1, a free sample.  [default: 0.5; with --rounds 0.6]",
    ),
)
"""Options that a command takes as keywords and hands to :func:`constraint_of`."""


def tell_changes(changes: "Changes") -> None:
    """Prints what was added to given molecules."""
    for line in changes.lines():
        click.echo(f"molgen: note: {line}", err=True)


def refuse_input(out: Path, *given: Path | str | None, option: str = "--out") -> None:
    """Refuses to write over what the same command reads.

    Raises:
        InputError: `out`, which the option gives, is one of the files.
    """
    for path in given:
        if path and exists(out) and exists(path) and out.samefile(path):
            raise InputError(f"{option} {out}: is an input of this command; give another name")


def constraint_of(options: dict[str, Any], model: str) -> "Constraint | None":
    """The constraint that was asked for, if any; takes its options out of ``options``. Tells what was added to a given molecule.

    Args:
        options: of the command.
        model: for which it is.

    Raises:
        InputError: options that do not go together, or files that do not fit them.
    """
    try:
        return _constraint(options)
    except InputError as error:
        from molgen.molecules.embed import NoConformer

        if isinstance(error, NoConformer):  # the model may not know such molecules anyway
            from molgen.checkpoint import load_statistics
            from molgen.molecules.encode import check_vocabulary

            statistics: Any = load_statistics(model)
            check_vocabulary(error.graph, statistics, error.source)
        raise


def _constraint(options: dict[str, Any]) -> "Constraint | None":
    """See :func:`constraint_of`."""
    keep, around, strength = options.pop("keep"), options.pop("around"), options.pop("strength")
    given = {name: options.pop(name) for name in KEEP}
    if keep and around:
        raise InputError("--keep and --around: give one of them")
    idle = strength is not None and not around and (options["rounds"] or 1) == 1
    stray = next((name for name in KEEP if given[name] and not keep), "strength" if idle else None)
    if stray:
        raise InputError(
            f"--{stray.replace('_', '-')}: needs {'--around with a file, or --rounds' if stray == 'strength' else '--keep with a file'}"
        )
    if keep:
        from molgen.molecules.constraints.read import read_keep
        from molgen.molecules.constraints.select import format_numbers
        from molgen.molecules.given import Changes

        if given["match"] and not given["smarts"]:
            raise InputError("--match: needs --smarts with a pattern")
        changes = Changes(" + ".join(map(name_of, keep)))
        constraint = read_keep(keep, **given, changes=changes)
        tell_changes(changes)
        if constraint.matches:
            chosen = format_numbers(constraint.matches[constraint.match - 1])
            click.echo(
                f"{constraint.smarts}: match {constraint.match} of {len(constraint.matches)}, atoms {chosen} (--match takes another)"
            )
        return constraint
    if around:
        from molgen.molecules.constraints import Around
        from molgen.molecules.given import Changes
        from molgen.molecules.reading import read_one

        changes = Changes(name_of(around))
        molecule = read_one(around, changes)
        tell_changes(changes)
        return Around(molecule=molecule, strength=0.5 if strength is None else strength, source=name_of(around))
    return None
