"""Densities of labels by size, with which a requested value draws numbers of atoms."""

import math

import numpy as np
import pytest

from molgen.molecules.fields import Statistics
from molgen.sample.request import Request, size_probabilities
from molgen.statistics import Label


def known(*sizes, label=(0.0, 2.0), count=20_000):
    """Statistics of molecules of some sizes, with (count, mean, deviation) of a label for each."""
    by_size = {size: tuple(map(float, moments)) for size, moments in sizes if moments is not None}
    return Statistics(
        num_molecules=count,
        elements=(6,),
        charges=(0,),
        sizes={size: count // len(sizes) for size, _ in sizes},
        atom_marginal=(1.0,),
        charge_marginal=(1.0,),
        bond_marginal=(0.9, 0.1, 0.0, 0.0),
        coordinate_std=1.0,
        labels=(Label("gap", "eV", count, *label, -9.0, 9.0, by_size),),
    )


STATISTICS = known((5, (10_000, 0.0, 0.5)), (9, (10_000, 0.0, 3.0)), (12, (10, 1.0, 0.4)), (20, None))


@pytest.mark.parametrize("size", [5, 9, 12, 20])
def test_densities_of_all_sizes_have_the_same_integral(size):
    """Up to a factor that is the same for all sizes: narrow ones are denser in the middle, and all sum up to sqrt(2 pi)."""
    values, step = np.linspace(-40, 40, 20_001, retstep=True)
    found = sum(STATISTICS.density("gap", size, float(value)) for value in values) * step
    assert found == pytest.approx(math.sqrt(2 * math.pi), rel=1e-6)


@pytest.mark.parametrize(
    ("size", "mean", "spread"),
    [
        (5, 0.0, math.sqrt((10_000 * 0.25 + 10 * 4) / 10_010)),
        (12, 1.0, math.sqrt((10 * 0.16 + 10 * 4) / 20)),  # ten molecules say as much as the whole data set
        (20, 0.0, 2.0),  # none are known: the whole data set alone
    ],
)
def test_a_density_is_normal_with_the_moments_of_its_size(size, mean, spread):
    for value in (-1.3, 0.0, 2.0):
        expected = math.exp(-((value - mean) ** 2) / (2 * spread**2)) / spread
        assert STATISTICS.density("gap", size, value) == pytest.approx(expected)


def test_labels_that_are_all_the_same_have_a_density():
    assert known((5, (10, 1.0, 0.0)), label=(1.0, 0.0)).density("gap", 5, 1.0) == 1.0


def test_sizes_for_a_value_are_those_of_bayes_rule():
    """The value 0 is met six times as often among molecules that vary by 0.5 as among those that vary by 3, and 2 hardly ever."""
    two = known((5, (10**6, 0.0, 0.5)), (9, (10**6, 0.0, 3.0)))
    sizes, found = size_probabilities(two, Request(properties={"gap": 0.0}))
    assert sizes.tolist() == [5, 9]
    assert found.tolist() == pytest.approx([6 / 7, 1 / 7], rel=1e-3)
    narrow = 6 * math.exp(-(2.0**2) / 2 * (1 / 0.25 - 1 / 9))
    assert size_probabilities(two, Request(properties={"gap": 2.0}))[1].tolist() == pytest.approx(
        [narrow / (1 + narrow), 1 / (1 + narrow)], rel=1e-2
    )
    assert size_probabilities(two, Request())[1].tolist() == [0.5, 0.5]
