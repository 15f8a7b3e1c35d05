"""Fine-tuning: the weights of a trained model as the start of a run on other data.

The vocabulary of the run is that of the new data; weights are mapped to it by what they stand for (:mod:`molgen.heritage`). The scale of
coordinates (data_std of the preconditioning) is part of what the network has learned, because it sees distances in that unit: the run keeps
that of the old model, also where the new molecules are larger. So are other trained networks that the model stands on, such as the
autoencoder of latent clouds, which gives its features their meaning. On samples of the old vocabulary the new network therefore starts as
the same function, but for the class frequencies, which are those of the new data.

An estimator goes on from an earlier one, also with other labels: what it sees of molecules it keeps. An autoencoder of latent clouds
keeps the encoder of the earlier one, whatever the data: its decoder is trained on, and models of its latent clouds stay valid.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molgen.checkpoint import find_checkpoint, find_estimator, load_checkpoint, load_estimator
from molgen.config import apply_overrides, build_experiment, load_experiment, read_sections
from molgen.diffusion.condition import Scalar
from molgen.diffusion.estimation import Estimation
from molgen.domain import Dataset
from molgen.errors import InputError
from molgen.experiment import Experiment
from molgen.heritage import inherit
from molgen.known import Known
from molgen.nn.point_autoencoder import PointAutoencoder
from molgen.shapes.latent_statistics import INSIDE, load_autoencoder
from molgen.statistics import Statistics
from molgen.types import Tensor

KEPT = ("pair_budget", "optimizer", "weight_decay", "gradient_clip", "ema", "precision")
"""Settings of the old run that fine-tuning takes over; the others have the defaults of `fine_tuning`."""


def fine_tuning(source: str, overrides: Sequence[str]) -> Experiment:
    """The experiment of a model with the settings of a fine-tuning run and dotted overrides.

    Fields, network, objective, sampler and the other networks that the model stands on are those of the model. Unless overridden,
    ``data.conditions`` are those of the model that the new data have, the learning rate is a quarter of the model's (or that of a model
    that was fine-tuned itself), and the run takes 2,000 steps. Without a GPU the batches of a recipe for one (with CUDA graphs) give way
    to those of the default ``pair_budget``.

    Raises:
        InputError: no such model, a bad override, or a change of what the weights depend on.
    """
    folder = find_checkpoint(source)
    raw = read_sections(folder / "config.yaml", "missing beside model.safetensors; copy the whole folder")
    base = build_experiment(raw, str(folder / "config.yaml"))
    old = raw.get("train", {})
    train = {key: old[key] for key in KEPT if key in old}
    if base.train.cuda_graphs and not torch.cuda.is_available():
        train.pop("pair_budget", None)
    rate = min(base.train.learning_rate, 5e-4) if base.train.start else base.train.learning_rate / 4
    train |= {"start": source, "learning_rate": rate, "warmup_steps": 100, "max_steps": 2000}
    train |= {"validate_every": 200, "checkpoint_every": 200}
    raw = {**raw, "train": train, "data": {"conditions": list(base.data.conditions), "valid_fraction": 0.1}}
    companions = base.domain.load_statistics(folder / "statistics.json").companions
    kept = {name: str(path) for name, path in companions.items()}
    raw["fields"] = {**raw.get("fields", {}), **kept}
    raw = apply_overrides(raw, overrides)
    experiment = build_experiment(raw, f"--from {source}")
    for name, path in kept.items():
        if raw["fields"].get(name) != path:
            raise InputError(f"--from {source}: fields.{name} is part of that model, which learned its features; leave it out")
    if experiment.model != base.model:
        raise InputError(f"--from {source}: the network has the sizes of that model; leave out model.* or train from scratch")
    if experiment.data.path and not any(text.partition("=")[0].strip() == "data.conditions" for text in overrides):
        statistics = experiment.domain.open(experiment.data.path, ()).statistics
        raw["data"]["conditions"] = [name for name in base.data.conditions if name in statistics.condition_names]
        experiment = build_experiment(raw, f"--from {source}")
    return experiment


def starting_point(experiment: Experiment, statistics: Statistics, resumed: Path | None) -> tuple[dict[str, Tensor] | None, Statistics]:
    """Weights that a run begins with, None for fresh ones, and the statistics that go with them.

    Args:
        experiment: whose ``train.start`` names a model, or is empty.
        statistics: of the training data.
        resumed: folder of a run that goes on; its own state holds the weights.

    Raises:
        InputError: there is no such model, or it does not fit; or the run that goes on learned something else.
    """
    if resumed is not None:
        return None, _resumed(experiment, statistics, resumed)
    if not experiment.train.start:
        return None, statistics
    if isinstance(experiment.objective, Estimation):
        return _earlier_estimator(experiment, statistics), statistics
    if isinstance(experiment.model, PointAutoencoder):
        return _earlier_autoencoder(experiment.train.start, experiment.model), statistics
    return inherit(experiment, statistics, load_checkpoint(experiment.train.start))


def remember(experiment: Experiment, data: Dataset, chosen: np.ndarray, folder: Path) -> None:
    """Writes into the folder of a run what its model is trained on: these items, and what the model it starts from was trained on.

    Nothing is written where one of them does not say. What an earlier estimator learned of other labels tells nothing of those of this one.

    Args:
        experiment: of the run.
        data: its data.
        chosen: numbers of the items that are trained on, (n,).
        folder: of the run.
    """
    known = experiment.domain.known(data, chosen)
    if experiment.train.start and known is not None and (folders := _taught_by(experiment)):
        before = next((found for found in map(Known.load, folders) if found is not None), None)
        known = None if before is None else known | before
    if known is not None:
        known.save(folder)


def _taught_by(experiment: Experiment) -> list[Path]:
    """Folders that tell what the model that a run starts from was trained on, as far as it bears on the run."""
    if not isinstance(experiment.objective, Estimation):
        return [find_checkpoint(experiment.train.start)]
    folder = find_estimator(experiment.train.start)
    earlier = load_experiment(folder / "config.yaml").data.conditions
    return [] if set(earlier).isdisjoint(experiment.data.conditions) else [folder, find_checkpoint(experiment.train.start)]


def _resumed(experiment: Experiment, statistics: Statistics, folder: Path) -> Statistics:
    """Statistics of a run that goes on, which must be those of its data: weights mean nothing with other elements or another scale."""
    fix = "go on with the configuration and the data of that run, or give another train.out and train.start for a new one"
    saved, learned = load_experiment(folder / "config.yaml"), experiment.domain.load_statistics(folder / "statistics.json")

    def fields(one: Experiment) -> dict[str, Any]:
        return {name: value for name, value in asdict(one.fields).items() if name not in learned.companions}  # they may have moved

    for name, old, new in (
        ("model", saved.model, experiment.model),
        ("fields", fields(saved), fields(experiment)),
        ("data.conditions", saved.data.conditions, experiment.data.conditions),
        ("objective.parts (given parts or none)", saved.objective.completes, experiment.objective.completes),
    ):
        if old != new:
            told = f" ({_listed(old)}, not {_listed(new)})" if isinstance(old, tuple) else ""
            raise InputError(f"{folder}: holds a run with other {name}{told}; {fix}")
    if experiment.train.start:
        statistics = statistics.inherit(learned)
    before, now = (json.loads(json.dumps(one.to_dict())) for one in (learned, statistics))
    if other := sorted(name for name in before | now if before.get(name) != now.get(name)):
        raise InputError(f"{folder}: holds a run on other data ({', '.join(other)} in statistics.json differ); {fix}")
    return statistics


def _listed(names: Any) -> str:
    return f"[{','.join(names)}]"


def _earlier_estimator(experiment: Experiment, statistics: Statistics) -> dict[str, Tensor]:
    """Weights of the estimator that ``train.start`` names, itself or by its model, with a network of the same sizes, for these labels.

    A label that it knows keeps its meaning in physical units; a new one starts as the mean and the deviation of the data.
    """
    folder = find_estimator(experiment.train.start)
    earlier, new = load_estimator(folder, statistics), experiment.domain.conditions(experiment.data.conditions, statistics)
    if earlier.network.config != experiment.model:
        raise InputError(f"{folder}: has a network of other sizes; give its model section, or leave train.start away")
    names, pairs = earlier.conditions.names, []
    for member in new.members:
        old = earlier.conditions[member.name] if member.name in names else None
        pairs.append((names.index(member.name), scaling(old, member)) if isinstance(old, Scalar) and isinstance(member, Scalar) else None)
    return earlier.network.tell_others(pairs)


def scaling(old: Scalar, new: Scalar) -> tuple[float, float]:
    """Factor f and shift g by which a standardised label has to be changed, ``s' = f s + g``, to be standardised by others' moments."""
    return old.scale / new.scale, (old.mean - new.mean) / new.scale


def _earlier_autoencoder(start: str, config: PointAutoencoder) -> dict[str, Tensor]:
    """Weights of the autoencoder that ``train.start`` names, or of the one inside of the model that it names."""
    folder = find_checkpoint(start)
    inside = folder / INSIDE
    earlier = load_autoencoder(inside if inside.is_dir() else folder)
    for name in config.FIXED:
        old, new = getattr(earlier.config, name), getattr(config, name)
        if old != new:
            raise InputError(f"{folder}: has an autoencoder with model.{name}={old}, not {new}; give that, or leave train.start away")
    return dict(earlier.state_dict())
