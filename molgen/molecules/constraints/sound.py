"""Geometries that are another graph's, or strained beyond what molecules bear.

Lengths of bonds are told in units of the sum of covalent radii for their order; windows are wide because aromatic bonds count as single or
double. Contacts are those of atoms three or more bonds apart, in units of the sum of van der Waals radii. Of 4,000 held-out molecules of
QM9 (DFT) one is outside, of 1,015 MMFF94 minima of ligands and drugs one; of 515 ligands before relaxation 31.

References: Pyykkö and Atsumi 2009, 10.1002/chem.200800987 and 10.1002/chem.200901472, Pyykkö et al. 2005, 10.1002/chem.200401299 (covalent
radii of single, double and triple bonds; that of P= is less by 0.05, as P=O is shorter than their sum).
"""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from molgen.molecules.axes import allenes
from molgen.molecules.bonds import relative_distances
from molgen.molecules.molecule import Molecule
from molgen.molecules.penalties import RADII

LONGEST_BOND, CLOSEST_CONTACT = 1.3, 0.7
"""Longest bond and shortest distance of any two atoms, in units of the sum of covalent radii, whatever the order."""
SINGLE = {1: 0.32, 5: 0.85, 6: 0.75, 7: 0.71, 8: 0.63, 9: 0.64, 14: 1.16, 15: 1.11, 16: 1.03, 17: 0.99, 35: 1.14, 53: 1.33}
DOUBLE = {5: 0.78, 6: 0.67, 7: 0.60, 8: 0.57, 14: 1.07, 15: 0.97, 16: 0.94}
TRIPLE = {5: 0.73, 6: 0.60, 7: 0.54, 8: 0.53, 14: 1.02, 15: 0.94, 16: 0.95}
"""Covalent radii by atomic number and order, Å."""
WINDOWS = {1: (0.86, 1.18), 2: (0.88, 1.15), 3: (0.95, 1.10)}
HYDROGEN = (0.93, 1.10)
WIDER = {(1, 1): (0.93, 1.20), (8, 8): (0.86, 1.25), (8, 15): (0.84, 1.18)}
"""Shortest and longest bonds of an order, those of hydrogen, and single ones of two elements that none of these fits (peroxides in rings of
three, oxides of phosphorus), in units of those radii."""
PLANAR = 0.5**0.5
"""Cosine of the angle between the end planes of an allene (90°) from which on it counts as planar: 45°."""
CONTACT = 0.58
"""Shortest distance of atoms three or more bonds apart, in units of the sum of van der Waals radii."""


def broken(molecule: Molecule, new: np.ndarray | None = None) -> str:
    """Why coordinates are another graph's, or "": a stretched bond, atoms too close, or an allene with its ends in one plane.

    Args:
        molecule: with bonds.
        new: (n,) atoms that are looked at, as booleans; bonds and contacts among others do not count. All by default.
    """
    relative = relative_distances(molecule.atomic_numbers, molecule.positions)
    if new is not None:
        relative = np.where(new[:, None] | new[None], relative, np.nan)  # compares as false
    if (relative[molecule.bonds[:, 0], molecule.bonds[:, 1]] > LONGEST_BOND).any():
        return "stretched bond"
    if (relative < CLOSEST_CONTACT).any():
        return "atoms too close"
    return "planar allene" if any(cosine > PLANAR for cosine in _allenes(molecule, new)) else ""


def _allenes(molecule: Molecule, new: np.ndarray | None) -> list[float]:
    """Cosines of the angles between the end planes of allenes, without their signs."""
    if np.bincount(molecule.bonds[molecule.bonds[:, 2] == 2, :2].ravel()).max(initial=0) < 2:  # no atom has two double bonds
        return []
    mol, found = molecule.to_rdkit(), []
    Chem.FastFindRings(mol)
    for a, i, j, b in allenes(mol):
        if new is None or new[[a, i, j, b]].any():
            axis = molecule.positions[j] - molecule.positions[i]
            normals = [np.cross(axis, molecule.positions[outer] - molecule.positions[end]) for outer, end in ((a, i), (b, j))]
            found.append(abs(float(normals[0] @ normals[1])) / max(1e-12, float(np.prod([np.linalg.norm(n) for n in normals]))))
    return found


def strained(molecule: Molecule, new: np.ndarray | None = None) -> str:
    """Why coordinates are not what a molecule of this graph has, or "": as :func:`broken`, an unusual length, or a contact.

    Elements without a radius of the order are left to :func:`broken`.
    """
    if reason := broken(molecule, new):
        return reason
    numbers, n = molecule.atomic_numbers, len(molecule)
    looked = np.ones(n, bool) if new is None else new
    near = np.eye(n, dtype=bool)
    for i, j, order in molecule.bonds.tolist():
        near[i, j] = near[j, i] = True
        radii, ends = (SINGLE, DOUBLE, TRIPLE)[order - 1], (int(numbers[i]), int(numbers[j]))
        if not (looked[i] or looked[j]) or not all(end in radii for end in ends):
            continue
        shortest, longest = HYDROGEN if 1 in ends else WINDOWS[order]
        if order == 1:
            shortest, longest = WIDER.get((min(ends), max(ends)), (shortest, longest))
        relative = np.linalg.norm(molecule.positions[i] - molecule.positions[j]) / (radii[ends[0]] + radii[ends[1]])
        if not shortest <= relative <= longest:
            return "unusual length of a bond"
    radius = np.array([RADII.get(number, RADII[6]) for number in numbers.tolist()])
    distances = np.linalg.norm(molecule.positions[:, None] - molecule.positions[None], axis=-1)
    apart = ~((near.astype(int) @ near) > 0) & (looked[:, None] | looked[None])
    return "atoms too close" if (distances < CONTACT * (radius[:, None] + radius[None]))[apart].any() else ""
