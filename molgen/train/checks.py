"""What is refused before a run begins."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback, Checkpoint, StochasticWeightAveraging, WeightAveraging

from molgen.config import dump_experiment
from molgen.errors import InputError, got
from molgen.experiment import Experiment, Training
from molgen.files import encodable
from molgen.train.schedule import parse_time

PRECISIONS = get_args(get_type_hints(Training)["precision"])
"""Of a run."""
FAR = 50
"""Times ``train.pair_budget`` from which on a molecule is not trained on."""


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Refuses callbacks of Lightning that do not go together with how molgen trains.

    Raises:
        InputError: saying what does.
    """
    if not isinstance(callbacks, Sequence):
        raise InputError(f"callbacks: expected a list, got {type(callbacks).__name__}; write [callback]")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise InputError(f"callbacks: expected objects of classes of lightning.pytorch.callbacks.Callback, got {got(callback)}")
        if isinstance(callback, Checkpoint):
            name = type(callback).__name__
            raise InputError(f"callbacks: {name}: molgen keeps the state and the averaged weights itself, see train.checkpoint_every")
        _refuse_average(callback)


def check_trainer(trainer: lightning.Trainer, config: Training) -> None:
    """Refuses what a trainer of one's own would do to batches, weights and their averages that are a matter of the run, and says what else.

    Raises:
        InputError: naming the option or the callback.
    """
    for callback in trainer.callbacks:
        _refuse_average(callback)
    if trainer.precision not in PRECISIONS:
        raise InputError(f"precision={trainer.precision}: expected {' or '.join(PRECISIONS)}")
    if trainer.overfit_batches:
        raise InputError("overfit_batches: every step has a batch of its own; train on a data set of few samples instead")
    if 0 <= trainer.max_steps < config.max_steps and not config.max_time and not trainer.fast_dev_run:
        warnings.warn(
            f"Trainer(max_steps={trainer.max_steps}) ends before the learning rate has fallen, which follows "
            f"train.max_steps={config.max_steps}; give both the same",
            stacklevel=2,
        )


def _refuse_average(callback: Callback) -> None:
    if isinstance(callback, WeightAveraging | StochasticWeightAveraging):
        raise InputError(f"callbacks: {type(callback).__name__}: molgen averages the weights itself, see train.ema")


def check_sizes(experiment: Experiment, sizes: np.ndarray) -> None:
    """Refuses molecules far above the budget, whose pairs all come in one batch; of clouds only some points are drawn.

    Args:
        experiment: with the budget.
        sizes: (n,) nodes of all samples.

    Raises:
        InputError: there are some.
    """
    budget, largest = experiment.train.pair_budget, int(sizes.max())
    large = int((sizes.astype(np.int64) ** 2 > FAR * budget).sum())
    if large and experiment.fields.kind == "molecule":
        raise InputError(
            f"train.pair_budget={budget}: {large} molecules have more than {FAR} times as many pairs in a batch of their own, "
            f"the largest of {largest} atoms {largest**2}; leave them out of the data, or give a larger budget if the memory allows it"
        )


def check_settings(experiment: Experiment) -> None:
    """Checks what can be told without reading the data.

    Raises:
        InputError: there is no folder or no data set, a time that cannot be read, a part that cannot be saved, or a condition named twice.
    """
    if not experiment.train.out:
        raise InputError("train.out is empty: give the run a folder, train.out=RUN")
    if not experiment.data.path:
        raise InputError("data.path is empty: give a prepared data set, data.path=DIR")
    parse_time(experiment.train.max_time)
    dump_experiment(experiment)
    names = experiment.data.conditions
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"data.conditions: {twice} is named twice; name it once")


def check_folder(folder: Path, state: Path | None, start: str) -> None:
    """Checks that a run writes over nothing but its own files.

    Args:
        folder: of the run.
        state: which the run goes on from, where the folder holds one.
        start: model that the run starts from, or empty.

    Raises:
        InputError: the name is not UTF-8, the folder is that model, holds a data set, or a model that cannot be gone on with.
    """
    if encodable(str(folder)) != str(folder):
        raise InputError(f"train.out={encodable(str(folder))}: the name is not UTF-8, which logs have to be; give the run another name")
    if start and Path(start).resolve() in (folder.resolve(), (folder / "model.safetensors").resolve()):
        raise InputError(f"train.out={folder}: is the model that the run starts from; give the run a folder of its own")
    if (folder / "statistics.json").is_file() and not (folder / "config.yaml").is_file():
        raise InputError(f"train.out={folder}: holds a data set, which the run would write over; give the run a folder of its own")
    if state is None and (folder / "model.safetensors").is_file():
        raise InputError(f"train.out={folder}: holds a model without the state to go on with; give the run a folder of its own")


def check_terms(experiment: Experiment, process: Any) -> None:
    """Checks that the objective weighs losses that exist.

    Args:
        experiment: with the objective.
        process: of the fields; None where the network knows none.

    Raises:
        InputError: a weight of an unknown loss, or none above 0.
    """
    terms = experiment.objective.terms(process)
    weights = experiment.objective.weights
    if strange := set(weights) - set(terms):
        raise InputError(f"objective.weights: no field {min(strange)!r}; there are {', '.join(terms)}")
    if not any(weights.get(term, 1.0) for term in terms):
        raise InputError(f"objective.weights: all are 0, with which nothing is learned; give {terms[0]} a weight above 0")
