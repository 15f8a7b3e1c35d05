"""Metrics of molecules: pure functions from a molecule (or a set) to a flat dict, importable one by one.

A molecule that breaks a check gets a reason under the key `<check>_reason`, never an exception. Names are loaded on first use, so that
the numpy-only metrics stay free of RDKit. `validity`, `geometry`, `descriptors` and `coverage` are functions in modules of their name.

Example:
    >>> from molgen.molecules.metrics import distance_lookup, strict
    >>> from molgen.molecules.metrics.validity import validity
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "bond_angles": "distributions",
    "bond_lengths": "distributions",
    "conditional_errors": "conditional",
    "distance_lookup": "stability",
    "frechet_distance": "frechet",
    "functional_groups": "descriptors",
    "homo_b3lyp": "regressor",
    "lenient": "stability",
    "lookup_bonds": "stability",
    "lookup_validity": "validity",
    "nearest_rmsd": "relaxation",
    "posebusters": "busted",
    "relax_mmff": "relaxation",
    "relax_xtb": "quantum",
    "scaffold": "descriptors",
    "slow_properties": "slow",
    "strict": "stability",
    "torsions": "distributions",
    "total_variation": "distances",
    "valences": "distributions",
    "wasserstein": "distances",
    "xtb_properties": "quantum",
}
"""Public name -> module of this package that defines it."""

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
