"""Parts that training gives: contiguous, of the sizes they should have; they leave the loss to the rest, and the network is told."""

from dataclasses import replace

import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.categorical import Discrete, Uniform
from molgen.diffusion.condition import Conditions
from molgen.diffusion.denoiser import Preconditioned
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.objective import Objective
from molgen.diffusion.parts import Parts, draw_part
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import VarianceExploding
from molgen.diffusion.space import Categorical, Centered, Features, SymmetricCategorical
from molgen.geometry import pair_mask
from molgen.nn.point_transformer import PointTransformer

SCHEDULE = VarianceExploding(sigma_min=0.01, sigma_max=20.0)
PROCESS = Joint({"pos": Gaussian(SCHEDULE, Centered(), 1.0), "feature": Gaussian(SCHEDULE, Features(3), 1.0)})


def denoiser(completes):
    torch.manual_seed(0)
    backbone = PointTransformer(scalars=16, layers=1, context=16).build(*Preconditioned.widths(PROCESS, completes=completes))
    return Preconditioned(backbone, PROCESS, Conditions(), completes)


def test_parts_are_contiguous_and_of_all_sizes():
    generator = torch.Generator().manual_seed(0)
    mask = mask_of([40] * 600 + [1, 2, 3], 40)
    line = torch.zeros(603, 40, 3)
    line[:, :, 0] = torch.arange(40)
    order = torch.rand(603, 40, generator=generator).masked_fill(~mask, 2).argsort(1)
    part = draw_part(line.gather(1, order.unsqueeze(-1).expand(-1, -1, 3)), mask, generator)
    assert not (part & ~mask).any()
    assert part[600:].sum(1).tolist() == [0, 1, pytest.approx(1, abs=1)]
    sizes = part[:600].sum(1)
    assert (sizes.min().item(), sizes.max().item()) == (4, 36)
    assert sizes.float().mean().item() == pytest.approx(20, abs=1.2)  # three standard deviations
    along = torch.zeros_like(part).scatter(1, order, part)[:600].long()
    ends = along.diff(dim=1).abs().sum(1)
    assert ends.max() <= 4  # two pieces inside; independent nodes would change about 19 times
    assert {1, 2, 4} <= set(ends.tolist())
    padded = draw_part(torch.randn(500, 40, 3, generator=generator), mask_of([20] * 500, 40), generator).sum(1)
    assert (padded.min().item(), padded.max().item()) == (2, 18)


def test_given_entries_leave_the_loss_to_the_rest():
    """A fresh network is the exact denoiser of Gaussian features, whose weighted loss is 1 a number, and 0 where it is given."""
    generator = torch.Generator().manual_seed(1)
    pos, feature = (torch.randn(800, 20, 3, generator=generator) for _ in range(2))
    mask = mask_of([20] * 800)
    clean = Batch({"pos": PROCESS["pos"].space.project(pos, mask), "feature": feature}, mask)
    found = {}
    for share in (0.0, 1.0):
        objective = Objective(parts=Parts(share=share), self_condition=0.0)
        with torch.no_grad():
            found[share] = objective(denoiser(share > 0), clean, torch.Generator().manual_seed(2))[1]["feature"].item()
    # the mean of 800 losses, each over 60 numbers of variance 2: 0.0065; the part that is given: 0.5 of 20, deviation 0.23
    assert found[0.0] == pytest.approx(1.0, abs=0.02)
    assert found[1.0] == pytest.approx(0.5, abs=0.04)


def test_all_classes_of_a_sample_or_a_part_of_it_are_given():
    process = Joint(
        {
            "pos": PROCESS["pos"],
            "atom": Discrete(Uniform(), Categorical(3), torch.ones(3) / 3),
            "bond": Discrete(Uniform(), SymmetricCategorical(2), torch.ones(2) / 2),
        }
    )
    mask = mask_of([6, 9] * 500)
    clean = Batch({"pos": torch.randn(1000, 9, 3, generator=torch.Generator().manual_seed(4))}, mask)
    fixed = Parts(share=0.4, classes=0.3).draw(process, clean, torch.Generator().manual_seed(6))
    part, graph = fixed["pos"].any(1), (fixed["atom"] == mask).all(1)
    assert not (part & graph).any()
    # shares of 1,000: deviation 1.5 %
    assert part.float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert graph.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(fixed["atom"][~graph], fixed["pos"][~graph])
    assert torch.equal(fixed["bond"], pair_mask(fixed["atom"]))
    with pytest.raises(ValueError, match="at most 1"):
        Parts(share=0.8, classes=0.3)


def test_given_classes_alone_leave_the_loss_to_the_coordinates():
    process = Joint({"pos": PROCESS["pos"], "atom": Discrete(Uniform(), Categorical(3), torch.ones(3) / 3)})
    backbone = PointTransformer(scalars=16, layers=1, context=16).build(*Preconditioned.widths(process))
    generator = torch.Generator().manual_seed(7)
    mask = mask_of([6] * 20)
    pos = process["pos"].space.project(torch.randn(20, 6, 3, generator=generator), mask)
    clean = Batch({"pos": pos, "atom": torch.randint(3, (20, 6), generator=generator)}, mask)
    objective = Objective(parts=Parts(classes=1.0), self_condition=0.0)
    losses = objective(Preconditioned(backbone, process, Conditions()), clean, generator)[1]
    assert losses["atom"].item() == pytest.approx(0, abs=1e-6)
    assert losses["pos"].item() > 0.5  # a fresh network has 1 on average


def test_the_network_is_told_which_nodes_are_given():
    network = denoiser(True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    generator = torch.Generator().manual_seed(3)
    batch = Batch({"pos": torch.randn(1, 5, 3, generator=generator), "feature": torch.randn(1, 5, 3, generator=generator)}, mask_of([5]))
    t = torch.tensor([0.5])
    none = torch.zeros(1, 5, dtype=torch.bool)
    first = none.clone()
    first[0, 0] = True
    with torch.no_grad():
        plain, zero, told = (network(replace(batch, given=given), t, {})["pos"] for given in (None, none, first))
    torch.testing.assert_close(plain, zero)
    assert (plain - told).abs().max() > 1e-4
    assert Preconditioned.widths(PROCESS, completes=True)[0] == Preconditioned.widths(PROCESS)[0] + 1
