"""What constructors refuse: a value out of its range is told with its name, its range and the value, in one line."""

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from molgen.config import load_experiment
from molgen.diffusion.categorical import Marginal, Masked, Uniform
from molgen.diffusion.estimation import Estimation
from molgen.diffusion.grid import ArcsineGrid, KarrasGrid, StagedGrid, UniformGrid
from molgen.diffusion.objective import Objective, Times
from molgen.diffusion.parts import Parts
from molgen.diffusion.sampler import Ancestral, Annealed, Ddim, DpmSolver, Heun
from molgen.diffusion.schedule import Cosine, Keep, Linear, Polynomial, VarianceExploding
from molgen.errors import InputError
from molgen.experiment import Data, Training
from molgen.limits import Limited
from molgen.molecules.fields import MoleculeFields
from molgen.nn.equivariant import EquivariantTransformer
from molgen.nn.estimator import PropertyEstimator
from molgen.nn.point_autoencoder import PointAutoencoder
from molgen.nn.point_transformer import PointTransformer
from molgen.nn.point_unet import PointUNet
from molgen.nn.reconstruction import Reconstruction
from molgen.nn.tensor_product import TensorProduct

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
    *((Objective, name, SHARE) for name in ("self_condition", "drop_each", "drop_all", "keep_one")),
    (Times, "uniform_share", SHARE),
    *((Times, name, POSITIVE) for name in ("center", "width")),
    *((Estimation, name, SHARE) for name in ("self_condition", "truth")),
    *((kind, "exponent", POSITIVE) for kind in (Keep, Uniform, Marginal, Masked)),
    (Cosine, "max_ratio", POSITIVE),
    *((VarianceExploding, name, POSITIVE) for name in ("sigma_min", "sigma_max")),
    *((Linear, name, POSITIVE) for name in ("beta_min", "beta_max")),
    (Polynomial, "power", POSITIVE),
    (Polynomial, "end", "above 0 and below 1"),
    *(
        (kind, "layers", "above 0 and at most 1000")
        for kind in (EquivariantTransformer, TensorProduct, PointUNet, PointTransformer, PointAutoencoder)
    ),
    *((PointAutoencoder, name, NOT_NEGATIVE) for name in ("feature_noise", "position_noise")),
    (PointAutoencoder, "doubt", SHARE),
    (PointAutoencoder, "spread", POSITIVE),
    (PropertyEstimator, "cutoff", POSITIVE),
    (MoleculeFields, "valence", NOT_NEGATIVE),
    (Reconstruction, "targets", "above 0"),
    (Data, "valid_fraction", "at least 0 and below 1"),
    (Training, "learning_rate", POSITIVE),
    (Training, "weight_decay", NOT_NEGATIVE),
    (Training, "decay_from", SHARE),
]
OUTSIDE = {
    SHARE: (-0.1, 1.5),
    POSITIVE: (-1.0, 0.0, math.inf),
    NOT_NEGATIVE: (-1.0, math.inf),
    "at least 0": (-1.0,),
    "at least 0 and below 1": (-1.0, 1.0),
    "above 0 and below 1": (0.0, 1.0),
    "above 0": (-1.0, 0.0),
    "above 0 and at most 1000": (-1.0, 0.0, 1001.0, 1e9),
    "at least 0 and at most 2.75": (-0.1, 2.8),
}


@dataclass(frozen=True)
class Choice(Limited):
    order: Literal[1, 2] = 1


@pytest.mark.parametrize(("kind", "name", "words"), RANGES, ids=lambda value: getattr(value, "__name__", value))
def test_values_out_of_range_are_refused(kind, name, words):
    number = type(getattr(kind, name))
    for value in [*map(number, OUTSIDE[words])] + [math.nan] * (number is float):
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
        (VarianceExploding, {"sigma_min": 40.0}, "expected sigma_min < sigma_max, got 40.0 and 40.0"),
        (Linear, {"beta_min": 30.0}, "expected beta_min < beta_max, got 30.0 and 20.0"),
        (Objective, {"drop_all": 0.6, "keep_one": 0.5}, "expected drop_all + keep_one of at most 1, got 0.6 + 0.5"),
        *(
            (
                kind,
                {"weights": {"a": 1.0, "b": weight}},
                f"{kind.__name__}.weights: expected {NOT_NEGATIVE}, got {{'a': 1.0, 'b': {weight}}}",
            )
            for kind in (Objective, Estimation, Reconstruction)
            for weight in (-1, math.nan, math.inf)
        ),
        (PointUNet, {"levels": (8, 0)}, "PointUNet.levels: expected above 0 and at most 4096, got (8, 0)"),
        (Reconstruction, {"points": (0, 8)}, "Reconstruction.points: expected above 0, got (0, 8)"),
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
    assert Objective(weights={"pos": 0.0, "bond": 4}).weights == {"pos": 0.0, "bond": 4}
    assert all(kind().kind for kind in (Ancestral, Annealed, Ddim, DpmSolver, Heun, UniformGrid, StagedGrid))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("objective.weights={pos: -1}", "objective.weights.pos: input should be greater than or equal to 0, got -1"),
        ("objective.weights={pos: .nan}", "objective.weights.pos: input should be less than inf, got nan"),
        ("objective.weights={pos: .inf}", "objective.weights.pos: input should be less than inf, got inf"),
        ("train.learning_rate=inf", "train.learning_rate: input should be less than inf, got 'inf'"),
    ],
)
def test_configurations_name_the_number_that_nothing_can_be_learned_by(text, line):
    with pytest.raises(InputError) as caught:
        load_experiment("debug_molecule", [text])
    assert str(caught.value) == f"{text}: {line}"


@pytest.mark.parametrize("value", ["2", "-0.5", "nan"])
def test_configurations_are_held_to_the_same_ranges(value):
    with pytest.raises(InputError, match=r"^sampler\.eta=.*: sampler\.eta: input should be (greater|less) than or equal to [01], got "):
        load_experiment("debug_molecule", ["sampler.kind=ancestral", f"sampler.eta={value}"])
