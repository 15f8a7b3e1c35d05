"""Training with Lightning. Needs neither rdkit nor trimesh.

Everything random in step g is a function of (seed, g): the batch, the times, the noise, the dropped conditions. A run that resumes at
step g therefore sees what an uninterrupted run would have seen, and with the restored weights, averages and optimiser has the same losses.
"""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, IterableDataset

from molgen import __version__
from molgen.batch import Batch
from molgen.buckets import Buckets
from molgen.checkpoint import Checkpoint, build_denoiser, save_checkpoint
from molgen.config import Experiment, Training
from molgen.diffusion.denoiser import Preconditioned
from molgen.domain import Dataset, Statistics
from molgen.errors import InputError, RunError
from molgen.files import atomic_path
from molgen.finetune import starting_point
from molgen.sample import Model, Request
from molgen.types import Tensor

STATE = "state.ckpt"


def parse_time(text: str) -> float:
    """Seconds of ``DD:HH:MM:SS``; infinity if empty.

    Raises:
        InputError: for any other text.
    """
    if not text:
        return math.inf
    if not re.fullmatch(r"\d+:\d+:\d+:\d+", text):
        raise InputError(f"train.max_time: expected DD:HH:MM:SS such as 00:02:00:00, got {text!r}")
    days, hours, minutes, seconds = map(int, text.split(":"))
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def learning_rate(config: Training, step: int, progress: float) -> float:
    """Warm-up, plateau until ``decay_from`` of the budget, then a cosine to zero; ``progress``: share of the budget spent, in [0, 1]."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    fall = max(0.0, (progress - config.decay_from) / max(1e-9, 1 - config.decay_from))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, fall)))


def average_weights(decay: float) -> Any:
    """Exponential moving average whose memory grows with the number of steps: ``d = min(decay, (1 + k) / (10 + k))``."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        d = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - d)

    return update


class Stream(IterableDataset[Batch]):
    """Batches of the run from its current step to the next validation; ``position`` tells step, rank and number of ranks."""

    def __init__(self, data: Dataset, chosen: np.ndarray, config: Training, position: Callable[[], tuple[int, int, int]]):
        self.data, self.chosen, self.every, self.position = data, chosen, config.validate_every, position
        self.buckets = Buckets(data.sizes[chosen], config.pair_budget, config.seed)

    def __len__(self) -> int:
        return self.every

    def __iter__(self) -> Iterator[Batch]:
        step, rank, world = self.position()
        batches = self.buckets.stream(step, rank, world)
        for _ in range(step, (step // self.every + 1) * self.every):
            yield self.data.batch(self.chosen[next(batches)])


class Validation(torch.utils.data.Dataset[Batch]):
    """The validation samples in batches of similar size, always the same."""

    def __init__(self, data: Dataset, chosen: np.ndarray, pair_budget: int):
        self.data = data
        self.batches = [chosen[group] for group in Buckets(data.sizes[chosen], pair_budget, seed=0).epoch(0)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.data.batch(self.batches[index])


class Module(lightning.LightningModule):
    """The denoiser, its moving average and the objective."""

    def __init__(self, experiment: Experiment, statistics: Statistics, weights: Mapping[str, Tensor] | None = None):
        super().__init__()
        self.experiment, self.statistics = experiment, statistics
        self.denoiser = build_denoiser(experiment, statistics)
        if weights is not None:
            self.denoiser.load_state_dict(weights)
        self.average = AveragedModel(self.denoiser, multi_avg_fn=average_weights(experiment.train.ema)).requires_grad_(False)
        self.spent, self._clock, self.items = 0.0, time.monotonic(), 0
        self.domain = experiment.domain
        self.max_seconds = parse_time(experiment.train.max_time)
        if experiment.train.compile:
            self.denoiser.backbone.compile(dynamic=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.experiment.train
        return torch.optim.AdamW(self.denoiser.parameters(), config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay)

    @property
    def progress(self) -> float:
        """Share of the budget spent, in steps or in time, whichever is larger."""
        config = self.experiment.train
        return min(1.0, max(self.global_step / max(1, config.max_steps), self.spent / self.max_seconds))

    def _generator(self, *key: int) -> torch.Generator:
        mixed = 0
        for part in (self.experiment.train.seed, *key):
            mixed = (mixed * 1_000_003 + part + 1) % (2**63 - 1)
        return torch.Generator(self.device).manual_seed(mixed)

    def on_train_start(self) -> None:
        self._clock = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        rate = learning_rate(self.experiment.train, self.global_step, self.progress)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        generator = self._generator(self.global_step, self.global_rank)
        total, losses = self.experiment.objective(self.denoiser, self.denoiser.process, self.domain.view(batch, generator), generator)
        if not torch.isfinite(total):
            raise RunError(
                f"the loss is not finite at step {self.global_step} ({', '.join(f'{k} {v.item():.3g}' for k, v in losses.items())}); "
                f"the last checkpoint is good: go on from it with a lower train.learning_rate or train.gradient_clip"
            )
        self.items += len(batch) * self.trainer.world_size
        self.log("loss", total.detach(), prog_bar=True)
        self.log_dict({f"loss_{name}": value.detach() for name, value in losses.items()})
        return total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.denoiser.parameters() if p.grad is not None])
        if not torch.isfinite(norm):
            raise RunError(
                f"gradients are not finite at step {self.global_step}; "
                f"the last checkpoint is good: go on from it with a lower train.learning_rate"
            )
        self.log("gradient_norm", norm)

    def finish_step(self) -> None:
        """Averages the weights and the clock; `Keeper` calls it, since Lightning runs the module's hooks after those of callbacks."""
        self.average.update_parameters(self.denoiser)
        now = time.monotonic()
        self.spent, self._clock = self.spent + now - self._clock, now
        self.log(f"{self.domain.items}_per_s", self.items / max(self.spent, 1e-9), prog_bar=True)
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        if self.spent >= self.max_seconds:
            self.trainer.should_stop = True

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        generator = self._generator(2**31, batch_idx)
        view = self.domain.view(batch, generator)
        total, losses = self.experiment.objective(self.average.module, self.denoiser.process, view, generator)
        names = {"valid_loss": total, **{f"valid_{name}": value for name, value in losses.items()}}
        self.log_dict(names, batch_size=len(batch), prog_bar=False, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        every = self.experiment.train.sample_every
        if every and (self.current_epoch + 1) % every == 0:
            self.log_dict(self.sampled_quality(64), prog_bar=True)

    def sampled_quality(self, count: int) -> dict[str, float]:
        """The domain's figures about ``count`` samples of the averaged weights, at 50 steps."""
        model = Model(Checkpoint("run", self.experiment, self.statistics, cast(Preconditioned, self.average.module)), self.device)
        sizes, seeds = model.plan(Request(), range(count))
        return self.domain.quality(model.run(sizes, seeds, Request()))

    def on_validation_end(self) -> None:
        self._clock = time.monotonic()  # validation is not training time

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["molgen"] = {"spent": self.spent, "molecules": self.items, "step": self.global_step}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.spent, self.items = checkpoint["molgen"]["spent"], checkpoint["molgen"]["molecules"]


class Bar(RichProgressBar):
    """Progress to the next validation, with the step of the run and the figures that say how it goes."""

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return {"step": f"{trainer.global_step}/{trainer.max_steps}", **shown}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Round {current_epoch + 1}"  # Lightning's epoch is the way to the next validation here


class Keeper(Callback):
    """Saves the state to resume from and the averaged weights to sample from: regularly, at the end, on SIGTERM and on Ctrl-C."""

    def __init__(self, folder: Path, every: int):
        self.folder, self.every, self.saved = folder, every, -1
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        def stop(number: int, frame: Any) -> None:
            trainer.should_stop = True

        if threading.current_thread() is threading.main_thread():
            for name in (signal.SIGTERM, signal.SIGINT):
                self._handlers[name] = signal.signal(name, stop)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        cast(Module, pl_module).finish_step()
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(trainer.should_stop, all=False)  # all ranks stop at the same step
        if trainer.global_step % self.every == 0 or trainer.should_stop:
            self.save(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.saved != trainer.global_step:
            self.save(trainer, pl_module)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        for name, handler in self._handlers.items():
            signal.signal(name, handler)

    def save(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Writes both files, each whole or not at all.

        Raises:
            InputError: if the folder cannot be written or the disk is full.
        """
        assert isinstance(module, Module)
        self.saved, state = trainer.global_step, self.folder / STATE
        with atomic_path(state) if trainer.is_global_zero else nullcontext(state) as path:
            trainer.save_checkpoint(path)  # every rank takes part, rank 0 writes
        if trainer.is_global_zero:
            hours = module.spent / 3600
            origin = f"from {module.experiment.train.start}, " if module.experiment.train.start else ""
            card = {
                "description": f"{origin}trained for {trainer.global_step} steps, {module.items} {module.domain.items}, {hours:.2f} h",
                "data": module.experiment.data.path,
                "molgen": __version__,
            }
            save_checkpoint(self.folder, module.experiment, module.statistics, module.average.module.state_dict(), card)


def split_validation(experiment: Experiment, data: Dataset) -> tuple[np.ndarray, Dataset, np.ndarray]:
    """Numbers of the training samples, validation data, numbers of the validation samples in it."""
    everything = np.arange(len(data))
    folder, beside = experiment.data.valid, data.path.parent / "valid"
    if not folder and data.path.name == "train" and (beside / "statistics.json").is_file():
        folder = str(beside)
    if folder:
        valid = experiment.domain.open(folder, experiment.data.conditions)
        if valid.statistics.vocabulary != data.statistics.vocabulary:
            names = " or ".join(data.statistics.vocabulary)
            raise InputError(f"{folder}: {names} differ from those of {data.path}; split one data set with `molgen prepare --split`")
        return everything, valid, np.arange(len(valid))
    count = min(round(experiment.data.valid_fraction * len(data)), 2000)
    chosen = np.sort(np.random.default_rng(0).permutation(len(data))[:count])
    return np.setdiff1d(everything, chosen), data, chosen


def build_trainer(config: Training, folder: Path) -> lightning.Trainer:
    """Lightning's trainer with our loggers, progress bar and `Keeper`.

    Raises:
        InputError: this machine does not have the device.
    """
    try:
        return lightning.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            precision=config.precision,
            max_steps=config.max_steps,
            max_epochs=-1,
            gradient_clip_val=config.gradient_clip or None,
            callbacks=[Keeper(folder, config.checkpoint_every), Bar()],
            logger=[CSVLogger(folder, name="", version=""), TensorBoardLogger(folder, name="", version="tensorboard")],
            log_every_n_steps=20,
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(f"train.accelerator={config.accelerator}, train.devices={config.devices}: {reason}; use auto and 1") from None


def fit(experiment: Experiment) -> Path:
    """Trains an experiment in the folder ``train.out``, or goes on with the run that the folder holds; returns the folder.

    Raises:
        InputError: for bad data or settings, or a folder that holds a run of another model.
        RunError: when the loss or the gradients are no longer finite.
    """
    config = experiment.train
    if not config.out:
        raise InputError("train.out is empty: give the run a folder, train.out=RUN")
    if not experiment.data.path:
        raise InputError("data.path is empty: give a prepared data set, data.path=DIR")
    parse_time(config.max_time)  # a bad text is told before the data are read
    data = experiment.domain.open(experiment.data.path, experiment.data.conditions)
    chosen, valid, held_out = split_validation(experiment, data)
    folder = Path(config.out)
    state = folder / STATE
    weights, statistics = starting_point(experiment, data.statistics, folder if state.is_file() else None)
    torch.manual_seed(config.seed)  # initial weights
    module = Module(experiment, statistics, weights)
    strange = set(experiment.objective.weights) - set(module.denoiser.process.processes)
    if strange:
        raise InputError(f"objective.weights: no field {min(strange)!r}; there are {', '.join(module.denoiser.process.processes)}")
    trainer = build_trainer(config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    stream = Stream(data, chosen, config, lambda: (trainer.global_step, trainer.global_rank, trainer.world_size))
    loaders = [DataLoader(stream, batch_size=None)]
    if len(held_out):
        loaders.append(DataLoader(Validation(valid, held_out, config.pair_budget), batch_size=None))
    try:
        trainer.fit(module, *loaders, ckpt_path=state if state.is_file() else None, weights_only=True)
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise InputError(f"{state}: belongs to a model of other sizes; give another train.out or the configuration of that run") from None
    return folder
