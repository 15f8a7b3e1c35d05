"""Folders of trained models: those that ship, by name, and those of runs."""

from __future__ import annotations

from pathlib import Path

from molgen.errors import InputError
from molgen.files import exists, shipped

WEIGHTS = "model.safetensors"
"""Name of the file in the folder of a model that makes it one."""
MADE_FOR = {"qm9": 9, "leads": 27}
"""Models that ship for molecules of any kind, the best one first, with the most heavy atoms of what they are made for."""


def models_that_ship() -> dict[str, Path]:
    """Folders of the models that ship, by name; none where this installation lacks them."""
    try:
        weights = shipped("weights")
    except InputError:
        return {}
    return {folder.name: folder for folder in sorted(weights.iterdir()) if (folder / WEIGHTS).is_file()}


def find_model(source: str | Path, hidden: bool = False) -> Path | None:
    """The folder of a model: of a run, of a weights file, or of a model that ships, by name; None where there is no such model.

    Args:
        source: the path or the name.
        hidden: whether a file or folder of its name hides a model that ships, as where data are meant as well.
    """
    path = Path(source)
    if path.name == WEIGHTS and path.is_file():
        return path.parent
    if exists(path / WEIGHTS):
        return path
    named = path.name == str(source) and not (hidden and exists(path))  # else `molgen prepare qm9` would hide the model
    return models_that_ship().get(path.name) if named else None
