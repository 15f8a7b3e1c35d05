"""The training objective: what the network is given, and how losses are weighed."""

import math
from dataclasses import replace

import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.categorical import Discrete, Uniform
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.objective import Objective, Times, strata
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import VarianceExploding, ratio
from molgen.diffusion.space import Categorical, Centered


def test_the_network_hears_the_labels_and_its_own_first_guess_and_losses_are_weighed():
    classes, mask, heard = Discrete(Uniform(), Categorical(3), torch.ones(3) / 3), mask_of([4, 2]), []
    seen: list[torch.Tensor] = []
    process = Joint({"pos": Gaussian(VarianceExploding(), Centered()), "atom": classes})
    positions = process["pos"].space.project(torch.randn(2, 4, 3), mask)
    clean = Batch({"pos": positions, "atom": torch.zeros(2, 4, dtype=torch.long)}, mask, {"y": torch.tensor([1.0, 2.0])})

    def denoiser(batch, t, condition, previous=None):
        seen.append(batch["pos"])
        heard.append((condition, previous, {"pos": torch.zeros(2, 4, 3), "atom": torch.zeros(2, 4, 3)}))
        return heard[-1][2]

    denoiser.process = process
    objective = Objective(self_condition=1.0, drop_each=0.0, drop_all=0.0, weights={"atom": 3.0})
    total, losses = objective(denoiser, clean, torch.Generator().manual_seed(0))
    (first, none, guess), (second, previous, _) = heard
    assert torch.equal(seen[0], seen[1])  # the same noise in both passes
    assert not torch.allclose(seen[0], positions, atol=1e-3)
    assert none is None
    assert previous is guess
    assert first["y"].tolist() == second["y"].tolist() == [1.0, 2.0]
    assert float(losses["atom"]) == pytest.approx(math.log(3))  # three classes, equally probable
    assert float(total) == pytest.approx(float(losses["pos"]) + 3 * math.log(3))
    replace(objective, drop_all=1.0)(denoiser, clean, torch.Generator().manual_seed(0))
    assert heard[-1][0]["y"].isnan().all()


def test_times_are_drawn_one_in_every_stratum_and_a_share_of_them_evenly():
    drawn = strata(500, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert (drawn * 500).floor().sort().values.tolist() == list(range(500))
    assert (drawn.diff() < 0).float().mean() == pytest.approx(0.5, abs=0.1)  # in random order
    schedule, count = VarianceExploding(), 20_000
    for share in (0.3, 1.0):
        times = Times(center=0.4, width=0.02, uniform_share=share)
        found = times.draw(schedule, count, torch.Generator().manual_seed(0), torch.device("cpu"))
        near = (ratio(schedule, found).log() - math.log(0.4)).abs() < 0.1
        even = found[~near].sort().values
        below, above = (float(schedule.time(torch.tensor([0.4 * math.exp(side)]))) for side in (-0.1, 0.1))
        assert len(even) / count == pytest.approx(share * (1 - above + below), abs=0.01)
        assert (even < below).float().mean() == pytest.approx(below / (1 - above + below), abs=0.02)


def test_the_noise_of_training_is_log_normal():
    schedule, times = VarianceExploding(), Times(center=0.4, width=0.5, uniform_share=0.0)
    log = ratio(schedule, times.draw(schedule, 20_000, torch.Generator().manual_seed(0), torch.device("cpu"))).log()
    assert float(log.mean()) == pytest.approx(math.log(0.4), abs=0.01)
    assert float(log.std()) == pytest.approx(0.5, rel=0.01)
