"""What a run leaves on the disk: the state that it resumes from and the averaged weights to sample from."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from molgen import __version__
from molgen.checkpoint import describe
from molgen.experiment import Training
from molgen.tensors import write_tensors
from molgen.train.module import Module
from molgen.train.state import check_readable, find_state, next_state
from molgen.types import Tensor

LARGEST = 16 * 2**20
"""Weights that need more bytes in single precision are kept in bfloat16."""
STOPS = [one for one in signal.Signals if one.name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")]
"""Signals at which a run saves and stops, unless it is to ignore that the terminal closes (nohup), or SIGUSR1, by which Slurm warns of the
end of a job, means something else in the program; who starts it has his own handlers again when it ends."""


class Checkpointing(Callback):
    """Saves the state to resume from and the averaged weights to sample from: regularly, at the end, on SIGTERM, SIGHUP and Ctrl-C.

    ``doubtful`` tells whether the last save was left out, for weights that may be ruined.
    """

    def __init__(self, folder: Path, every: int):
        self.folder, self.every, self.saved = folder, every, -1
        self.interrupted = self.doubtful = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        def stop(number: int, frame: Any) -> None:
            self.interrupted = True  # ranks agree on it at the end of a step: one that stopped by itself would leave the others waiting

        if trainer.strategy.broadcast(find_state(self.folder)) is not None:
            self.saved = trainer.global_step
        for callback in trainer.callbacks:
            check_readable(callback.state_key, callback.state_dict())  # now, rather than after the steps up to the first save
        if threading.current_thread() is threading.main_thread():
            for name in STOPS:
                before = signal.getsignal(name)
                taken = before is signal.SIG_IGN if name.name == "SIGHUP" else name.name == "SIGUSR1" and before is not signal.SIG_DFL
                if not taken:
                    signal.signal(name, stop)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        stops = trainer.should_stop or self.interrupted
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(stops, all=False)  # all ranks stop at the same step
        config = cast(Module, pl_module).experiment.train
        judged = trainer.global_step % config.validate_every == 0
        awaits = judged and config.patience and any(trainer.num_val_batches)  # then what the validation says belongs to the state
        if self._due(trainer) and (trainer.should_stop or not awaits):
            self.save(trainer, pl_module)
        # Lightning asks after this whether the step is logged: also the last one, and those after which `train.patience` may end the run
        last = trainer.should_stop or trainer.global_step >= trainer.max_steps or judged
        trainer.log_every_n_steps = 1 if last else log_every(config)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        module = cast(Module, pl_module)
        patience = module.experiment.train.patience
        if patience:
            module.best.see(float(trainer.callback_metrics["valid_loss"]), trainer.global_step, module.average.state_dict())
            trainer.should_stop = trainer.should_stop or module.best.waited >= patience
            if self._due(trainer):
                self.save(trainer, module)

    def _due(self, trainer: lightning.Trainer) -> bool:
        """Whether a save belongs to this step."""
        return trainer.should_stop or trainer.global_step % self.every == 0

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.saved != trainer.global_step:
            self.save(trainer, pl_module)

    def save(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Writes the state and the weights, each whole or not at all; weights that may be ruined do not replace good ones.

        Raises:
            InputError: if the folder cannot be written or the disk is full.
        """
        assert isinstance(module, Module)
        module.check()
        doubtful = module.divergence.large > 0 and find_state(self.folder) is not None
        self.doubtful, path = trainer.strategy.broadcast((doubtful, next_state(self.folder)))  # of rank 0: others may see files later
        if self.doubtful:
            return
        self.saved = trainer.global_step
        if trainer.is_global_zero:  # before the state: who finds that finds the configuration that it belongs to
            hours = module.spent / 3600
            origin = f"from {module.experiment.train.start}, " if module.experiment.train.start else ""
            kept = f"; the weights of step {module.best.step}, validation loss {module.best.loss:.4g}" if module.best.weights else ""
            trained = f"trained for {trainer.global_step} steps, {module.items} {module.domain.items}, {hours:.2f} h"
            card = {
                "description": f"{origin}{trained}{kept}",
                "data": module.experiment.data.path,
                "molgen": __version__,
            }
            describe(self.folder, module.experiment, module.statistics, card)
        trainer.save_checkpoint(path)  # every rank takes part, rank 0 writes
        if trainer.is_global_zero:
            write_tensors(self.folder / "model.safetensors", narrow(module.best.weights or module.average.state_dict()))
        trainer.strategy.barrier()  # whoever goes on finds the weights


def log_every(config: Training) -> int:
    """Steps from one row of the logs to the next."""
    return min(20, config.validate_every)


@contextmanager
def own_handlers() -> Iterator[None]:
    """Afterwards the signals of ``STOPS`` do what they did before, whatever Lightning and callbacks have left of their own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.getsignal(name) for name in STOPS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def narrow(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights to sample from: in single precision, or in bfloat16 where that would make a file of more than 16 MiB."""
    large = sum(value.nbytes for value in weights.values()) > LARGEST
    return {name: value.to(torch.bfloat16) if large and value.is_floating_point() else value for name, value in weights.items()}
