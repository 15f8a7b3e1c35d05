"""Latent clouds in one piece: the spanning tree against scipy's, links of a chain, guidance that closes gaps and leaves the rest alone."""

import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from molgen.batch import Batch, mask_of
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import VarianceExploding
from molgen.diffusion.space import Centered
from molgen.geometry import center, spanning_tree
from molgen.shapes.joined import Joined, links, longest_link

PROCESS = Joint({"pos": Gaussian(VarianceExploding(sigma_min=0.002, sigma_max=20.0), Centered(), 0.35)})


def chain(*gaps):
    """Points on a line with these gaps between them, one cloud, centred."""
    x = torch.zeros(1, len(gaps) + 1, 3, dtype=torch.float64)
    x[0, 1:, 0] = torch.tensor(gaps, dtype=torch.float64).cumsum(0)
    return center(x, mask_of([len(gaps) + 1]))


def test_the_spanning_tree_is_as_short_as_scipys_whatever_the_padding():
    mask = mask_of([40, 17, 2, 1])
    x = torch.randn(4, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * mask.unsqueeze(-1)
    edges = spanning_tree(x, mask)
    assert edges.shape == (4, 39, 2)
    for cloud, tree, n in zip(x, edges, (40, 17, 2, 1), strict=True):
        assert set(tree.flatten().tolist()) == set(range(n))
        real = tree[tree[:, 0] != tree[:, 1]]
        assert len(real) == n - 1
        length = (cloud[real[:, 0]] - cloud[real[:, 1]]).norm(dim=-1).sum()
        assert float(length) == pytest.approx(minimum_spanning_tree(cdist(cloud[:n], cloud[:n])).sum(), abs=1e-12)


def test_links_of_a_chain_are_its_gaps_in_units_of_the_spacing():
    gaps = [0.1, 0.1, 0.3, 0.1, 0.2, 0.1]  # the nearest other point is 0.1 away from each of the seven
    found = links(chain(*gaps), mask_of([7]))[0]
    assert sorted(found.tolist()) == pytest.approx(sorted(gap / 0.1 for gap in gaps))
    assert float(longest_link(chain(*gaps), mask_of([7]))) == pytest.approx(3)
    assert longest_link(chain(), mask_of([1])).tolist() == [0]


def guided(x, sigma, **settings):
    """What a denoiser that answers ``x`` answers under guidance, at this noise."""
    t = PROCESS["pos"].schedule.time(torch.tensor([sigma], dtype=torch.float64))
    guide = Joined(reach=1.8, **settings).guide(lambda *_: {"pos": x}, PROCESS, None)
    return guide(Batch({"pos": x}, mask_of([x.shape[1]])), t, {})["pos"]


def test_a_gap_is_closed_and_nothing_else_moves_far():
    x = chain(*[0.1] * 10, 0.4, *[0.1] * 10)
    moved = guided(x, 0.1)
    assert longest_link(moved, mask_of([22])) < 0.75 * longest_link(x, mask_of([22]))
    away = (moved - x).norm(dim=-1)[0]
    assert away[10:12].min() > 4 * away[[0, 1, 2, 19, 20, 21]].max()
    assert moved.mean(1).abs().max() < 1e-12


def test_clouds_without_a_gap_and_guesses_at_much_noise_are_left_alone():
    whole, broken = chain(*[0.1] * 10, 0.17, *[0.1] * 10), chain(*[0.1] * 10, 0.4, *[0.1] * 10)
    torch.testing.assert_close(guided(whole, 0.1), whole, rtol=0, atol=1e-15)
    assert torch.equal(guided(broken, 0.36), broken)
    assert not torch.equal(guided(broken, 0.34), broken)
    assert torch.equal(guided(broken, 0.34, below=0.9), broken)


def test_the_guide_names_its_settings():
    assert Joined(reach=1.8).describe() == "joined reach=1.8 weight=20 below=1"
