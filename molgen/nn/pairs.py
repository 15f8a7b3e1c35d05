"""Unordered pairs: features (b m k) of the ``m = n (n - 1) / 2`` pairs ``i < j`` of n nodes, in row-major order.

Moving between nodes, pairs and the dense (b n n k) form costs as much as the linear maps in between when it is done by advanced
indexing. Two forms are cheap forwards and backwards: sums over the ends of a pair are one product with the incidence matrix B (m n), whose
gradient is the product with its transpose, and whole rows are copied by ``index_select``. The gradients of such copies are copies again,
not the scattered sums that ``index_select`` would make of them.
"""

from typing import Any

import torch
from torch.nn import functional

from molgen.types import Float, Tensor


class Pairs:
    """The pairs of ``n`` nodes on a device.

    Args:
        n: number of nodes, padding included.
        like: floating tensor whose device and precision the incidence matrix takes.
    """

    def __init__(self, n: int, like: Tensor):
        i, j = torch.triu_indices(n, n, offset=1, device=like.device)
        count = torch.arange(len(i), device=like.device)
        nodes = torch.arange(n, device=like.device)
        self.incidence = ((nodes == i[:, None]) | (nodes == j[:, None])).to(like.dtype)
        self.upper = i * n + j
        # number of the pair at every place, m for none: of the upper triangle, of both
        # square: of flat ones the compiler takes n for a quotient and fixes strides to the first n that it sees
        self.places = torch.full((n, n), len(i), device=like.device)
        self.places[i, j] = count
        self.numbers = self.places.clone()
        self.numbers[j, i] = count

    def sum_ends(self, x: Float[Tensor, "b n k"]) -> Float[Tensor, "b m k"]:
        """``x_i + x_j`` of every pair."""
        return self.incidence @ x

    def gather(self, dense: Float[Tensor, "b n n k"]) -> Float[Tensor, "b m k"]:
        """The upper triangle of a symmetric tensor."""
        return _Gather.apply(dense, self.upper, self.places)

    def spread(self, e: Float[Tensor, "b m k"]) -> Float[Tensor, "b n n k"]:
        """The symmetric tensor with these pairs and zeros on its diagonal."""
        return _Spread.apply(e, self.upper, self.numbers)


def _fill(e: Tensor, numbers: Tensor) -> Tensor:
    """Rows of e by number, (b n n k); the number m behind the last row stands for zeros."""
    return functional.pad(e, (0, 0, 0, 1)).index_select(1, numbers.flatten()).unflatten(1, numbers.shape)


class _Gather(torch.autograd.Function):
    """The upper triangle; its gradient goes back there and nowhere else."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, upper: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        return dense.flatten(1, 2).index_select(1, upper)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _fill(gradients[0], places), None, None


class _Spread(torch.autograd.Function):
    """Both triangles; the gradient of a pair is the sum of both."""

    @staticmethod
    def forward(ctx: Any, e: Tensor, upper: Tensor, numbers: Tensor) -> Tensor:
        ctx.save_for_backward(upper)
        return _fill(e, numbers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (upper,) = ctx.saved_tensors
        both = gradients[0] + gradients[0].transpose(1, 2)
        return both.flatten(1, 2).index_select(1, upper), None, None
