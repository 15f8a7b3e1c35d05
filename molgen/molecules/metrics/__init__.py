"""Metrics of molecules: pure functions from a molecule (or a set) to a flat dict, importable one by one.

A molecule that breaks a check gets a reason under the key `<check>_reason`, never an exception. Names are loaded on first use, so that
the numpy-only metrics stay free of RDKit.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "distance_lookup": "stability",
    "strict": "stability",
    "lenient": "stability",
    "lookup_bonds": "stability",
    "validity": "validity",
    "lookup_validity": "validity",
    "set_fractions": "sets",
    "bond_lengths": "distributions",
    "bond_angles": "distributions",
    "torsions": "distributions",
    "wasserstein": "distances",
    "total_variation": "distances",
}
"""Public name -> module of this package that defines it."""

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
