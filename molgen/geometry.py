"""Pure functions on padded point sets.

A padded point set is ``x`` of shape (b, n, 3) with a mask (b, n) that is true at real points. Padded entries are zero on
input and on output. The centre of mass of the real points defines the space in which coordinates diffuse: a Gaussian that is
invariant under translations exists only on the 3 (n - 1) dimensional space of centred coordinates.
"""

import torch
from scipy.spatial import cKDTree

from molgen.types import Bool, Float, Int, NodeMask, PerSample, Positions, Tensor

FAR = 1e9
"""Where a search for neighbours puts what is infinitely far."""
DISTANCES = 1 << 24
"""Distances that a search for neighbours holds in memory at a time."""


def center(x: Positions, mask: NodeMask) -> Positions:
    """Subtracts the mean of the real points, ``x_i - (1/n) sum_j x_j``, and sets padded entries to zero (same unit as ``x``)."""
    weight = mask.unsqueeze(-1).to(x.dtype)
    mean = (x * weight).sum(-2, keepdim=True) / weight.sum(-2, keepdim=True).clamp(min=1)
    return (x - mean) * weight


def average(x: Float[Tensor, "b n k"], mask: NodeMask) -> Float[Tensor, "b k"]:
    """Mean of features over the real nodes of every sample."""
    weight = mask.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


def random_rotation(count: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float32) -> Float[Tensor, "b 3 3"]:
    """Draws rotations uniformly (Haar measure): a normalised Gaussian quaternion is uniform on the sphere S3."""
    w, x, y, z = torch.nn.functional.normalize(torch.randn(count, 4, generator=generator, dtype=dtype), dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def pair_mask(mask: NodeMask) -> Bool[Tensor, "b n n"]:
    """True where two different real nodes meet."""
    n = mask.shape[-1]
    return mask.unsqueeze(-1) & mask.unsqueeze(-2) & ~torch.eye(n, dtype=torch.bool, device=mask.device)


def nearest_neighbours(x: Positions, mask: NodeMask, k: int) -> tuple[Int[Tensor, "b n kept"], Bool[Tensor, "b n kept"]]:
    """Indices of the ``k`` nearest other real points of every point, and which of them exist.

    On the CPU a k-d tree answers in O(n log n) a sample; elsewhere distances are computed in rows, at most :data:`DISTANCES` at a time.
    """
    b, n, _ = x.shape
    k = min(k, max(1, n - 1))
    if x.device.type != "cpu":
        far = torch.where(mask, 0.0, torch.inf)
        rows = []
        count = max(1, DISTANCES // (b * n))
        for start in range(0, n, count):
            gaps = torch.cdist(x[:, start : start + count], x) + far.unsqueeze(1)
            own = torch.arange(gaps.shape[1], device=x.device)
            gaps[:, own, start + own] = torch.inf
            rows.append(gaps.topk(k, largest=False))
        distance, index = torch.cat([r.values for r in rows], 1), torch.cat([r.indices for r in rows], 1)
        return index, distance.isfinite() & mask.unsqueeze(-1)
    index, exists = torch.zeros(b, n, k, dtype=torch.long), torch.zeros(b, n, k, dtype=torch.bool)
    points = torch.nan_to_num(x.detach().double(), posinf=FAR, neginf=-FAR).numpy()  # a sample that diverged must not stop the others
    for row in range(b):
        real = mask[row].nonzero().squeeze(-1)
        size = len(real)
        if size < 2:
            continue
        kept = min(k, size - 1)
        found = torch.from_numpy(cKDTree(points[row, real.numpy()]).query(points[row, real.numpy()], kept + 1)[1])
        # coincident points may come before the point itself, which is moved to the front; where it is missing all are coincident
        other = found != torch.arange(size).unsqueeze(-1)
        order = other.to(torch.int8).argsort(dim=1, stable=True)[:, 1:]
        index[row, real, :kept] = real[found.gather(1, order)]
        exists[row, real, :kept] = True
    return index, exists


def farthest_points(x: Positions, mask: NodeMask, count: int) -> tuple[Int[Tensor, "b kept"], Bool[Tensor, "b kept"]]:
    """Indices of ``min(count, n)`` spread points of every sample, and which of them exist (a sample may have fewer points).

    Starts at the point farthest from the centre and adds the one farthest from those chosen, which depends on neither the order of the
    points nor the frame. Reference: Gonzalez 1985, Clustering to minimize the maximum intercluster distance.
    """
    b, n, _ = x.shape
    count = min(count, n)
    x = x.detach()
    gap = (center(x, mask).square().sum(-1)).masked_fill(~mask, -1.0)
    chosen = torch.zeros(b, count, dtype=torch.long, device=x.device)
    rows = torch.arange(b, device=x.device)
    for step in range(count):
        last = gap.argmax(-1)
        chosen[:, step] = last
        away = (x - x[rows, last].unsqueeze(1)).square().sum(-1)
        gap = torch.where(mask, away if step == 0 else torch.minimum(gap, away), -1.0)
        gap[rows, last] = -0.5  # never twice, not even where points coincide
    exists = torch.arange(count, device=x.device).unsqueeze(0) < mask.sum(-1, keepdim=True)
    return chosen, exists


def spanning_tree(x: Positions, mask: NodeMask) -> Int[Tensor, "b edges 2"]:
    """Edges of the minimum spanning tree of the real points of each sample (Prim 1957), ``n - 1`` of them, (0, 0) for points that are not.

    The first point must be real. The longest edge tells how far apart two halves of a cloud are at most, whichever way it is cut.
    """
    b, n, _ = x.shape
    rows = torch.arange(b, device=x.device)
    apart = torch.where(pair_mask(mask), torch.cdist(x, x), torch.inf)
    reach, origin = apart[:, 0], torch.zeros(b, n, dtype=torch.long, device=x.device)
    outside = mask.clone()
    outside[:, 0] = False
    edges = []
    for _ in range(n - 1):
        place = torch.where(outside, reach, torch.inf).argmin(1)
        found = outside[rows, place].unsqueeze(-1)
        edges.append(torch.where(found, torch.stack([origin[rows, place], place], -1), 0))
        outside[rows, place] = False
        own = apart[rows, place]
        closer = found & (own < reach)
        reach, origin = torch.where(closer, own, reach), torch.where(closer, place.unsqueeze(1), origin)
    return torch.stack(edges, 1) if edges else torch.zeros(b, 0, 2, dtype=torch.long, device=x.device)


def spacing(points: Positions, exists: NodeMask) -> PerSample:
    """Typical distance between neighbouring points: root of the mean squared distance to the nearest other one."""
    gaps = (points.unsqueeze(1) - points.unsqueeze(2)).square().sum(-1).masked_fill(~pair_mask(exists), torch.inf)
    nearest = torch.where(exists, gaps.amin(-1), 0.0)
    nearest = torch.where(nearest.isfinite(), nearest, 1.0)
    return (nearest.sum(-1) / exists.sum(-1).clamp(min=1)).clamp(min=1e-8).sqrt()
