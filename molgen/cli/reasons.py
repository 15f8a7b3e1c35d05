"""Why draws of a sampling run were not written and records of a file not used, as all commands tell it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from molgen.sample import Tally

FLAGGED = " (--include-flagged writes them)"
MOST = 8  # reasons of a kind


def tell_left_out(reasons: "Sequence[object]", what: str = "left out") -> None:
    """Prints why records of a file were left out, or what else became of them, a line each for the first ones."""
    for reason in reasons[:MOST]:
        click.echo(f"  {what}: {reason}")
    if len(reasons) > MOST:
        click.echo(f"  {what}: {len(reasons) - MOST} more")


def tell_reasons(tally: "Tally") -> None:
    """Prints the most frequent reasons why draws failed and why valid ones were withheld, a line each."""
    for reason, count in tally.failures.most_common(MOST):
        click.echo(f"  failed {count}: {reason}")
    for reason, count in tally.withheld.most_common(MOST):
        click.echo(f"  withheld {count}: {reason}{FLAGGED if reason.startswith('flagged') else ''}")
