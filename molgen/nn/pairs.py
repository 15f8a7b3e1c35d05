"""Unordered pairs: features (b m k) of the ``m = n (n - 1) / 2`` pairs ``i < j`` of n nodes, in row-major order.

Moving between nodes, pairs and the dense (b n n k) form costs as much as the linear maps in between when it is done by advanced
indexing. Two forms are cheap forwards and backwards: sums over the ends of a pair are one product with the incidence matrix B (m n), whose
gradient is the product with its transpose, and whole rows are copied by ``index_select``.
"""

import torch
from torch.nn import functional

from molgen.geometry import upper_triangle
from molgen.types import Float, Tensor


class Pairs:
    """The pairs of ``n`` nodes on a device.

    Args:
        n: number of nodes, padding included.
        like: floating tensor whose device and precision the incidence matrix takes.
    """

    def __init__(self, n: int, like: Tensor):
        i, j = upper_triangle(n, like.device)
        count = torch.arange(len(i), device=like.device)
        self.incidence = torch.zeros(len(i), n, device=like.device, dtype=like.dtype)
        self.incidence[count, i] = self.incidence[count, j] = 1
        self.upper = i * n + j
        numbers = torch.full((n, n), len(i), device=like.device)  # the diagonal reads the row of zeros behind the last pair
        numbers[i, j] = numbers[j, i] = count
        self.numbers = numbers  # square: of a flat one the compiler takes n for a quotient and fixes strides to the first n that it sees

    def sum_ends(self, x: Float[Tensor, "b n k"]) -> Float[Tensor, "b m k"]:
        """``x_i + x_j`` of every pair."""
        return self.incidence @ x

    def gather(self, dense: Float[Tensor, "b n n k"]) -> Float[Tensor, "b m k"]:
        """The upper triangle of a symmetric tensor."""
        return dense.flatten(1, 2).index_select(1, self.upper)

    def spread(self, e: Float[Tensor, "b m k"]) -> Float[Tensor, "b n n k"]:
        """The symmetric tensor with these pairs and zeros on its diagonal."""
        return functional.pad(e, (0, 0, 0, 1)).index_select(1, self.numbers.flatten()).unflatten(1, self.numbers.shape)
