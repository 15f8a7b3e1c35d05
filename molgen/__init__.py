"""Diffusion models that generate molecules and shapes in three dimensions.

Public names are loaded on first use, so that ``import molgen`` stays free of torch, rdkit and trimesh.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molgen.conformation import conformers
    from molgen.errors import InputError
    from molgen.evolution import search
    from molgen.experiment import register
    from molgen.molecules.constraints import Around, Conformers, Keep
    from molgen.molecules.export import read_molecules, write_molecules, write_sdf
    from molgen.molecules.filters import Filters
    from molgen.molecules.molecule import Molecule
    from molgen.molecules.reading import read_sdf
    from molgen.sample import Request, load
    from molgen.shapes.part import Part
    from molgen.shapes.shape import Shape
    from molgen.shapes.variation import Variation

__version__ = "0.1.0"

_PUBLIC = {
    "Around": "molgen.molecules.constraints",
    "Conformers": "molgen.molecules.constraints",
    "Filters": "molgen.molecules.filters",
    "InputError": "molgen.errors",
    "Keep": "molgen.molecules.constraints",
    "Molecule": "molgen.molecules.molecule",
    "Part": "molgen.shapes.part",
    "Request": "molgen.sample",
    "Shape": "molgen.shapes.shape",
    "Variation": "molgen.shapes.variation",
    "conformers": "molgen.conformation",
    "load": "molgen.sample",
    "read_molecules": "molgen.molecules.export",
    "read_sdf": "molgen.molecules.reading",
    "register": "molgen.experiment",
    "search": "molgen.evolution",
    "write_molecules": "molgen.molecules.export",
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
    "Part",
    "Request",
    "Shape",
    "Variation",
    "__version__",
    "conformers",
    "load",
    "read_molecules",
    "read_sdf",
    "register",
    "search",
    "write_molecules",
    "write_sdf",
]


if not TYPE_CHECKING:  # a type checker takes the names above, and finds misspelt ones

    def __getattr__(name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'molgen' has no attribute {name!r}")
        return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
