"""What is measured on one molecule to be compared as a distribution: bond lengths, angles, torsions, valences, rings.

Every function returns {kind: values}; the kind says what is pooled: bonds by elements and order ("C=O"), angles by the central
element, torsions by the central bond, valences by element and charge. Torsions are those of four heavy atoms, folded to
[0, 180] degrees, so that a molecule and its mirror image measure the same.
"""

from collections import defaultdict
from itertools import combinations

import numpy as np

from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import bond_order_sums
from molgen.molecules.molecule import Molecule

_DASH = {1: "-", 2: "=", 3: "#"}


def bond_lengths(molecule: Molecule) -> dict[str, np.ndarray]:
    """Lengths in Å by kind of bond, for example "C-H" and "C=O"."""
    if not len(molecule.bonds):
        return {}
    i, j = molecule.bonds[:, 0], molecule.bonds[:, 1]
    lengths = np.linalg.norm(molecule.positions[i] - molecule.positions[j], axis=1)
    kinds = [bond_kind(a, b, o) for a, b, o in zip(*_columns(molecule), strict=True)]
    return _pool(kinds, lengths)


def bond_angles(molecule: Molecule) -> dict[str, np.ndarray]:
    """Angles in degrees by the element in the middle."""
    triples = angle_atoms(molecule)
    if not len(triples):
        return {}
    kinds = [SYMBOLS[number] for number in molecule.atomic_numbers[triples[:, 1]]]
    return _pool(kinds, angles_of(molecule.positions, triples))


def torsions(molecule: Molecule) -> dict[str, np.ndarray]:
    """Torsion angles of four heavy atoms in degrees, folded to [0, 180], by the bond in the middle; linear ones are left out."""
    quadruples, orders = torsion_atoms(molecule, heavy=True)
    if not len(quadruples):
        return {}
    values = torsions_of(molecule.positions, quadruples)
    numbers = molecule.atomic_numbers.tolist()
    kinds = [bond_kind(numbers[j], numbers[k], order) for (_, j, k, _), order in zip(quadruples.tolist(), orders.tolist(), strict=True)]
    defined = np.isfinite(values)
    return _pool([kind for kind, keep in zip(kinds, defined, strict=True) if keep], np.abs(values[defined]))


def valences(molecule: Molecule) -> dict[str, np.ndarray]:
    """Sums of the bond orders around each atom by element, with the charge for charged atoms ("N+")."""
    return _pool(atom_kinds(molecule), bond_order_sums(len(molecule), molecule.bonds).astype(np.float64))


def atom_kinds(molecule: Molecule) -> list[str]:
    """`atom_kind` of every atom."""
    return [atom_kind(z, q) for z, q in zip(molecule.atomic_numbers.tolist(), molecule.charges.tolist(), strict=True)]


def atom_kind(number: int, charge: int) -> str:
    """Element with its charge, for example "C", "N+" or "O2-"."""
    size = str(abs(charge)) if abs(charge) > 1 else ""
    return SYMBOLS[number] + (size + ("+" if charge > 0 else "-") if charge else "")


def bond_kind(first: int, second: int, order: int) -> str:
    """The two elements with the order between them, hydrogen last, else by atomic number: "C-H", "C=O", "C#N"."""
    low, high = sorted((first, second), key=lambda number: (number == 1, number))
    return f"{SYMBOLS[low]}{_DASH.get(order, '~')}{SYMBOLS[high]}"


def neighbours(molecule: Molecule) -> list[list[int]]:
    """Bonded atoms of each atom."""
    around: list[list[int]] = [[] for _ in range(len(molecule))]
    for i, j in molecule.bonds[:, :2].tolist():
        around[i].append(j)
        around[j].append(i)
    return around


def angle_atoms(molecule: Molecule) -> np.ndarray:
    """Triples i-j-k of bonded atoms, (t, 3)."""
    rows = [(i, j, k) for j, around in enumerate(neighbours(molecule)) for i, k in combinations(around, 2)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def torsion_atoms(molecule: Molecule, heavy: bool) -> tuple[np.ndarray, np.ndarray]:
    """Quadruples i-j-k-l of bonded atoms, (t, 4), and the orders of their middle bonds, (t,).

    Args:
        molecule: with bonds.
        heavy: leave out quadruples with hydrogen.
    """
    around = neighbours(molecule)
    if heavy:
        light = set(np.flatnonzero(molecule.atomic_numbers == 1).tolist())
        around = [[] if atom in light else [other for other in others if other not in light] for atom, others in enumerate(around)]
    rows = [
        (i, j, k, last, order)
        for j, k, order in molecule.bonds.tolist()
        for i in around[j]
        if i != k
        for last in around[k]
        if last not in (j, i)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return table[:, :4], table[:, 4]


def angles_of(positions: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Angles at the middle atom in degrees, shape (t,), of triples (t, 3); 0 where two atoms coincide."""
    first = positions[triples[:, 0]] - positions[triples[:, 1]]
    second = positions[triples[:, 2]] - positions[triples[:, 1]]
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second), axis=1), np.einsum("tc,tc->t", first, second)))


def torsions_of(positions: np.ndarray, quadruples: np.ndarray) -> np.ndarray:
    """Signed torsion angles in degrees, shape (t,), of quadruples (t, 4); NaN where three atoms are in line."""
    i, j, k, last = quadruples.T
    axis = positions[k] - positions[j]
    left = np.cross(positions[j] - positions[i], axis)
    right = np.cross(axis, positions[last] - positions[k])
    length = np.linalg.norm(axis, axis=1)
    sine = np.einsum("tc,tc->t", np.cross(left, right), axis) / np.maximum(length, 1e-12)
    cosine = np.einsum("tc,tc->t", left, right)
    small = 0.05 * length  # Å: within 3 degrees of a straight line for bonds of 1.2 Å
    straight = (np.linalg.norm(left, axis=1) < small * length) | (np.linalg.norm(right, axis=1) < small * length)
    return np.where(straight, np.nan, np.degrees(np.arctan2(sine, cosine)))


def _columns(molecule: Molecule) -> tuple[list[int], list[int], list[int]]:
    """Elements at both ends and order of each bond."""
    i, j, order = molecule.bonds.T
    return molecule.atomic_numbers[i].tolist(), molecule.atomic_numbers[j].tolist(), order.tolist()


def _pool(kinds: list[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """Values collected by kind."""
    pooled: dict[str, list[float]] = defaultdict(list)
    for kind, value in zip(kinds, values.tolist(), strict=True):
        pooled[kind].append(value)
    return {kind: np.array(found) for kind, found in pooled.items()}
