"""Which distributions of an evaluation are drawn, and how."""

from collections.abc import Sequence

import numpy as np

from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.run import Evaluation
from molgen.evaluate.summary import Summary
from molgen.evaluate.tally import Tally
from molgen.molecules.metrics.distances import wasserstein
from molgen.molecules.units import unit
from molgen.report.plots import COLOURS, REAL, Curve, density_plot, legend, scatter_plot

Named = Sequence[tuple[str, Tally]]
"""Sets of samples with their names in the legend."""


def distribution_plots(samples: Named, reference: Tally | None) -> str:
    """HTML of all distributions, samples as lines over the filled reference."""
    shown = [(name, COLOURS[place % len(COLOURS)], False) for place, (name, _) in enumerate(samples)]
    key = legend(([(f"real: {reference.name}", REAL, True)] if reference else []) + shown)
    parts = []
    for name, known in DISTRIBUTIONS.items():
        if known.title:
            kinds = _frequent(reference or samples[0][1], name, known.drawn) if known.by_kind else [""]
            parts += [_plot(f"{known.title} {kind}".strip(), name, kind, samples, reference) for kind in kinds]
    plots = "".join(f"<figure>{plot}</figure>" for plot in parts if plot)
    return f'{key}<div class="plots">{plots}</div>' if plots else ""


def request_plots(evaluation: Evaluation) -> str:
    """HTML of measured against requested values for each requested property that was measured."""
    parts = []
    for name, requests in sorted(evaluation.tally.requests.items()):
        requested, measured = np.array(requests.requested), np.array(requests.measured.values)
        parts.append(scatter_plot(name, requested, measured, unit(name), _errors(evaluation.samples, name)))
    plots = "".join(f"<figure>{plot}</figure>" for plot in parts if plot)
    return f'<div class="plots">{plots}</div>' if plots else ""


def _errors(summary: Summary, name: str) -> str:
    error, baseline = summary.figures[f"{name}:mae"].value, summary.figures[f"{name}:size_only"].value
    text = f"error {error:.3g}" if np.isfinite(error) else ""
    return f"{text}, size only {baseline:.3g}" if text and np.isfinite(baseline) else text


def _frequent(tally: Tally, family: str, most: int) -> list[str]:
    kinds = tally.histograms.get(family, {})
    return sorted(kinds, key=lambda kind: -int(kinds[kind].sum()))[:most]


def _plot(title: str, family: str, kind: str, samples: Named, reference: Tally | None) -> str:
    grid = DISTRIBUTIONS[family].grid
    empty = np.zeros(grid.bins)

    def counts(tally: Tally) -> np.ndarray:
        found = tally.histograms.get(family, {}).get(kind)
        return empty if found is None else found.sum(axis=0)

    if not any(counts(tally).any() for _, tally in samples):
        return ""
    curves = [Curve(reference.name, counts(reference), REAL, filled=True)] if reference else []
    curves += [Curve(name, counts(tally), COLOURS[place % len(COLOURS)]) for place, (name, tally) in enumerate(samples)]
    note = ""
    if reference is not None and len(samples) == 1:
        distance = float(wasserstein(counts(samples[0][1]), counts(reference), grid.width))
        note = f"W1 {distance:.3g} {grid.unit}".strip() if np.isfinite(distance) else ""
    return density_plot(title, grid.centres, curves, grid.unit, note)
