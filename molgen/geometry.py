"""Pure functions on padded point sets.

A padded point set is ``x`` of shape (b, n, 3) with a mask (b, n) that is true at real points. Padded entries are zero on
input and on output. The centre of mass of the real points defines the space in which coordinates diffuse: a Gaussian that is
invariant under translations exists only on the 3 (n - 1) dimensional space of centred coordinates.
"""

import torch

from molgen.types import Bool, Float, NodeMask, Positions, Tensor


def center(x: Positions, mask: NodeMask) -> Positions:
    """Subtracts the mean of the real points, ``x_i - (1/n) sum_j x_j``, and sets padded entries to zero (same unit as ``x``)."""
    weight = mask.unsqueeze(-1).to(x.dtype)
    mean = (x * weight).sum(-2, keepdim=True) / weight.sum(-2, keepdim=True).clamp(min=1)
    return (x - mean) * weight


def random_rotation(count: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float32) -> Float[Tensor, "b 3 3"]:
    """Draws rotations uniformly (Haar measure): a normalised Gaussian quaternion is uniform on the sphere S3."""
    w, x, y, z = torch.nn.functional.normalize(torch.randn(count, 4, generator=generator, dtype=dtype), dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def upper_triangle(n: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Row and column indices (m,) of the pairs ``i < j`` of ``n`` nodes in row-major order."""
    i, j = torch.triu_indices(n, n, offset=1, device=device)
    return i, j


def pair_mask(mask: NodeMask) -> Bool[Tensor, "b n n"]:
    """True where two different real nodes meet."""
    n = mask.shape[-1]
    return mask.unsqueeze(-1) & mask.unsqueeze(-2) & ~torch.eye(n, dtype=torch.bool, device=mask.device)
