"""Fine-tuning: the weights of a trained model as the start of a run on other data.

The vocabulary of the run is that of the new data. Every weight that does not depend on it is copied; the others are mapped by what their
rows and columns stand for (element, formal charge, bond order, condition, class of shapes), never by their position:

- a class that the old model knows keeps its weights; a new one starts as the mean of its relatives (of an element: those of its valence,
  of a charge: the nearest ones);
- a condition of numbers keeps its meaning in physical units although the data have another mean and deviation. With
  ``s = (v - mu) / sigma`` and weights (w, a) of s and of the flag "known", the same function of v in the new standardisation has

      w' = w sigma' / sigma,    a' = a + w (mu' - mu) / sigma

  (a vector, such as that of a sentence: number by number, a' with the sum of all);

- a new condition starts with zero weights, so that it changes nothing until it is learned; one that is left out stays null for ever, and
  its null weights go into the bias.

The scale of coordinates (data_std of the preconditioning) is part of what the network has learned, because it sees distances in that
unit: the run keeps that of the old model, also where the new molecules are larger. So are other trained networks that the model stands on,
such as the autoencoder of latent clouds, which gives its features their meaning. On samples of the old vocabulary the new network
therefore starts as the same function, but for the class frequencies, which are those of the new data.

Layout that is relied upon and tested for every backbone: features of nodes and pairs come first among the inputs of their layer, classes
before real features before the input for given nodes, conditions last; heads answer with class logits and then with real features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from molgen.checkpoint import Checkpoint, build_denoiser, find_checkpoint, load_checkpoint
from molgen.config import Experiment, apply_overrides, build_experiment, load_experiment, read_sections
from molgen.diffusion.categorical import Discrete
from molgen.diffusion.condition import SMALLEST_STD, Category, Conditions, Member, Scalar, Vector
from molgen.diffusion.denoiser import Preconditioned
from molgen.errors import InputError
from molgen.types import Float, Tensor

KEPT = ("pair_budget", "weight_decay", "gradient_clip", "ema", "precision")
"""Settings of the old run that fine-tuning takes over; the others have the defaults of `fine_tuning`."""


@runtime_checkable
class Heritage(Protocol):
    """Statistics of a domain whose models can be fine-tuned."""

    @property
    def classes(self) -> Mapping[str, tuple[Any, ...]]:
        """What the classes of each discrete field stand for, in their order."""
        ...

    def relatives(self, field: str, name: Any, known: Sequence[Any]) -> list[Any]:
        """Which of the known classes a new class of a field starts from; at least one."""
        ...

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions that the data can teach."""
        ...

    def inherit(self, source: Any) -> Any:
        """These statistics with the coordinate scale of a model's.

        Raises:
            InputError: if the data do not fit the model, whatever its weights.
        """
        ...


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
    if experiment.data.path and experiment.data.conditions == base.data.conditions:
        statistics: Any = experiment.domain.open(experiment.data.path, ()).statistics
        raw["data"]["conditions"] = [name for name in base.data.conditions if name in statistics.condition_names]
        experiment = build_experiment(raw, f"--from {source}")
    return experiment


def starting_point(experiment: Experiment, statistics: Any, resumed: Path | None) -> tuple[dict[str, Tensor] | None, Any]:
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
    return inherit(experiment, statistics, load_checkpoint(experiment.train.start))


def _resumed(experiment: Experiment, statistics: Any, folder: Path) -> Any:
    """Statistics of a run that goes on, which must be those of its data: weights mean nothing with other elements or another scale."""
    fix = "go on with the configuration and the data of that run, or give another train.out and train.start for a new one"
    saved, learned = load_experiment(folder / "config.yaml"), experiment.domain.load_statistics(folder / "statistics.json")

    def fields(one: Experiment) -> dict[str, Any]:
        return {name: value for name, value in asdict(one.fields).items() if name not in learned.companions}  # they may have moved

    for name, old, new in (
        ("model", saved.model, experiment.model),
        ("fields", fields(saved), fields(experiment)),
        ("data.conditions", saved.data.conditions, experiment.data.conditions),
        ("objective.parts (given parts or none)", saved.completes, experiment.completes),
    ):
        if old != new:
            raise InputError(f"{folder}: holds a run with other {name}; {fix}")
    if experiment.train.start:
        statistics = statistics.inherit(learned)
    before, now = (json.loads(json.dumps(one.to_dict())) for one in (learned, statistics))
    if other := sorted(name for name in before | now if before.get(name) != now.get(name)):
        raise InputError(f"{folder}: holds a run on other data ({', '.join(other)} in statistics.json differ); {fix}")
    return statistics


def inherit(experiment: Experiment, statistics: Any, source: Checkpoint) -> tuple[dict[str, Tensor], Any]:
    """Weights for the network of an experiment from those of a trained model, and the statistics that go with them.

    Args:
        experiment: of the new run.
        statistics: of the new data.
        source: the trained model.

    Raises:
        InputError: the two networks differ in more than their vocabulary, or the domain cannot be fine-tuned.
    """
    if not isinstance(statistics, Heritage) or type(statistics) is not type(source.statistics):
        raise InputError(f"{source.name}: cannot be fine-tuned on these data; it was trained on another kind")
    if experiment.model != source.experiment.model:
        raise InputError(f"{source.name}: has a network of other sizes; give its model section, or train from scratch without train.start")
    statistics = statistics.inherit(source.statistics)
    with torch.random.fork_rng():
        fresh = build_denoiser(experiment, statistics)
        maps = _maps(fresh, statistics, source)
        axes = _vocabulary_axes(experiment, fresh, {feature for feature, map_ in maps.items() if map_.matrix.shape[1]})
    weights = dict(fresh.state_dict())
    for name, old in source.denoiser.state_dict().items():
        value = old.to(weights[name].dtype).clone()
        for feature in axes.get(name, ()):
            value = maps[feature].apply(value)
        weights[name] = value
    for name, features in axes.items():
        if "conditions" in features:  # what is left out stays null: its part moves into the bias of the same layer
            bias = name.removesuffix("weight") + "bias"
            null = maps["conditions"].dropped
            old = source.denoiser.state_dict()[name].to(weights[bias].dtype)
            weights[bias] = weights[bias] + old[:, old.shape[1] - len(null) :] @ null.to(weights[bias].dtype)
    return weights, statistics


@dataclass(frozen=True)
class _Map:
    """New features as a linear combination of old ones, (new, old); ``first`` or last among the columns of their layer."""

    matrix: Float[Tensor, "new old"]
    first: bool = True
    inputs: bool = True
    dropped: Tensor = torch.zeros(0)

    def apply(self, value: Tensor) -> Tensor:
        """A weight (out, in), or the bias (out,) of a head, after the change of vocabulary."""
        matrix = self.matrix.to(value.dtype)
        old = matrix.shape[1]
        if not self.inputs:
            return torch.cat([matrix @ value[:old], value[old:]])
        if self.first:
            return torch.cat([value[:, :old] @ matrix.T, value[:, old:]], 1)
        rest = value.shape[1] - old
        return torch.cat([value[:, :rest], value[:, rest:] @ matrix.T], 1)


def _maps(fresh: Preconditioned, statistics: Heritage, source: Checkpoint) -> dict[str, _Map]:
    """How each kind of feature is made of the old ones."""
    maps = {}
    for kind, now, before in (("nodes", fresh.nodes, source.denoiser.nodes), ("pairs", fresh.pairs, source.denoiser.pairs)):
        if list(now) != list(before):
            raise InputError(f"{source.name}: has the fields {', '.join(before)}, not {', '.join(now)}")
        entering, leaving = [], []
        for field, process in now.items():
            classes = _class_map(field, statistics, source.statistics)
            entering += [_state_map(process, before[field], classes), classes]
            leaving.append(classes)
        if kind == "nodes":  # the input for given nodes comes last and starts at zero where the old model had none
            real = 2 * sum(space.width for _, space in fresh.features.values())
            entering += [torch.eye(real), torch.ones(int(fresh.completes), int(source.denoiser.completes))]
        maps[f"{kind}_in"] = _Map(torch.block_diag(*entering) if entering else torch.zeros(0, 0))
        maps[f"{kind}_out"] = _Map(torch.block_diag(*leaving) if leaving else torch.zeros(0, 0), inputs=False)
    matrix, dropped = _condition_map(fresh.conditions, source.denoiser.conditions)
    maps["conditions"] = _Map(matrix, first=False, dropped=dropped)
    return maps


def _class_map(field: str, statistics: Heritage, source: Any) -> Tensor:
    now, before = statistics.classes[field], source.classes[field]
    matrix = torch.zeros(len(now), len(before), dtype=torch.float64)
    for row, name in enumerate(now):
        for parent in [name] if name in before else statistics.relatives(field, name, before):
            matrix[row, before.index(parent)] += 1
    return matrix / matrix.sum(1, keepdim=True)


def _state_map(now: Discrete, before: Discrete, classes: Tensor) -> Tensor:
    """Noisy classes: the clean ones, and a mask class, which keeps its weights or starts as the mean of all classes."""
    matrix = torch.zeros(now.states, before.states, dtype=torch.float64)
    matrix[: len(classes), : classes.shape[1]] = classes
    if now.states > len(classes):
        had = before.states > classes.shape[1]
        matrix[-1] = torch.eye(before.states, dtype=torch.float64)[-1] if had else torch.full((before.states,), 1 / before.states)
    return matrix


def _condition_map(now: Conditions, before: Conditions) -> tuple[Tensor, Tensor]:
    """Columns of the conditions (new, old), and the null columns of those that are left out (old,)."""
    matrix = torch.zeros(now.width, before.width, dtype=torch.float64)
    dropped = torch.zeros(before.width, dtype=torch.float64)
    rows, columns = _places(now), _places(before)
    for name, column in columns.items():
        old = before[name]
        if name not in rows:
            dropped[column + old.width - 1] = 1
            continue
        row = rows[name]
        matrix[row : row + now[name].width, column : column + old.width] = _member_map(now[name], old)
    return matrix, dropped


def _member_map(new: Member, old: Member) -> Tensor:
    """Columns of one condition (new, old); null, the last one, stays null."""
    if isinstance(new, Category) or isinstance(old, Category):
        if not (isinstance(new, Category) and isinstance(old, Category)):
            raise InputError(f"{new.name}: a class in one of data and model, numbers in the other; leave it out of data.conditions")
        matrix = torch.zeros(new.width, old.width, dtype=torch.float64)
        for place, member in enumerate(new.classes):  # a class that was never seen starts as null
            matrix[place, old.classes.index(member) if member in old.classes else -1] = 1
        matrix[-1, -1] = 1
        return matrix
    if new.shape != old.shape:
        raise InputError(f"{new.name}: {new.width - 2} numbers in the data, {old.width - 2} in the model; leave it out of data.conditions")
    matrix = torch.eye(new.width, dtype=torch.float64)
    count = new.width - 2  # numbers, then the flags of known and null
    (mean, std), (old_mean, old_std) = _moments(new), _moments(old)
    matrix[:count, :count] = torch.diag(std / old_std)
    matrix[count, :count] = (mean - old_mean) / old_std
    return matrix


def _moments(member: Scalar | Vector) -> tuple[Tensor, Tensor]:
    """Mean and deviation (numbers,) by which a condition is standardised."""
    mean, std = (torch.tensor(value, dtype=torch.float64).reshape(-1) for value in (member.mean, member.std))
    return mean, std.clamp(min=SMALLEST_STD)


def _places(conditions: Conditions) -> dict[str, int]:
    places, start = {}, 0
    for member in conditions.members:
        places[member.name] = start
        start += member.width
    return places


def _vocabulary_axes(experiment: Experiment, denoiser: Preconditioned, before: set[str]) -> dict[str, list[str]]:
    """Which weights depend on the width of which features, found by building the backbone with one more of each.

    Args:
        experiment: of the new run.
        denoiser: of it.
        before: features that the old model has.
    """
    widths = [*Preconditioned.widths(denoiser.process, denoiser.conditions.width, denoiser.completes)]
    plain = experiment.model.build(*widths).state_dict()
    found: dict[str, list[str]] = {}
    for place, feature in enumerate(("nodes_in", "pairs_in", "nodes_out", "pairs_out", "conditions")):
        if not widths[place] and feature not in before:
            continue  # no field has such features here or there, and not every backbone takes them
        wider = experiment.model.build(*(width + (index == place) for index, width in enumerate(widths))).state_dict()
        for name, value in plain.items():
            if wider[name].shape != value.shape:
                found.setdefault(f"backbone.{name}", []).append(feature)
    return found
