"""How well predicted properties agree with known ones."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import spearmanr

from molgen.counting import counted

EXPECTED = 68
"""Per cent of normal errors that are smaller than their standard deviation."""


@dataclass
class Agreement:
    """Predictions of one property beside the known values.

    Args:
        unit: of the property.
        mean: of the training data, the guess that has to be beaten.
    """

    unit: str
    mean: float
    predicted: list[float] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)
    known: list[float] = field(default_factory=list)

    def add(self, predicted: float, deviation: float, known: float) -> None:
        """Takes in a molecule; ``known`` is NaN where nobody knows the value, or the molecule may not count.

        A prediction that is not finite counts nowhere but in the line, which tells of it.
        """
        self.predicted.append(predicted)
        self.deviations.append(deviation)
        self.known.append(known)

    def figures(self) -> dict[str, float]:
        """Mean absolute error, that of the mean of the training data, R^2, Spearman's rank correlation, share within the stated deviation.

        NaN where they make no sense, such as R^2 of equal values.
        """
        predicted, deviations, known = (np.array(values) for values in (self.predicted, self.deviations, self.known))
        there = ~np.isnan(known) & np.isfinite(predicted)
        predicted, deviations, known = predicted[there], deviations[there], known[there]
        if not len(known):
            return {"count": 0.0}
        error, spread = predicted - known, np.square(known - known.mean()).sum()
        return {
            "count": float(len(known)),
            "mae": float(np.abs(error).mean()),
            "guess": float(np.abs(known - self.mean).mean()),
            "r2": 1 - float(np.square(error).sum()) / spread if spread > 0 else math.nan,
            "spearman": float(spearmanr(predicted, known).statistic) if np.ptp(predicted) > 0 and np.ptp(known) > 0 else math.nan,
            "within": float((np.abs(error) <= deviations).mean()),
        }

    def line(self) -> str:
        """The figures in words, or the predictions where nothing is known."""
        found, unit = self.figures(), f" {self.unit}" * bool(self.unit)
        finite = np.isfinite(self.predicted)
        lost = f"; {counted(int((~finite).sum()), 'prediction')} not finite" * bool((~finite).any())
        if not finite.any():
            return lost.removeprefix("; ")
        if not found["count"]:
            predicted, deviation = np.array(self.predicted)[finite], np.median(np.array(self.deviations)[finite])
            ends = f"{predicted.min():.4g} to {predicted.max():.4g}{unit}"
            return f"{predicted.mean():.4g} on average, {ends}, stated deviation {deviation:.2g}{unit} (median){lost}"
        known = f"{counted(int(found['count']), 'known value')} (of the training mean {found['guess']:.3g})"
        ranks = "" if math.isnan(found["spearman"]) else f" R2 {found['r2']:.3f}, rank correlation {found['spearman']:.3f},"
        within = f"{100 * found['within']:.0f} % within the stated deviation ({EXPECTED} expected)"
        return f"mean absolute error {found['mae']:.3g}{unit} on {known},{ranks} {within}{lost}"
