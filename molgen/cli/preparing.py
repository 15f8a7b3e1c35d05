"""What ``molgen prepare`` has for molecules and for shapes alike: options, names in lists, and the head of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.options import together

if TYPE_CHECKING:
    from molgen.preparation import Summary


def preparation_options(official: str, drawn: str) -> Any:
    """Options for every source.

    Args:
        official: which official splits there are.
        drawn: what the seed is of beside a random split.
    """
    return together(
        click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write; it must not exist or be empty."),
        click.option("--split", "division", help=f"'official' ({official}) or fractions such as 0.8,0.1,0.1 (train, valid, test)."),
        click.option(
            "--root",
            type=click.Path(path_type=Path),
            help="Folder of a published data set: its raw/ holds the files, or gets them by download (default: ./SOURCE).",
        ),
        click.option("--licence", default="", help="Licence of the data, for the card."),
        click.option("--workers", type=click.IntRange(min=1), help="Processes (default: one for each core)."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=f"Seed of {drawn} and of a random split."),
    )


def split_name(division: str | None, seed: int) -> str:
    """A split in words, for the card."""
    return f"{division}, seed {seed}" if division and division != "official" else division or "none"


def report_records(summary: "Summary", out: Path, fixes: Mapping[str, str]) -> None:
    """Prints how many records were read, kept, resumed and rejected, with what to do against each reason where that is known."""
    click.echo(f"{out}: read {summary.read}, kept {summary.kept}, rejected {summary.read - summary.kept} in {summary.seconds:.1f} s")
    if summary.resumed:
        click.echo(f"  resumed: {summary.resumed} records were already done")
    for reason, count in summary.rejected.most_common():
        fix = fixes.get(reason)
        click.echo(f"  rejected {count}: {reason}{f'; fix: {fix}' if fix else ''}")
    if summary.first:
        click.echo(f"  first rejected: {summary.first}")
