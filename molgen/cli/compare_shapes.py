"""``molgen compare`` for shapes: several sets beside each other."""

from pathlib import Path
from typing import Any

import click

from molgen.cli.compare import as_rows, print_differences, tell_apart
from molgen.cli.evaluate import DATA, made_by, report_name, write_json
from molgen.cli.evaluate_shapes import shape_options
from molgen.cli.progress import track
from molgen.errors import InputError


@click.command()
@click.argument("files", nargs=-1, required=True, type=DATA)
@shape_options
@click.option("--json", "json_out", type=DATA, callback=report_name, help="Write all figures as JSON.")
def command(files: tuple[Path, ...], reference: Path | None, train: Path | None, json_out: Path | None, **options: Any) -> None:
    """Compare sets of shapes with the first of them; all are cut to one size and scored beside held-out ones.

    FILES are meshes, .npz or .npy files, folders of meshes or clouds, or packed data sets. A figure that differs from the first set's
    beyond chance (p < 0.05 by the widths of the intervals, adjusted by Holm for the number of comparisons) is marked: + better,
    - worse, * different. Sets of fewer than 20 shapes get no marks.

    \b
    Example:
      molgen compare before/ after/ --reference heldout/
    """  # noqa: D301 click reads the backspace
    from molgen.evaluate.compare import compare
    from molgen.evaluate.shapes import ShapeSettings, evaluate_sets

    if len(files) < 2:
        raise InputError(f"{files[0]}: expected at least two sets to compare, got one; use molgen evaluate for a single set")
    if reference is None:
        raise InputError(f"{files[0]}: shapes are scored against held-out ones; give them with --reference DATA")
    settings = ShapeSettings(**options)
    found = evaluate_sets(files, reference, train, settings, track)
    summaries, real, groups = [one.samples for one in found], found[0].real, found[0].groups
    tell_apart(files, summaries)
    differences = compare(summaries, groups)
    if json_out is not None:
        facts = made_by(settings, reference=reference, train=train) | {"files": [summary.as_dict() for summary in summaries]}
        write_json(json_out, facts | {"reference": real and real.as_dict(), "differences": as_rows(summaries, differences)})
    print_differences(groups, summaries, real, differences)
