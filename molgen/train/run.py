"""A run from its configuration to its folder."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import lightning
import torch
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from molgen.config import dump_experiment
from molgen.diffusion.estimation import Estimation
from molgen.diffusion.gaussian import sole_gaussian
from molgen.diffusion.objective import Objective
from molgen.errors import InputError, RunError
from molgen.experiment import Experiment, Training
from molgen.finetune import remember, starting_point
from molgen.train.compile import SLOW, compile_errors, compile_layers
from molgen.train.explosion import FACTOR
from molgen.train.graphs import LARGE
from molgen.train.keeper import Keeper
from molgen.train.log import MetricsLog
from molgen.train.module import Module
from molgen.train.progress import Bar, progress
from molgen.train.resident import place
from molgen.train.schedule import parse_time
from molgen.train.speed import Speed
from molgen.train.state import Parts, find_state
from molgen.train.stream import Stream, Validation, split_validation, training_buckets
from molgen.train.teacher import open_data

RANKS = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "SLURM_PROCID")
"""Variables of launchers that number the processes of a run, from 0 on."""


def build_trainer(
    config: Training, keeper: Keeper, folder: Path, items: str, callbacks: Sequence[Callback] = (), loggers: Sequence[Logger] = ()
) -> lightning.Trainer:
    """Lightning's trainer with our loggers, progress bar and `Keeper`, and further callbacks and loggers.

    Raises:
        InputError: this machine does not have the device.
    """
    shown = progress()
    try:
        return lightning.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            precision=config.precision,
            max_steps=config.max_steps,
            max_epochs=-1,
            gradient_clip_val=config.gradient_clip or None,
            callbacks=[
                keeper,
                shown,
                Speed(items, 30.0 if config.cuda_graphs else 5.0),
                *callbacks,
            ],
            plugins=[Parts()],
            logger=[MetricsLog(folder), TensorBoardLogger(folder, name="", version="tensorboard"), *loggers],
            log_every_n_steps=20,
            enable_progress_bar=isinstance(shown, Bar),
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(f"train.accelerator={config.accelerator}, train.devices={config.devices}: {reason}; use auto and 1") from None


def first_process() -> bool:
    """Whether this process is the first of its run, which speaks for all of them, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other commands from training in the folder meanwhile; the first of several processes speaks for all of them.

    Raises:
        InputError: one does.
    """
    if not first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"train.out={folder}: another command trains there; wait for it, or give another folder") from None


def fit(experiment: Experiment, callbacks: Sequence[Callback] = (), loggers: Sequence[Logger] = ()) -> Path:
    """Trains an experiment in the folder ``train.out``, or goes on with the run that the folder holds; returns the folder.

    Args:
        experiment: what to train, and how.
        callbacks: of Lightning, beside those that save, show progress and measure speed.
        loggers: of Lightning, beside ``metrics.csv`` and TensorBoard.

    Raises:
        InputError: for bad data or settings, or a folder that holds a run of another model.
        RunError: when the loss or the gradients are no longer finite, or large at the end: what is saved is from before.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once everything is saved.
    """
    config = experiment.train
    if not config.out:
        raise InputError("train.out is empty: give the run a folder, train.out=RUN")
    if not experiment.data.path:
        raise InputError("data.path is empty: give a prepared data set, data.path=DIR")
    parse_time(config.max_time)  # a bad text is told before the data are read
    dump_experiment(experiment)  # as is an experiment that could not be saved
    names = experiment.data.conditions
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"data.conditions: {twice} is named twice; name it once")
    data = open_data(experiment, experiment.data.path)
    chosen, valid, held_out = split_validation(experiment, data)
    folder = Path(config.out)
    state = find_state(folder)
    if config.start and Path(config.start).resolve() in (folder.resolve(), (folder / "model.safetensors").resolve()):
        raise InputError(f"train.out={folder}: is the model that the run starts from; give the run a folder of its own")
    if (folder / "statistics.json").is_file() and not (folder / "config.yaml").is_file():
        raise InputError(f"train.out={folder}: holds a data set, which the run would write over; give the run a folder of its own")
    if state is None and (folder / "model.safetensors").is_file():
        raise InputError(f"train.out={folder}: holds a model without the state to go on with; give the run a folder of its own")
    weights, statistics = starting_point(experiment, data.statistics, folder if state is not None else None)
    torch.manual_seed(config.seed)  # initial weights
    buckets = training_buckets(data, chosen, config)
    module = Module(experiment, statistics, weights, buckets.shapes)
    terms = experiment.objective.terms(module.denoiser.process)
    if strange := set(experiment.objective.weights) - set(terms):
        raise InputError(f"objective.weights: no field {min(strange)!r}; there are {', '.join(terms)}")
    if isinstance(experiment.objective, Objective):
        known = module.denoiser.process.processes
        if strange := set(experiment.objective.parts.fields) - set(known):
            raise InputError(f"objective.parts.fields: no field {min(strange)!r}; there are {', '.join(known)}")
        coordinates = sole_gaussian(module.denoiser.process)[0]
        if experiment.objective.parts.fields and coordinates not in experiment.objective.parts.fields:
            raise InputError(f"objective.parts.fields: {coordinates!r} is missing, by which a part is given")
    if config.compile:
        compile_layers(getattr(module.denoiser, "backbone", module.denoiser), fixed=config.cuda_graphs)
    keeper = Keeper(folder, config.checkpoint_every)
    trainer = build_trainer(config, keeper, folder, module.domain.items, callbacks, loggers)
    if trainer.strategy.root_device.type == "cpu" and trainer.is_global_zero:
        for line in [SLOW] * config.compile + [LARGE] * config.cuda_graphs:
            print(f"molgen: warning: {line}", file=sys.stderr, flush=True)
    device, apart = trainer.strategy.root_device, valid is not data
    data = place(data, device)
    valid = place(valid, device) if apart else data
    stream = Stream(data, chosen, buckets, config.validate_every, lambda: (trainer.global_step, trainer.global_rank, trainer.world_size))
    loaders = [DataLoader(stream, batch_size=None)]
    if config.patience and not len(held_out) and trainer.is_global_zero:
        print("molgen: warning: train.patience: nothing is held out to validate on; the last weights are kept", file=sys.stderr, flush=True)
    if len(held_out):
        loaders.append(DataLoader(Validation(valid, held_out, config.pair_budget), batch_size=None))
    try:
        with alone(folder), compile_errors() if config.compile else nullcontext():
            if trainer.is_global_zero and find_state(folder) != state:
                raise InputError(f"train.out={folder}: another command has trained there meanwhile; the same command goes on from there")
            if state is None and trainer.is_global_zero and isinstance(experiment.objective, Objective | Estimation):
                remember(experiment, data, chosen, folder)
            trainer.fit(module, *loaders, ckpt_path=state, weights_only=True)
    except (RuntimeError, ValueError) as error:
        if "loaded state dict" not in str(error):
            raise
        raise InputError(
            f"{state}: belongs to a run with another train.optimizer; give another train.out or the configuration of that run"
        ) from None
    if keeper.interrupted:
        raise KeyboardInterrupt(f"{folder} keeps {keeper.saved} of {config.max_steps} steps; the same command goes on")
    if keeper.doubtful:
        raise RunError(
            f"{folder}: keeps {keeper.saved} of {trainer.global_step} steps, as gradients at the end are more than {FACTOR:.0f} times the "
            "usual ones and may have ruined the weights; go on from there with a lower train.learning_rate"
        )
    return folder
