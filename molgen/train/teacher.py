"""The denoiser behind the objective of an estimator."""

from functools import cached_property
from typing import Protocol, runtime_checkable

import torch

from molgen.batch import Batch
from molgen.checkpoint import load_checkpoint, load_statistics
from molgen.diffusion.condition import Scalar
from molgen.diffusion.estimation import Estimates, Estimation
from molgen.diffusion.rounding import Rounded, multiplies_bfloat16
from molgen.domain import Dataset
from molgen.errors import InputError
from molgen.experiment import Experiment
from molgen.statistics import Statistics
from molgen.types import Tensor

APART = 10.0
"""Distance of the means of a label from which on it is taken for another quantity, in deviations of that of the model."""
FEW = 10
"""Known values below which a label is not learned."""


@runtime_checkable
class Translatable(Protocol):
    """Data that can be read with the vocabulary of a model."""

    def translated(self, model: Statistics, name: str) -> Dataset:
        """The same samples and labels in the classes of a model.

        Raises:
            InputError: if the model called ``name`` lacks a class.
        """
        ...


def open_data(experiment: Experiment, path: str) -> Dataset:
    """The data of an experiment; those of an estimator in the vocabulary of the model whose guesses it reads.

    Raises:
        InputError: a file is missing or damaged, a label is unknown, there is no such model, or it lacks an element or charge of the data.
    """
    data = experiment.domain.open(path, experiment.data.conditions)
    if not isinstance(experiment.objective, Estimation) or not experiment.objective.denoiser or not isinstance(data, Translatable):
        return data
    model = load_statistics(experiment.objective.denoiser)
    return data.translated(model, experiment.objective.denoiser) if type(model) is type(data.statistics) else data


class Taught:
    """The objective of an estimator, bound to the model whose guesses it reads.

    Args:
        experiment: with an objective of this kind.
        statistics: of the training data, in the vocabulary of the model.

    Raises:
        InputError: no model is given, it has another vocabulary or means something else by a label, nobody knows the values of a label, or
            samples are asked for.
    """

    def __init__(self, experiment: Experiment, statistics: Statistics):
        assert isinstance(experiment.objective, Estimation)
        self.objective = experiment.objective
        if not self.objective.denoiser:
            raise InputError("objective.denoiser is empty: give the model whose guesses are read, objective.denoiser=MODEL")
        if experiment.train.sample_every:
            raise InputError("train.sample_every: an estimator has nothing to sample; leave it out")
        self.conditions = experiment.domain.conditions(experiment.data.conditions, statistics)
        for name in self.conditions.names:
            if (count := statistics.label(name).count) < FEW:
                raise InputError(f"data.conditions: {name} is known for {count} molecules, from which nothing can be learned; leave it out")
        model = load_checkpoint(self.objective.denoiser)
        if model.statistics.vocabulary != statistics.vocabulary:
            names = " or ".join(statistics.vocabulary)
            raise InputError(f"objective.denoiser={self.objective.denoiser}: {names} of that model differ from those of the data")
        for member in self.conditions.members:
            old = model.denoiser.conditions[member.name] if member.name in model.denoiser.conditions.names else member
            if isinstance(old, Scalar) and isinstance(member, Scalar) and abs(member.mean - old.mean) > APART * old.scale:
                known = f"mean {member.mean:.4g} in the data, {old.mean:.4g} ± {old.std:.4g} in those of the model {model.name}"
                raise InputError(f"data.conditions: {member.name} has the {known}: another quantity or unit; give the label another name")
        self.process, self.model = model.denoiser.process, model.denoiser

    @cached_property
    def _rounded(self) -> Rounded:
        return Rounded(self.model)

    def __call__(self, network: Estimates, clean: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss, and each loss; the noise is that of the model."""
        device = clean.mask.device
        self.model.to(device)
        denoiser = self._rounded if multiplies_bfloat16(device) else self.model
        loss = self.objective.loss(network, self.conditions, denoiser, self.process, clean, generator)
        return self.objective.weights.get("likelihood", 1.0) * loss, {"likelihood": loss}
