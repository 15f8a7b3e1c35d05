"""Three protocols that decide whether the atoms of a molecule have a possible valence.

Write v_i = sum_j b_ij for the bond orders b around atom i, z_i for its element and q_i for its formal charge.

- P1, distance lookup: b comes from the distances alone (table of typical bond lengths plus a margin, hydrogens
  included); atom i is stable when v_i is a valence of the *neutral* element. Protocol of EDM and its followers.
- P2s, strict: b and q are the molecule's own Kekulé bonds and formal charges; atom i is stable when (z_i, q_i) allows
  v_i without unpaired electrons; the molecule also has total charge zero and is connected. Our headline.
- P2, lenient: the same with C 0:{3,4}, N 0:{2,3}, N +1:{2,3,4}, without connectivity and total charge. Radicals
  pass: it is here only to compare with MiDi and what was scored like it.

The three never share a column. Everything is numpy: no RDKit, about 20 microseconds a molecule.

References: Hoogeboom et al. 2022, Equivariant Diffusion for Molecule Generation in 3D, arXiv 2203.17003 (P1);
Vignac et al. 2023, MiDi: Mixed Graph and 3D Denoising Diffusion for Molecule Generation, arXiv 2302.09048 (P2);
Nikitin et al. 2025, GEOM-Drugs Revisited, arXiv 2505.00169 (why the lenient table misleads).
"""

import json
from functools import cache
from importlib import resources

import numpy as np

from molgen.molecules.metrics.elements import NUMBERS, SYMBOLS
from molgen.molecules.molecule import Molecule

STRICT: dict[str, dict[int, set[int]]] = {
    "H": {0: {1}},
    "B": {0: {3}, -1: {4}},
    "C": {0: {4}, -1: {3}, 1: {3}},
    "N": {0: {3}, 1: {4}, -1: {2}},
    "O": {0: {2}, -1: {1}, 1: {3}},
    "F": {0: {1}},
    "Si": {0: {4}},
    "P": {0: {3, 5}, 1: {4}},
    "S": {0: {2, 4, 6}, -1: {1}, 1: {3}},
    "Cl": {0: {1}},
    "Br": {0: {1}},
    "I": {0: {1}},
}
"""Bond-order sums of closed-shell atoms by element and formal charge (protocol P2s)."""

LENIENT: dict[str, dict[int, set[int]]] = STRICT | {
    "H": {-1: {0}, 0: {1}, 1: {0}},
    "F": {-1: {0}, 0: {1}},
    "C": STRICT["C"] | {0: {3, 4}},
    "N": STRICT["N"] | {0: {2, 3}, 1: {2, 3, 4}},
}
"""The table of protocol P2, which also admits open-shell carbon and nitrogen, and ions of hydrogen and fluorine."""

_MAX_CHARGE = 4
_MAX_VALENCE = 8


def _allowed(table: dict[str, dict[int, set[int]]]) -> np.ndarray:
    """Boolean lookup (element, charge + 4, bond-order sum), shape (120, 9, 9)."""
    allowed = np.zeros((120, 2 * _MAX_CHARGE + 1, _MAX_VALENCE + 1), dtype=bool)
    for symbol, charges in table.items():
        for charge, sums in charges.items():
            allowed[NUMBERS[symbol], charge + _MAX_CHARGE, sorted(sums)] = True
    return allowed


def _allowed_open(table: dict[str, dict[int, set[int]]]) -> np.ndarray:
    """The same lookup where open valences are hydrogens: a sum is allowed when a sum at least as large is."""
    return np.logical_or.accumulate(_allowed(table)[..., ::-1], axis=-1)[..., ::-1]


_STRICT, _LENIENT = _allowed(STRICT), _allowed(LENIENT)
_STRICT_OPEN, _LENIENT_OPEN = _allowed_open(STRICT), _allowed_open(LENIENT)


@cache
def bond_length_table() -> dict:
    """The table of protocol P1: typical lengths (pm), margins (pm) and allowed valences, as read from bond_lengths.json."""
    return json.loads(resources.files(__package__).joinpath("bond_lengths.json").read_text(encoding="utf-8"))


@cache
def _thresholds() -> tuple[np.ndarray, np.ndarray]:
    """Squared distance thresholds in Å², shape (3, 120, 120), 0 where the pair has no entry, and neutral valences (120, 9)."""
    table = bond_length_table()
    squared = np.zeros((3, 120, 120))
    for order, name in enumerate(("single", "double", "triple")):
        for first, row in table[name].items():
            for second, length in row.items():
                low, high = sorted((NUMBERS[first], NUMBERS[second]))  # EDM looks C=S up only where the carbon comes first
                squared[order, low, high] = squared[order, high, low] = ((length + table["margin"][name]) / 100) ** 2
    valences = np.zeros((120, _MAX_VALENCE + 1), dtype=bool)
    for symbol, allowed in table["allowed_valence"].items():
        valences[NUMBERS[symbol], allowed] = True
    return squared, valences


def lookup_bonds(atomic_numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Bonds by the distance lookup of protocol P1.

    A pair closer than single + margin is bonded; it is double when the pair has a double entry and is closer than
    double + margin; a double bond is triple when it is closer than triple + margin.

    Args:
        atomic_numbers: elements, shape (n,).
        positions: Å, shape (n, 3).

    Returns:
        (m, 3) int64 rows i < j, order 1, 2 or 3.
    """
    thresholds, _ = _thresholds()
    first, second = np.triu_indices(len(atomic_numbers), 1)
    difference = positions[first] - positions[second]
    squared = np.einsum("pc,pc->p", difference, difference)
    near = np.flatnonzero(squared < thresholds[0, atomic_numbers[first], atomic_numbers[second]])
    first, second, squared = first[near], second[near], squared[near]
    double = squared < thresholds[1, atomic_numbers[first], atomic_numbers[second]]
    triple = double & (squared < thresholds[2, atomic_numbers[first], atomic_numbers[second]])
    return np.stack([first, second, 1 + double.astype(np.int64) + triple], axis=1)


def bond_order_sums(num_atoms: int, bonds: np.ndarray) -> np.ndarray:
    """Sum of the bond orders around each atom, (n,) int64."""
    orders = bonds[:, 2].astype(np.float64)
    first, second = (np.bincount(bonds[:, end], orders, num_atoms) for end in (0, 1))
    return (first + second).astype(np.int64)


def distance_lookup(molecule: Molecule, bonds: np.ndarray | None = None) -> dict[str, int | bool | str]:
    """Protocol P1.

    Args:
        molecule: any.
        bonds: its `lookup_bonds`, where they are known.

    Returns:
        `p1_atoms`, `p1_stable_atoms` (counts), `p1_stable` (every atom stable), `p1_reason` ("" when stable).

    Reference: Hoogeboom et al. 2022, arXiv 2203.17003, section 5 and appendix E.
    """
    atomic_numbers = molecule.atomic_numbers
    broken = _broken_arrays(molecule)
    if broken:
        return _result("p1", len(atomic_numbers), 0, broken)
    bonds = lookup_bonds(atomic_numbers, molecule.positions) if bonds is None else bonds
    sums = bond_order_sums(len(atomic_numbers), bonds)
    stable = _thresholds()[1][atomic_numbers, np.minimum(sums, _MAX_VALENCE)] & (sums <= _MAX_VALENCE)
    reason = ""
    if not stable.all():
        i = int(np.argmin(stable))
        reason = f"{SYMBOLS[atomic_numbers[i]]} with bond-order sum {sums[i]} by distance"
    return _result("p1", len(atomic_numbers), int(stable.sum()), reason)


def strict(molecule: Molecule) -> dict[str, int | bool | str]:
    """Protocol P2s: closed-shell valences of the explicit Kekulé bonds and charges, total charge zero, one fragment.

    Where hydrogens are implicit, they fill what is left open; then only too many bonds and charges without a valence fail.

    Returns:
        `p2s_atoms`, `p2s_stable_atoms` (counts), `p2s_stable`, `p2s_reason` ("" when stable; else the first failed check).
    """
    result = _explicit("p2s", molecule, _STRICT_OPEN if molecule.implicit_hydrogens else _STRICT)
    if result["p2s_stable"]:
        total = int(np.sum(molecule.charges))
        fragments = num_fragments(len(molecule.atomic_numbers), molecule.bonds)
        reason = f"total charge {total:+d}" if total else f"{fragments} fragments" if fragments != 1 else ""
        result |= {"p2s_stable": not reason, "p2s_reason": reason}
    return result


def lenient(molecule: Molecule) -> dict[str, int | bool | str]:
    """Protocol P2: as P2s with open-shell carbon and nitrogen allowed, any total charge and any number of fragments.

    Returns:
        `p2_atoms`, `p2_stable_atoms` (counts), `p2_stable`, `p2_reason`.

    Reference: Vignac et al. 2023, arXiv 2302.09048.
    """
    return _explicit("p2", molecule, _LENIENT_OPEN if molecule.implicit_hydrogens else _LENIENT)


def num_fragments(num_atoms: int, bonds: np.ndarray) -> int:
    """Number of connected components of the bond graph."""
    parent = list(range(num_atoms))
    count = num_atoms
    for i, j in bonds[:, :2].astype(np.int64).tolist():
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        while parent[j] != j:
            parent[j] = j = parent[parent[j]]
        if i != j:
            parent[i] = j
            count -= 1
    return count


def _explicit(prefix: str, molecule: Molecule, allowed: np.ndarray) -> dict[str, int | bool | str]:
    """Score explicit bonds and charges against a lookup of allowed bond-order sums."""
    atomic_numbers, charges, bonds = molecule.atomic_numbers, molecule.charges, molecule.bonds
    num_atoms = len(atomic_numbers)
    broken = _broken_arrays(molecule)
    if broken:
        return _result(prefix, num_atoms, 0, broken)
    sums = bond_order_sums(num_atoms, bonds)
    known = (np.abs(charges) <= _MAX_CHARGE) & (sums <= _MAX_VALENCE)
    stable = known & allowed[atomic_numbers, np.where(known, charges, 0) + _MAX_CHARGE, np.where(known, sums, 0)]
    reason = ""
    if not stable.all():
        i = int(np.argmin(stable))
        reason = f"{SYMBOLS[atomic_numbers[i]]} charge {charges[i]:+d} with bond-order sum {sums[i]}"
    return _result(prefix, num_atoms, int(stable.sum()), reason)


def _broken_arrays(molecule: Molecule) -> str:
    """Reason why the arrays cannot be scored at all, or ""."""
    num_atoms = len(molecule.atomic_numbers)
    if num_atoms == 0:
        return "no atoms"
    if not np.isfinite(molecule.positions).all():
        return "coordinates that are not finite"
    return ""


def _result(prefix: str, num_atoms: int, stable_atoms: int, reason: str) -> dict[str, int | bool | str]:
    return {
        f"{prefix}_atoms": num_atoms,
        f"{prefix}_stable_atoms": stable_atoms,
        f"{prefix}_stable": not reason,
        f"{prefix}_reason": reason,
    }
