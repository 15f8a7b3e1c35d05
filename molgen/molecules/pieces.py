"""Molecules of one piece: what the bonds that are all but certain say about those that are not.

A network tells bonds pair by pair, and so it can be sure of two molecules where there should be one: each pair between them is probably not
bonded, and nothing says that one of them has to be. Bayes' rule for independent pairs does.
"""

import torch

from molgen.molecules.valence import RAREST
from molgen.types import Float, NodeMask, Tensor

PROBABLE = 0.5
"""Probability of a bond above which two atoms are taken to be of one piece."""


def pieces(bonded: Float[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    """Which atoms are connected by probable bonds: 1 for two of the same piece, and for each atom with itself, else 0."""
    eye = torch.eye(bonded.shape[1], dtype=bonded.dtype, device=bonded.device)
    same = torch.maximum((bonded > PROBABLE).to(eye), eye)
    for _ in range((bonded.shape[1] - 1).bit_length()):  # each doubles the length of the paths that count
        same = ((same @ same) > 0).to(eye)
    return same


def one_piece(bonds: Float[Tensor, "b n n k"], mask: NodeMask) -> Float[Tensor, "b n n"]:
    """Log probability that no piece of a molecule is left alone, given that a pair of atoms is not bonded.

    All other pairs are independent draws. A piece is what bonds of a probability above :data:`PROBABLE` connect. Given that a pair between
    two pieces is not bonded, one of them is bonded to the rest all the same with the probability ``1 - prod (1 - p_kl)`` over the other
    pairs that leave it; of the two the smaller number counts, as both are the same where there are only two pieces. It is 0 within pieces.

    Args:
        bonds: class probabilities of the pairs, symmetric, the first class is no bond.
        mask: real atoms.
    """
    real = mask.unsqueeze(1) & mask.unsqueeze(2)
    bonded = torch.where(real, 1 - bonds[..., 0], 0.0)
    same = pieces(bonded)
    across = real & (same == 0)
    absent = torch.where(across, torch.log1p(-bonded.clamp(max=1 - RAREST)), 0.0)
    alone = (same @ absent.sum(-1, keepdim=True)).squeeze(-1)  # ln probability that nothing leaves the piece of an atom
    others = torch.maximum(alone.unsqueeze(1), alone.unsqueeze(2)) - absent
    return torch.where(across, (-torch.expm1(others.clamp(max=0))).clamp(min=RAREST).log(), 0.0)
