"""Quick checks that the atoms sit where bonds and repulsion allow, without a force field.

Bounds are wide: nearly every real molecule passes (99.9 % of the QM9 validation molecules at B3LYP geometries), and what fails is broken
beyond what a short relaxation mends. Finer verdicts come from PoseBusters and from relaxation energies.

In order: atoms on top of each other; bond lengths against the sum of covalent radii; angles; bonds that cross another bond or pass
through a ring; atoms at least three bonds apart closer than a share of their van der Waals radii.

References: Cordero et al. 2008, Covalent radii revisited, 10.1039/b801115j; Alvarez 2013, A cartography of the van der Waals territories,
10.1039/c3dt50599e (radii of H to Kr from Bondi 1964 where given there); Buttenschoen et al. 2024, PoseBusters, 10.1039/D3SC04185A.
"""

import numpy as np

from molgen.molecules.metrics.distributions import angle_atoms, angles_of, bond_kind, neighbours
from molgen.molecules.metrics.elements import NUMBERS, SYMBOLS
from molgen.molecules.molecule import Molecule

COLLAPSED = 0.5
"""Atoms closer than this (Å) are on top of each other; the shortest bond, in H2, has 0.74 Å."""
BOND_RANGE = (0.70, 1.30)
"""Allowed ratios of a bond length to the sum of the covalent radii."""
LEAST_ANGLE = 45.0
"""Smallest bond angle, degrees; three-membered rings have 60, bridged ones down to 55."""
CLASH = 0.62
"""Atoms three or more bonds apart must be farther than this share of the sum of their van der Waals radii."""
SHARED_PROTON = 0.40
"""The same between a hydrogen and N, O, F or S: strong hydrogen bonds go down to 1.1 Å."""
CROSSING = 0.6
"""Least distance (Å) between two bonds that share no atom; opposite bonds of a tetrahedrane have 1.05 Å."""
NARROW = 14
"""Largest ring (atoms) that nothing may thread: a chain of methylene groups needs one of more than 20; in wide rings the face is no
longer clear (of the macrocycles among approved drugs one with 16 atoms would fail, none with up to 15)."""

_COVALENT = {
    "H": 0.31, "B": 0.84, "C": 0.73, "N": 0.71, "O": 0.66, "F": 0.57, "Si": 1.11, "P": 1.07, "S": 1.05, "Cl": 1.02, "Br": 1.20, "I": 1.39,
}  # fmt: skip
_VAN_DER_WAALS = {
    "H": 1.20, "B": 1.92, "C": 1.70, "N": 1.55, "O": 1.52, "F": 1.47, "Si": 2.10, "P": 1.80, "S": 1.80, "Cl": 1.75, "Br": 1.85, "I": 1.98,
}  # fmt: skip


def _radii(table: dict[str, float], default: float) -> np.ndarray:
    radii = np.full(len(SYMBOLS), default)
    for symbol, radius in table.items():
        radii[NUMBERS[symbol]] = radius
    return radii


_COVALENT_RADII, _WAALS_RADII = _radii(_COVALENT, 1.2), _radii(_VAN_DER_WAALS, 2.0)


def geometry(molecule: Molecule) -> dict[str, bool | str | float]:
    """Wide checks of distances, angles and crossings.

    Returns:
        `geometry`, `geometry_reason` ("" when all pass, else the first failed check) and `closest_contact`: the least ratio of a
        distance to the sum of van der Waals radii among atoms three or more bonds apart (NaN without such a pair).
    """
    num_atoms = len(molecule)
    result: dict[str, bool | str | float] = {"geometry": False, "geometry_reason": "", "closest_contact": float("nan")}
    if num_atoms == 0 or not np.isfinite(molecule.positions).all():
        return result | {"geometry_reason": "no atoms" if num_atoms == 0 else "coordinates that are not finite"}
    distances = np.linalg.norm(molecule.positions[:, None] - molecule.positions[None], axis=-1)
    contacts = _contacts(molecule, distances)
    result["closest_contact"] = float(np.nanmin(contacts)) if np.isfinite(contacts).any() else float("nan")
    reason = (
        _collapsed(distances)
        or _bond_lengths(molecule, distances)
        or _angles(molecule)
        or _crossings(molecule)
        or _threaded(molecule)
        or _clash(molecule, contacts)
    )
    return result | {"geometry": not reason, "geometry_reason": reason}


def _collapsed(distances: np.ndarray) -> str:
    upper = distances[np.triu_indices(len(distances), 1)]
    return "atoms on top of each other" if len(upper) and upper.min() < COLLAPSED else ""


def _bond_lengths(molecule: Molecule, distances: np.ndarray) -> str:
    i, j, order = molecule.bonds.T
    ratio = distances[i, j] / (_COVALENT_RADII[molecule.atomic_numbers[i]] + _COVALENT_RADII[molecule.atomic_numbers[j]])
    outside = np.flatnonzero((ratio < BOND_RANGE[0]) | (ratio > BOND_RANGE[1]))
    if not len(outside):
        return ""
    worst = outside[0]
    kind = bond_kind(int(molecule.atomic_numbers[i[worst]]), int(molecule.atomic_numbers[j[worst]]), int(order[worst]))
    return f"bond {kind} too {'short' if ratio[worst] < 1 else 'long'}"


def _angles(molecule: Molecule) -> str:
    triples = angle_atoms(molecule)
    if not len(triples):
        return ""
    angles = angles_of(molecule.positions, triples)
    worst = int(np.argmin(angles))
    return f"angle at {SYMBOLS[molecule.atomic_numbers[triples[worst, 1]]]} too small" if angles[worst] < LEAST_ANGLE else ""


def _contacts(molecule: Molecule, distances: np.ndarray) -> np.ndarray:
    """Distance over sum of van der Waals radii for atoms three or more bonds apart, NaN elsewhere, (n, n)."""
    num_atoms = len(molecule)
    bonded = np.eye(num_atoms, dtype=np.float32)
    i, j = molecule.bonds[:, 0], molecule.bonds[:, 1]
    bonded[i, j] = bonded[j, i] = 1
    near = bonded @ bonded > 0
    radii = _WAALS_RADII[molecule.atomic_numbers]
    return np.where(near, np.nan, distances / (radii[:, None] + radii[None]))


def _clash(molecule: Molecule, contacts: np.ndarray) -> str:
    hydrogen, acceptor = molecule.atomic_numbers == 1, np.isin(molecule.atomic_numbers, (7, 8, 9, 16))
    shared = hydrogen[:, None] & acceptor[None]
    least = np.where(shared | shared.T, SHARED_PROTON, CLASH)
    return "clash between atoms that are not bonded" if (contacts < least).any() else ""


def _crossings(molecule: Molecule) -> str:
    """Two bonds without a common atom that come closer than `CROSSING`."""
    bonds = molecule.bonds[:, :2]
    first, second = np.triu_indices(len(bonds), 1)
    apart = (bonds[first][:, :, None] != bonds[second][:, None, :]).all(axis=(1, 2))
    first, second = first[apart], second[apart]
    if not len(first):
        return ""
    ends = molecule.positions[bonds]  # (m, 2, 3)
    middles = ends.mean(axis=1)
    reach = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2
    near = np.linalg.norm(middles[first] - middles[second], axis=1) < reach[first] + reach[second] + CROSSING
    first, second = first[near], second[near]
    if len(first) and segment_distances(ends[first], ends[second]).min() < CROSSING:
        return "bonds that cross"
    return ""


def segment_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Least distances between line segments, each of shape (p, 2, 3); returns (p,).

    Minimises |a + s u - b - t v| over s, t in [0, 1]: the inner solution clipped, then each end against the other segment.
    """
    a, u = first[:, 0], first[:, 1] - first[:, 0]
    b, v = second[:, 0], second[:, 1] - second[:, 0]
    w = a - b
    uu, uv, vv = (np.einsum("pc,pc->p", x, y) for x, y in ((u, u), (u, v), (v, v)))
    uw, vw = np.einsum("pc,pc->p", u, w), np.einsum("pc,pc->p", v, w)
    determinant = uu * vv - uv * uv
    safe = np.where(determinant > 1e-9, determinant, 1.0)
    s = np.clip(np.where(determinant > 1e-9, (uv * vw - vv * uw) / safe, 0.0), 0, 1)
    t = np.clip((uv * s + vw) / np.maximum(vv, 1e-12), 0, 1)
    s = np.clip((uv * t - uw) / np.maximum(uu, 1e-12), 0, 1)
    return np.linalg.norm(w + s[:, None] * u - t[:, None] * v, axis=1)


def _threaded(molecule: Molecule) -> str:
    """A bond that passes through the face of a ring of up to `NARROW` atoms of which it is no part."""
    for ring in small_rings(molecule, largest=NARROW):
        corners = molecule.positions[ring]
        centre = corners.mean(axis=0)
        members = set(ring)
        others = molecule.bonds[[i not in members and j not in members for i, j in molecule.bonds[:, :2].tolist()], :2]
        if not len(others):
            continue
        origin, direction = molecule.positions[others[:, 0]], molecule.positions[others[:, 1]] - molecule.positions[others[:, 0]]
        if _pierces(origin, direction, centre, corners, np.roll(corners, -1, axis=0)).any():
            return "bond through a ring"
    return ""


def _pierces(origin: np.ndarray, direction: np.ndarray, centre: np.ndarray, corners: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Whether segments origin + t direction, t in [0, 1], (p, 3) cross the triangles centre, corner, next corner (r, 3); returns (p, r).

    Möller and Trumbore 1997, Fast, minimum storage ray/triangle intersection, with the triple products written out.
    """
    edge, other = corners - centre, following - centre
    normal = np.cross(edge, other)
    offset = origin - centre
    determinant = -direction @ normal.T
    safe = np.where(np.abs(determinant) > 1e-9, determinant, np.inf)
    moment = np.cross(offset, direction)
    u, v, t = moment @ other.T / safe, -moment @ edge.T / safe, offset @ normal.T / safe
    return np.isfinite(safe) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0) & (t <= 1)


def small_rings(molecule: Molecule, largest: int) -> list[list[int]]:
    """For each bond the shortest ring through it, of at most `largest` atoms, each ring once, in order around the ring."""
    around = neighbours(molecule)
    rings: dict[frozenset[int], list[int]] = {}
    for start, goal in molecule.bonds[:, :2].tolist():
        if len(around[start]) < 2 or len(around[goal]) < 2:
            continue
        paths, seen = [[start]], {start}
        found: list[int] = []
        while paths and not found and len(paths[0]) < largest:
            longer = []
            for path in paths:
                for atom in around[path[-1]]:
                    if atom == goal and len(path) > 1:
                        found = [*path, goal]
                    elif atom not in seen and atom != goal:
                        seen.add(atom)
                        longer.append([*path, atom])
            paths = longer
        if found:
            rings.setdefault(frozenset(found), found)
    return list(rings.values())
