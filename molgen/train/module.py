"""The training step: denoiser, objective, optimiser, moving average and validation."""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import lightning
import torch

from molgen.batch import Batch
from molgen.checkpoint import Checkpoint, build_network
from molgen.diffusion.denoiser import Preconditioned
from molgen.diffusion.estimation import Estimation
from molgen.diffusion.objective import Loss, Objective
from molgen.errors import InputError, RunError
from molgen.experiment import Experiment
from molgen.finetune import starting_point
from molgen.nn.equivariant import EquivariantTransformer
from molgen.nn.point_autoencoder import Autoencoder
from molgen.sample import Model, Request
from molgen.statistics import Statistics
from molgen.train.checks import check_terms, check_trainer
from molgen.train.divergence import DivergenceMonitor
from molgen.train.early_stopping import BestWeights
from molgen.train.graphs import Graphs
from molgen.train.muon import Muon, split_parameters
from molgen.train.schedule import average_decay, learning_rate, parse_time
from molgen.train.speed import COUNTED
from molgen.train.state import find_state
from molgen.train.teacher import Taught
from molgen.types import Tensor

LATEST = 20
"""Steps after which losses and gradients on a GPU are looked at."""


class Module(lightning.LightningModule):
    """The denoiser, its moving average and the objective.

    Args:
        experiment: what to train, and how.
        statistics: of the training data.
        weights: to start from; random ones without.
        shapes: (b, n) of the batches that get CUDA graphs, where there are any.
    """

    def __init__(
        self,
        experiment: Experiment,
        statistics: Statistics,
        weights: Mapping[str, Tensor] | None = None,
        shapes: Sequence[tuple[int, int]] = (),
    ):
        super().__init__()
        self.experiment, self.statistics, self.shapes = experiment, statistics, shapes
        self.graphs: Graphs | None = None
        self.losses: dict[str, Tensor] = {}
        self.unseen: list[tuple[int, dict[str, Tensor]]] = []
        self.denoiser: Any = build_network(experiment, statistics)
        check_terms(experiment, self.denoiser.process)
        self.objective: Loss = Taught(experiment, statistics) if isinstance(experiment.objective, Estimation) else experiment.objective
        self.started = weights is not None or not experiment.train.start
        if weights is not None:
            self.denoiser.load_state_dict(weights)
        if isinstance(self.denoiser, Autoencoder) and experiment.train.start:
            self.denoiser.encoder.requires_grad_(False)  # models of its latent clouds stay valid
        self.average: Any = copy.deepcopy(self.denoiser).requires_grad_(False)
        self.spent, self._clock, self.items = 0.0, time.monotonic(), 0
        self.divergence, self.best = DivergenceMonitor(), BestWeights()
        self.domain = experiment.domain
        self.max_seconds = parse_time(experiment.train.max_time)

    @classmethod
    def start(
        cls, experiment: Experiment, statistics: Statistics, resumed: Path | None = None, shapes: Sequence[tuple[int, int]] = ()
    ) -> "Module":
        """The module of a new run: with the weights of ``train.start``, or random ones of ``train.seed``.

        Args:
            experiment: what to train, and how.
            statistics: of the training data.
            resumed: folder of a run that goes on; its state, which the trainer loads, has the weights.
            shapes: (b, n) of the batches that get CUDA graphs, where there are any.

        Raises:
            InputError: there is no such model, or it does not fit; or the run that goes on learned something else.
        """
        weights, statistics = starting_point(experiment, statistics, resumed)
        torch.manual_seed(experiment.train.seed)
        return cls(experiment, statistics, weights, shapes)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.experiment.train
        if config.optimizer == "adam":
            return torch.optim.AdamW(self.denoiser.parameters(), config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay)
        return Muon(*split_parameters(self.denoiser), config.learning_rate, weight_decay=config.weight_decay)

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

    def on_fit_start(self) -> None:
        check_trainer(self.trainer, self.experiment.train)
        if not self.started:
            raise InputError(f"train.start={self.experiment.train.start}: the module has random weights; make it by Module.start(...)")
        if not self.experiment.train.cuda_graphs or self.device.type != "cuda" or self.trainer.world_size > 1:
            return
        if not isinstance(self.experiment.model, EquivariantTransformer):
            raise InputError("train.cuda_graphs=true: only model.kind=equivariant_transformer can be captured; leave train.cuda_graphs out")

        def loss(batch: Batch, again: bool) -> tuple[Tensor, dict[str, Tensor]]:
            return cast(Objective, self.objective)(self.denoiser, batch, again=again)

        self.graphs = Graphs(loss, list(self.denoiser.parameters()), self.shapes)

    @property
    def replays(self) -> bool:
        """Whether a graph sets the gradients of this step, which is not among those whose operations are counted."""
        return self.graphs is not None and self.global_step >= COUNTED

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if not self.replays:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        if not self.replays:
            optimizer.zero_grad()

    def on_train_start(self) -> None:
        if self.trainer.lr_scheduler_configs:
            raise InputError("the learning rate is that of train.learning_rate; leave schedulers and searches for a rate out")
        self._clock = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if self.trainer.accumulate_grad_batches != 1:  # what a callback may have changed
            raise InputError("accumulate_grad_batches: batches are made by train.pair_budget; give a larger one")
        rate = learning_rate(self.experiment.train, self.global_step, self.progress)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        generator = self._generator(self.global_step, self.global_rank)
        view = self.domain.view(batch, generator)
        if self.replays:
            seed = self._generator(self.global_step, self.global_rank, 1).initial_seed()  # other numbers than those of the view
            total, losses = cast(Graphs, self.graphs).step(view, seed, cast(Objective, self.objective).repeats(generator))
        else:
            total, losses = self.objective(self.denoiser, view, generator)
        self.losses = {"total": total.detach(), **{name: value.detach() for name, value in losses.items()}}
        self.items += len(batch) * self.trainer.world_size
        self.log("loss", total.detach(), prog_bar=True)
        self.log_dict({f"loss_{name}": value.detach() for name, value in losses.items()})
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Takes the step and finishes it before callbacks see its end, in whatever trainer."""
        super().optimizer_step(*args, **kwargs)
        self.finish_step()

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Takes the norm of the gradients, and clips them by it.

        Raises:
            InputError: they are to be clipped one by one.
        """
        if gradient_clip_val and gradient_clip_algorithm == "value":
            raise InputError("gradient_clip_algorithm=value: gradients are clipped by their norm; leave it out")
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        self.unseen.append((self.global_step, {**self.losses, "norm": norm}))
        self.log("gradient_norm", norm)
        if self.device.type == "cpu" or len(self.unseen) >= LATEST:
            self.check()
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def check(self) -> None:
        """Looks at the losses and gradients of the steps since the last look; a GPU need not wait for it at every step.

        Raises:
            RunError: some are not finite, or gradients explode.
        """
        for step, values in self.unseen:
            found = {name: float(value) for name, value in values.items()}
            norm, total = found.pop("norm"), found.pop("total", 0.0)
            if not math.isfinite(total):
                terms = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
                raise RunError(f"the loss is not finite at step {step} ({terms}); {self._remedy()} or train.gradient_clip")
            if not math.isfinite(norm):
                raise RunError(f"gradients are not finite at step {step}; {self._remedy()}")
            if self.divergence.diverged(norm):
                usual = f"{norm:.2g}, usually {self.divergence.usual:.2g}"
                raise RunError(f"gradients explode at step {step}: {usual}; {self._remedy()} or train.gradient_clip")
        self.unseen.clear()

    def _remedy(self) -> str:
        if find_state(Path(self.experiment.train.out)) is None:
            return "nothing is saved yet: look at the data for odd records, or lower train.learning_rate"
        return "the last checkpoint is good: go on from it with a lower train.learning_rate"

    def average_weights(self, step: int) -> None:
        """Moves the running average towards the weights after a step."""
        decay = average_decay(self.experiment.train, step)
        torch._foreach_lerp_(list(self.average.parameters()), [p.detach() for p in self.denoiser.parameters()], 1 - decay)
        for average, now in zip(self.average.buffers(), self.denoiser.buffers(), strict=True):
            average.copy_(now)  # such as the moments of an autoencoder's features, which are averages already

    def finish_step(self) -> None:
        """Averages the weights and takes the time; ``global_step`` does not count the step yet."""
        self.average_weights(self.global_step + 1)
        now = time.monotonic()
        self.spent, self._clock = self.spent + now - self._clock, now
        if self.trainer.world_size > 1:  # one clock for all ranks: learning rates that differ would drive their weights apart
            self.spent = self.trainer.strategy.broadcast(self.spent)
        figures = {
            f"{self.domain.items}_per_s": self.items / max(self.spent, 1e-9),
            "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        for name, value in figures.items():
            # as tensors that are filled on the device: a number that is copied there would wait for the whole step
            self.log(name, torch.full((), value, device=self.device), prog_bar=name != "learning_rate")
        other = self.trainer.max_steps != self.experiment.train.max_steps and self.global_step + 1 >= self.experiment.train.max_steps
        if self.spent >= self.max_seconds or other:
            self.trainer.should_stop = True

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        generator = self._generator(2**31, batch_idx)
        view = self.domain.view(batch, generator)
        total, losses = self.objective(self.average, view, generator)
        names = {"valid_loss": total, **{f"valid_{name}": value for name, value in losses.items()}}
        self.log_dict(names, batch_size=len(batch), prog_bar=False, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        every = self.experiment.train.sample_every
        if every and (self.current_epoch + 1) % every == 0:
            self.log_dict(self.sampled_quality(64), prog_bar=True)

    def sampled_quality(self, count: int) -> dict[str, float]:
        """The domain's figures about ``count`` samples of the averaged weights, at 50 steps."""
        model = Model(Checkpoint("run", self.experiment, self.statistics, cast(Preconditioned, self.average)), self.device)
        return self.domain.quality(model.run(model.plan(Request(), range(count)), Request()))

    def on_validation_end(self) -> None:
        self._clock = time.monotonic()  # validation is not training time

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["molgen"] = {
            "spent": self.spent,
            "items": self.items,
            "divergence": asdict(self.divergence),
            "best": asdict(self.best),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own, self.started = checkpoint["molgen"], True
        self.spent, self.items = own["spent"], own["items"]
        self.divergence, self.best = DivergenceMonitor(**own["divergence"]), BestWeights(**own["best"])
