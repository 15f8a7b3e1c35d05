"""Predictions beside known values, where the figures have closed forms."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from molgen.agreement import Agreement


def agreement(predicted, known, deviation=1.0, mean=0.0):
    made = Agreement("eV", mean)
    for value, truth in zip(predicted, known, strict=True):
        made.add(float(value), deviation, float(truth))
    return made


def test_a_shift_costs_its_square_and_keeps_the_ranks():
    known = np.arange(5.0)  # the squares of its distances from the mean sum to 10
    found = agreement(known + 0.5, known, mean=2.0).figures()
    assert found == {
        "count": 5,
        "mae": 0.5,
        "guess": 1.2,
        "r2": pytest.approx(1 - 5 * 0.25 / 10),
        "spearman": pytest.approx(1),
        "within": 1,
    }
    assert agreement(-known, known).figures()["spearman"] == pytest.approx(-1)
    for deviation, within in ((0.4, 0), (0.5, 1)):
        assert agreement(known + 0.5, known, deviation=deviation).figures()["within"] == within


def test_ranks_with_ties_are_those_of_spearman():
    rng = np.random.default_rng(1)
    known, predicted = rng.integers(0, 5, 40), rng.integers(0, 7, 40)
    assert agreement(predicted, known).figures()["spearman"] == pytest.approx(spearmanr(predicted, known).statistic)


def test_normal_errors_are_within_their_deviation_as_often_as_expected():
    known = np.random.default_rng(0).normal(size=20_000)
    assert agreement(np.zeros(20_000), known).figures()["within"] == pytest.approx(math.erf(math.sqrt(0.5)), abs=0.01)


def test_what_nobody_knows_does_not_count():
    made = agreement([1.0, 2.0, 9.0], [1.0, 3.0, math.nan])
    assert (made.figures()["count"], made.figures()["mae"]) == (2, 0.5)
    assert made.line().startswith("mean absolute error 0.5 eV on 2 known values (of the training mean 2), R2 0.500, rank correlation 1.000")
    assert agreement([1.0, 3.0], [math.nan, math.nan]).line() == "2 on average, 1 to 3 eV, stated deviation 1 eV (median)"
    assert math.isnan(agreement([1.0, 2.0], [3.0, 3.0]).figures()["r2"])


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_is_told_and_does_not_count(lost):
    made = agreement([1.0, lost, 2.0], [1.0, 2.0, 3.0])
    assert (made.figures()["count"], made.figures()["mae"]) == (2, 0.5)
    assert made.line().endswith("; 1 prediction not finite")
    unknown = agreement([1.0, lost, 3.0], [math.nan] * 3)
    assert unknown.line() == "2 on average, 1 to 3 eV, stated deviation 1 eV (median); 1 prediction not finite"
    assert agreement([lost, lost], [1.0, 2.0]).line() == "2 predictions not finite"
