"""The ``molgen`` command.

A subcommand lives in ``molgen.cli.<name>`` as the click command ``command`` and is imported when it is asked for; heavy
libraries are imported inside its body, so that ``--help`` answers at once.

Exit status: 0 done, 1 failure, 2 bad input, 130 interrupted. Errors are one line on standard error.
"""

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import click

from molgen import __version__
from molgen.cli.memory import keep_freed_memory
from molgen.cli.stopping import end_at_once, listen
from molgen.errors import InputError, RunError

COMMANDS = ("prepare", "train", "sample", "conformers", "predict", "evaluate", "view", "compare", "info")
"""Subcommands in the order in which the help lists them."""


class Failure(click.ClickException):
    """An error already put into one line.

    Args:
        line: what the user reads after ``molgen:``.
        status: exit status of the process.
    """

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


class Commands(click.Group):
    """A click group that imports its subcommands on demand and reports every error as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names the subcommands that this installation has."""
        return [*super().list_commands(ctx), *(name for name in COMMANDS if importlib.util.find_spec(f"molgen.cli.{name}"))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a subcommand; None for an unknown name."""
        if cmd_name in self.commands or cmd_name not in self.list_commands(ctx):
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"molgen.cli.{cmd_name}").command
        command.name = cmd_name
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the subcommand; turns whatever it raises into a `Failure`, with the traceback first under ``--debug``."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):
                end_at_once()  # for everything is cleaned up
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise _failure(error) from error

    def main(  # type: ignore[override]  # click's overloads only tell whether it returns
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Runs the command line and ends the process; with ``standalone_mode=False`` returns or raises instead."""
        if standalone_mode:
            listen()
            keep_freed_memory()
            _print_everything()
        try:
            result = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            _end(error)
        if not standalone_mode:
            return result
        sys.exit(result if isinstance(result, int) else 0)


@click.group("molgen", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="molgen", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Print the traceback of an error.")
@click.option(
    "--import", "imports", multiple=True, metavar="FILE", help="Run this Python file (or import this module) first; it registers parts."
)
def main(debug: bool, imports: tuple[str, ...]) -> None:
    """Generate molecules and shapes in three dimensions with diffusion models."""
    for name in imports:
        _import(name)


def _import(name: str) -> None:
    """Imports a Python file by its path, or a module by its name.

    Raises:
        InputError: it is not there, or raises.
    """
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise InputError(f"--import {name}: no such file")
        found = importlib.util.find_spec(path.stem)
        if found is not None and found.origin != str(path.resolve()):
            raise InputError(f"--import {name}: another module is called {path.stem}; rename the file")
        sys.path.append(str(path.parent.resolve()))
    try:
        importlib.import_module(path.stem if path.suffix == ".py" else name)
    except Exception as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"--import {name}{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _print_everything() -> None:
    """Lets standard output put a question mark for what the terminal's encoding lacks, instead of failing when the work is done."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")


def _failure(error: BaseException) -> Failure:
    """Puts an error into one line and gives it the exit status of its kind."""
    lines = str(error).strip().splitlines()
    text = " ".join(line.strip() for line in lines)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Failure(f"interrupted: {text}" if text else "interrupted", 130)
    if isinstance(error, OSError):
        names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        fix = "check the name, the permissions and the space on the disk"
        return Failure(f"error: {names}: {error.strerror}; {fix}" if names else f"error: {error.strerror or text}", 2)
    if isinstance(error, UnicodeEncodeError):
        before, after = (re.split(r"[\s\"']", text) for text in (error.object[: error.start], error.object[error.start :]))
        return Failure(f"error: {before[-1]}{after[0].rstrip(':;,')}: is not {error.encoding.upper()}; rename the file or folder", 2)
    if isinstance(error, InputError) or (isinstance(error, ValueError) and len(lines) == 1):
        return Failure(f"error: {text}", 2)
    if isinstance(error, RunError):
        return Failure(f"error: {text}", 1)
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return Failure(f"internal error: {what} (run with --debug for the traceback: molgen --debug COMMAND ...)", 1)


def _end(error: click.ClickException) -> NoReturn:
    """Prints the line of an error on standard error and ends the process with its status."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    elif isinstance(error, Failure):
        click.echo(f"molgen: {error.message}", err=True)
    else:
        hint = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"molgen: error: {' '.join(error.format_message().split()).rstrip('.')}{hint}", err=True)
    sys.exit(error.status if isinstance(error, Failure) else error.exit_code)
