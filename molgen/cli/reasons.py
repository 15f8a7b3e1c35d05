"""Why draws of a sampling run were not written, as all commands that sample tell it."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from molgen.sample import Tally

FLAGGED = " (--include-flagged writes them)"
MOST = 8  # reasons of a kind


def tell_reasons(tally: "Tally") -> None:
    """Prints the most frequent reasons why draws failed and why valid ones were withheld, a line each."""
    for reason, count in tally.failures.most_common(MOST):
        click.echo(f"  failed {count}: {reason}")
    for reason, count in tally.withheld.most_common(MOST):
        click.echo(f"  withheld {count}: {reason}{FLAGGED if reason.startswith('flagged') else ''}")
