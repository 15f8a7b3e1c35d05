"""Random parts of training samples that the denoiser is given, so that it learns to complete what it is given.

A network that never met a part without noise among noisy nodes completes it poorly; replacement and guidance
(:mod:`molgen.diffusion.inpaint`) make up for some of it. One that is trained with :class:`Parts` sees given nodes as it will when it
samples around them, and an input tells it which they are.

A part is what is nearest to one or two random nodes, or farthest along a random direction, or all but that; between a tenth and nine
tenths of the nodes. Of other samples all classes can be given, which leaves the coordinates of a known graph: conformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from molgen.batch import Batch
from molgen.diffusion.process import Joint
from molgen.errors import InputError
from molgen.geometry import pair_mask
from molgen.limits import Limited, Probability
from molgen.types import NodeMask, Positions, Tensor


@dataclass(frozen=True, kw_only=True)
class Parts(Limited):
    """Which parts training gives.

    Args:
        share: probability that a part of a sample is given; 0 trains a network without an input for given nodes.
        fields: those that are given, which must include the positions; all by default.
        classes: probability that all classes of a sample are given instead.
    """

    share: Probability = 0.0
    fields: tuple[str, ...] = ()
    classes: Probability = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.share + self.classes > 1:
            raise InputError(f"expected parts.share + parts.classes of at most 1, got {self.share} + {self.classes}")

    def draw(self, process: Joint, clean: Batch, generator: torch.Generator | None = None) -> Mapping[str, Tensor]:
        """Given entries, true, of each field: (b, n) for nodes, (b, n, n) for pairs of given nodes."""
        mask = clean.mask
        case = torch.rand(len(mask), 1, generator=generator, device=mask.device)
        node = draw_part(clean[process.position], mask, generator) & (case < self.share)
        whole = node | (mask & (case >= self.share) & (case < self.share + self.classes))
        fixed = dict.fromkeys((process.position, *process.features), node)  # not known of a part is what a sample is as a whole
        fixed |= dict.fromkeys(process.nodes, whole) | dict.fromkeys(process.pairs, pair_mask(whole))
        return {field: given for field, given in fixed.items() if field in (self.fields or fixed)}


def draw_part(x: Positions, mask: NodeMask, generator: torch.Generator | None = None) -> NodeMask:
    """A random part of every sample, see the module; samples of one node have none."""
    (b, n, _), device = x.shape, x.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    sizes = mask.sum(-1, keepdim=True)
    nodes = (uniform(b, 2) * sizes).long().clamp(max=n - 1)
    gaps = (x.unsqueeze(1) - x.gather(1, nodes.unsqueeze(-1).expand(-1, -1, 3)).unsqueeze(2)).square().sum(-1)
    direction = torch.randn(b, 3, 1, generator=generator, device=device, dtype=x.dtype)
    ways = torch.stack([gaps[:, 0], gaps.amin(1), (x @ direction).squeeze(-1)], 1)
    score = ways[torch.arange(b, device=device), torch.randint(3, (b,), generator=generator, device=device)]
    score = torch.where(uniform(b, 1) < 0.5, score, -score).masked_fill(~mask, torch.inf)
    rank = score.argsort(1).argsort(1)
    count = ((0.1 + 0.8 * uniform(b, 1)) * sizes).round().clamp(min=1)
    return mask & (rank < torch.minimum(count, sizes - 1))
