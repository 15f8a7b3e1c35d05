"""The preconditioning of Karras et al. (2022, arXiv 2206.00364), in numbers: what a backbone sees, what is made of its answer."""

import pytest
import torch
from torch import nn

from molgen.batch import Batch, mask_of
from molgen.diffusion.condition import Conditions
from molgen.diffusion.denoiser import Preconditioned
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import VarianceExploding
from molgen.diffusion.space import Centered

DEVIATION = 0.5  # d, of the data


class Constant(nn.Module):
    """A backbone that answers with the displacement F = (1, -1, 0, ...) along x and keeps what it was shown."""

    def forward(self, positions, estimate, gain, nodes, pairs, mask, level, condition):
        self.shown = {"positions": positions, "estimate": estimate, "gain": gain, "level": level}
        displacement = torch.zeros_like(estimate)
        displacement[:, 0, 0], displacement[:, 1, 0] = 1.0, -1.0
        return displacement, nodes.new_zeros(*nodes.shape[:2], 0), pairs.new_zeros(*pairs.shape[:3], 0)


@pytest.fixture
def answered():
    """What the backbone was shown, the noisy sample over alpha, r, and the prediction, for two samples with noise far apart."""
    process = Joint({"pos": Gaussian(VarianceExploding(), Centered(), DEVIATION)})
    gaussian, mask, backbone = process["pos"], mask_of([3, 3]), Constant()
    z = gaussian.space.project(torch.randn(2, 3, 3), mask)
    t = gaussian.schedule.time(torch.tensor([0.2, 3.0]))
    batch = Batch({"pos": z * gaussian.schedule.alpha(t)[:, None, None]}, mask)
    earlier = {"pos": gaussian.space.project(torch.randn(2, 3, 3), mask)}
    prediction = Preconditioned(backbone, process, Conditions(()))(batch, t, {}, earlier)
    return backbone.shown, z, gaussian.ratio(t)[:, None, None], earlier["pos"], prediction["pos"]


def test_the_answer_is_skipped_and_scaled_by_the_noise(answered):
    _, z, r, _, found = answered
    total = (r**2 + DEVIATION**2).sqrt()
    displacement = torch.zeros(2, 3, 3)
    displacement[:, 0, 0], displacement[:, 1, 0] = 1.0, -1.0
    torch.testing.assert_close(found, (DEVIATION / total) ** 2 * z + r * DEVIATION / total * displacement)


def test_the_backbone_sees_unit_scale(answered):
    shown, z, r, earlier, found = answered
    total = (r**2 + DEVIATION**2).sqrt()
    torch.testing.assert_close(shown["positions"], torch.stack([z / total, earlier / DEVIATION], 2))
    torch.testing.assert_close(shown["level"], r[:, 0, 0].log() / 4)
    displacement = torch.zeros(2, 3, 3)
    displacement[:, 0, 0], displacement[:, 1, 0] = 1.0, -1.0
    # its running guess of the clean sample, in units of the data, ends as the prediction
    torch.testing.assert_close(shown["estimate"] + shown["gain"][:, None, None] * displacement, found / DEVIATION)
    torch.testing.assert_close(shown["gain"], (r / total)[:, 0, 0])
