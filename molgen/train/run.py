"""A run from its configuration to its folder."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from molgen.diffusion.rounding import multiplies_bfloat16
from molgen.errors import InputError, RunError
from molgen.experiment import Experiment, Training
from molgen.files import Claim
from molgen.finetune import remember
from molgen.train.checkpointing import Checkpointing, log_every, own_handlers
from molgen.train.checks import check_callbacks, check_folder, check_settings
from molgen.train.compile import SLOW, compile_errors, compile_layers
from molgen.train.data import DataModule
from molgen.train.divergence import FACTOR
from molgen.train.graphs import LARGE
from molgen.train.log import MetricsLog
from molgen.train.module import Module
from molgen.train.progress import Bar, progress
from molgen.train.speed import Speed
from molgen.train.state import StateFiles, find_state


def build_trainer(
    config: Training, checkpointing: Checkpointing, items: str, callbacks: Sequence[Callback] = (), loggers: Sequence[Logger] = ()
) -> lightning.Trainer:
    """Lightning's trainer with our loggers, progress bar and `Checkpointing`, and further callbacks and loggers.

    Raises:
        InputError: this machine does not have the device, or Lightning refuses a callback.
    """
    folder, shown = checkpointing.folder, progress()
    try:
        return lightning.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            precision=usable_precision(config),
            max_steps=config.max_steps,
            max_epochs=-1,
            gradient_clip_val=config.gradient_clip or None,
            callbacks=[
                checkpointing,
                shown,
                Speed(items, 30.0 if config.cuda_graphs else 5.0),
                *callbacks,
            ],
            plugins=[StateFiles(), *environment(config)],
            logger=[MetricsLog(folder), TensorBoardLogger(folder, name="", version="tensorboard"), *loggers],
            log_every_n_steps=log_every(config),
            enable_progress_bar=isinstance(shown, Bar),
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        check_device(config)
        raise InputError(" ".join(str(error).split())) from None


def environment(config: Training) -> list[LightningEnvironment]:
    """Where a run has one process: what a launcher such as srun says of the processes that it has started is about others."""
    return [LightningEnvironment()] if config.devices == 1 and config.strategy == "auto" else []


def usable_precision(config: Training) -> Literal["32-true", "bf16-mixed"]:
    """The precision of a configuration, or single precision where bfloat16 would be slower than that."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = "cpu" if found is None or config.accelerator == "cpu" else found
    return config.precision if multiplies_bfloat16(device) else "32-true"


def check_device(config: Training) -> None:
    """Checks that this machine has the device.

    Raises:
        InputError: it has not.
    """
    try:
        lightning.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            plugins=[*environment(config)],
            logger=False,
            enable_checkpointing=False,
        )
    except MisconfigurationException as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(f"train.accelerator={config.accelerator}, train.devices={config.devices}: {reason}; use auto and 1") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what Lightning and torch tell developers: advice, and warnings about loops that are as they should be."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning|torch")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def first_process(config: Training) -> bool:
    """Whether this process is the first of its run, which speaks for all of them, or the only one."""
    return bool(environment(config)) or getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def own_rank(trainer: lightning.Trainer) -> Iterator[None]:
    """Lets Lightning's loggers take the number of this process for that in the run; a launcher may have started several runs."""
    before = getattr(rank_zero_only, "rank", 0)
    rank_zero_only.rank = trainer.global_rank
    try:
        yield
    finally:
        rank_zero_only.rank = before


def alone(config: Training) -> AbstractContextManager[object]:
    """Keeps other commands from training in the folder meanwhile; the first of several processes speaks for all of them.

    Raises:
        InputError: one does.
    """
    if not first_process(config):
        return nullcontext()
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    return Claim(folder / "model.safetensors", f"train.out={folder}: another command trains there; wait for it, or give another folder")


@contextmanager
def optimizer_errors(state: Path | None) -> Iterator[None]:
    """Turns the failure to load the state of another optimiser into one line.

    Raises:
        InputError: the state belongs to another optimiser.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if "loaded state dict" not in str(error):
            raise
        raise InputError(
            f"{state}: belongs to a run with another train.optimizer; give another train.out or the configuration of that run"
        ) from None


def warn(trainer: lightning.Trainer, batches: DataModule) -> None:
    """Tells once which settings do not do what they are meant to: those for GPUs on a CPU, patience without validation, too small a budget.

    Args:
        trainer: knows the device and the ranks.
        batches: of the run.
    """
    config, sizes = batches.experiment.train, batches.data.sizes[batches.chosen]
    lines = [SLOW] * config.compile + [LARGE] * config.cuda_graphs if trainer.strategy.root_device.type == "cpu" else []
    if trainer.precision != config.precision:
        lines.append(
            f"train.precision={config.precision} is many times slower than 32-true here, as this processor has no instructions for it; "
            "trained in 32-true"
        )
    if config.patience and not len(batches.held_out):
        lines.append("train.patience: nothing is held out to validate on; the last weights are kept")
    if large := int((sizes.astype(np.int64) ** 2 > config.pair_budget).sum()):
        steps = sum(1 for _ in batches.buckets.epoch(0))
        lines.append(
            f"train.pair_budget={config.pair_budget}: {large} of {len(sizes)} samples have more pairs, up to {int(sizes.max()) ** 2}; "
            f"each is a batch of its own, {100 * large / steps:.0f} % of the steps, and needs as much more memory; leave them out, "
            "or give a larger budget"
        )
    for line in lines if trainer.is_global_zero else ():
        print(f"molgen: warning: {line}", file=sys.stderr, flush=True)


def check_end(trainer: lightning.Trainer, checkpointing: Checkpointing) -> None:
    """Tells how a run has ended that did not end well.

    Raises:
        RunError: gradients at the end were large, and the last steps are not saved.
        KeyboardInterrupt: it was interrupted.
    """
    folder, saved = checkpointing.folder, checkpointing.saved
    if checkpointing.interrupted:
        raise KeyboardInterrupt(f"{folder} keeps {saved} of {trainer.max_steps} steps; the same command goes on")
    if checkpointing.doubtful:
        raise RunError(
            f"{folder}: keeps {saved} of {trainer.global_step} steps, as gradients at the end are more than {FACTOR:.0f} times the "
            "usual ones and may have ruined the weights; go on from there with a lower train.learning_rate"
        )


@quiet()
def fit(experiment: Experiment, callbacks: Sequence[Callback] = (), loggers: Sequence[Logger] = ()) -> Path:
    """Trains an experiment in the folder ``train.out``, or goes on with the run that the folder holds; returns the folder.

    Args:
        experiment: what to train, and how.
        callbacks: of Lightning, beside those that save, show progress and measure speed.
        loggers: of Lightning, beside ``metrics.csv`` and TensorBoard.

    Raises:
        InputError: for bad data or settings, or a folder that holds a run of another model.
        RunError: when the loss or the gradients are no longer finite, or large at the end: what is saved is from before.
        KeyboardInterrupt: after Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, once everything is saved.
    """
    config = experiment.train
    check_settings(experiment)
    check_callbacks(callbacks)
    batches = DataModule(experiment)
    folder = Path(config.out)
    state = find_state(folder)
    check_folder(folder, state, config.start)
    module = Module.start(experiment, batches.data.statistics, folder if state is not None else None, batches.buckets.shapes)
    if config.compile:
        compile_layers(getattr(module.denoiser, "backbone", module.denoiser), fixed=config.cuda_graphs)
    checkpointing = Checkpointing(folder, config.checkpoint_every)
    trainer = build_trainer(config, checkpointing, module.domain.items, callbacks, loggers)
    warn(trainer, batches)
    with alone(config), own_rank(trainer), own_handlers(), optimizer_errors(state), compile_errors() if config.compile else nullcontext():
        if trainer.is_global_zero and find_state(folder) != state:
            raise InputError(f"train.out={folder}: another command has trained there meanwhile; the same command goes on from there")
        if state is None and trainer.is_global_zero:
            remember(experiment, batches.data, batches.chosen, folder)
        trainer.fit(module, batches, ckpt_path=state, weights_only=True)
    check_end(trainer, checkpointing)
    return folder
