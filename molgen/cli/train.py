"""``molgen train``: fit a model to a prepared data set."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.experiment import Experiment


@click.command()
@click.argument("config", required=False)
@click.argument("overrides", nargs=-1)
@click.option(
    "--from", "start", metavar="MODEL", help="Fine-tune this model (name, run folder or weights file): its CONFIG and weights, other data."
)
def command(config: str | None, overrides: tuple[str, ...], start: str | None) -> None:
    """Train the experiment CONFIG, a YAML file or the name of one that ships.

    These are qm9, qm9_small, leads, estimator, shapes, shape_autoencoder and then shapes_latent, debug_molecule, debug_shape.

    OVERRIDES are dotted settings such as data.path=DIR train.out=RUN train.max_time=00:02:00:00 train.max_steps=20000. A run folder that
    already holds a state is continued. Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 save before they stop.

    With --from, `molgen train --from qm9 data.path=DIR train.out=RUN` fine-tunes trained weights on other data, also with new elements,
    charges, labels and sizes; `--from shapes` with new classes, words and labels.
    """
    words = () if config is None else (config, *overrides)
    if start is not None and words and "=" not in words[0]:
        raise InputError(f"--from {start}: takes the configuration of that model, not {words[0]}; change it by KEY=VALUE settings")
    if start is None and config is None:
        raise InputError("expected a configuration file, one that ships (qm9, leads, shapes, ...), or --from MODEL")
    if start is None and "=" in str(config) and not Path(str(config)).exists():
        raise InputError(f"{config}: expected a configuration before the settings, such as `molgen train qm9 {config}`")
    from molgen.config import load_experiment
    from molgen.finetune import fine_tuning
    from molgen.train import fit
    from molgen.train.judge import judge
    from molgen.train.run import first_process

    experiment = load_experiment(str(config), overrides) if start is None else fine_tuning(start, words)
    folder = fit(experiment)
    if not first_process(experiment.train):
        return
    click.echo(f"{folder}: saved; {what_next(experiment, folder)}")
    if experiment.objective.kind == "estimation":
        for label, agreement in judge(experiment).items():
            if agreement.known:
                click.echo(f"  {label} of molecules that were held out: {agreement.line()}")


def what_next(experiment: "Experiment", folder: Path) -> str:
    """What a trained model is good for: the command to give next.

    Args:
        experiment: that was trained.
        folder: of the run.
    """
    name = shlex.quote(f"./{folder}" if str(folder).startswith("-") else str(folder))  # which commands would take for an option
    if experiment.objective.kind == "reconstruction":
        return f"train on with `molgen train shapes_latent fields.autoencoder={name} data.path=DIR train.out=RUN`"
    if experiment.objective.kind == "estimation":
        at_home = folder.name == "estimator" and (folder.parent / "model.safetensors").is_file()
        model = shlex.quote(str(folder.parent if at_home else experiment.objective.denoiser))
        given = "" if at_home else f" --estimator {name}"
        return f"compare it with known values by `molgen predict {model} FILE{given}`, request by `molgen sample {model}{given} --property`"
    imports = click.get_current_context().find_root().params["imports"] if click.get_current_context(silent=True) else ()
    molgen = " ".join(["molgen", *(f"--import {shlex.quote(given)}" for given in imports)])
    return f"sample from it with `{molgen} sample {name} --num 64 --out {experiment.domain.out}`"
