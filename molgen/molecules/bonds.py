"""Bonds and formal charges perceived from elements and coordinates.

Two atoms are bonded where their distance d_ij < f (r_i + r_j), with covalent radii r and f = 1.15; other factors are
tried where that leaves fragments or charges, and the result with the fewest fragments, then the cheapest charges,
stands. Bond orders o_ij in {1, 2, 3} and atom states s (valence v, charge q, cost c) solve the integer program

    minimise   sum_i c_s(i) + sum_ij (o_ij - 1) (d_ij / (r_i + r_j) - d_o)
    subject to sum_j o_ij = v_s(i),  sum_i q_s(i) = total charge

so that as few atoms as possible are charged and, among equals, short bonds are multiple. The result has Kekulé orders
and the usual hypervalent forms of sulfur and phosphorus; nitro groups and N-oxides are charge-separated.

References: Cordero et al., Covalent radii revisited, Dalton Trans. 2008, 10.1039/b801115j (radii);
Kim and Kim, Universal structure conversion method for organic molecules, Bull. Korean Chem. Soc. 2015,
10.1002/bkcs.10334 (valences and charges from distances).
"""

from dataclasses import replace

import numpy as np
from rdkit import Chem

from molgen.molecules.metrics.stability import num_fragments
from molgen.molecules.molecule import HEAVIEST, Molecule
from molgen.molecules.values import plain

FACTORS = (1.15, 1.25, 1.1)
SHORT_DOUBLE, SHORT_TRIPLE = 0.93, 0.85  # relative lengths below which a double and a triple bond are preferred
ORDER_COST = 0.02  # breaks ties towards fewer multiple bonds

COVALENT_RADII = np.array([Chem.GetPeriodicTable().GetRcovalent(number) for number in range(HEAVIEST + 1)])
"""Covalent radii by atomic number, Å (carbon: sp3), as RDKit has them from Cordero et al."""

USUAL_LENGTH = (0.6, 1.6)
"""What half of the bonds of a molecule are at least and at most, in units of the sum of covalent radii; in bohr they come to 1.9."""

_SULFUR = ((2, 0, 0.0), (4, 0, 0.1), (6, 0, 0.1), (1, -1, 1.0), (3, 1, 1.5))
_PHOSPHORUS = ((3, 0, 0.0), (5, 0, 0.1), (4, 1, 1.0))
STATES: dict[int, tuple[tuple[int, int, float], ...]] = {
    1: ((1, 0, 0.0),),
    5: ((3, 0, 0.0), (4, -1, 1.0)),
    6: ((4, 0, 0.0), (3, -1, 2.5), (3, 1, 3.0)),
    7: ((3, 0, 0.0), (4, 1, 1.0), (2, -1, 1.2)),
    8: ((2, 0, 0.0), (1, -1, 1.0), (3, 1, 2.5)),
    9: ((1, 0, 0.0),),
    14: ((4, 0, 0.0),),
    15: _PHOSPHORUS,
    16: _SULFUR,
    17: ((1, 0, 0.0), (3, 0, 0.3), (5, 0, 0.3), (7, 0, 0.3)),
    33: _PHOSPHORUS,
    34: _SULFUR,
    35: ((1, 0, 0.0), (3, 0, 0.3), (5, 0, 0.3)),
    53: ((1, 0, 0.0), (3, 0, 0.3), (5, 0, 0.3)),
}
"""States (valence, formal charge, cost) that an element may take."""


class UnknownElement(ValueError):
    """An element of which no valences are known."""


IN_ANGSTROM = "give coordinates in Å (not nm, 0.1, or bohr, 1.9)"
"""What helps where bonds have unusual lengths throughout."""
NO_FIT = "no bonds fit the geometry"
"""Why a record has no bonds where :func:`perceive` finds none."""


def perceive(atomic_numbers: np.ndarray, positions: np.ndarray, charge: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Perceive the bonds and formal charges of one molecule that has all of its hydrogens.

    Args:
        atomic_numbers: (n,) atomic numbers.
        positions: (n, 3) coordinates, Å.
        charge: Total charge, e.

    Returns:
        Bonds (m, 3) int64 as rows (i, j, order) with i < j and order 1, 2 or 3, sorted; formal charges (n,) int64, e.

    Raises:
        UnknownElement: An element has no known valences.
        ValueError: No orders and charges fit the geometry and the total charge.
    """
    numbers = np.asarray(atomic_numbers, dtype=np.int64)
    unknown = sorted(set(numbers.tolist()) - set(STATES))
    if unknown:
        raise UnknownElement(f"no valences known for the element with atomic number {unknown[0]}; known are {', '.join(map(str, STATES))}")
    relative = relative_distances(numbers, np.asarray(positions, dtype=np.float64))
    best: tuple[tuple[int, float], np.ndarray, np.ndarray] | None = None
    tried: set[bytes] = set()
    for factor in FACTORS:
        pairs = connect(numbers, relative, factor)
        if pairs.tobytes() in tried:
            continue
        tried.add(pairs.tobytes())
        found = _assign(numbers, pairs, relative[pairs[:, 0], pairs[:, 1]], charge)
        if found is None:
            continue
        rank = num_fragments(len(numbers), pairs), found[0]
        if best is None or rank < best[0]:
            best = rank, np.column_stack([pairs, found[1]]), found[2]
        if best[0] == (1, 0.0):
            break
    if best is None:
        raise ValueError(f"no bond orders and formal charges fit these {len(numbers)} atoms with total charge {charge}")
    return best[1], best[2]


def bonded(molecule: Molecule) -> Molecule:
    """The molecule, or where it has no bonds, as from XYZ, a copy with those that its geometry and its total charge tell.

    Raises:
        ValueError: as `perceive` and `total_charge`.
    """
    if len(molecule) == 1 or len(molecule.bonds):
        return molecule
    bonds, charges = perceive(molecule.atomic_numbers, molecule.positions, total_charge(molecule))
    return replace(molecule, bonds=bonds, charges=charges)


def total_charge(molecule: Molecule) -> int:
    """The sum of the charges of the atoms, or where these have none the property `charge`, 0 by default.

    Raises:
        ValueError: it is no integer.
    """
    if molecule.charges.any():
        return int(molecule.charges.sum())
    value = plain(molecule.properties.get("charge"))
    value = 0 if value is None else value
    if isinstance(value, str) or not float(value).is_integer():
        raise ValueError("total charge is no integer")
    return int(value)


def relative_distances(numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Distances (n, n) of atoms in units of the sum of their covalent radii; infinite on the diagonal."""
    radii = COVALENT_RADII[numbers]
    relative = np.linalg.norm(positions[:, None] - positions[None], axis=-1) / (radii[:, None] + radii[None])
    np.fill_diagonal(relative, np.inf)
    return relative


def lacks_hydrogens(numbers: np.ndarray, bonds: np.ndarray, charges: np.ndarray) -> bool:
    """Whether bonds (m, 3) and charges (n,) of atoms without hydrogen are those of a molecule whose hydrogens were left out.

    Then there are cumulenes in rings, or carbon with a charge, which is real in the cyanide ion and carbon monoxide alone.
    """
    if (numbers == 1).any() or len(numbers) < 2:
        return False
    carbon = numbers == 6
    doubles = np.bincount(bonds[bonds[:, 2] == 2][:, :2].ravel(), minlength=len(numbers))
    ring = len(bonds) >= len(numbers)
    charged = (carbon & (charges != 0)).any() and (carbon.all() or len(numbers) > 2)
    return bool(charged or (ring and (doubles > 1).any()))


def connect(numbers: np.ndarray, relative: np.ndarray, factor: float) -> np.ndarray:
    """Pairs (m, 2) of bonded atoms, i < j, sorted.

    An atom with more neighbours than its largest valence keeps the (relatively) nearest; a hydrogen keeps one.
    """
    bonded = relative < factor
    for atom, number in enumerate(numbers.tolist()):
        most = max(valence for valence, _, _ in STATES[number])
        if np.count_nonzero(bonded[atom]) > most:
            far = np.argsort(np.where(bonded[atom], relative[atom], np.inf), kind="stable")[most:]
            bonded[atom, far] = bonded[far, atom] = False
    return np.argwhere(np.triu(bonded))


def _assign(numbers: np.ndarray, pairs: np.ndarray, relative: np.ndarray, charge: int) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Cost of the charges, orders (m,) and charges (n,) of the best assignment, None where there is none."""
    n, m = len(numbers), len(pairs)
    degrees = np.bincount(pairs.ravel(), minlength=n)
    neutral = np.array([STATES[number][0][0] for number in numbers.tolist()])
    if charge == 0 and (degrees == neutral).all():
        return 0.0, np.ones(m, np.int64), np.zeros(n, np.int64)
    from scipy.optimize import Bounds, LinearConstraint, milp  # half of what a worker process would import
    from scipy.sparse import coo_array

    states = [(atom, *state) for atom, number in enumerate(numbers.tolist()) for state in STATES[number] if state[0] >= degrees[atom]]
    atom, valence, charges, cost = (np.array(column) for column in zip(*states, strict=True))
    # columns: second bond of each pair, third bond of each pair, states
    edge, state = np.arange(m), np.arange(len(states))
    second, third, chosen = edge, m + edge, 2 * m + state
    # rows: valence of each atom, one state for each atom, total charge, third bond only with a second
    total, ordered = np.full(len(states), 2 * n), 2 * n + 1 + edge
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], pairs[:, 0], pairs[:, 1], atom, n + atom, total, ordered, ordered])
    columns = np.concatenate([second, second, third, third, chosen, chosen, chosen, second, third])
    values = np.concatenate([np.ones(4 * m), -valence, np.ones(len(states)), charges, -np.ones(m), np.ones(m)])
    matrix = coo_array((values, (rows, columns)), shape=(2 * n + 1 + m, 2 * m + len(states))).tocsr()
    equal = np.concatenate([-degrees, np.ones(n), [charge]])
    constraints = LinearConstraint(matrix, np.concatenate([equal, np.full(m, -1.0)]), np.concatenate([equal, np.zeros(m)]))
    objective = np.concatenate([ORDER_COST + relative - SHORT_DOUBLE, ORDER_COST + relative - SHORT_TRIPLE, cost])
    result = milp(objective, constraints=constraints, bounds=Bounds(0, 1), integrality=np.ones(len(objective)))
    if result.x is None:
        return None
    x = np.rint(result.x).astype(np.int64)
    orders = 1 + x[:m] + x[m : 2 * m]
    formal = np.zeros(n, np.int64)
    np.add.at(formal, atom, charges * x[2 * m :])
    return float(cost @ x[2 * m :]), orders, formal


def unusual_length(numbers: np.ndarray, positions: np.ndarray, bonds: np.ndarray) -> float | None:
    """The median length of the bonds in units of the sum of covalent radii, where that is unusual: of coordinates that are not in Å.

    Args:
        numbers: atomic numbers (n,).
        positions: coordinates (n, 3).
        bonds: (m, 2) or (m, 3), the first two columns are atoms.
    """
    if not len(bonds):
        return None
    radii = COVALENT_RADII[numbers]
    i, j = bonds[:, 0].astype(int), bonds[:, 1].astype(int)
    middle = float(np.median(np.linalg.norm(positions[i] - positions[j], axis=1) / (radii[i] + radii[j])))
    return None if USUAL_LENGTH[0] <= middle <= USUAL_LENGTH[1] else middle


def odd_scale(molecule: Molecule) -> float | None:
    """What :func:`unusual_length` tells of the bonds of a molecule, or where it has none of the distances to the nearest atoms."""
    numbers, positions, bonds = molecule.atomic_numbers, molecule.positions, molecule.bonds
    if not len(bonds) and len(molecule) > 1:
        bonds = np.column_stack([np.arange(len(molecule)), relative_distances(numbers, positions).argmin(axis=1)])
    return unusual_length(numbers, positions, bonds)
