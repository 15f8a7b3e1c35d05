"""What constructors refuse: a value out of its range is told with its name, its range and the value, in one line."""

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from molgen.config import load_experiment
from molgen.diffusion.categorical import Marginal, Masked, Uniform
from molgen.diffusion.grid import ArcsineGrid, KarrasGrid, StagedGrid, UniformGrid
from molgen.diffusion.limits import Limited
from molgen.diffusion.parts import Parts
from molgen.diffusion.sampler import Ancestral, Annealed, Ddim, DpmSolver, Heun
from molgen.diffusion.schedule import Cosine, Keep, Linear, Polynomial, VarianceExploding
from molgen.errors import InputError

SHARE, POSITIVE, NOT_NEGATIVE = "at least 0 and at most 1", "above 0 and below inf", "at least 0 and below inf"
RANGES = [
    (Ancestral, "eta", SHARE),
    (DpmSolver, "eta", SHARE),
    (DpmSolver, "above", "at least 0"),
    (Annealed, "gamma", NOT_NEGATIVE),
    (Annealed, "below", "above 0"),
    (Annealed, "calm", SHARE),
    (Annealed, "sharpness", POSITIVE),
    (Annealed, "sharpness_above", POSITIVE),
    (ArcsineGrid, "rho", "at least 0 and at most 2.75"),
    (KarrasGrid, "rho", POSITIVE),
    (KarrasGrid, "smallest", POSITIVE),
    (KarrasGrid, "largest", "above 0"),
    (Masked, "wrong", SHARE),
    (Parts, "share", SHARE),
    (Parts, "classes", SHARE),
]
OUTSIDE = {
    SHARE: (-0.1, 1.5),
    POSITIVE: (-1.0, 0.0, math.inf),
    NOT_NEGATIVE: (-1.0, math.inf),
    "at least 0": (-1.0,),
    "above 0": (-1.0, 0.0),
    "at least 0 and at most 2.75": (-0.1, 2.8),
}


@dataclass(frozen=True)
class Choice(Limited):
    order: Literal[1, 2] = 1


@pytest.mark.parametrize(("kind", "name", "words"), RANGES, ids=lambda value: getattr(value, "__name__", value))
def test_values_out_of_range_are_refused(kind, name, words):
    for value in (*OUTSIDE[words], math.nan):
        with pytest.raises(InputError) as caught:
            kind(**{name: value})
        assert str(caught.value) == f"{kind.__name__}.{name}: expected {words}, got {value}"


@pytest.mark.parametrize(
    ("kind", "given", "line"),
    [
        (Choice, {"order": 3}, "Choice.order: expected 1 or 2, got 3"),
        (StagedGrid, {"least": -1}, "StagedGrid.least: expected at least 0, got -1"),
        (StagedGrid, {"ratios": (2.0, -1.0), "shares": (1.0,)}, "StagedGrid.ratios: expected above 0, got (2.0, -1.0)"),
        (StagedGrid, {"ratios": (2.0, 1.0), "shares": (0.0,)}, "StagedGrid.shares: expected above 0 and below inf, got (0.0,)"),
        (StagedGrid, {"ratios": (2.0, 1.0), "shares": (math.nan,)}, "StagedGrid.shares: expected above 0 and below inf, got (nan,)"),
        (VarianceExploding, {"sigma_min": 0.0}, "expected 0 < sigma_min < sigma_max, got 0.0 and 40.0"),
        (VarianceExploding, {"sigma_max": math.nan}, "expected 0 < sigma_min < sigma_max, got 0.004 and nan"),
        (Cosine, {"max_ratio": -1.0}, "expected a positive max_ratio, got -1.0"),
        (Cosine, {"max_ratio": math.nan}, "expected a positive max_ratio, got nan"),
        (Linear, {"beta_min": 30.0}, "expected 0 < beta_min < beta_max, got 30.0 and 20.0"),
        (Linear, {"beta_max": math.inf}, "expected 0 < beta_min < beta_max, got 0.1 and inf"),
        (Polynomial, {"power": 0.0}, "expected a positive power and an end between 0 and 1, got 0.0 and 0.001"),
        (Polynomial, {"end": math.nan}, "expected a positive power and an end between 0 and 1, got 2.0 and nan"),
        *((kind, {"exponent": 0.0}, "expected a positive exponent, got 0.0") for kind in (Keep, Uniform, Marginal, Masked)),
        (Uniform, {"exponent": math.nan}, "expected a positive exponent, got nan"),
    ],
)
def test_each_refusal_is_one_line(kind, given, line):
    with pytest.raises(InputError) as caught:
        kind(**given)
    assert str(caught.value) == line


def test_ends_of_the_ranges_are_allowed():
    assert [Ancestral(eta=eta).eta for eta in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]
    assert Annealed(gamma=0.0, calm=1.0, below=math.inf).calm == 1.0
    assert DpmSolver(above=math.inf).above == math.inf
    assert KarrasGrid(largest=math.inf).largest == math.inf
    assert (ArcsineGrid(rho=0.0).rho, ArcsineGrid(rho=2.75).rho) == (0.0, 2.75)
    assert all(kind().kind for kind in (Ancestral, Annealed, Ddim, DpmSolver, Heun, UniformGrid, StagedGrid))


@pytest.mark.parametrize("value", ["2", "-0.5", "nan"])
def test_configurations_are_held_to_the_same_ranges(value):
    with pytest.raises(InputError, match=r"^sampler\.eta=.*: sampler\.eta: input should be (greater|less) than or equal to [01], got "):
        load_experiment("debug_molecule", ["sampler.kind=ancestral", f"sampler.eta={value}"])
