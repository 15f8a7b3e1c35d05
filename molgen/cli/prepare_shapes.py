"""``molgen prepare`` for shapes: meshes and clouds -> a packed data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.options import listed
from molgen.cli.preparing import preparation_options, report_records, split_name
from molgen.cli.progress import progress_bar, shown
from molgen.counting import counted

if TYPE_CHECKING:
    from molgen.packing import Split
    from molgen.shapes.prepare import Summary


@click.command()
@click.argument("source")
@preparation_options(official="the parts of ShapeNet, or the folders 'train', 'valid' and 'test'", drawn="points")
@click.option("--points", type=click.IntRange(min=1), default=2048, show_default=True, help="Points to draw from every surface.")
@click.option(
    "--normalise",
    type=click.Choice(["shape", "global"]),
    default="shape",
    show_default=True,
    help="One scale for each shape, or one for all.",
)
@click.option("--up", type=click.Choice(["x", "y", "z"]), help="Axis that points up in all of the files.")
@click.option(
    "--turn", type=click.Choice(["x", "y", "z"]), help="Turn the shapes so that this axis points up, z for `train --from shapes`."
)
@click.option("--num", type=click.IntRange(min=1), help="Procedural: how many (default: 20000).")
@click.option("--kind", "kinds", multiple=True, callback=listed, help="Procedural: classes or families; repeatable.")
@click.option("--text", is_flag=True, help="Store the vectors of the captions, for models with the condition text (extra 'text').")
def command(
    source: str,
    out: Path,
    division: str | None,
    root: Path | None,
    licence: str,
    workers: int | None,
    seed: int,
    points: int,
    normalise: Any,
    up: Any,
    turn: Any,
    num: int | None,
    kinds: tuple[str, ...],
    text: bool,
) -> None:
    """Turn SOURCE into one packed data set of shapes with its statistics and a card.

    SOURCE is a folder of meshes (.off, .obj, .ply, .stl, .glb) or clouds (.npy, .npz, .ply, rows of three numbers as .xyz, .txt or .csv;
    the class is the name of the folder), an .npz or .npy file of point clouds, or one of the words procedural (furniture, vessels,
    vehicles), modelnet and shapenet.

    Records that cannot be used are counted by reason and named in OUT/rejected.tsv; of files that are the same byte by byte the first
    is taken. Finished work is kept in OUT.partial until the data set is complete:
    after Ctrl-C the same command continues where it stopped.
    """
    from molgen.shapes.prepare import loose_files, open_source, other_files, prepare
    from molgen.workers import available_cores

    if (num or kinds) and source != "procedural":
        raise click.UsageError("--num and --kind are for the source procedural")
    opened = open_source(source, root=root, num=num or 20_000, kinds=kinds, seed=seed, up=up or "")
    with progress_bar("shapes") as bar:
        summary = prepare(
            opened,
            out,
            points=points,
            normalisation=normalise,
            split=_split(division, seed),
            split_name=split_name(division, seed),
            seed=seed,
            licence=licence or ("MIT" if source == "procedural" else ""),
            text=text,
            turn=turn or "",
            workers=workers or available_cores(),
            progress=shown(bar),
        )
    _report(summary, out)
    if others := other_files(opened):
        told = ", ".join(f"{suffix} {count}" if len(others) > 1 else suffix for suffix, count in others.most_common(6)) + ", ..." * (
            len(others) > 6
        )
        were = "was" if others.total() == 1 else "were"
        click.echo(f"  note: {counted(others.total(), 'other file')} {were} passed over ({told})")
    if (loose := loose_files(opened)) and len(next(iter(summary.statistics.values())).categories) > 1:
        click.echo(f"  note: files directly in {source} are the class {loose[0].category}: {len(loose)}, such as {loose[0].name}")


def _split(division: str | None, seed: int) -> "Split | None":
    from molgen.packing import by_fraction, whole

    if division is None:
        return whole
    return None if division == "official" else by_fraction(division, seed)


def _report(summary: "Summary", out: Path) -> None:
    from molgen.shapes.prepare.run import REJECTED

    report_records(summary, out, {})
    if len(summary.left_out) > 1:
        click.echo(f"  all rejected: {out / REJECTED}")
    for part, found in summary.statistics.items():
        classes = dict(zip(found.categories, found.category_counts, strict=True))
        listed = ", ".join(f"{name} {count}" for name, count in list(classes.items())[:12])
        more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
        click.echo(
            f"  {part or 'all'}: {counted(found.num_shapes, 'shape')} of {found.num_points} points, {len(classes)} classes: {listed}{more}"
        )
        if len(classes) < 2:
            click.echo("    note: fewer than two classes; a model of these shapes cannot be asked for a class")
        for label in found.labels:
            spread = f"{label.mean:.4g} ± {label.std:.4g}, {label.min:.4g} to {label.max:.4g}"
            click.echo(f"    {label.name}: {spread} ({counted(label.count, 'value')})")
