"""Diffusion models that generate molecules and shapes in three dimensions.

Public names are loaded on first use, so that ``import molgen`` stays free of torch, rdkit and trimesh.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Around": "molgen.molecules.constraints",
    "Conformers": "molgen.molecules.constraints",
    "Filters": "molgen.molecules.filters",
    "InputError": "molgen.errors",
    "Keep": "molgen.molecules.constraints",
    "Molecule": "molgen.molecules.molecule",
    "Request": "molgen.sample",
    "load": "molgen.sample",
    "read_sdf": "molgen.molecules.constraints.read",
    "register": "molgen.experiment",
    "search": "molgen.evolution",
    "write_sdf": "molgen.molecules.export",
}
"""Public name -> module that defines it."""

__all__ = [
    "Around",
    "Conformers",
    "Filters",
    "InputError",
    "Keep",
    "Molecule",
    "Request",
    "__version__",
    "load",
    "read_sdf",
    "register",
    "search",
    "write_sdf",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'molgen' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
