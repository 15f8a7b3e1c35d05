"""``molgen evaluate`` for shapes: score them beside held-out ones."""

from pathlib import Path
from typing import Any

import click

from molgen.cli.evaluate import DATA, made_by, print_group, report_options, write_json
from molgen.cli.options import together
from molgen.cli.progress import track
from molgen.errors import InputError

shape_options = together(
    click.option("--reference", type=DATA, help="Held-out real shapes, which samples are compared with."),
    click.option("--train", type=DATA, help="Training shapes: scored in the row above, and searched for copies."),
    click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Shapes of each set at most, chosen at random."),
    click.option("--points", type=click.IntRange(32), default=2048, show_default=True, help="Points of every cloud."),
    click.option("--emd", type=click.IntRange(0, 2048), default=0, help="Earth mover's distance on so many points; 2048 is exact."),
    click.option("--rescale", is_flag=True, help="Scale every shape to the unit sphere first."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice of shapes and points."),
)
"""Options that ``evaluate`` and ``compare`` share for shapes."""


@click.command()
@click.argument("file", type=DATA)
@shape_options
@report_options("Shapes")
def command(
    file: Path,
    reference: Path | None,
    train: Path | None,
    json_out: Path | None,
    html: Path | None,
    gallery: int,
    **options: Any,
) -> None:
    """Score the shapes of FILE (a mesh, an .npz or .npy file, a folder of meshes or clouds, or a packed data set) beside held-out ones.

    Brackets hold 95 % intervals, exact ones of shares and resampled ones of all else.

    \b
    Example:
      molgen evaluate chairs/ --reference heldout/ --train data/ --html report.html
    """  # noqa: D301 click reads the backspace
    from molgen.evaluate.shapes import ShapeSettings, evaluate_sets

    if reference is None:
        raise InputError(f"{file}: shapes are scored against held-out ones; give them with --reference DATA")
    settings = ShapeSettings(**options)
    (found,) = evaluate_sets([file], reference, train, settings, track)
    if json_out is not None:  # before anything is printed, which may fail: into a pipe that is closed
        facts = made_by(settings, reference=reference, train=train)
        write_json(json_out, facts | {"samples": found.samples.as_dict(), "reference": found.real.as_dict() if found.real else None})
    if html is not None:
        from molgen.report.page import write_page
        from molgen.report.shapes import shape_page

        write_page(html, shape_page(found, gallery))
    for group in found.groups:
        print_group(group, [found.samples], found.real)
    for reason, count in found.samples.reasons.get("reading", {}).items():
        click.echo(f"rejected {count}: {reason}")
    for note in found.samples.notes:
        click.echo(f"note: {note}")
    count, seconds = found.samples.records, found.samples.seconds
    against = f"{count} of {found.reference.name}, seed {found.settings.seed}"
    click.echo(f"{found.samples.name}: {count} samples against {against}, scored in {seconds:.1f} s")
