"""Commands whose options depend on what the model is about.

Every domain has a command of its own, with its own options and help. :class:`ByDomain` is the command of one domain that looks at the
MODEL of its arguments first, and hands all arguments to the command of another domain where the model belongs there.
"""

import importlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from molgen.errors import InputError


class ByDomain(click.Command):
    """A command that steps aside for the command of the model's domain.

    Args:
        others: module (with a click command called ``command``) for each other domain, by the kind of its fields.
    """

    def __init__(self, *args: Any, others: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.others = others

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        """Parses the arguments with the options of the model's domain."""
        commands: dict[str, click.Command] = {name: importlib.import_module(module).command for name, module in self.others.items()}
        model = _first_argument(args, [self, *commands.values()])
        chosen = commands.get(kind_of_model(model)) if model is not None else None
        if chosen is not None:
            return chosen.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Tells where the help for the other domains is."""
        super().format_epilog(ctx, formatter)
        with formatter.indentation():
            for name in {module: name for name, module in reversed([*self.others.items()])}.values():
                formatter.write_text(f"For models of {name}s the options differ: {ctx.command_path} MODEL --help")


def refuse_others(shapes: bool, chemical: Collection[str], geometric: Collection[str], source: str | Path) -> None:
    """Refuses options of the command line that say nothing about what ``source`` holds.

    Args:
        shapes: whether these are shapes, else they are molecules.
        chemical: parameters for molecules.
        geometric: parameters for shapes.
        source: for the error.

    Raises:
        click.UsageError: naming the first of them.
    """
    if Path(source).is_dir() and not any(Path(source).iterdir()):
        raise InputError(f"{source}: is an empty folder; give one with molecules, meshes or clouds")
    parameters, kind = (chemical, "shapes") if shapes else (geometric, "molecules")
    for name, option in _given().items():
        if name in parameters:
            raise click.UsageError(f"{option} makes no sense for {kind}; {source} holds such")


def refuse_idle(reasons: Mapping[str, str]) -> None:
    """Refuses options of the command line that would do nothing beside the others.

    Args:
        reasons: why, by parameter; empty for those that do something.

    Raises:
        InputError: naming the first of them.
    """
    for name, option in _given().items():
        if reason := reasons.get(name):
            raise InputError(f"{option}: {reason}")


def _given() -> dict[str, str]:
    """Options of the command line by the names of their parameters."""
    context = click.get_current_context()
    source, here = context.get_parameter_source, click.core.ParameterSource.COMMANDLINE
    return {str(option.name): option.opts[0] for option in context.command.params if source(str(option.name)) is here}


def _first_argument(args: Sequence[str], commands: Sequence[click.Command]) -> str | None:
    """The first word that is neither an option of any of the commands nor one of its values."""
    words = {
        name: 0 if option.is_flag or option.count else option.nargs
        for command in commands
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    }
    rest = iter(args)
    for word in rest:
        if word == "--":
            return next(rest, None)
        if not word.startswith("-"):
            return word
        for _ in range(words.get(word, 0)):
            next(rest, None)
    return None


def kind_of_model(model: str) -> str:
    """Kind of the fields of a model: "molecule", "shape", or "" if there is no such model."""
    import yaml

    from molgen.known import find_model  # numpy, which no help needs

    folder = find_model(model) or Path(model)  # also a run that has no weights yet
    try:
        return str(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["fields"]["kind"])
    except (yaml.YAMLError, KeyError, TypeError, OSError, UnicodeDecodeError):
        return ""
