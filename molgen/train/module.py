"""The training step: denoiser, objective, optimiser, moving average and validation."""

import time
from collections.abc import Mapping
from typing import Any, cast

import lightning
import torch
from torch.optim.swa_utils import AveragedModel

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint, build_network
from molgen.config import Experiment
from molgen.diffusion.denoiser import Preconditioned
from molgen.domain import Statistics
from molgen.errors import RunError
from molgen.sample import Model, Request
from molgen.train.explosion import Watch
from molgen.train.schedule import average_weights, learning_rate, parse_time
from molgen.types import Tensor


class Module(lightning.LightningModule):
    """The denoiser, its moving average and the objective."""

    def __init__(self, experiment: Experiment, statistics: Statistics, weights: Mapping[str, Tensor] | None = None):
        super().__init__()
        self.experiment, self.statistics = experiment, statistics
        self.denoiser: Any = build_network(experiment, statistics)
        if weights is not None:
            self.denoiser.load_state_dict(weights)
        self.average = AveragedModel(self.denoiser, multi_avg_fn=average_weights(experiment.train.ema)).requires_grad_(False)
        self.spent, self._clock, self.items = 0.0, time.monotonic(), 0
        self.watch = Watch()
        self.domain = experiment.domain
        self.max_seconds = parse_time(experiment.train.max_time)

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
        if self.watch.exploded(float(norm)):
            raise RunError(
                f"gradients explode at step {self.global_step}: {norm:.2g}, usually {self.watch.usual:.2g}; "
                f"the last checkpoint is good: go on from it with a lower train.learning_rate or train.gradient_clip"
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
        total, losses = self.experiment.objective(cast(Any, self.average.module), self.denoiser.process, view, generator)
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
