"""`molgen prepare` for shapes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from molgen.packing import Split
    from molgen.shapes.prepare import Summary


@dataclass(frozen=True)
class Shapes:
    """Options of ``molgen prepare`` that are about shapes; None where not given."""

    points: int | None
    normalise: Any
    up: Any
    num: int | None
    kinds: tuple[str, ...]
    text: bool


def is_shapes(source: str) -> bool:
    """Whether a source is about shapes."""
    from molgen.shapes.recognise import holds_clouds, holds_shapes

    return holds_shapes(source) or holds_clouds(Path(source))


def prepare_shapes(
    source: str,
    out: Path,
    shapes: Shapes,
    *,
    division: str | None,
    root: Path | None,
    licence: str,
    workers: int | None,
    seed: int,
) -> None:
    """Packs shapes and prints what happened; see ``molgen prepare --help`` for the arguments."""
    from molgen.cli.progress import progress_bar, shown
    from molgen.shapes.prepare import loose_files, open_source, prepare
    from molgen.workers import available_cores

    if (shapes.num or shapes.kinds) and source != "procedural":
        raise click.UsageError("--num and --kind are for the source procedural")
    opened = open_source(source, root=root, num=shapes.num or 20_000, kinds=shapes.kinds, seed=seed, up=shapes.up or "")
    with progress_bar("shapes") as bar:
        summary = prepare(
            opened,
            out,
            points=shapes.points or 2048,
            normalisation=shapes.normalise or "shape",
            split=_split(division, seed),
            split_name=f"{division}, seed {seed}" if division and division != "official" else division or "none",
            seed=seed,
            licence=licence or ("MIT" if source == "procedural" else ""),
            text=shapes.text,
            workers=workers or available_cores(),
            progress=shown(bar),
        )
    _report(summary, out)
    if (loose := loose_files(opened)) and len(next(iter(summary.statistics.values())).categories) > 1:
        click.echo(f"  note: files directly in {source} are the class {loose[0].category}: {len(loose)}, such as {loose[0].name}")


def _split(division: str | None, seed: int) -> "Split | None":
    from molgen.packing import by_fraction, whole

    if division is None:
        return whole
    return None if division == "official" else by_fraction(division, seed)


def _report(summary: "Summary", out: Path) -> None:
    rejected = summary.read - summary.kept
    click.echo(f"{out}: read {summary.read}, kept {summary.kept}, rejected {rejected} in {summary.seconds:.1f} s")
    if summary.resumed:
        click.echo(f"  resumed: {summary.resumed} records were already done")
    for reason, count in summary.rejected.most_common():
        click.echo(f"  rejected {count}: {reason}")
    if summary.first:
        click.echo(f"  first rejected: {summary.first}")
    for part, found in summary.statistics.items():
        classes = dict(zip(found.categories, found.category_counts, strict=True))
        listed = ", ".join(f"{name} {count}" for name, count in list(classes.items())[:12])
        more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
        click.echo(f"  {part or 'all'}: {found.num_shapes} shapes of {found.num_points} points, {len(classes)} classes: {listed}{more}")
        if len(classes) < 2:
            click.echo("    note: fewer than two classes; a model of these shapes cannot be asked for a class")
        for label in found.labels:
            click.echo(f"    {label.name}: {label.mean:.4g} ± {label.std:.4g}, {label.min:.4g} to {label.max:.4g} ({label.count} values)")
