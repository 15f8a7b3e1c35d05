"""Pairs of nodes: sums over ends, upper triangles and dense form against plain indexing, forwards and backwards."""

import torch

from molgen.nn.pairs import Pairs


def test_pairs_agree_with_plain_indexing():
    generator = torch.Generator().manual_seed(0)
    for n in (1, 2, 7):
        x = torch.randn(3, n, 5, generator=generator, dtype=torch.float64)
        pairs = Pairs(n, x)
        i, j = torch.triu_indices(n, n, 1)
        torch.testing.assert_close(pairs.sum_ends(x), x[:, i] + x[:, j], rtol=0, atol=1e-15)
        dense = torch.randn(3, n, n, 2, generator=generator, dtype=torch.float64)
        dense = dense + dense.transpose(1, 2)
        assert torch.equal(pairs.gather(dense), dense[:, i, j])
        back = pairs.spread(pairs.gather(dense))
        assert torch.equal(back, dense * ~torch.eye(n, dtype=torch.bool)[:, :, None])


def test_gradients_of_pairs():
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    e = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    pairs = Pairs(4, x)
    assert torch.autograd.gradcheck(pairs.sum_ends, x)
    assert torch.autograd.gradcheck(pairs.spread, e)
