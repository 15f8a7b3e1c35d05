"""How many new atoms it takes to join kept fragments: their attachment points have a distance, and every bond a length.

Kept atoms get no new bonds among themselves, so there is at least one new atom between two fragments, and with m of them in a row the
attachment points are at most ``(m + 1) REACH`` apart. Of several fragments those nearest to each other are joined first (a minimum spanning
tree): whatever joins them all, something has to cross the longest gap of that tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import cdist

from molgen.errors import InputError
from molgen.molecules.molecule import Molecule

REACH = 2.0
"""No chain gains so much a bond, Å: bonds between atoms of the second row do not exceed 1.6, and chains of longer ones bend back."""


@dataclass(frozen=True)
class Gap:
    """The longest gap between fragments.

    Args:
        length: Å; 0 of one fragment.
        atoms: new atoms that it takes at least.
    """

    length: float = 0.0
    atoms: int = 0


def longest_gap(molecule: Molecule, numbers: np.ndarray, open_valence: np.ndarray, source: str) -> Gap:
    """The gap that is hardest to bridge.

    Args:
        molecule: the kept atoms, in as many fragments as there are.
        numbers: (k,) their numbers, for messages.
        open_valence: (k,) that they have for new bonds.
        source: the name of the molecule, for messages.

    Raises:
        InputError: nothing can bond to one of several fragments.
    """
    k, (first, second) = len(molecule), molecule.bonds[:, :2].T
    count, fragment = connected_components(coo_matrix((np.ones(len(first)), (first, second)), (k, k)), directed=False)
    if count == 1:
        return Gap()
    points = [molecule.positions[(fragment == one) & (open_valence > 0)] for one in range(count)]
    if closed := [one for one in range(count) if not len(points[one])]:
        atom = numbers[fragment == closed[0]].min()
        raise InputError(
            f"{source}: nothing can bond to the fragment of atom {atom}, so that it never becomes one molecule with the others; "
            "name one of its hydrogens with replace_hydrogens, or leave the fragment out"
        )
    between = np.array([[0.0 if a is b else cdist(a, b).min() for b in points] for a in points])
    length = float(minimum_spanning_tree(between).max())
    return Gap(length, max(1, ceil(length / REACH) - 1))
