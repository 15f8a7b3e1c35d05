"""A model on disk: one folder in which nothing can run code.

``model.safetensors`` (weights), ``config.yaml`` (the complete experiment), ``statistics.json`` (vocabulary, sizes, labels of the training
data) and ``card.yaml`` (what it is, how it was trained, how good it is). ``training.npy`` tells which items it was trained on, where they
have an identity (:mod:`molgen.known`). A folder ``estimator`` inside, of the same make, holds the network
that estimates properties from the guesses of the model (:mod:`molgen.diffusion.estimation`); further ones may be added, of properties that
the model itself knows nothing of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from molgen.batch import Batch
from molgen.config import build_experiment, dump_experiment, read_sections
from molgen.diffusion.condition import Conditions, Member, Scalar
from molgen.diffusion.denoiser import Preconditioned
from molgen.diffusion.estimation import RATIOS, Estimation, estimate, read_clean
from molgen.diffusion.process import Joint
from molgen.errors import InputError
from molgen.experiment import Experiment
from molgen.files import atomic_path, exists, sha256
from molgen.known import Known
from molgen.models import find_model, models_that_ship
from molgen.nn.estimator import Estimator
from molgen.nn.point_autoencoder import Autoencoder
from molgen.statistics import Statistics
from molgen.tensors import load_weights, write_tensors
from molgen.trees import yaml_text
from molgen.types import PerSample, Tensor

PARTS = ("config.yaml", "statistics.json", "card.yaml", "model.safetensors")
ESTIMATOR = "estimator"
"""Name of the estimator's folder in the folder of a model."""


@dataclass(frozen=True)
class TrainedEstimator:
    """A trained estimator.

    Args:
        network: tells ``conditions``, in their order.
        conditions: the properties that it was trained for.
        statistics: of the data that it was trained on.
        geometric: those of the properties that hang on the geometry.
        names: those that it is asked for; others are told by another estimator of the same model.
        known: what it was trained on, where it says so.
    """

    network: Estimator
    conditions: Conditions
    statistics: Statistics
    geometric: tuple[str, ...]
    names: frozenset[str]
    known: Known | None = None

    @property
    def members(self) -> dict[int, Scalar]:
        """The properties that it is asked for, by their place among those that it tells."""
        numbered = enumerate(self.conditions.members)
        return {k: member for k, member in numbered if isinstance(member, Scalar) and member.name in self.names}

    def tell(self, process: Joint, clean: Batch) -> dict[str, tuple[PerSample, PerSample]]:
        """Values and standard deviations of the properties that it is asked for, by name, in their units.

        Finished samples are read as guesses at the lowest noise that estimators learn.

        Args:
            process: of the fields.
            clean: the samples.
        """
        ratio = torch.full((len(clean),), RATIOS[0], device=clean.mask.device)
        means, deviations = estimate(self.network.to(clean.mask.device), read_clean(process, clean), clean.mask, ratio)
        found = {}
        for k, member in self.members.items():
            found[member.name] = means[:, k] * member.scale + member.mean, deviations[:, k] * member.scale
        return found


@dataclass(frozen=True)
class Checkpoint:
    """A trained model in memory: experiment, statistics of its training data, network in evaluation mode.

    Also the estimators, each property told by one of them, and where the folder has it the set of the training items. The statistics know
    the labels of the data of the estimators too.
    """

    name: str
    experiment: Experiment
    statistics: Statistics
    denoiser: Preconditioned
    estimators: tuple[TrainedEstimator, ...] = ()
    known: Known | None = None

    @cached_property
    def members(self) -> dict[str, Member]:
        """What can be asked for, by name: the conditions of the network, and what estimators tell."""
        told = {member.name: member for one in self.estimators for member in one.members.values()}
        return told | {member.name: member for member in self.denoiser.conditions.members}

    @cached_property
    def foretold(self) -> list[str]:
        """Properties that are predicted of what is made: an estimator tells them, and they cannot be measured."""
        names = [member.name for one in self.estimators for member in one.members.values()]
        return [name for name in names if not self.experiment.domain.measures([name])]


def build_network(experiment: Experiment, statistics: Statistics) -> Preconditioned | Autoencoder | Estimator:
    """The network of an experiment with fresh weights: that of its objective.

    Raises:
        InputError: network, objective and fields do not go together, or the objective does not go with these conditions or parts.
    """
    experiment.check_kinds()
    process, conditions = experiment.domain.process(statistics), experiment.domain.conditions(experiment.data.conditions, statistics)
    return experiment.objective.network(experiment.model, process, conditions)


def build_denoiser(experiment: Experiment, statistics: Statistics) -> Preconditioned:
    """The denoiser of an experiment with fresh weights.

    Raises:
        InputError: the experiment is one of an autoencoder or an estimator.
    """
    if experiment.objective.unsampled:
        raise InputError(experiment.objective.unsampled)
    return cast(Preconditioned, build_network(experiment, statistics))


def save_checkpoint(
    folder: Path, experiment: Experiment, statistics: Statistics, weights: Mapping[str, Tensor], card: Mapping[str, Any]
) -> None:
    """Writes the folder; every file is replaced whole, the weights last.

    Raises:
        InputError: if the folder cannot be written or the disk is full.
    """
    describe(folder, experiment, statistics, card)
    write_tensors(folder / "model.safetensors", weights)


def describe(folder: Path, experiment: Experiment, statistics: Statistics, card: Mapping[str, Any]) -> None:
    """Writes everything but the weights; every file is replaced whole.

    Raises:
        InputError: if the folder cannot be written or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "config.yaml": dump_experiment(experiment),
        "statistics.json": json.dumps(statistics.to_dict()),
        "card.yaml": yaml_text(dict(card)),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    for name, source in statistics.companions.items():
        _copy(source, folder / name)


def _copy(source: Path, target: Path) -> None:
    """Copies what a model needs of another model's folder, file by file, unless it is there."""
    target.mkdir(exist_ok=True)
    for name in PARTS:
        if (source / name).is_file() and (not (target / name).is_file() or sha256(source / name) != sha256(target / name)):
            with atomic_path(target / name) as path:
                path.write_bytes((source / name).read_bytes())


def find_checkpoint(source: str | Path) -> Path:
    """The folder of a model that ships (by name), of a run, or of a weights file.

    Raises:
        InputError: if there is no model, with the names of those that ship.
    """
    path = Path(source)
    if path.suffix in (".ckpt", ".pt", ".pth", ".pkl", ".bin"):
        raise InputError(f"{path}: a pickle may run code and is never loaded; give the run folder with its model.safetensors")
    if (folder := find_model(source)) is not None:
        return folder
    if exists(path):
        raise InputError(f"{path}: no model.safetensors here; give the folder of a run that has saved a checkpoint")
    raise InputError(f"{source}: neither a folder nor a model that ships ({', '.join(models_that_ship()) or 'none do'})")


def load_checkpoint(source: str | Path, estimators: Sequence[str | Path] = ()) -> Checkpoint:
    """Loads a model that ships (by name), a run folder or a ``model.safetensors``.

    Args:
        source: the model.
        estimators: folders of estimators beside the model's own; of several that tell a property the last does.

    Raises:
        InputError: with the file and what is wrong with it.
    """
    folder = find_checkpoint(source)
    experiment, statistics = _described(folder)
    denoiser = _load_network(folder, build_denoiser, experiment, statistics)
    telling, known = list[TrainedEstimator](), Known.load(folder)
    if _has_estimator(folder):
        own = load_estimator(folder / ESTIMATOR, statistics)
        telling.append(replace(own, known=own.known or known))  # trained on the same data where it does not say otherwise
    for path in estimators:
        last = load_estimator(find_estimator(path), statistics)
        telling = [replace(told, names=told.names - last.names) for told in telling] + [last]
    for told in telling:
        statistics = experiment.domain.with_labels(statistics, told.statistics)
    name = "+".join([folder.name, *(Path(path).resolve().name for path in estimators)])
    return Checkpoint(name, experiment, statistics, denoiser, tuple(telling), known)


def _has_estimator(folder: Path) -> bool:
    return (folder / ESTIMATOR / "model.safetensors").is_file()


def find_estimator(source: str | Path) -> Path:
    """The folder of an estimator, also by the model in whose folder it lies.

    Raises:
        InputError: there is none.
    """
    folder = find_checkpoint(source)
    return folder / ESTIMATOR if _has_estimator(folder) else folder


def load_statistics(source: str | Path) -> Statistics:
    """The statistics of the training data of a model, as :func:`load_checkpoint` finds it.

    Raises:
        InputError: there is no such model, or its files are damaged.
    """
    return _described(find_checkpoint(source))[1]


def _described(folder: Path) -> tuple[Experiment, Statistics]:
    """The experiment and the statistics in the folder of a model."""
    config = folder / "config.yaml"
    raw = read_sections(config, "missing beside model.safetensors; copy the whole folder", "; copy the whole folder again")
    experiment = build_experiment(raw, str(config))
    return experiment, experiment.domain.load_statistics(folder / "statistics.json")


def _load_network(folder: Path, build: Callable[..., nn.Module], experiment: Experiment, statistics: Statistics) -> Any:
    """The network in the folder of a model, in evaluation mode."""
    try:
        network = build(experiment, statistics).float()  # before the weights come, whatever the default of torch is
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    load_weights(network, folder / "model.safetensors")
    return network.eval().requires_grad_(False)


def load_estimator(folder: Path, model: Statistics) -> TrainedEstimator:
    """Loads an estimator for a model with these statistics.

    Raises:
        InputError: with the file and what is wrong with it; it is no estimator, or one that reads guesses of another vocabulary.
    """
    experiment, statistics = _described(folder)
    if not isinstance(experiment.objective, Estimation):
        raise InputError(f"{folder}: is no estimator; make one by `molgen train estimator`")
    if statistics.vocabulary != model.vocabulary:
        raise InputError(
            f"{folder}: {' or '.join(model.vocabulary)} differ from those of the model that it is for; train an estimator for this one"
        )
    network = _load_network(folder, build_network, experiment, statistics)
    conditions = experiment.domain.conditions(experiment.data.conditions, statistics)
    return TrainedEstimator(
        network, conditions, statistics, experiment.objective.geometric, frozenset(conditions.names), Known.load(folder)
    )
