"""Spaces of fields: what is put into them, and their degrees of freedom."""

import torch

from molgen.batch import mask_of
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.space import Categorical, Centered, Features, SymmetricCategorical, Whole

MASK = mask_of([4, 2, 1], 4)


def test_given_points_keep_their_differences_and_the_mean_that_the_state_has():
    x, known = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0)).unbind()
    x, fixed = Centered().project(x, MASK), torch.tensor([[True, True, False, False], [True, True, False, False], [False] * 4])
    found = Centered().insert(x, known, fixed)
    torch.testing.assert_close(found[:2, 0] - found[:2, 1], known[:2, 0] - known[:2, 1])
    torch.testing.assert_close(found[:2, :2].mean(1), x[:2, :2].mean(1))
    assert torch.equal(found[:2, 2:], x[:2, 2:])
    assert torch.equal(found[2], x[2])  # nothing is given
    torch.testing.assert_close(found.sum(1), torch.zeros(3, 3), atol=1e-6, rtol=0)


def test_numbers_of_a_node_or_a_sample_are_given_as_they_are():
    x, known = torch.zeros(3, 4, 5), torch.ones(3, 4, 5)
    fixed = torch.tensor([[True, False, True, False], [True] * 4, [False] * 4])
    assert torch.equal(Features(5).insert(x, known, fixed), fixed.unsqueeze(-1).expand(-1, -1, 5).float())
    # those of a sample as a whole only where all of its nodes are given
    assert Whole(5).insert(x[:, 0], known[:, 0], fixed)[:, 0].tolist() == [0, 1, 0]


def test_degrees_of_freedom_are_the_mean_square_of_the_noise():
    mask = mask_of([4, 2, 1] * 20_000, 4)
    like, noise = torch.zeros(60_000, 4, 3), SharedNoise(torch.Generator().manual_seed(1))
    for space, shape in ((Centered(), like), (Features(3), like), (Whole(3), like[:, 0])):
        squares = space.noise(shape, mask, noise).square().flatten(1).sum(1).view(-1, 3).mean(0)
        expected = space.dimensions(MASK).float() * torch.tensor([1.0, 1.0, 0.0 if isinstance(space, Centered) else 1.0])
        torch.testing.assert_close(squares, expected, rtol=0.02, atol=1e-9)  # one point has no freedom, and counts as 3 to be divided by


def test_pairs_are_those_of_different_real_nodes_and_the_upper_triangle_tells():
    space, x = SymmetricCategorical(9), torch.arange(1, 17).view(1, 4, 4).expand(3, -1, -1)
    found = space.project(x, MASK)
    assert found[0].tolist() == [[0, 2, 3, 4], [2, 0, 7, 8], [3, 7, 0, 12], [4, 8, 12, 0]]
    assert found[1].sum() == 2 * 2
    assert not found[2].any()
    assert torch.equal(space.present(MASK), found > 0)
    assert Categorical(3).project(torch.ones(3, 4, dtype=torch.long), MASK).tolist() == MASK.long().tolist()
