"""Latent clouds that hang together: no stem without latent points, no leg that begins below its table.

Latent points cover a surface evenly, in cells of one size. A model of them may forget a cell of a thin part, and nothing that is decoded
joins what is left. The minimum spanning tree of the latent points tells: its longest edge, in units of their spacing, is below 1.4 for half
of the clouds of the procedural family, above 1.8 for one in twenty, and 3 to 5 where a stem is missing.
"""

from dataclasses import dataclass
from typing import Any

import torch

from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.guidance import Gradient
from molgen.diffusion.process import Joint
from molgen.geometry import spacing, spanning_tree
from molgen.nn.point_autoencoder import LatentMask, LatentPoints
from molgen.types import Float, NodeMask, PerSample, Prediction, Tensor


def links(points: LatentPoints, exists: LatentMask) -> Float[Tensor, "b edges"]:
    """Lengths of the edges of the minimum spanning tree of the latent points, in units of their spacing."""
    with torch.no_grad():
        edges, unit = spanning_tree(points, exists), spacing(points, exists)
    rows = torch.arange(len(points), device=points.device).unsqueeze(1)
    one, other = points[rows, edges[..., 0]], points[rows, edges[..., 1]]
    return (one - other).square().sum(-1).clamp(min=1e-12).sqrt() / unit.unsqueeze(1)


def longest_link(points: LatentPoints, exists: LatentMask) -> PerSample:
    """The longest of the :func:`links`; 0 for a single point."""
    return torch.nn.functional.pad(links(points, exists), (0, 1)).amax(1)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Guides the latent points of a cloud towards one piece: log weight ``-weight sum (l - reach)^2`` over the links l that are longer.

    Points at both ends of a gap are drawn into it, and the model moves others after them.

    Args:
        reach: how long links may be, in units of the spacing; one in twenty of the clouds that the model was trained on has a longer one.
        weight: of a gap that is longer by one spacing.
        below: guide only at noise below this share of the deviation of the latent points. Before, the guess is a mean over many shapes.
    """

    reach: float
    weight: float = 20.0
    below: float = 1.0

    def describe(self) -> str:
        """One line for the records."""
        return f"joined reach={self.reach:g} weight={self.weight:g} below={self.below:g}"

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Any) -> Denoiser:
        """The guided denoiser."""

        def score(clean: Prediction, mask: NodeMask) -> PerSample:
            return -self.weight * (links(clean[process.position], mask) - self.reach).clamp(min=0).square().sum(-1)

        return Gradient(denoiser, process, score, below=self.below * process.clock.data_std)
