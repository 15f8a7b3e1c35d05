"""Which distributions of an evaluation are drawn, and how."""

import numpy as np

from molgen.evaluate.run import Evaluation
from molgen.evaluate.summary import Summary
from molgen.evaluate.tally import GRIDS, Tally
from molgen.molecules.metrics.distances import wasserstein
from molgen.molecules.units import unit
from molgen.report.plots import COLOURS, REAL, Curve, density_plot, legend, scatter_plot

FAMILIES = {"bond_lengths": ("Bond length", 9), "bond_angles": ("Angle at", 4), "torsions": ("Torsion", 4), "ring_sizes": ("Ring size", 1)}
"""Families of distributions with the number of kinds to draw, the most frequent first."""
SINGLE = {
    "atoms": "Atoms",
    "mw": "Weight",
    "qed": "QED",
    "sa": "Synthetic accessibility",
    "logp": "logP",
    "tpsa": "TPSA",
    "closest_contact": "Closest contact / van der Waals",
    "mmff_drop": "MMFF94 energy drop",
    "mmff_rmsd": "MMFF94 RMSD",
    "xtb_drop": "GFN2-xTB energy drop",
    "xtb_rmsd": "GFN2-xTB RMSD",
    "gap_xtb": "GFN2-xTB gap",
    "dipole_xtb": "GFN2-xTB dipole",
}


def distribution_plots(tallies: list[Tally], reference: Tally | None) -> str:
    """HTML of all distributions, samples as lines over the filled reference."""
    shown = [(tally.name, COLOURS[place % len(COLOURS)], False) for place, tally in enumerate(tallies)]
    key = legend(([(f"real: {reference.name}", REAL, True)] if reference else []) + shown)
    parts = []
    for family, (title, most) in FAMILIES.items():
        for kind in _frequent(reference or tallies[0], family, most):
            parts.append(_plot(f"{title} {kind}".strip(), family, kind, tallies, reference))
    parts += [_plot(title, name, "", tallies, reference) for name, title in SINGLE.items()]
    plots = "".join(f"<figure>{plot}</figure>" for plot in parts if plot)
    return f'{key}<div class="plots">{plots}</div>' if plots else ""


def request_plots(evaluation: Evaluation) -> str:
    """HTML of measured against requested values for each requested property that was measured."""
    parts = []
    for name, requests in sorted(evaluation.tally.requests.items()):
        requested, measured = np.array(requests.requested), np.array(requests.measured)
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


def _plot(title: str, family: str, kind: str, tallies: list[Tally], reference: Tally | None) -> str:
    grid = GRIDS[family]
    empty = np.zeros(grid.bins)

    def counts(tally: Tally) -> np.ndarray:
        found = tally.histograms.get(family, {}).get(kind)
        return empty if found is None else found.sum(axis=0)

    if not any(counts(tally).any() for tally in tallies):
        return ""
    curves = [Curve(reference.name, counts(reference), REAL, filled=True)] if reference else []
    curves += [Curve(tally.name, counts(tally), COLOURS[place % len(COLOURS)]) for place, tally in enumerate(tallies)]
    note = ""
    if reference is not None and len(tallies) == 1:
        distance = float(wasserstein(counts(tallies[0]), counts(reference), grid.width))
        note = f"W1 {distance:.3g} {grid.unit}".strip() if np.isfinite(distance) else ""
    return density_plot(title, grid.centres, curves, grid.unit, note)
