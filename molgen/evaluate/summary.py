"""From sums and histograms to figures with 95 % intervals.

Every figure is a function of sums over blocks, so resampling the blocks R = 400 times (weights from a multinomial, seed 0) gives
R values, and their 2.5th and 97.5th percentiles the interval. A share to which every record gives an independent yes or no has the exact
binomial one (:mod:`molgen.intervals`), and so has any share of exactly 0 or 1, which has no spread to resample; values of fewer
than two blocks have no interval. A distance between
distributions grows by the noise of resampling, so its resampled values are first moved to have the figure itself as their median.
Uniqueness is no such function: the first of equal samples counts, and resampling blocks takes it for independent of the others, which makes
its interval too wide where repeats are frequent (2.6 times for 1,000 draws from 400 molecules, within 10 % where one draw in forty repeats
another). Where no valid sample repeats another every record is a yes or a no of its own, and the interval is the exact one.

Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

import numpy as np

from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.tally import BLOCKS, Tally, Values
from molgen.files import encodable
from molgen.intervals import clopper_pearson
from molgen.known import Known
from molgen.molecules.metrics.conditional import conditional_errors
from molgen.molecules.metrics.coverage import coverage
from molgen.molecules.metrics.distances import Grid, family_distance, missing_kinds, total_variation, wasserstein
from molgen.molecules.metrics.frechet import frechet_distance

RESAMPLES = 400

OF_ASKED = ("p1_stable", "p1_valid", "p2s_stable", "p2_stable", "sanitizes", "valid", "geometry", "agreement", "posebusters", "read")
"""Verdicts given as a share of all samples asked for; other verdicts are shares of the molecules they were computed for."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval.

    Args:
        value: of the whole set.
        low: end of the interval, NaN where none can be given.
        high: end of the interval, NaN where none can be given.
        resamples: values of the resampled sets, for tests of differences.
        blocks: that hold what it was computed from; all where nobody counted.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    resamples: np.ndarray | None = field(default=None, repr=False, compare=False)
    blocks: int = field(default=BLOCKS, repr=False, compare=False)


@dataclass
class Summary:
    """All figures of a set.

    Args:
        name: of the set.
        records: in the file.
        asked: samples asked for, at least the records.
        figures: by name; names and units are listed in `molgen.evaluate.tables`.
        reasons: how often each reason occurred, by check.
        notes: lines for the reader.
        seconds: that the evaluation took.
        run: model, seed and number of network calls as the file's tags tell.
        perceived_records: that came without bonds; they have those that their geometry tells.
        first_records: number of the first record that has the reason, by check and reason.
    """

    name: str
    records: int
    asked: int
    figures: dict[str, Figure] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    run: dict[str, str] = field(default_factory=dict)
    perceived_records: int = 0
    first_records: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def perceived(self) -> bool:
        """Whether most records came without bonds."""
        return 2 * self.perceived_records > self.records

    def as_dict(self) -> dict[str, object]:
        """For JSON: NaN becomes null, and what a file cannot hold of names a sign."""
        ends = ("value", "low", "high")
        figures = {name: {key: _finite(getattr(figure, key)) for key in ends} for name, figure in self.figures.items()}
        counts = {"records": self.records, "asked": self.asked, "perceived_records": self.perceived_records}
        facts = {**counts, "seconds": round(self.seconds, 2), "run": self.run}
        notes = [encodable(note) for note in self.notes]
        return {
            "name": encodable(self.name),
            **facts,
            "metrics": figures,
            "reasons": self.reasons,
            "first_records": self.first_records,
            "notes": notes,
        }


def summarise(
    tally: Tally, train: Known | None = None, reference: Tally | None = None, baseline: Mapping[str, Values] = MappingProxyType({})
) -> Summary:
    """Computes every figure that the tally allows.

    Args:
        tally: of the set.
        train: the training molecules, for novelty.
        reference: tally of real molecules to compare distributions with; the tally itself to compare its two halves.
        baseline: requested properties as measured on unconditional samples, by name.
    """
    summary = Summary(tally.name, tally.records, tally.asked)
    figures = summary.figures
    for name, (part, whole) in tally.ratios.items():
        if name in OF_ASKED:
            without = tally.ratios["perceived"][1] if name == "agreement" and "perceived" in tally.ratios else 0
            figures[name] = share(part, _records(tally) + tally.missing - without)
        elif name == "no_alerts":
            figures[name] = share(part, whole)
        elif name in DISTRIBUTIONS and DISTRIBUTIONS[name].median:
            figures[name] = median(tally.histograms[name][""], DISTRIBUTIONS[name].grid)
        else:
            figures[name] = ratio(part, whole, float(tally.records) if name.endswith("_atom") else 0.0)
    figures |= set_figures(tally, train)
    if reference is not None:
        _distances(figures, tally, reference)
        _coverage(summary, tally, reference)
    for name, requests in sorted(tally.requests.items()):
        requested, (sizes, measured) = np.array(requests.requested), requests.measured.arrays()
        real, unconditional = (found.get(name, Values()).arrays() for found in ((reference or tally).labels, baseline))
        errors = conditional_errors(requested, measured, sizes, real, unconditional, tally.asked - tally.read)
        figures |= {f"{name}:{key}": Figure(float(value)) for key, value in errors.items()}
        figures[f"{name}:mae"] = _mean_error(requested, measured)
    summary.reasons = {check: dict(counts.most_common()) for check, counts in sorted(tally.reasons.items())}
    if "perceived" in tally.ratios:
        summary.perceived_records = int(tally.ratios["perceived"][1].sum())
    summary.first_records = dict(tally.first)
    summary.run = {name: ", ".join(sorted(counts)) for name, counts in tally.tags.items() if len(counts) <= 5}
    return summary


def ratio(part: np.ndarray, whole: np.ndarray, events: float = 0.0) -> Figure:
    """Sum of parts over sum of wholes, both by block, with its interval from resampled blocks.

    Args:
        part: by block.
        whole: by block.
        events: of a share, how many are independent, for the interval where it is 0 or 1; 0 where it is no share.
    """
    total = whole.sum()
    if not total:
        return Figure(float("nan"))
    value, resampled, blocks = float(part.sum() / total), _divide(_weights() @ part, _weights() @ whole), int(np.count_nonzero(whole))
    if events and value in (0.0, 1.0):
        return Figure(value, *clopper_pearson(value * events, events), resampled, blocks)
    return _with_interval(value, resampled, blocks)


def share(part: np.ndarray, whole: np.ndarray) -> Figure:
    """Share of independent records that have something, both counted by block, with the exact interval."""
    hits, trials = float(part.sum()), float(whole.sum())
    if not trials:
        return Figure(float("nan"))
    resampled = _divide(_weights() @ part, _weights() @ whole)
    return Figure(hits / trials, *clopper_pearson(hits, trials), resampled, int(np.count_nonzero(whole)))


def median(counts: np.ndarray, grid: Grid) -> Figure:
    """Median from histograms by block, interpolated within its bin, or halfway between two bins that share the values equally."""
    centres = grid.centres

    def middle(histogram: np.ndarray) -> np.ndarray:
        cumulative = np.cumsum(histogram, axis=-1)
        half, ends = cumulative[..., -1:] / 2, []
        for reached in (cumulative >= half, cumulative > half):
            bin_ = np.argmax(reached, axis=-1)[..., None]
            count = np.take_along_axis(histogram, bin_, -1)
            inside = _divide(half - np.take_along_axis(cumulative, bin_, -1) + count, count)
            ends.append(centres[bin_] + (inside - 0.5) * grid.width)
        return ((ends[0] + ends[1]) / 2)[..., 0]

    value = float(middle(counts.sum(axis=0).astype(np.float64)))
    return _with_interval(value, middle(_weights() @ counts), int(np.count_nonzero(counts.any(axis=-1))))


def first_occurrences(keys: np.ndarray) -> np.ndarray:
    """Marks the first occurrence of each key, so that uniqueness becomes a per-sample yes or no that can be bootstrapped.

    Args:
        keys: any sortable keys, shape (n,).

    Returns:
        Boolean array, shape (n,); its sum is the number of distinct keys.
    """
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def set_figures(tally: Tally, train: Known | None) -> dict[str, Figure]:
    """Uniqueness and novelty as shares of all asked, with the first of equal samples counting as the unique one."""
    figures = {}
    whole = _records(tally) + tally.missing
    for prefix, column in (("", tally.smiles), ("p1_", tally.p1_smiles)):
        hashes = np.frombuffer(column, dtype=np.uint64) if len(column) else np.zeros(0, np.uint64)
        blocks = np.arange(len(hashes)) % BLOCKS
        unique = first_occurrences(hashes) & (hashes != 0)
        valid, new = _per_block(hashes != 0, blocks), _per_block(unique, blocks)
        independent = new.sum() == valid.sum()
        figures[f"{prefix}valid_unique"] = share(new, whole) if independent else ratio(new, whole, float(whole.sum()))
        figures[f"{prefix}unique_of_valid"] = ratio(new, valid, float(valid.sum()))
        if train is not None:
            known = train.holds(hashes)
            novel = _per_block(unique & ~known, blocks)
            figures[f"{prefix}valid_unique_novel"] = share(novel, whole) if independent else ratio(novel, whole, float(whole.sum()))
            figures[f"{prefix}novel_of_unique"] = ratio(novel, new, float(new.sum()))
            if not prefix:
                figures["memorised"] = share(_per_block(known, blocks), whole)
    return figures


def _distances(figures: dict[str, Figure], tally: Tally, reference: Tally) -> None:
    """Distances to the reference; of a tally to itself: between its even and its odd blocks, the noise of half the set."""
    halves = tally is reference
    rows = slice(0, None, 2) if halves else slice(None)
    others = slice(1, None, 2) if halves else slice(None)
    weights = _weights()[:, rows]
    for name, known in DISTRIBUTIONS.items():
        if not known.distance or name not in tally.histograms or name not in reference.histograms:
            continue
        # the set itself in the first row, the resampled ones below it
        samples = {kind: np.vstack([own[rows].sum(axis=0)[None], weights @ own[rows]]) for kind, own in tally.histograms[name].items()}
        real = {kind: counts[others].sum(axis=0) for kind, counts in reference.histograms[name].items()}
        if known.distance == "tv":
            kinds = sorted({*samples, *real})
            counts = np.stack([samples[kind].sum(axis=-1) if kind in samples else np.zeros(RESAMPLES + 1) for kind in kinds], axis=-1)
            distance = total_variation(counts, np.array([real[kind].sum() if kind in real else 0 for kind in kinds]))
        elif known.by_kind:
            distance = family_distance(samples, real, known.grid.width)
            figures[f"{name}_missing"] = Figure(float(len(missing_kinds({kind: drawn[:1] for kind, drawn in samples.items()}, real))))
        else:
            distance = wasserstein(samples[""], real[""], known.grid.width)
        filled = np.any([own[rows].any(axis=-1) for own in tally.histograms[name].values()], axis=0)
        figures[f"{name}_{known.distance}"] = _distance(distance, int(np.count_nonzero(filled)))
    if tally.chemnet is not None and reference.chemnet is not None:
        mine, theirs = tally.chemnet.halves, reference.chemnet.halves
        pair = mine if halves else (mine[0] + mine[1], theirs[0] + theirs[1])
        figures["fcd"] = Figure(frechet_distance(*pair))


def _distance(values: np.ndarray, blocks: int) -> Figure:
    """A distance, first of `values`, with the interval of its resampled values, the others, moved to have it as their median.

    NaN alone where the sets have no kind in common that is frequent enough; `blocks` hold values.
    """
    if np.ndim(values) == 0:
        return Figure(float(values))
    moved = np.maximum(values[1:] + values[0] - np.nanmedian(values[1:]), 0.0) if np.isfinite(values[1:]).any() else values[1:]
    return _with_interval(float(values[0]), moved, blocks)


def _coverage(summary: Summary, tally: Tally, reference: Tally) -> None:
    """Kinds of the reference among the samples; of a tally with itself: kinds of its odd blocks among its even ones."""
    for name in ("scaffolds", "groups"):
        sets = [half[name] for half in tally.halves] if tally is reference else [getattr(each, name) for each in (tally, reference)]
        result = coverage(*sets)
        summary.figures[f"{name}_covered"] = Figure(result["covered"])
        summary.figures[f"{name}_weighted"] = Figure(result["weighted"])


def _mean_error(requested: np.ndarray, measured: np.ndarray) -> Figure:
    error = np.abs(measured - requested)
    known = np.isfinite(error)
    blocks = np.arange(len(error)) % BLOCKS
    return ratio(_per_block(np.where(known, error, 0.0), blocks), _per_block(known, blocks))


@cache
def _weights() -> np.ndarray:
    """How often each block is drawn in each resampling, shape (RESAMPLES, BLOCKS)."""
    return np.random.default_rng(0).multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), size=RESAMPLES).astype(np.float64)


def _records(tally: Tally) -> np.ndarray:
    return np.bincount(np.arange(tally.records) % BLOCKS, minlength=BLOCKS)


def _per_block(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    return np.bincount(blocks, weights=values.astype(np.float64), minlength=BLOCKS)


def _with_interval(value: float, resampled: np.ndarray, blocks: int) -> Figure:
    """A figure of values in so many blocks; of one alone all resampled sets are equal and tell nothing."""
    return Figure(value, *_interval(resampled), resampled, blocks) if blocks > 1 else Figure(value, blocks=blocks)


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    finite = resampled[np.isfinite(resampled)]
    if len(finite) < RESAMPLES // 2:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
