"""Numbers and times of the calls that samplers make."""

import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.grid import UniformGrid
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Ancestral, Annealed, Ddim, DpmSolver, Heun
from molgen.diffusion.schedule import VarianceExploding, ratio
from molgen.diffusion.space import Centered

SCHEDULE = VarianceExploding()
PROCESS = Joint({"pos": Gaussian(SCHEDULE, Centered())})


def times_of_calls(sampler, steps, start=1.0):
    """Times at which the network is called, on a walk whose steps are checked to be numbered and to end clean."""
    seen = []

    def denoiser(batch, t, condition, previous=None):
        seen.append(float(t[0]))
        return {"pos": 0.5 * batch["pos"]}

    like = Batch({"pos": torch.zeros(2, 3, 3)}, mask_of([3, 3]))
    walked = list(sampler.walk(denoiser, PROCESS, like, {}, SharedNoise(torch.Generator().manual_seed(0)), steps, start))
    assert [step.index for step in walked] == list(range(len(seen)))
    assert walked[-1].time == 0
    return seen


@pytest.mark.parametrize("steps", range(1, 8))
def test_no_sampler_makes_more_calls_than_it_is_given(steps):
    for sampler in (Ancestral(), Ddim(), DpmSolver(), Annealed()):
        assert len(times_of_calls(sampler, steps)) == steps
    # two calls a step and one for the last: of an even number one is not used
    assert len(times_of_calls(Heun(), steps)) == steps - (steps % 2 == 0)


def test_the_first_call_is_not_lifted_also_of_a_walk_that_starts_in_the_middle():
    sampler = Annealed(gamma=1.0, grid=UniformGrid())
    first, second, *_ = times_of_calls(sampler, 10, start=0.55)
    assert first == pytest.approx(0.55)
    lifted = ratio(SCHEDULE, torch.tensor([second, 0.5], dtype=torch.float64))
    assert float(lifted[0] / lifted[1]) == pytest.approx(2, rel=1e-5)
