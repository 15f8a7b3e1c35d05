"""``molgen train``: fit a model to a prepared data set."""

import shlex
from pathlib import Path

import click

from molgen.errors import InputError
from molgen.files import shipped


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
    already holds a state is continued. Ctrl-C and SIGTERM save before they stop.

    With --from, `molgen train --from qm9 data.path=DIR train.out=RUN` goes on from trained weights on other data, also with new elements,
    charges, labels and sizes; `--from shapes` with new classes, words and labels.
    """
    import logging
    import warnings

    words = () if config is None else (config, *overrides)
    if start is not None and words and "=" not in words[0]:
        raise InputError(f"--from {start}: takes the configuration of that model, not {words[0]}; change it by KEY=VALUE settings")
    if start is None and config is None:
        raise InputError("expected a configuration file, one that ships (qm9, leads, shapes, ...), or --from MODEL")
    if start is None and "=" in str(config) and not Path(str(config)).exists():
        raise InputError(f"{config}: expected a configuration before the settings, such as `molgen train qm9 {config}`")
    path = None if start is not None else find_config(str(config))
    from molgen.config import load_experiment
    from molgen.finetune import fine_tuning
    from molgen.train import fit
    from molgen.train.judge import judge
    from molgen.train.run import first_process

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning|torch")
    experiment = load_experiment(path, overrides) if path is not None else fine_tuning(str(start), words)
    folder = fit(experiment)
    if not first_process():
        return
    name = shlex.quote(str(folder))
    use = f"sample from it with `molgen sample {name} --num 64 --out {experiment.domain.out}`"
    if experiment.objective.kind == "reconstruction":
        use = f"train on with `molgen train shapes_latent fields.autoencoder={name} data.path=DIR train.out=RUN`"
    if experiment.objective.kind == "estimation":
        at_home = folder.name == "estimator" and (folder.parent / "model.safetensors").is_file()
        model = shlex.quote(str(folder.parent if at_home else experiment.objective.denoiser))
        given = "" if at_home else f" --estimator {name}"
        use = f"compare it with known values by `molgen predict {model} FILE{given}`, request by `molgen sample {model}{given} --property`"
    click.echo(f"{folder}: saved; {use}")
    if experiment.objective.kind == "estimation":
        for label, agreement in judge(experiment).items():
            if agreement.known:
                click.echo(f"  {label} of molecules that were held out: {agreement.line()}")


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
