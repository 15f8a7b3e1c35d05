"""Unordered pairs: copies to and from the dense form, and their gradients."""

import torch

from molgen.nn.pairs import Pairs


def test_forms_are_inverse_and_gradients_are_those_of_indexing():
    b, n, k = 2, 5, 3
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(b, n * (n - 1) // 2, k, generator=generator, dtype=torch.float64, requires_grad=True)
    pairs = Pairs(n, e)
    dense = pairs.spread(e)
    assert torch.equal(dense, dense.transpose(1, 2))
    assert torch.equal(dense.diagonal(dim1=1, dim2=2), torch.zeros(b, k, n, dtype=torch.float64))
    assert torch.equal(pairs.gather(dense), e)
    i, j = torch.triu_indices(n, n, 1)
    assert torch.equal(dense[:, i, j], e)
    x = torch.randn(b, n, k, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(pairs.sum_ends(x), x[:, i] + x[:, j])
    assert torch.autograd.gradcheck(pairs.spread, (e,))
    assert torch.autograd.gradcheck(pairs.gather, (torch.randn(b, n, n, k, dtype=torch.float64, requires_grad=True),))
