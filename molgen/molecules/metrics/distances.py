"""Distances between two distributions that are kept as histograms, so that memory does not grow with the number of samples.

On a grid of width h the 1-Wasserstein distance between p and q is h * sum_k |P_k - Q_k| with the cumulative sums P and Q; its
error is below h and in practice far below, as P - Q varies little within a bin. Families of distributions (bond lengths of each
kind of bond) are averaged with the frequencies of the reference, as in MiDi.

Reference: Vignac et al. 2023, MiDi, arXiv 2302.09048, appendix (bond lengths and angles); Villani 2009, Optimal Transport (W1 in
one dimension).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

RARE = 50
"""Values of a kind in the reference below which it is left out."""


@dataclass(frozen=True)
class Grid:
    """Equal bins of a quantity; what lies outside falls into the first or the last, see :meth:`beyond`.

    Args:
        low: left end of the first bin.
        high: right end of the last bin.
        width: of a bin.
        unit: of the quantity.
    """

    low: float
    high: float
    width: float
    unit: str = ""

    @cached_property
    def bins(self) -> int:
        """Number of bins."""
        return round((self.high - self.low) / self.width)

    def place(self, value: float) -> int:
        """Bin of a value; the first or the last for values beyond."""
        return int(min(max((value - self.low) / self.width, 0), self.bins - 1))

    def beyond(self, value: float) -> float | None:
        """The end of the grid that a value lies beyond, None where it is inside."""
        return self.low if value < self.low else self.high if value > self.high else None

    @property
    def centres(self) -> np.ndarray:
        """Middles of the bins, shape (bins,)."""
        return self.low + self.width * (np.arange(self.bins) + 0.5)


def wasserstein(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """1-Wasserstein distance between histograms on the same grid.

    Args:
        first: counts, shape (..., bins).
        second: counts, shape (..., bins).
        width: of a bin.

    Returns:
        Distances in the unit of `width`, shape (...); NaN where a histogram is empty.
    """
    return np.asarray(width * np.abs(np.cumsum(_shares(first), axis=-1) - np.cumsum(_shares(second), axis=-1)).sum(axis=-1))


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Total variation distance in [0, 1], half the sum of |p - q|, between counts of the same classes, shape (..., classes)."""
    return np.asarray(0.5 * np.abs(_shares(first) - _shares(second)).sum(axis=-1))


def family_distance(samples: dict[str, np.ndarray], reference: dict[str, np.ndarray], width: float) -> np.ndarray:
    """Mean 1-Wasserstein distance of a family of histograms, weighted by how frequent each kind is in the reference.

    Kinds with fewer than `RARE` values in the reference are left out (their distance is noise), as are kinds that the
    samples lack, which `missing_kinds` reports.

    Args:
        samples: counts by kind, each of shape (..., bins).
        reference: counts by kind, each of shape (bins,) or (..., bins).
        width: of a bin.

    Returns:
        Distance, shape (...); NaN without a common kind.
    """
    total, weights = np.zeros(()), np.zeros(())
    for kind, expected in reference.items():
        count = expected.sum(axis=-1)
        if kind not in samples or np.max(count) < RARE:
            continue
        distance = wasserstein(samples[kind], expected, width)
        weight = np.where(np.isfinite(distance), count, 0.0)
        total = total + weight * np.nan_to_num(distance)
        weights = weights + weight
    return np.divide(total, weights, out=np.full(np.shape(total), np.nan), where=weights > 0)


def missing_kinds(samples: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> list[str]:
    """Kinds with at least `RARE` values in the reference that never occur in the samples."""
    return sorted(kind for kind, counts in reference.items() if counts.sum() >= RARE and not samples.get(kind, np.zeros(1)).sum())


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.full(np.shape(counts), np.nan), where=total > 0)
