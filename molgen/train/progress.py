"""How far a run is: a bar in a terminal, else a line now and then."""

import math
import sys
import time
from datetime import timedelta
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks.progress.rich_progress import CustomTimeColumn, RichProgressBar
from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

EVERY = 60.0
"""Seconds between two lines, but for those of validations."""


def progress() -> Callback:
    """A bar, or lines on standard error where what is printed goes to a file or a pipe."""
    console = Console()
    return Bar(refresh_rate=20 if torch.cuda.is_available() else 1) if console.is_terminal or console.is_jupyter else Lines()


class Lines(Callback):
    """A line after every validation and every minute: step, time, and the figures of the bar."""

    def __init__(self) -> None:
        self.began = self.told = time.monotonic()
        self.step = -1

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.began = self.told = time.monotonic()
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *batch: Any) -> None:
        if time.monotonic() - self.told >= EVERY:
            self.tell(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.tell(trainer)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.tell(trainer)

    def tell(self, trainer: lightning.Trainer) -> None:
        """Prints a line, of the first of several processes and once a step."""
        if not trainer.is_global_zero or trainer.global_step == self.step:
            return
        self.told, self.step = time.monotonic(), trainer.global_step
        figures = {name: value for name, value in trainer.progress_bar_metrics.items() if name != "v_num"}
        figures |= {name: value for name, value in trainer.callback_metrics.items() if name == "valid_loss"}
        words = [f"{name.replace('_per_s', '/s').replace('_', ' ')} {float(value):.4g}" for name, value in figures.items()]
        spent = timedelta(seconds=int(self.told - self.began))
        print(f"step {self.step} of {trainer.max_steps}, {spent}: {', '.join(words)}", file=sys.stderr, flush=True)


class Clock(CustomTimeColumn):
    """Time since the beginning of a round, and until its end or the end of `train.max_time`, whichever comes first."""

    def __init__(self, trainer: lightning.Trainer, style: Any) -> None:
        super().__init__(style)
        self.trainer = trainer

    def render(self, task: Task) -> Text:
        module: Any = self.trainer.lightning_module
        left = min(math.inf if task.time_remaining is None else task.time_remaining, max(0.0, module.max_seconds - module.spent))
        elapsed = task.finished_time if task.finished else task.elapsed
        shown = ("-:--:--" if time is None or math.isinf(time) else str(timedelta(seconds=int(time))) for time in (elapsed, left))
        return Text(" • ".join(shown), style=self.style)


class Bar(RichProgressBar):
    """Progress to the next validation, with the step of the run and the figures that say how it goes."""

    def configure_columns(self, trainer: lightning.Trainer) -> list[ProgressColumn]:
        """Lightning's columns, with a `Clock` for its own."""
        columns = super().configure_columns(trainer)
        return [Clock(trainer, column.style) if isinstance(column, CustomTimeColumn) else column for column in columns]

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return {"step": f"{trainer.global_step}/{trainer.max_steps}", **shown}

    @property
    def total_train_batches(self) -> int | float:
        """Steps of the round, from its beginning to the next validation or the last step, also where a run goes on within it."""
        trainer, every = self.trainer, self.trainer.num_training_batches
        return min(every, trainer.max_steps - trainer.global_step // every * every)

    def _get_train_description(self, current_epoch: int) -> str:
        trainer = self.trainer  # whose epochs are the ways to the next validation here, and one begins where a run goes on
        return f"Round {trainer.global_step // int(trainer.num_training_batches) + 1}"
