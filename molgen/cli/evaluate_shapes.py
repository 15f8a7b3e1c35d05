"""`molgen evaluate` for shapes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.evaluate.shapes import ShapeSettings


def is_shapes(path: Path) -> bool:
    """Whether a file or folder holds shapes: meshes, clouds, or a packed data set of shapes."""
    from molgen.shapes.recognise import holds_clouds, holds_shapes

    packed = [path / part / "captions.txt" for part in ("", "train")]
    return any(file.is_file() for file in packed) or holds_shapes(str(path)) or holds_clouds(path)


def evaluate_shapes(
    path: Path,
    reference: Path | None,
    train: Path | None,
    settings: "ShapeSettings",
    *,
    json_out: Path | None,
    html: Path | None,
    gallery: int,
) -> None:
    """Scores shapes, prints the tables and writes JSON and page; see ``molgen evaluate --help`` for the arguments."""
    from molgen.cli.evaluate import print_group, write_json
    from molgen.cli.progress import track
    from molgen.evaluate.shapes import evaluate_shapes as evaluate

    if reference is None:
        raise InputError(f"{path}: shapes are scored against held-out ones; give them with --reference DATA")
    found = evaluate(path, reference, train, settings, track)
    rows = [row for row in (found.real, found.samples) if row is not None]
    for group in found.groups:
        if group.shown([found.samples]):
            print_group(group, rows, found.real)
    for reason, count in found.samples.reasons.get("reading", {}).items():
        click.echo(f"rejected {count}: {reason}")
    for note in found.samples.notes:
        click.echo(f"note: {note}")
    count, seconds = found.samples.records, found.samples.seconds
    against = f"{count} of {found.reference.name}, seed {settings.seed}"
    click.echo(f"{found.samples.name}: {count} samples against {against}, scored in {seconds:.1f} s")
    if json_out is not None:
        write_json(json_out, {"samples": found.samples.as_dict(), "reference": found.real.as_dict() if found.real else None})
    if html is not None:
        from molgen.report.page import write_page
        from molgen.report.shapes import shape_page

        write_page(html, shape_page(found, gallery))
