"""Commands whose options depend on what their first argument, a model or data, is about.

Every domain has a command of its own, with its own options and help. :class:`ByDomain` is the command for molecules: it looks at the first
argument, hands all arguments to the command of another domain where that belongs there, and refuses options that only the others have.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import click

from molgen.errors import InputError
from molgen.models import find_model


class ByDomain(click.Command):
    """A command for molecules that steps aside for the command of another domain.

    Args:
        others: module (with a click command called ``command``) for each other domain, by its kind.
        kind_of: the kind of what the first argument names.
    """

    def __init__(self, *args: Any, others: Mapping[str, str], kind_of: Callable[[str], str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.others, self.kind_of = others, kind_of

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        """Parses the arguments with the options of the domain.

        Raises:
            click.UsageError: an option that only another domain has, among others.
        """
        commands = self._commands()
        about = _first_argument(args, [self, *commands.values()])
        kind = "" if about is None else self.kind_of(about)
        chosen = commands.get(kind, self)
        try:
            if chosen is self:
                return super().make_context(info_name, args, parent, **extra)
            return chosen.make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            names = self._names()
            owner = next((name for command, name in names.items() if error.option_name in _words(command)), "")
            if about is None and owner:
                argument = str(self._argument().name).upper()
                example = f", such as `{error.ctx.command_path} {owner}s ...`" if argument == "MODEL" and error.ctx else ""
                raise click.UsageError(f"{error.option_name} is for {owner}s; give the {argument} first{example}", error.ctx) from None
            if not kind.startswith(names[chosen]) or not any(error.option_name in _words(command) for command in names):
                raise
            held = f"{about} is a {str(self._argument().name).removesuffix('s')} of them"
            raise click.UsageError(f"{error.option_name} makes no sense for {names[chosen]}s, and {held}", error.ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the options for molecules, then those that only other domains have."""
        super().format_options(ctx, formatter)
        for command, kind in self._names().items():
            own = [option for option in command.params if isinstance(option, click.Option) and not _words(self).keys() & {*option.opts}]
            if own:
                with formatter.section(f"Options for {kind}s"):
                    formatter.write_dl([record for option in own if (record := option.get_help_record(ctx))])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Tells where the help for the other domains is."""
        super().format_epilog(ctx, formatter)
        name = str(self._argument().name)
        formatter.write_paragraph()
        with formatter.indentation():
            for command, kind in self._names().items():
                if command is not self:
                    formatter.write_text(
                        f"For {name.removesuffix('s')}s of {kind}s the options differ: {ctx.command_path} {name.upper()} --help"
                    )

    def _commands(self) -> dict[str, click.Command]:
        """Commands of the other domains by their kinds."""
        return {kind: importlib.import_module(module).command for kind, module in self.others.items()}

    def _names(self) -> dict[click.Command, str]:
        """Kinds by command, the first one where a command is for several."""
        return {self: "molecule", **{command: kind for kind, command in reversed(self._commands().items())}}

    def _argument(self) -> click.Parameter:
        return next(parameter for parameter in self.params if isinstance(parameter, click.Argument))


def refuse_idle(reasons: Mapping[str, str]) -> None:
    """Refuses options of the command line that would do nothing beside the others.

    Args:
        reasons: why, by parameter; empty for those that do something.

    Raises:
        InputError: naming the first of them.
    """
    context = click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and (reason := reasons.get(name)):
            raise InputError(f"{option.opts[0]}: {reason}")


def _first_argument(args: Sequence[str], commands: Sequence[click.Command]) -> str | None:
    """The first word that is neither an option of any of the commands nor one of its values."""
    words = {word: values for command in commands for word, values in _words(command).items()}
    rest = iter(args)
    for word in rest:
        if word == "--":
            return next(rest, None)
        if not word.startswith("-"):
            return word
        for _ in range(words.get(word, 0)):
            next(rest, None)
    return None


def _words(command: click.Command) -> dict[str, int]:
    """The options of a command, with the number of values that each takes."""
    return {
        word: 0 if option.is_flag or option.count else option.nargs
        for option in command.params
        if isinstance(option, click.Option)
        for word in (*option.opts, *option.secondary_opts)
    }


def kind_of_data(place: str) -> str:
    """Kind of what a source of data is about: "shape", or "molecule" for whatever holds no shapes.

    Raises:
        InputError: it is an empty folder, or holds arrays of molecules.
    """
    from molgen.shapes.recognise import holds_shapes

    if Path(place).is_dir() and not any(Path(place).iterdir()):
        raise InputError(f"{place}: is an empty folder; give one with molecules, meshes or clouds")
    refuse_arrays(Path(place))
    return "shape" if holds_shapes(place) else "molecule"


def refuse_arrays(path: Path) -> None:
    """Refuses an .npz file with arrays of molecules.

    Raises:
        InputError: saying where it is shown how they are read.
    """
    names = _arrays(path) if path.suffix.lower() == ".npz" else set()
    if names & {"one_hot", "atomic_numbers", "numbers", "z"} and "points" not in names:
        told = ", ".join(sorted(names))
        raise InputError(f"{path}: arrays of molecules ({told}) are read in Python: docs/evaluation.md#arrays shows how")


def _arrays(path: Path) -> set[str]:
    """Names of the arrays of an .npz file; none where it is not one."""
    try:
        with ZipFile(path) as file:
            return {name.removesuffix(".npy") for name in file.namelist()}
    except (OSError, BadZipFile):
        return set()


def kind_of_model(model: str) -> str:
    """Kind of the fields of a model: "molecule", "shape", or "" if there is no such model."""
    from molgen.trees import Unreadable, parse_yaml, read_text

    folder = find_model(model) or Path(model)  # also a run that has no weights yet
    try:
        return str(parse_yaml(read_text(folder / "config.yaml"))["fields"]["kind"])
    except (Unreadable, KeyError, TypeError, OSError):
        return ""
