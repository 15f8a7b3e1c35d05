"""Units of properties that molgen measures, and of labels that come in another one.

A property of `molgen.molecules.properties` has one unit everywhere: a label of its name is converted when data are prepared, so that
what is requested, measured and learned can be compared by name. Labels of other names have the unit that the user says, or none.
"""

import math

from molgen.molecules.properties import PROPERTIES

EV_PER_HARTREE = 27.211386245988
KCAL_MOL_PER_HARTREE = 627.5094740631
EV_PER_KCAL_MOL = EV_PER_HARTREE / KCAL_MOL_PER_HARTREE
DEBYE_PER_AU = 2.541746473

_ENERGIES = {
    "ev": 1.0,
    "mev": 1e-3,
    **dict.fromkeys(("hartree", "ha", "eh", "au", "a.u."), EV_PER_HARTREE),
    "kcal/mol": EV_PER_KCAL_MOL,
    "kj/mol": EV_PER_KCAL_MOL / 4.184,
}
_SCALES = {
    "eV": _ENERGIES,
    "Hartree": {name: scale / EV_PER_HARTREE for name, scale in _ENERGIES.items()},
    "kcal/mol": {name: scale / EV_PER_KCAL_MOL for name, scale in _ENERGIES.items()},
    "D": {"d": 1.0, "debye": 1.0, **dict.fromkeys(("au", "a.u.", "e*a0"), DEBYE_PER_AU)},
    "Å^2": {"å^2": 1.0, "a^2": 1.0, "angstrom^2": 1.0, "nm^2": 100.0},
    "g/mol": dict.fromkeys(("g/mol", "da", "u", "amu"), 1.0),
}
_USUAL = {"homo": (1.5, 40.0), "lumo": (0.0, 40.0), "gap": (0.5, 40.0), "tpsa": (0.0, 2000.0)}
"""Least and largest mean magnitude of measured properties, by the first part of the name; others are in another unit."""


def unit(name: str) -> str:
    """Unit of a measured property; empty where it has none or none is known."""
    return PROPERTIES[name].unit if name in PROPERTIES else ""


def known_units(name: str) -> list[str]:
    """Units that values of a measured property can be converted from."""
    return list(_SCALES.get(unit(name), {}))


def factor(name: str, given: str) -> float | None:
    """What values of a measured property in the unit `given` are multiplied by; None if it is not known.

    Args:
        name: of a property with a unit.
        given: such as Hartree or kcal/mol, in capitals or not.
    """
    return _SCALES[unit(name)].get(given.strip().lower().replace("²", "^2").replace(" ", ""))


def doubt(name: str, mean: float, told: str = "") -> str:
    """A line if the mean of a label says that its values were not in the unit that they were taken for; else empty.

    Args:
        name: of the label.
        mean: in the unit of the measured property of that name.
        told: the unit that the values were converted from; empty if none was told.
    """
    low, high = _USUAL.get(name.partition("_")[0], (0.0, math.inf))
    if not unit(name) or low <= abs(mean) <= high:
        return ""
    said = f"label {name}: a mean of {mean:.4g} {unit(name)} is unusual"
    if told:
        return f"{said}; check that the values are in {told}, as --unit {name}={told} says"
    if abs(mean) < low:
        return f"{said}; if the values are in Hartree, prepare again with --unit {name}=Hartree"
    return f"{said}; look up the unit of the values, and prepare again with --unit {name}=UNIT"
