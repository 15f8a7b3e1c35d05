"""``molgen compare``: several files of molecules beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from molgen.cli.domains import ByDomain, kind_of_data
from molgen.cli.evaluate import evaluation_options, report_name
from molgen.cli.stopping import apart
from molgen.counting import counted
from molgen.files import encodable


@click.command(cls=ByDomain, others={"shape": "molgen.cli.compare_shapes"}, kind_of=kind_of_data)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@evaluation_options
@click.option(
    "--asked", type=click.IntRange(1), multiple=True, help="Samples asked for: one number for all files, or one for each in their order."
)
@click.option("--json", "json_out", type=click.Path(path_type=Path), callback=report_name, help="Write all figures as JSON.")
@click.option(
    "--html", type=click.Path(path_type=Path), callback=report_name, help="Write the tables and overlaid distributions as one HTML page."
)
def command(files: tuple[Path, ...], json_out: Path | None, html: Path | None, asked: tuple[int, ...], **options: Any) -> None:
    """Compare FILES (SDF or XYZ, also .gz, or sets of shapes) with the first of them.

    A figure that differs from the first file's beyond chance (p < 0.05, adjusted by Holm for the number of comparisons) is marked:
    + better, - worse, * different. Fewer than 20 records tell too little for a mark. Lines below the tables name what is not compared.

    \b
    Example:
      molgen compare baseline.sdf new.sdf --reference qm9 --html compare.html
    """  # noqa: D301 click reads the backspace
    from molgen.cli.evaluate import made_by, refuse_inputs, settings_of, write_json
    from molgen.cli.progress import track
    from molgen.errors import InputError
    from molgen.evaluate.compare import compare, groups_of
    from molgen.evaluate.data import open_source
    from molgen.evaluate.run import check_asked, evaluate_against, make_yardstick
    from molgen.shapes.recognise import holds_shapes

    if len(files) < 2:
        raise InputError(f"{files[0]}: expected at least two files to compare, got one; use molgen evaluate for a single file")
    if len(asked) not in (0, 1, len(files)):
        raise InputError(f"--asked: got {len(asked)} numbers for {len(files)} files; give one for all, or one for each in their order")
    numbers = asked if len(asked) == len(files) else (asked or (None,)) * len(files)
    baseline = options.pop("baseline")
    refuse_inputs({"--json": json_out, "--html": html}, *files, options["reference"], options["train"], baseline)
    settings, reference, train = settings_of(options)
    for file in files:
        if file.exists() and holds_shapes(file):
            raise InputError(f"{file}: holds shapes, {files[0]} molecules; compare files of one kind")
    each = [replace(settings, asked=number) for number in numbers]
    for file, one in zip(files, each, strict=True):
        check_asked(open_source(file), one)
    with apart(settings.workers == 0):
        yardstick = make_yardstick(reference, train, settings, track, baseline)
        evaluations = [evaluate_against(file, yardstick, one, track) for file, one in zip(files, each, strict=True)]
    summaries = [evaluation.samples for evaluation in evaluations]
    tell_apart(files, summaries)
    differences = compare(summaries)
    if json_out is not None:
        listed = as_rows(summaries, differences)
        real = yardstick.summary.as_dict() if yardstick.summary else None
        facts = made_by(settings, reference=reference, train=train, baseline=baseline) | {"files": [one.as_dict() for one in summaries]}
        facts["settings"]["asked"] = list(asked) or None
        write_json(json_out, facts | {"reference": real, "differences": listed})
    if html is not None:
        from molgen.report.page import comparison_page, write_page

        write_page(html, comparison_page(evaluations, differences))
    print_differences(groups_of(summaries), summaries, yardstick.summary, differences)


def tell_apart(files: Sequence[Path], summaries: Sequence[Any]) -> None:
    """Calls files of one name by their paths."""
    for file, summary in zip(files, summaries, strict=True):
        if sum(other.name == file.name for other in files) > 1:
            summary.name = str(file)


def as_rows(summaries: Sequence[Any], differences: Mapping[tuple[int, str], Any]) -> list[dict[str, Any]]:
    """The differences for a JSON file."""
    return [
        {
            "file": encodable(summaries[number].name),
            "metric": name,
            "difference": found.value,
            "p": found.p if found.p == found.p else None,
            "reason": encodable(found.reason) or None,
        }
        for (number, name), found in differences.items()
    ]


def print_differences(groups: Sequence[Any], summaries: Sequence[Any], real: Any, differences: Mapping[tuple[int, str], Any]) -> None:
    """Prints the tables with marks, what there is to say of each file, and what the marks mean."""
    from molgen.cli.evaluate import print_group
    from molgen.evaluate.compare import untested

    for group in groups:
        print_group(group, summaries, real, differences)
    for summary in summaries:
        scored = f"{counted(summary.records, 'record')}, scored in {summary.seconds:.1f} s"
        click.echo(f"{summary.name}: {'; '.join([scored, *summary.notes])}")
    click.echo(f"compared with {summaries[0].name}: + better, - worse, * different (p < 0.05, adjusted by Holm)")
    for line in untested(summaries, differences, groups):
        click.echo(line)
