"""Properties and relaxation under GFN2-xTB, through the optional package tblite.

Restricted closed shells at the total charge of the molecule. One thread: set OMP_NUM_THREADS=1 before the first call when
several processes run.

Reference: Bannwarth, Ehlert and Grimme 2019, GFN2-xTB, 10.1021/acs.jctc.8b01176.
"""

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np

from molgen.molecules.metrics.packages import require_package
from molgen.molecules.metrics.relaxation import changes
from molgen.molecules.molecule import Molecule
from molgen.molecules.units import DEBYE_PER_AU, EV_PER_HARTREE, KCAL_MOL_PER_HARTREE

BOHR = 0.529177210903
"""Å."""

MAX_STEPS = 200
_FORCE = 1e-4  # largest force component at the minimum, Hartree / Bohr


def available() -> bool:
    """Whether tblite is installed."""
    return importlib.util.find_spec("tblite") is not None


def require_tblite() -> None:
    """Raises `InputError` where tblite is missing."""
    require_package("tblite", "GFN2-xTB")


def xtb_properties(molecule: Molecule) -> dict[str, float | str]:
    """Single point on the given geometry.

    Returns:
        `energy_xtb` (Hartree), `gap_xtb`, `homo_xtb`, `lumo_xtb` (eV), `dipole_xtb` (Debye), `xtb_reason` ("" on success).
    """
    try:
        result = _calculator(molecule).singlepoint()
    except (RuntimeError, ValueError) as error:
        return {"xtb_reason": _reason(error)}
    return {**_orbitals(result), "xtb_reason": ""}


def relax_xtb(molecule: Molecule) -> dict[str, float | str]:
    """Relaxes from the given geometry.

    Returns:
        `xtb_drop` (kcal/mol), `xtb_rmsd`, `xtb_bond_change` (Å), `xtb_angle_change`, `xtb_torsion_change` (degrees), `xtb_relax_reason`
        ("" on success).
    """
    try:
        found = minimum_xtb(molecule)
    except (RuntimeError, ValueError) as error:
        return {"xtb_relax_reason": _reason(error)}
    if found is None:
        return {"xtb_relax_reason": f"not converged in {MAX_STEPS} steps"}
    relaxed, drop = found
    return {"xtb_drop": drop, **changes("xtb", molecule, relaxed), "xtb_relax_reason": ""}


def minimum_xtb(molecule: Molecule) -> tuple[Molecule, float] | None:
    """The nearest minimum by L-BFGS and the energy (kcal/mol) that it frees, at least 0; None where `MAX_STEPS` do not reach it.

    Raises:
        RuntimeError: the charges do not converge.
        ValueError: the number of electrons is odd.
    """
    from scipy.optimize import minimize

    calculator = _calculator(molecule)
    start = molecule.positions / BOHR

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        calculator.update(positions=flat.reshape(-1, 3))
        result = calculator.singlepoint()
        return float(result.get("energy")), np.asarray(result.get("gradient")).ravel()

    first = energy(start.ravel())[0]
    found = minimize(energy, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS, "gtol": _FORCE, "ftol": 1e-9})
    if not found.success:
        return None
    drop = max((first - float(found.fun)) * KCAL_MOL_PER_HARTREE, 0.0)
    return replace(molecule, positions=found.x.reshape(-1, 3) * BOHR), drop


def _calculator(molecule: Molecule) -> Any:
    from tblite.interface import Calculator

    charge = int(molecule.charges.sum())
    if (int(molecule.atomic_numbers.sum()) - charge) % 2:
        raise ValueError("odd number of electrons")
    calculator = Calculator("GFN2-xTB", molecule.atomic_numbers, molecule.positions / BOHR, charge=float(charge))
    calculator.set("verbosity", 0)
    return calculator


def _orbitals(result: Any) -> dict[str, float]:
    energies = np.asarray(result.get("orbital-energies")) * EV_PER_HARTREE
    filled = round(float(np.sum(result.get("orbital-occupations"))) / 2)
    homo = float(energies[filled - 1])
    lumo = float(energies[filled]) if filled < len(energies) else float("nan")
    return {
        "energy_xtb": float(result.get("energy")),
        "homo_xtb": homo,
        "lumo_xtb": lumo,
        "gap_xtb": lumo - homo,
        "dipole_xtb": float(np.linalg.norm(result.get("dipole"))) * DEBYE_PER_AU,
    }


def _reason(error: BaseException) -> str:
    text = str(error).lower()
    if "odd number" in text:
        return "odd number of electrons"
    if "converge" in text:
        return "charges not converged"
    return "failed: " + (str(error).splitlines() or [type(error).__name__])[0][:80]
