"""A model on disk: one folder in which nothing can run code.

``model.safetensors`` (weights), ``config.yaml`` (the complete experiment), ``statistics.json`` (vocabulary, sizes, labels of the training
data) and ``card.yaml`` (what it is, how it was trained, how good it is).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from molgen import __version__
from molgen.config import Experiment, build_experiment, dump_experiment, read_sections
from molgen.diffusion.denoiser import Preconditioned
from molgen.domain import Statistics
from molgen.errors import InputError
from molgen.files import atomic_path, shipped
from molgen.types import Tensor

FORMAT = "1"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model in memory: experiment, statistics of its training data, network in evaluation mode."""

    name: str
    experiment: Experiment
    statistics: Statistics
    denoiser: Preconditioned


def build_denoiser(experiment: Experiment, statistics: Statistics) -> Preconditioned:
    """The network of an experiment with fresh weights."""
    process = experiment.domain.process(statistics)
    conditions = experiment.domain.conditions(experiment.data.conditions, statistics)
    backbone = experiment.model.build(*Preconditioned.widths(process), conditions.width)
    return Preconditioned(backbone, process, conditions)


def save_checkpoint(
    folder: Path, experiment: Experiment, statistics: Statistics, weights: Mapping[str, Tensor], card: Mapping[str, Any]
) -> None:
    """Writes the folder; every file is replaced whole, the weights last.

    Raises:
        InputError: if the folder cannot be written or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "config.yaml": dump_experiment(experiment),
        "statistics.json": json.dumps(statistics.to_dict()),
        "card.yaml": yaml.safe_dump(dict(card), sort_keys=False, width=120, allow_unicode=True),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as path:
            path.write_text(text)
    with atomic_path(folder / "model.safetensors") as path:
        tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
        save_file(tensors, path, metadata={"format": FORMAT, "molgen": __version__})


def find_checkpoint(source: str | Path) -> Path:
    """The folder of a model that ships (by name), of a run, or of a weights file.

    Raises:
        InputError: if there is no model, with the names of those that ship.
    """
    path = Path(source)
    if path.suffix in (".ckpt", ".pt", ".pth", ".pkl", ".bin"):
        raise InputError(f"{path}: a pickle may run code and is never loaded; give the run folder with its model.safetensors")
    if path.is_file() and path.name == "model.safetensors":
        return path.parent
    if (path / "model.safetensors").is_file():
        return path
    weights = shipped("weights")
    if path.name == str(source) and (weights / path.name / "model.safetensors").is_file():
        return weights / path.name  # also beside a folder of that name without a model, such as `molgen prepare qm9` makes
    if path.exists():
        raise InputError(f"{path}: no model.safetensors here; give the folder of a run that has saved a checkpoint")
    names = ", ".join(sorted(folder.name for folder in weights.iterdir() if (folder / "model.safetensors").is_file()))
    raise InputError(f"{source}: neither a folder nor a model that ships ({names or 'none do'})")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``model.safetensors``.

    Raises:
        InputError: if the file is truncated, not safetensors or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            version = (file.metadata() or {}).get("format")
            if version != FORMAT:
                raise InputError(f"{path}: expected weights in format {FORMAT}, got {version}; use the molgen version that wrote them")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: unreadable ({error}); the file is truncated or not safetensors, copy or save it again") from None


def load_checkpoint(source: str | Path) -> Checkpoint:
    """Loads a model that ships (by name), a run folder or a ``model.safetensors``.

    Raises:
        InputError: with the file and what is wrong with it.
    """
    folder = find_checkpoint(source)
    config = folder / "config.yaml"
    raw = read_sections(config, "missing beside model.safetensors; copy the whole folder", "; copy the whole folder again")
    experiment = build_experiment(raw, str(config))
    statistics = experiment.domain.load_statistics(folder / "statistics.json")
    denoiser = build_denoiser(experiment, statistics)
    weights = {name: value.to(torch.float32) for name, value in read_weights(folder / "model.safetensors").items()}
    try:
        denoiser.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(f"{folder / 'model.safetensors'}: does not fit config.yaml ({first}); the folder mixes two models") from None
    return Checkpoint(folder.name, experiment, statistics, denoiser.eval().requires_grad_(False))
