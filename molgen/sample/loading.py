"""Models by name or path, with types for what ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch

from molgen.checkpoint import load_checkpoint
from molgen.domain import require
from molgen.errors import InputError, got
from molgen.sample.model import Model

if TYPE_CHECKING:
    from molgen.diffusion.condition import Member, Scalar
    from molgen.molecules.molecule import Molecule
    from molgen.shapes.shape import Shape

Device = str | torch.device | None
Runs = Sequence[str | Path]


@overload
def load(source: Literal["qm9", "qm9_small", "leads"], device: Device = None, estimators: Runs = ()) -> Model[Molecule, Scalar]: ...
@overload
def load(source: Literal["shapes"], device: Device = None, estimators: Runs = ()) -> Model[Shape, Member]: ...
@overload
def load(source: str | Path, device: Device = None, estimators: Runs = ()) -> Model: ...
def load(source: str | Path, device: Device = None, estimators: Runs = ()) -> Model:
    """Loads a model that ships (by name), a run folder or a ``model.safetensors``.

    Args:
        source: the model.
        device: torch device; the GPU if there is one.
        estimators: run folders of estimators for this model, whose properties can be asked for and are predicted of what is made.

    Raises:
        InputError: if there is no such model, or its files or those of an estimator are damaged or do not fit.
    """
    if isinstance(estimators, str | Path):
        raise InputError(f"estimators: expected a list, got {estimators!r}; write [{str(estimators)!r}]")
    if not isinstance(estimators, Sequence) or not all(isinstance(run, str | Path) for run in estimators):
        raise InputError(f"estimators: expected a list of run folders, got {estimators!r}")
    if not isinstance(source, str | Path):
        raise InputError(f"source: expected the name of a model or a run folder, got {source!r}")
    with torch.inference_mode(False), torch.device("cpu"):  # or guidance could never have gradients, or weights be where none can be read
        return Model(load_checkpoint(source, estimators), device)


def require_model(model: Any, purpose: str) -> None:
    """Refuses what is no loaded model of molecules; an InputError says how a model is loaded, or what the purpose needs."""
    if not isinstance(model, Model):
        raise InputError(f"model: expected a loaded one, got {got(model)}; molgen.load(NAME) loads it")
    require("molecules", model.domain, model.checkpoint.name, purpose)
