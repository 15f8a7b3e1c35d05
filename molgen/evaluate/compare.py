"""Several files beside each other: is a difference more than chance?

For a figure with values a and b of two independent sets and standard errors s_a and s_b from the bootstrap, z = (a - b) /
sqrt(s_a² + s_b²) is compared with the standard normal distribution. Shares of different molecules, and distances between distributions
(W1, total variation), fall with the number of draws, whatever draws them: they are compared between sets of one size alone. As a table
holds many comparisons, p-values are adjusted by Holm's method: the chance that any difference marked as significant is none stays below
5 %. Resampling says too little about the spread of a handful of values: below `FEWEST` of them nothing is tested.

References: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 16; Holm 1979, A simple sequentially rejective
multiple test procedure, Scandinavian Journal of Statistics 6, 65-70.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from molgen.evaluate.summary import Figure, Summary
from molgen.evaluate.tables import GROUPS, Column, Group, request_groups

LEVEL = 0.05
FEWEST = 20
"""Records of a file, and blocks of them that hold a figure, for it to be compared."""
NOISE = 1e-9
"""Share of a figure below which its resampled values differ by rounding alone."""
OF_SETS = ("valid_unique", "valid_unique_novel", "p1_valid_unique", "p1_valid_unique_novel")
"""Shares that fall with the size of a set; so do distances, whose names end like `DISTANCES`."""
DISTANCES = ("_w1", "_tv")


@dataclass(frozen=True)
class Difference:
    """A figure of one file against that of the first file.

    Args:
        value: difference, this file minus the first.
        p: Holm-adjusted two-sided p-value; NaN where it cannot be had.
        better: True, False, or None where neither direction is better or the difference is not significant.
    """

    value: float
    p: float
    better: bool | None

    @property
    def significant(self) -> bool:
        """Whether it is more than chance."""
        return self.p < LEVEL


def compare(summaries: list[Summary], groups: Sequence[Group] | None = None) -> dict[tuple[int, str], Difference]:
    """Differences of every file but the first to the first.

    Args:
        summaries: of the files, the first is what the others are compared with.
        groups: tables whose figures are compared; those of molecules by default.

    Returns:
        By (number of the file, name of the figure).
    """
    found: dict[tuple[int, str], tuple[float, float, Column]] = {}
    for group in groups_of(summaries) if groups is None else groups:
        for column in group.columns:
            first = summaries[0].figures.get(column.name)
            for number, summary in enumerate(summaries[1:], 1):
                other = summary.figures.get(column.name)
                if first is not None and other is not None and np.isfinite(first.value) and np.isfinite(other.value):
                    enough = min(summary.records, summaries[0].records, first.blocks, other.blocks) >= FEWEST
                    by_size = column.name in OF_SETS or column.name.endswith(DISTANCES)
                    fair = enough and (not by_size or summary.asked == summaries[0].asked)
                    p = difference_p(first, other) if fair else float("nan")
                    found[number, column.name] = (other.value - first.value, p, column)
    adjusted = holm(np.array([p for _, p, _ in found.values()]))
    return {
        key: Difference(value, float(p), _better(value, float(p), column))
        for (key, (value, _, column)), p in zip(found.items(), adjusted, strict=True)
    }


def difference_p(first: Figure, second: Figure) -> float:
    """Two-sided p-value that two figures of independent sets differ by chance; NaN without standard errors."""
    if first.value == second.value:
        return 1.0
    error = sqrt(standard_error(first) ** 2 + standard_error(second) ** 2)
    told = error > NOISE * max(abs(first.value), abs(second.value))
    return erfc(abs(first.value - second.value) / error / sqrt(2)) if told else float("nan")


def standard_error(figure: Figure) -> float:
    """From the resampled values; from the width of the interval where there are none or all are equal (a share of 0 or 1)."""
    known = figure.resamples is not None and np.isfinite(figure.resamples).any()
    error = float(np.nanstd(figure.resamples)) if figure.resamples is not None and known else 0.0
    told = error > NOISE * abs(figure.value) or (known and not np.isfinite(figure.low))
    return error if told else (figure.high - figure.low) / (2 * 1.96)


def untested(summaries: Sequence[Summary]) -> str:
    """Says which files are too small to be compared, "" where none is."""
    small = [summary.name for summary in summaries if summary.records < FEWEST]
    return f"no differences are marked between {', '.join(small)} and others: fewer than {FEWEST} records tell too little" if small else ""


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values, shape (n,); NaN stays NaN and does not count."""
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (len(order) - np.arange(len(order)))), 1.0)
    return adjusted


def groups_of(summaries: list[Summary]) -> list[Group]:
    """All tables that have a figure in one of the files, each table once."""
    requested = {group.title: group for summary in summaries for group in request_groups(summary)}
    return [*GROUPS, *requested.values()]


def _better(value: float, p: float, column: Column) -> bool | None:
    if not p < LEVEL or not column.better:
        return None
    return (value > 0) == (column.better == "high")
