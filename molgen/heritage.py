"""Weights of a trained model for a network of another vocabulary.

Every weight that does not depend on the vocabulary is copied; the others are mapped by what their rows and columns stand for (element,
formal charge, bond order, condition, class of shapes), never by their position:

- a class that the old model knows keeps its weights; a new one starts as the mean of its relatives (of an element: those of its valence,
  of a charge: the nearest ones);
- a condition of numbers keeps its meaning in physical units although the data have another mean and deviation. With
  ``s = (v - mu) / sigma`` and weights (w, a) of s and of the flag "known", the same function of v in the new standardisation has

      w' = w sigma' / sigma,    a' = a + w (mu' - mu) / sigma

  (a vector, such as that of a sentence: number by number, a' with the sum of all);

- a new condition starts with zero weights, so that it changes nothing until it is learned; one that is left out stays null for ever, and
  its null weights go into the bias.

Layout that is relied upon and tested for every backbone: features of nodes and pairs come first among the inputs of their layer, classes
before real features before the input for given nodes, conditions last; heads answer with class logits and then with real features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from molgen.checkpoint import Checkpoint, build_denoiser
from molgen.diffusion.categorical import Discrete
from molgen.diffusion.condition import SMALLEST_STD, Category, Conditions, Member, Scalar, Vector
from molgen.diffusion.denoiser import Preconditioned
from molgen.errors import InputError
from molgen.experiment import Experiment
from molgen.statistics import Statistics
from molgen.types import Float, Tensor

FAR = 50.0
"""Mean or deviation of a label, in deviations of that of the model, from which on it is taken for another quantity."""


def inherit(experiment: Experiment, statistics: Statistics, source: Checkpoint) -> tuple[dict[str, Tensor], Statistics]:
    """Weights for the network of an experiment from those of a trained model, and the statistics that go with them.

    Args:
        experiment: of the new run.
        statistics: of the new data.
        source: the trained model.

    Raises:
        InputError: the two networks differ in more than their vocabulary, or the model was trained on another kind of data.
    """
    if type(statistics) is not type(source.statistics):
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


def _maps(fresh: Preconditioned, statistics: Statistics, source: Checkpoint) -> dict[str, _Map]:
    """How each kind of feature is made of the old ones."""
    maps = {}
    new, old = fresh.process, source.denoiser.process
    for kind, now, before in (("nodes", new.nodes, old.nodes), ("pairs", new.pairs, old.pairs)):
        if list(now) != list(before):
            raise InputError(f"{source.name}: has the fields {', '.join(before)}, not {', '.join(now)}")
        entering, leaving = [], []
        for field, process in now.items():
            classes = _class_map(field, statistics, source.statistics)
            entering += [_state_map(process, before[field], classes), classes]
            leaving.append(classes)
        if kind == "nodes":  # the input for given nodes comes last and starts at zero where the old model had none
            real = 2 * sum(feature.space.width for feature in new.features.values())
            entering += [torch.eye(real), torch.ones(int(fresh.completes), int(source.denoiser.completes))]
        maps[f"{kind}_in"] = _Map(torch.block_diag(*entering) if entering else torch.zeros(0, 0))
        maps[f"{kind}_out"] = _Map(torch.block_diag(*leaving) if leaving else torch.zeros(0, 0), inputs=False)
    matrix, dropped = _condition_map(fresh.conditions, source.denoiser.conditions)
    maps["conditions"] = _Map(matrix, first=False, dropped=dropped)
    return maps


def _class_map(field: str, statistics: Statistics, source: Statistics) -> Tensor:
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
    if isinstance(new, Scalar) and isinstance(old, Scalar) and new.unit and old.unit and new.unit != old.unit:
        raise InputError(
            f"{new.name}: in {new.unit} in the data, in {old.unit} in the model; prepare the data in {old.unit}, "
            "or leave it out of data.conditions"
        )
    matrix = torch.eye(new.width, dtype=torch.float64)
    count = new.width - 2  # numbers, then the flags of known and null
    (mean, std), (old_mean, old_std) = _moments(new), _moments(old)
    if isinstance(new, Scalar) and (float((std / old_std).max()) > FAR or float(((mean - old_mean) / old_std).abs().max()) > FAR):
        raise InputError(
            f"{new.name}: {new.mean:.4g} ± {new.std:.3g} in the data, {old.mean:.4g} ± {old.std:.3g} in the model, which would see numbers "
            "far from all that it knows; is it another unit? prepare the data in the model's, or leave it out of data.conditions"
        )
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
    widths = Preconditioned.widths(denoiser.process, denoiser.conditions.width, denoiser.completes)
    model: Any = experiment.model  # of a denoiser
    plain = model.build(*widths).state_dict()
    found: dict[str, list[str]] = {}
    for feature, width in widths._asdict().items():
        if not width and feature not in before:
            continue  # no field has such features here or there, and not every backbone takes them
        wider = model.build(*widths._replace(**{feature: width + 1})).state_dict()
        for name, value in plain.items():
            if wider[name].shape != value.shape:
                found.setdefault(f"backbone.{name}", []).append(feature)
    return found
