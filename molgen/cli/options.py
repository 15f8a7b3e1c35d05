"""How options of commands are put together and read."""

import csv
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import click

Option = Callable[[Any], Any]


def together(*options: Option) -> Option:
    """One decorator of several, whose options ``--help`` lists in this order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def once(fix: str = "give one of them") -> Callable[[click.Context, click.Parameter, tuple[str, ...]], str | None]:
    """Reads an option that counts once, whose last value would silently replace the others."""

    def value(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
        if len(values) > 1:
            raise click.BadParameter(f"is given {len(values)} times: {', '.join(values)}; {fix}", context, option)
        return values[0] if values else None

    return value


def listed(context: click.Context, option: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:
    """Names of an option that may be repeated and may hold several between commas, in quotes where a name has commas itself."""
    rows = (row for value in values for row in csv.reader(value.splitlines(), skipinitialspace=True))
    return tuple(name.strip() for row in rows for name in row if name.strip())
