"""Which fields a joint process has, by what they live in."""

import pytest
import torch

from molgen.diffusion.categorical import Discrete, Masked, Uniform
from molgen.diffusion.denoiser import Preconditioned, Widths
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import Cosine, VarianceExploding
from molgen.diffusion.space import Categorical, Centered, Features, SymmetricCategorical, Whole

ALL = Joint(
    {
        "shape": Gaussian(VarianceExploding(), Whole(7)),
        "bond": Discrete(Uniform(), SymmetricCategorical(4), torch.ones(4)),
        "atom": Discrete(Masked(), Categorical(3), torch.ones(3)),
        "pos": Gaussian(Cosine(), Centered()),
        "feature": Gaussian(VarianceExploding(), Features(5)),
    }
)


def test_fields_are_told_apart_by_what_they_live_in():
    assert (ALL.position, ALL.clock) == ("pos", ALL["pos"])
    assert [[*fields] for fields in (ALL.features, ALL.wholes, ALL.nodes, ALL.pairs)] == [["feature"], ["shape"], ["atom"], ["bond"]]


def test_backbones_get_noisy_and_earlier_features_of_every_field():
    # atoms: 3 classes, a mask and 3 earlier ones; features: 2 x 5; whether a node is given. Bonds: 2 x 4. Conditions: 2 x 7 of the whole
    assert Preconditioned.widths(ALL, conditions=2, completes=True) == Widths(7 + 10 + 1, 8, 3 + 5 + 7, 4, 14 + 2)


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_one_field_is_that_of_positions(names):
    joint = Joint({name: Gaussian(Cosine(), Centered()) for name in names})
    with pytest.raises(ValueError, match=r"expected exactly one Gaussian field of positions, got \["):
        _ = joint.position


def test_spaces_know_whether_they_are_of_pairs():
    for space in (Categorical, SymmetricCategorical):
        with pytest.raises(TypeError):
            space(3, pairs=not space.pairs)
