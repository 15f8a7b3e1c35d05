"""Expected valences of molecules that are known by class probabilities, and the score of closed shells under constraints.

With bond order probabilities p_ijo, ``s_i = sum_j sum_o o p_ijo`` is the expected bond order sum of atom i; ``v_i`` is the valence that its
element and formal charge ask for (protocol P2s), averaged over their probabilities: of several, as sulfur has, the one nearest to s_i.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from molgen.geometry import pair_mask
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import STRICT
from molgen.types import Float, NodeMask, PerSample, Prediction, Tensor

RAREST = 1e-3
"""Probability below which no count of electrons or total charge is thought to be."""


def valence_table(elements: Sequence[int], charges: Sequence[int]) -> Float[Tensor, "k q w"]:
    """The closed-shell valences of every element (atomic number) and charge, ascending; those of charge 0 where there are none.

    Where there are fewer than w of them, the last one is repeated.
    """
    rows = []
    for element in elements:
        allowed = STRICT.get(SYMBOLS[element], {})
        neutral = allowed.get(0, {0})
        rows.append([sorted(allowed.get(charge, neutral)) for charge in charges])
    width = max(len(valences) for row in rows for valences in row)
    return torch.tensor([[valences + valences[-1:] * (width - len(valences)) for valences in row] for row in rows], dtype=torch.float32)


def expected_valences(
    atoms: Float[Tensor, "b n k"],
    charges: Float[Tensor, "b n q"],
    bonds: Float[Tensor, "b n n o"],
    mask: NodeMask,
    table: Float[Tensor, "k q w"],
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """Bond order sums s and wanted valences v (b, n) under these probabilities; see :func:`valence_table`."""
    orders = bonds @ torch.arange(bonds.shape[-1], device=mask.device, dtype=bonds.dtype)
    sums = (orders * pair_mask(mask)).sum(-1)
    table = table.to(atoms)
    if table.shape[-1] == 1:  # H, C, N, O, F: the same to the last bit as without a choice, which samples of a seed rely on
        return sums, torch.einsum("bne,eq,bnq->bn", atoms, table[..., 0], charges)
    choices = table.expand(*sums.shape, *table.shape)
    nearest = choices.gather(-1, (choices - sums.detach()[..., None, None, None]).abs().argmin(-1, keepdim=True)).squeeze(-1)
    return sums, torch.einsum("bne,bneq,bnq->bn", atoms, nearest, charges)


@dataclass(frozen=True)
class ClosedShells:
    """Score of predictions about molecules of which the first atoms are kept.

    The log weight is ``- kept sum_kept (s_i - v_i)^2 - new sum_new (s_i - v_i)^2``, whichever rows of a batch these are.

    Args:
        table: (k, q, w) valences, see :func:`valence_table`.
        valences: (k',) of the kept atoms, which come first.
        kept, new: weights of a squared deviation.
    """

    table: Tensor
    valences: Tensor
    kept: float = 2.0
    new: float = 1.0

    def __call__(self, prediction: Prediction, mask: NodeMask, rows: Tensor | slice = slice(None)) -> PerSample:
        atoms, charges, bonds = (prediction[name].softmax(-1) for name in ("atom", "charge", "bond"))
        sums, wanted = expected_valences(atoms, charges, bonds, mask, self.table)
        k = len(self.valences)
        wanted = torch.cat([self.valences.to(wanted).expand(len(mask), k), wanted[:, k:]], 1)
        weight = torch.full(mask.shape, self.new, device=mask.device)
        weight[:, :k] = self.kept
        return -((sums - wanted).square() * weight * mask).sum(-1)


def even_electrons(
    atoms: Float[Tensor, "b n k"], charges: Float[Tensor, "b n q"], mask: NodeMask, table: Float[Tensor, "k q w"]
) -> tuple[Float[Tensor, "b n k"], Float[Tensor, "b n q"]]:
    """Log probability that the valences of a molecule have an even sum, given that an atom has this element, or this charge.

    All other elements and charges are independent draws. With ``m_i = E[(-1)^v_i]`` the valences of all but atom i are even with the
    probability ``(1 + prod_{j != i} m_j) / 2``: it tells much when few atoms are left open, and nothing when many are. The several
    valences of an element are all even or all odd.
    """
    sign = 1 - 2 * (table[..., 0].to(atoms) % 2)
    of_element, of_charge = charges @ sign.T, atoms @ sign  # E[(-1)^v_i] given the element, given the charge
    others = _product_of_others(torch.where(mask, (atoms * of_element).sum(-1), 1.0)).unsqueeze(-1)
    even = [((1 + others * own) / 2).clamp(min=RAREST).log() * mask.unsqueeze(-1) for own in (of_element, of_charge)]
    return even[0], even[1]


def neutral_charge(charges: Float[Tensor, "b n q"], mask: NodeMask, formal_charges: Sequence[int]) -> Float[Tensor, "b n q"]:
    """Log probability that the formal charges of a molecule have the sum 0, given that an atom has this charge.

    All other charges are independent draws. The distribution of their sum is the inverse Fourier transform of the product of their
    characteristic functions ``E[exp(i w q_j)]``, taken at one frequency more than the largest sum, which makes it exact: of all sums
    only 0 is a multiple of their number.
    """
    values = torch.tensor(formal_charges, device=charges.device, dtype=charges.dtype)
    count = mask.shape[1] * max(map(abs, formal_charges)) + 1
    frequencies = torch.arange(count, device=charges.device, dtype=charges.dtype) * (2 * math.pi / count)
    waves = torch.polar(torch.ones_like(frequencies[:, None] * values), frequencies[:, None] * values)  # exp(i w q)
    each = torch.where(mask.unsqueeze(-1), charges.to(waves.dtype) @ waves.mT, 1.0)
    others = _product_of_others(each)
    neutral = (others @ waves).real / count  # the others have the sum -q
    return neutral.clamp(min=RAREST).log() * mask.unsqueeze(-1)


def _product_of_others(x: Tensor) -> Tensor:
    """``prod_{j != i} x_j`` along the second axis of (b, n, ...); no factor is divided by: some may be 0."""
    ones = torch.ones_like(x[:, :1])
    before = torch.cat([ones, x[:, :-1]], 1).cumprod(1)
    after = torch.cat([x[:, 1:], ones], 1).flip(1).cumprod(1).flip(1)
    return before * after
