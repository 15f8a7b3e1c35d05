"""Several files beside each other: is a difference more than chance?

For a figure with values a and b of two independent sets and standard errors s_a and s_b from the bootstrap, z = (a - b) /
sqrt(s_a² + s_b²) is compared with the standard normal distribution. Shares of different molecules, and distances between distributions
(W1, total variation), fall with the number of draws, and coverage grows, whatever draws them: they are compared between sets of one size
alone. Bonds that were perceived from the geometry are no work of the generator: where those of one set were, and those of the other are its
own, nothing is compared that depends on bonds. As a table holds many comparisons, p-values are adjusted by Holm's method: the chance that
any difference marked as significant is none stays below 5 %. Resampling says too little about the spread of a handful of values: below
`FEWEST` of them nothing is tested.

References: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 16; Holm 1979, A simple sequentially rejective
multiple test procedure, Scandinavian Journal of Statistics 6, 65-70.
"""

from collections.abc import Iterable, Mapping, Sequence
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
OF_SETS = ("valid_unique", "valid_unique_novel", "p1_valid_unique", "p1_valid_unique_novel", "fcd")
"""Figures that fall with the size of a set, as do distances, or grow with it, as does coverage, whose names end like `SIZED`."""
SIZED = ("_w1", "_tv", "_covered", "scaffolds_weighted")
SIZES = "changes with the number of samples, in which the files differ"
BONDS = "depends on bonds, which were perceived from the geometry in one of the files and are its own in the other"
"""Why a figure is not compared, beside that there are too few values."""


@dataclass(frozen=True)
class Difference:
    """A figure of one file against that of the first file.

    Args:
        value: difference, this file minus the first.
        p: Holm-adjusted two-sided p-value; NaN where it cannot be had.
        better: True, False, or None where neither direction is better or the difference is not significant.
        reason: why it was not tested, "" where it was.
    """

    value: float
    p: float
    better: bool | None
    reason: str = ""

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
    found: dict[tuple[int, str], tuple[float, float, str, Column]] = {}
    for group in groups_of(summaries) if groups is None else groups:
        for column in group.columns:
            first = summaries[0].figures.get(column.name)
            for number, summary in enumerate(summaries[1:], 1):
                other = summary.figures.get(column.name)
                if first is not None and other is not None and np.isfinite(first.value) and np.isfinite(other.value):
                    reason = _unfair(group, column, summaries[0], summary)
                    p = float("nan") if reason else difference_p(first, other)
                    reason = reason or ("has no interval" if np.isnan(p) else "")
                    found[number, column.name] = (other.value - first.value, p, reason, column)
    adjusted = holm(np.array([p for _, p, _, _ in found.values()]))
    return {
        key: Difference(value, float(p), _better(value, float(p), column), reason)
        for (key, (value, _, reason, column)), p in zip(found.items(), adjusted, strict=True)
    }


def _unfair(group: Group, column: Column, first: Summary, other: Summary) -> str:
    """Why a figure is not compared between two files, "" where it is."""
    if min(first.records, other.records) < FEWEST:
        return f"fewer than {FEWEST} records"
    if (column.name in OF_SETS or column.name.endswith(SIZED)) and first.asked != other.asked:
        return SIZES
    if min(first.figures[column.name].blocks, other.figures[column.name].blocks) < FEWEST:
        return f"fewer than {FEWEST} molecules have it"
    return BONDS if group.of_bonds and first.perceived != other.perceived else ""


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


def untested(summaries: Sequence[Summary], differences: Mapping[tuple[int, str], Difference], groups: Iterable[Group]) -> list[str]:
    """Says which columns of which files are not compared and why, and which files are too small for any."""
    titles: dict[tuple[int, str], list[str]] = {}
    for group in groups:
        for column in group.columns:
            title = f"{group.protocol.capitalize()} {column.title}".strip()
            for number in range(1, len(summaries)):
                found = differences.get((number, column.name))
                if found is not None and found.reason in (SIZES, BONDS):
                    titles.setdefault((number, found.reason), []).append(title)
    lines, first = [], summaries[0]
    for (number, reason), listed in sorted(titles.items()):
        other = summaries[number]
        if reason == SIZES:
            why = f"{other.asked:,} samples against {first.asked:,}, with whose number these change; give files of one size"
        else:
            here, there = (other, first) if other.perceived else (first, other)
            why = f"the bonds of {here.name} were perceived from the geometry, those of {there.name} are its own"
        lines.append(f"{other.name}: not compared with {first.name}: {'; '.join(listed)} ({why})")
    if small := [summary.name for summary in summaries if summary.records < FEWEST]:
        lines.append(f"no differences are marked between {', '.join(small)} and others: fewer than {FEWEST} records tell too little")
    return lines


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
