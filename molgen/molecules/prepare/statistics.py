"""Statistics of a packed data set, computed from the files themselves; only labels are held in memory.

Class marginals are relative frequencies; bonds are counted over unordered pairs of atoms of one molecule, so that
`none` is by far the largest class. `coordinate_std` is the standard deviation of the centred coordinates (Å): the square root of their
mean square per degree of freedom, of which a molecule of n atoms has 3 (n - 1), as the noise of centred coordinates has.
"""

from pathlib import Path
from typing import Any

import numpy as np

from molgen.molecules.prepare.pack import stream
from molgen.statistics import VERSION, moments

ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative difference up to which two labels are the same: they are kept as float32."""


def statistics(folder: Path, elements: list[int], charges: list[int], labels: list[tuple[str, str]], hydrogens: bool) -> dict[str, Any]:
    """Content of statistics.json of the packed data set in `folder`.

    Args:
        folder: Complete arrays.
        elements: Atomic numbers that the types 0, 1, ... stand for.
        charges: Formal charges that the set (or another part of it) has, sorted, with 0.
        labels: Name and unit of each column of labels.npy.
        hydrogens: Whether hydrogens were kept.
    """
    sizes = np.diff(np.load(folder / "atom_offsets.npy"))
    atoms = np.zeros(len(elements), np.int64)
    charged, bonds = np.zeros(256, np.int64), np.zeros(4, np.int64)
    for rows in stream(folder / "atoms.npy"):
        atoms += np.bincount(rows, minlength=len(elements))
    for rows in stream(folder / "charges.npy"):
        charged += np.bincount(rows.astype(np.int64) + 128, minlength=256)
    for rows in stream(folder / "bonds.npy"):
        bonds += np.bincount(rows[:, 2], minlength=4)
    freedom = 3 * int((sizes - 1).sum())
    squares = sum(float(np.square(rows, dtype=np.float64).sum()) for rows in stream(folder / "positions.npy"))
    pairs = int((sizes * (sizes - 1) // 2).sum())
    bonds[0] = pairs - bonds[1:].sum()
    return {
        "version": VERSION,
        "domain": "molecule",
        "num_molecules": len(sizes),
        "num_atoms": int(sizes.sum()),
        "elements": elements,
        "charges": charges,
        "hydrogens": hydrogens,
        "sizes": {str(size): int(count) for size, count in zip(*np.unique(sizes, return_counts=True), strict=True)},
        "atom_marginal": _frequencies(atoms),
        "charge_marginal": _frequencies(charged[np.array(charges) + 128]),
        "bond_marginal": _frequencies(bonds) if pairs else [1.0, 0.0, 0.0, 0.0],
        "coordinate_std": float(np.sqrt(squares / freedom)) if freedom else 0.0,
        "labels": [
            {"name": name, "unit": unit, **moments(column, sizes)}
            for (name, unit), column in zip(labels, np.load(folder / "labels.npy").astype(np.float64).T, strict=True)
        ],
    }


def disagreement(molecules: np.ndarray, values: np.ndarray) -> tuple[int, float]:
    """How many molecules occur more than once with different values, and the largest spread of the values of one.

    Args:
        molecules: (n,) numbers that are the same for the same molecule.
        values: (n,) a label of theirs, NaN where it is missing.
    """
    known = np.isfinite(values)
    molecules, values = molecules[known], values[known].astype(np.float64)
    order = np.lexsort((values, molecules))
    values = values[order]
    _, starts, counts = np.unique(molecules[order], return_index=True, return_counts=True)
    least, most = values[starts], values[starts + counts - 1]
    spreads = (most - least)[most - least > ROUNDING * np.maximum(abs(least), abs(most))]
    return len(spreads), float(spreads.max(initial=0.0))


def _frequencies(counts: np.ndarray) -> list[float]:
    return [float(value) for value in counts / counts.sum()]
