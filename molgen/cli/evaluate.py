"""``molgen evaluate``: score a file of molecules, or a set of shapes, beside real ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from molgen.cli.constraining import refuse_input
from molgen.cli.domains import ByDomain, kind_of_data
from molgen.cli.options import together
from molgen.cli.progress import track
from molgen.cli.stopping import apart
from molgen.counting import counted
from molgen.files import encodable, require_place, require_suffix

DATA = click.Path(path_type=Path)
REFERENCE_LIMIT = "Real molecules to score at most; of `qm9` and `leads` the scores are stored."

REPORTS = {
    "--json": ("the report is JSON", ".json"),
    "--html": ("the report is a page", ".html"),
    "--table": ("the table is CSV or TSV", ".csv", ".tsv"),
}
"""Options that name a file to write: what is written, and how its name has to end."""


def report_name(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuses a report by the name of another kind of file, or in a folder that is not there, before anything is computed."""
    if value is not None:
        require_suffix(parameter.opts[0], value, *REPORTS[parameter.opts[0]])
        require_place(value)
    return value


evaluation_options = together(
    click.option(
        "--reference",
        type=DATA,
        help="Held-out real molecules (SDF, XYZ, a packed data set, qm9 or leads for those that ship), for the row above.",
    ),
    click.option(
        "--train", type=DATA, help="Training molecules (SDF, SMILES, a packed data set, or the model), for novelty and memorisation."
    ),
    click.option("--baseline", type=DATA, help="The model's samples without requests: the error that requested properties have to beat."),
    click.option("--relax", is_flag=True, help="Relax under MMFF94: energy drop and displacement; FILE stays as it is."),
    click.option("--posebusters", is_flag=True, help="Run PoseBusters' checks."),
    click.option("--xtb", is_flag=True, help="Measure properties and relax under GFN2-xTB; requested ones are measured in any case."),
    click.option("--fcd", is_flag=True, help="Compute the Fréchet ChemNet distance to the reference."),
    click.option("--perceive/--no-perceive", default=True, show_default=True, help="Compare bonds with those that the geometry tells."),
    click.option(
        "--workers", type=click.IntRange(0), help="Processes; 0 computes in one without time limit.  [default: all cores, at most 16]"
    ),
    click.option("--timeout", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, help="Seconds for one molecule."),
    click.option("--limit", type=click.IntRange(1), help="Evaluate only the first so many records.  [default: all]"),
    click.option("--reference-limit", type=click.IntRange(1), default=4000, show_default=True, help=REFERENCE_LIMIT),
)
"""Options that ``evaluate`` and ``compare`` share."""


def report_options(things: str) -> Any:
    """Options that ``evaluate`` has for molecules and for shapes alike."""
    page = "Write a report with plots and a gallery as one HTML page."
    return together(
        click.option("--json", "json_out", type=click.Path(path_type=Path), callback=report_name, help="Write all figures as JSON."),
        click.option("--html", type=click.Path(path_type=Path), callback=report_name, help=page),
        click.option("--gallery", type=click.IntRange(1), default=200, show_default=True, help=f"{things} in the report's gallery."),
    )


@click.command(cls=ByDomain, others={"shape": "molgen.cli.evaluate_shapes"}, kind_of=kind_of_data)
@click.argument("file", type=click.Path(path_type=Path))
@evaluation_options
@click.option("--asked", type=click.IntRange(1), help="Samples asked for, where the file lacks those that failed.")
@report_options("Molecules")
@click.option("--table", type=DATA, callback=report_name, help="Write a row for each record: verdicts, reason, SMILES (.csv or .tsv).")
@click.option(
    "--protocol", type=click.Choice(["all", "p1", "p2s", "p2"]), default="all", show_default=True, help="Print one protocol only."
)
def command(
    file: Path,
    json_out: Path | None,
    html: Path | None,
    gallery: int,
    table: Path | None,
    protocol: str,
    **options: Any,
) -> None:
    """Score the molecules of FILE (SDF or XYZ, also .gz), or the shapes of a folder, beside real ones.

    Every figure is a share of all samples unless it says otherwise; brackets hold 95 %
    intervals, exact ones of shares and resampled ones of all else.

    \b
    Example:
      molgen evaluate molecules.sdf --reference qm9 --train train.sdf --relax --html report.html
      molgen evaluate chairs/ --reference heldout/ --train data/ --html report.html
    """  # noqa: D301 click reads the backspace
    from molgen.evaluate import evaluate

    baseline = options.pop("baseline")
    refuse_inputs({"--json": json_out, "--html": html, "--table": table}, file, options["reference"], options["train"], baseline)
    settings, reference, train = settings_of(options, keep=gallery if html else 0)
    with apart(settings.workers == 0):
        evaluation = evaluate(file, reference, train, settings, track, baseline, table)
    if json_out is not None:  # before anything is printed, which may fail: into a pipe that is closed
        facts = made_by(settings, reference=reference, train=train, baseline=baseline)
        write_json(
            json_out, facts | {"samples": evaluation.samples.as_dict(), "reference": evaluation.real.as_dict() if evaluation.real else None}
        )
    if html is not None:
        from molgen.report.page import evaluation_page, write_page

        write_page(html, evaluation_page(evaluation))
    print_evaluation(evaluation, protocol)


def refuse_inputs(reports: dict[str, Path | None], *inputs: Path | None) -> None:
    """Refuses to write a report, by its option, over what the command reads.

    Raises:
        InputError: naming the report.
    """
    for option, report in reports.items():
        if report is not None:
            refuse_input(report, *inputs, option=option)


def settings_of(options: dict[str, Any], keep: int = 0) -> tuple[Any, Path | None, Path | None]:
    """Settings, reference and training data of parsed options."""
    from molgen.evaluate import Settings

    reference, train = options.pop("reference"), options.pop("train")
    given = {name: value for name, value in options.items() if value is not None}
    return Settings(**given, keep=keep), reference, train


def made_by(settings: Any, **options: Any) -> dict[str, Any]:
    """For JSON: the version of molgen, and the settings and further options of the command."""
    from dataclasses import asdict

    from molgen import __version__

    told = {name: encodable(str(value)) if isinstance(value, Path) else value for name, value in {**options, **asdict(settings)}.items()}
    return {"molgen": __version__, "settings": told}


def print_evaluation(evaluation: Any, protocol: str) -> None:
    """Prints the tables, with the real molecules in the row above."""
    from molgen.evaluate.compare import groups_of

    samples, real = evaluation.samples, evaluation.real
    for group in groups_of([samples]):
        if protocol in ("all", group.protocol):
            print_group(group, [samples], real)
    for check, counts in samples.reasons.items():
        if protocol != "all" and check != "record" and check.removesuffix("_valid") != protocol:
            continue
        first = samples.first_records[check]
        listed = ", ".join(f"{reason}: {count} (first: record {first[reason]})" for reason, count in list(counts.items())[:5])
        more = len(counts) - 5
        click.echo(f"{check} failures: {listed}" + (f" and {more} more reasons" if more > 0 else ""))
    for note in samples.notes:
        click.echo(f"note: {note}")
    facts = "".join(f", {name} {value}" for name, value in samples.run.items())
    click.echo(f"{samples.name}: {counted(samples.records, 'record')}, {samples.asked} asked for, scored in {samples.seconds:.1f} s{facts}")


def print_group(group: Any, samples: Sequence[Any], real: Any, differences: Mapping[tuple[int, str], Any] = MappingProxyType({})) -> None:
    """Prints one table, one row for each summary, in parts where the columns do not fit side by side; marks differences."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    columns = group.shown(samples)
    rows = [
        (place, f"{label}\n{counted(row.records, 'record')}\n{group.origin(row)}".rstrip("\n"), row)
        for place, label, row in group.rows(samples, real)
    ]
    left = min(max((len(line) for _, label, _ in rows for line in label.split("\n")), default=0) + 2, 32)
    together = max(1, (max(console.width, 80) - left) // 18)
    for start in range(0, len(columns), together):
        table = Table(title=group.title if start == 0 else None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("", width=left, overflow="ellipsis")
        for column in columns[start : start + together]:
            table.add_column(column.heading, justify="right", width=16)
        for place, label, row in rows:
            cells = []
            for column in columns[start : start + together]:
                value, interval = column.parts(row)
                found = differences.get((place, column.name))
                mark = {True: " +", False: " -", None: " *"}[found.better] if found is not None and found.significant else ""
                cells.append(f"{value}{mark}\n{interval}".rstrip("\n"))
            table.add_row(label, *cells)
        console.print(table)
        console.print()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON, complete or not at all."""
    import json

    from molgen.files import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
