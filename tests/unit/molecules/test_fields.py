"""Densities of labels by size, with which a requested value draws numbers of atoms."""

import json
import math

import numpy as np
import pytest

from molgen.errors import InputError
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


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"elements": [999]}, r"elements: expected different whole numbers from 1 to 118, got \(999,\)"),
        ({"elements": ["C"]}, r"elements: expected different whole numbers from 1 to 118, got \('C',\)"),
        ({"elements": [6, 6]}, "elements: expected different"),
        ({"charges": [200]}, "charges: expected different whole numbers from -128 to 127"),
        ({"sizes": {}}, r"sizes: expected counts of molecules of 1 to 65,535 atoms, got \{\}"),
        ({"sizes": {"100000": 3}}, "sizes: expected counts"),
        ({"sizes": {"-5": 3}}, "sizes: expected counts"),
        ({"sizes": {"5": 0}}, "sizes: expected counts"),
        ({"sizes": {"5": -3}}, "sizes 5: expected a number of at least 0, got -3"),
        ({"sizes": {"5.5": 3}}, "invalid literal for int"),
        ({"atom_marginal": [0.0]}, "atom_marginal: expected 1 numbers that are not all 0"),
        ({"atom_marginal": [0.5, 0.5]}, "atom_marginal: expected 1 numbers"),
        ({"bond_marginal": [0.5, 0.5]}, "bond_marginal: expected 4 numbers"),
        ({"charge_marginal": [math.nan]}, "charge_marginal: expected a number of at least 0, got nan"),
        ({"coordinate_std": "x"}, "coordinate_std: expected a number of at least 0, got 'x'"),
        ({"coordinate_std": math.nan}, "coordinate_std: expected a number of at least 0, got nan"),
        ({"coordinate_std": -1}, "coordinate_std: expected a number of at least 0, got -1"),
        ({"coordinate_std": 10**400}, "OverflowError"),
        ({"labels": "abc"}, "(Attribute|TypeCheck)Error"),
        (
            {"labels": [{"name": "gap", "unit": "eV", "count": 1, "mean": 0.0, "std": 1.0, "min": "low", "max": 1.0}]},
            "label gap: min: expected",
        ),
    ],
)
def test_statistics_that_no_molecules_have_are_refused_by_name(tmp_path, changed, words):
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(STATISTICS.to_dict()))
    assert Statistics.load(path) == STATISTICS
    path.write_text(json.dumps(STATISTICS.to_dict() | changed))
    with pytest.raises(
        InputError, match=rf"statistics\.json: not a statistics file of molgen \(.*{words}.*\); prepare the data again"
    ) as refused:
        Statistics.load(path)
    assert "\n" not in str(refused.value)
