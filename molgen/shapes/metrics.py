"""Distances between clouds, between sets of clouds, and checks of meshes.

For clouds X and Y of n and m points,

    Chamfer        CD(X, Y)  = mean_x min_y |x - y|^2 + mean_y min_x |x - y|^2            (squared lengths)
    earth mover's  EMD(X, Y) = min over bijections p of mean_x |x - p(x)|, n = m          (lengths)

and for samples S and references R under either distance D,

    MMD       mean over r of min_s D(s, r): fidelity, small is good; blind to missing modes only where R is small
    coverage  share of references that are the nearest reference of some sample: 55 to 60 % of large equal sets from one distribution (on
              a line 5/9, on a surface 58 %, in space 60 %), less where a few references are near to everything
    1-NNA     share of S and R together whose nearest other cloud comes from their own set: 50 % is ideal, 100 % tells them apart,
              0 % are copies

Reference: PointFlow (2019, arXiv 1906.12320), An empirical study on evaluation metrics of generative adversarial networks (2018,
arXiv 1806.07755).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from molgen.errors import InputError
from molgen.intervals import clopper_pearson

LARGEST_ASSIGNMENT = 2048  # points
STRAYS = 0.005  # share of the points of a cloud that may lie apart
NEIGHBOURS = 10  # that points of a cloud in one piece reach
RESAMPLES = 1000  # of a bootstrap interval
CANDIDATES = 40  # nearest known points of a surface whose triangles are looked at
KNOWN = 30_000  # points drawn of a surface, beside its vertices


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Chamfer distance of two clouds (n, 3) and (m, 3)."""
    return _between_trees(_tree(a), _tree(b))


def _tree(cloud: np.ndarray) -> cKDTree:
    """A tree whose points lie in its own order, so that those asked for one after the other are neighbours."""
    return cKDTree(cloud[cKDTree(cloud).indices])


def _between_trees(a: cKDTree, b: cKDTree) -> float:
    return float(np.square(b.query(a.data)[0]).mean() + np.square(a.query(b.data)[0]).mean())


def earth_movers(a: np.ndarray, b: np.ndarray) -> float:
    """Earth mover's distance of two clouds of equal size, by an optimal assignment.

    Raises:
        InputError: clouds of different sizes or of more than 2,048 points.
    """
    if len(a) != len(b) or len(a) > LARGEST_ASSIGNMENT:
        raise InputError(
            f"earth mover's distance: expected two clouds of one size up to {LARGEST_ASSIGNMENT} points, got {len(a)} and {len(b)}"
        )
    lengths = cdist(a, b)
    return float(lengths[linear_sum_assignment(lengths)].mean())


@dataclass(frozen=True)
class Distance:
    """A symmetric distance of clouds.

    Args:
        prepare: what is made of a cloud once, before it is compared.
        between: distance of two of these.
    """

    prepare: Callable[[np.ndarray], Any]
    between: Callable[[Any, Any], float]


CHAMFER = Distance(_tree, _between_trees)
EARTH_MOVERS = Distance(np.asarray, earth_movers)


def distance_matrix(
    distance: Distance,
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray] | None = None,
    threads: int = 1,
    progress: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> np.ndarray:
    """Distances (S, R) of two sets, or (S, S) of one, whose pairs are compared once.

    Args:
        distance: which.
        first: S clouds.
        second: R clouds; None for the first ones again.
        threads: rows computed at once.
        progress: wraps the S rows, of which it yields each.
    """
    one = [distance.prepare(cloud) for cloud in first]
    other = one if second is None else [distance.prepare(cloud) for cloud in second]

    def row(k: int) -> np.ndarray:
        begin = k + 1 if second is None else 0
        return np.array([0.0] * begin + [distance.between(one[k], each) for each in other[begin:]])

    pool = ThreadPoolExecutor(threads)
    try:
        found = np.stack(list(progress(pool.map(row, range(len(one))))))
    finally:
        pool.shutdown(cancel_futures=True)
    return found + found.T if second is None else found


def one_nearest_neighbour(ss: np.ndarray, sr: np.ndarray, rr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which samples and which references have their nearest other cloud in their own set.

    Args:
        ss: (S, S) distances between samples.
        sr: (S, R) distances from samples to references.
        rr: (R, R) distances between references.

    Returns:
        Two boolean arrays (S,) and (R,); their common mean is the 1-NNA. A tie counts as foreign, so that copies score 0.
    """
    own_s, own_r = (np.where(np.eye(len(matrix), dtype=bool), np.inf, matrix).min(1) for matrix in (ss, rr))
    return own_s < sr.min(1), own_r < sr.min(0)


def covered(sr: np.ndarray) -> np.ndarray:
    """Which references (R,) are the nearest reference of some sample."""
    found = np.zeros(sr.shape[1], dtype=bool)
    found[sr.argmin(1)] = True
    return found


def set_figures(ss: np.ndarray, sr: np.ndarray, rr: np.ndarray) -> dict[str, np.ndarray]:
    """Per-item values whose means are the figures of a set: ``mmd`` (R,), ``coverage`` (R,), ``nna`` (S + R,)."""
    return {
        "mmd": sr.min(0),
        "coverage": covered(sr),
        "nna": np.concatenate(one_nearest_neighbour(ss, sr, rr)),
    }


def in_one_piece(cloud: np.ndarray) -> bool:
    """Whether a cloud (n, 3) hangs together: a broken leg or a loose handle is a piece of its own.

    Points closer than ``4.5 / sqrt(n)`` of the cloud's radius belong together (0.1 for 2,048 points, a few times the distance between
    neighbours on a surface), and those as near as a tenth neighbour usually is: random points of a sphere have five others within the first
    distance, and break into islands by chance. Pieces of less than half a percent of the points are strays and do not count, nor for the
    radius.
    """
    least, points = STRAYS * len(cloud), cloud
    while True:
        lengths = np.linalg.norm(points - points.mean(0), axis=1)
        radius = min(lengths.max(), 1.5 * np.quantile(lengths, 1 - STRAYS))  # with a far stray, all pairs of the others would be near
        tree = cKDTree(points)
        tenth = np.median(tree.query(points, [1 + min(NEIGHBOURS, len(points) // 8)])[0])  # of the points the first is the point itself
        one, other = tree.query_pairs(max(4.5 / len(cloud) ** 0.5 * radius, tenth), output_type="ndarray").T
        joined = coo_matrix((np.ones(len(one)), (one, other)), (len(points), len(points)))
        piece = connected_components(joined, directed=False)[1]
        sizes = np.bincount(piece)
        kept = points[sizes[piece] >= least]
        if len(kept) in (0, len(points)):
            return int((sizes >= least).sum()) == 1
        points = kept


def interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of values (n,) and the ends of its 95 % interval: of truth values the exact binomial one, else by the bootstrap.

    A single number has no interval: its ends are NaN.
    """
    if values.dtype == bool:
        return float(values.mean()), *clopper_pearson(float(values.sum()), float(len(values)))
    if len(values) < 2:
        return float(values.mean()), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def nearest_neighbour_interval(ss: np.ndarray, sr: np.ndarray, rr: np.ndarray) -> tuple[float, float, float]:
    """The 1-NNA and the ends of its 95 % interval; arguments as :func:`one_nearest_neighbour`.

    Two clouds that are each other's nearest always agree, so that N clouds, a share m of them in such pairs, are worth N / (1 + m)
    independent ones: of equal sets from one distribution the interval holds 50 % in 95 % of the cases, that of independent clouds in 90.
    """
    agree = np.concatenate(one_nearest_neighbour(ss, sr, rr))
    whole = np.block([[ss, sr], [sr.T, rr]])
    np.fill_diagonal(whole, np.inf)
    next_to = whole.argmin(1)
    mutual = float((next_to[next_to] == np.arange(len(whole))).mean())
    trials = len(whole) / (1 + mutual)
    return float(agree.mean()), *clopper_pearson(float(agree.mean()) * trials, trials)


def mesh_checks(mesh: trimesh.Trimesh) -> dict[str, float | bool]:
    """Whether a mesh is closed and what it encloses.

    Returns:
        ``watertight``, ``consistent`` (faces wound one way), ``euler`` (vertices - edges + faces), ``bodies``, and ``volume`` (NaN unless
        watertight, negative where faces look inwards).
    """
    closed = bool(mesh.is_watertight)
    return {
        "watertight": closed,
        "consistent": bool(mesh.is_winding_consistent),
        "euler": int(mesh.euler_number),
        "bodies": int(mesh.body_count),
        "volume": float(mesh.volume) if closed else float("nan"),
    }


def points_to_surface(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    """Distances (n,) of points to a surface.

    Exact distances to the triangles that hold the ``CANDIDATES`` nearest of ``KNOWN`` points of the surface and of its vertices.
    """
    drawn, face = trimesh.sample.sample_surface(mesh, KNOWN, seed=0)
    corners = np.asarray(mesh.triangles)
    known = np.vstack([drawn, corners.reshape(-1, 3)])
    owner = np.concatenate([face, np.repeat(np.arange(len(corners)), 3)])
    near = owner[cKDTree(known).query(points, CANDIDATES)[1]]
    closest = trimesh.triangles.closest_point(corners[near.ravel()], np.repeat(points, CANDIDATES, axis=0))
    return np.linalg.norm(closest.reshape(len(points), CANDIDATES, 3) - points[:, None], axis=-1).min(1)
