"""What a field lives in: how noise is drawn in it and how any tensor is projected onto it.

``Centered``: points modulo translation, 3 (n - 1) dimensions; its Gaussian is the projection of an isotropic one. ``Features``: any number
of plain numbers per node. ``Whole``: any number of plain numbers per sample. ``Categorical``: a class per node. ``SymmetricCategorical``: a
class per unordered pair, stored as a symmetric matrix with empty diagonal.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from molgen.diffusion.noise import Noise
from molgen.geometry import center, pair_mask
from molgen.types import Bool, NodeMask, Positions, Tensor


@dataclass(frozen=True)
class Features:
    """``width`` real numbers per node that do not move with the sample; padded entries are zero."""

    width: int

    def noise(self, like: Tensor, mask: NodeMask, noise: Noise) -> Tensor:
        """Standard Gaussian of the space, shaped like ``like``."""
        return self.project(noise.normal(mask, like.shape[-1], like.dtype), mask)

    def project(self, x: Tensor, mask: NodeMask) -> Tensor:
        """Sets padded entries to zero."""
        return x * mask.unsqueeze(-1)

    def insert(self, x: Tensor, known: Tensor, fixed: NodeMask) -> Tensor:
        """Puts the entries ``known`` where ``fixed`` is true."""
        return torch.where(fixed.unsqueeze(-1), known, x)

    def dimensions(self, mask: NodeMask) -> Tensor:
        """Degrees of freedom (b,) of each sample."""
        return self.width * mask.sum(-1)


@dataclass(frozen=True)
class Whole:
    """``width`` real numbers that belong to a sample as a whole, (b, width)."""

    width: int

    def noise(self, like: Tensor, mask: NodeMask, noise: Noise) -> Tensor:
        """Standard Gaussian, one draw a sample."""
        return noise.normal(mask.new_ones(len(mask), 1), like.shape[-1], like.dtype).squeeze(1)

    def project(self, x: Tensor, mask: NodeMask) -> Tensor:
        """Leaves them as they are."""
        return x

    def insert(self, x: Tensor, known: Tensor, fixed: NodeMask) -> Tensor:
        """Puts ``known`` where all nodes of a sample are given."""
        return torch.where(fixed.all(-1, keepdim=True), known, x)

    def dimensions(self, mask: NodeMask) -> Tensor:
        """Degrees of freedom (b,)."""
        return torch.full((len(mask),), self.width, device=mask.device)


@dataclass(frozen=True)
class Centered:
    """Points with zero centre of mass."""

    width: ClassVar[int] = 3

    def noise(self, like: Positions, mask: NodeMask, noise: Noise) -> Positions:
        """Standard Gaussian of the centred space: variance ``1 - 1/n`` per coordinate."""
        return self.project(noise.normal(mask, like.shape[-1], like.dtype), mask)

    def project(self, x: Positions, mask: NodeMask) -> Positions:
        """Subtracts the centre of mass and sets padded entries to zero."""
        return center(x, mask)

    def insert(self, x: Positions, known: Positions, fixed: NodeMask) -> Positions:
        """Puts the points ``known``, moved together so that their mean and thus the centre of mass stay, where ``fixed`` is true."""
        weight = fixed.unsqueeze(-1).to(x.dtype)
        shift = ((x - known) * weight).sum(-2, keepdim=True) / weight.sum(-2, keepdim=True).clamp(min=1)
        return torch.where(fixed.unsqueeze(-1), known + shift, x)

    def dimensions(self, mask: NodeMask) -> Tensor:
        """Degrees of freedom (b,): ``3 (n - 1)``, at least 3 so that a single atom divides safely."""
        return 3 * (mask.sum(-1) - 1).clamp(min=1)


@dataclass(frozen=True)
class Categorical:
    """One of ``classes`` classes per node."""

    pairs: ClassVar[bool] = False

    classes: int

    def present(self, mask: NodeMask) -> Bool[Tensor, "b n"]:
        """Entries that carry a class."""
        return mask

    def project(self, x: Tensor, mask: NodeMask) -> Tensor:
        """Sets padded entries to class 0."""
        return x * mask


@dataclass(frozen=True)
class SymmetricCategorical:
    """One of ``classes`` classes per unordered pair of different nodes; class 0 on the diagonal and in the padding."""

    pairs: ClassVar[bool] = True

    classes: int

    def present(self, mask: NodeMask) -> Bool[Tensor, "b n n"]:
        """Entries that carry a class: pairs of different real nodes."""
        return pair_mask(mask)

    def project(self, x: Tensor, mask: NodeMask) -> Tensor:
        """Copies the upper triangle to the lower one, empties diagonal and padding."""
        upper = (x * pair_mask(mask)).triu(1)
        return upper + upper.transpose(-1, -2)
