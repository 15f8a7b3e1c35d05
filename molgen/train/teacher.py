"""The denoiser behind the objective of an estimator."""

import torch

from molgen.batch import Batch
from molgen.checkpoint import estimated, load_checkpoint
from molgen.config import Experiment
from molgen.diffusion.estimation import Estimates, Estimation
from molgen.diffusion.rounding import Rounded
from molgen.domain import Statistics
from molgen.errors import InputError
from molgen.types import Tensor


class Taught:
    """The objective of an estimator, bound to the model whose guesses it reads.

    Args:
        experiment: with an objective of this kind.
        statistics: of the training data.

    Raises:
        InputError: no model is given, it has another vocabulary or does not know a label, or samples are asked for.
    """

    def __init__(self, experiment: Experiment, statistics: Statistics):
        assert isinstance(experiment.objective, Estimation)
        self.objective = experiment.objective
        if not self.objective.denoiser:
            raise InputError("objective.denoiser is empty: give the model whose guesses are read, objective.denoiser=MODEL")
        if experiment.train.sample_every:
            raise InputError("train.sample_every: an estimator has nothing to sample; leave it out")
        self.conditions = estimated(experiment, statistics)
        model = load_checkpoint(self.objective.denoiser)
        if model.statistics.vocabulary != statistics.vocabulary:
            names = " or ".join(statistics.vocabulary)
            raise InputError(f"objective.denoiser={self.objective.denoiser}: {names} of that model differ from those of the data")
        asked = model.denoiser.conditions.names
        if stray := [name for name in self.conditions.names if name not in asked]:
            knows = f"; it knows {', '.join(asked)}" if asked else ""
            raise InputError(f"data.conditions: the model {model.name} cannot be asked for {stray[0]}{knows}; leave it out")
        self.process, self.denoiser = model.denoiser.process, Rounded(model.denoiser)

    def __call__(
        self, network: Estimates, process: None, clean: Batch, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss, and each loss; the noise is that of the model."""
        self.denoiser.denoiser.to(clean.mask.device)
        loss = self.objective.loss(network, self.conditions, self.denoiser, self.process, clean, generator)
        return self.objective.weights.get("likelihood", 1.0) * loss, {"likelihood": loss}
