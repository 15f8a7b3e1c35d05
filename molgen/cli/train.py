"""``molgen train``: fit a model to a prepared data set."""

import os
from pathlib import Path

import click

from molgen.errors import InputError
from molgen.files import shipped


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
def command(config: str, overrides: tuple[str, ...]) -> None:
    """Train the experiment CONFIG, a YAML file or the name of one that ships (qm9, debug_molecule).

    OVERRIDES are dotted settings such as data.path=DIR train.out=RUN train.max_time=00:02:00:00 train.max_steps=20000. A run folder that
    already holds a state is continued. Ctrl-C and SIGTERM save before they stop.
    """
    import logging
    import warnings

    path = find_config(config)
    from molgen.config import load_experiment
    from molgen.train import fit

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning|torch")
    folder = fit(load_experiment(path, overrides))
    if int(os.environ.get("LOCAL_RANK", "0")):
        return  # one of several processes: the first one speaks
    click.echo(f"{folder}: saved; sample from it with `molgen sample {folder} --num 64 --out molecules.sdf`")


def find_config(name: str) -> Path:
    """A configuration file, by path or by the name of one that ships.

    Raises:
        InputError: naming those that ship.
    """
    if Path(name).is_file():
        return Path(name)
    names = {path.stem: path for path in sorted(shipped("configs").glob("*.yaml"))}
    if Path(name).stem in names and Path(name).parent.name in ("", "configs"):
        return names[Path(name).stem]
    raise InputError(f"{name}: no such configuration file, nor one that ships ({', '.join(names)})")
