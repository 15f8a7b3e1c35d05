"""A score of closed shells: how far expected bond orders are from the valences that atoms should have.

With bond order probabilities p_ijo, ``s_i = sum_j sum_o o p_ijo`` is the expected bond order sum of atom i. Kept atoms have a known valence
v_i; new ones have the one that element and formal charge ask for, averaged over their probabilities. The log weight is
``- weight_kept sum_kept (s_i - v_i)^2 - weight_new sum_new (s_i - v_i)^2``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from molgen.geometry import pair_mask
from molgen.molecules.fields import BOND_ORDERS, Statistics
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import STRICT
from molgen.types import Float, NodeMask, PerSample, Prediction, Tensor


def valence_table(statistics: Statistics) -> Float[Tensor, "k q"]:
    """The smallest closed-shell valence of every element and charge of a vocabulary; that of charge 0 where there is none."""
    rows = []
    for element in statistics.elements:
        allowed = STRICT.get(SYMBOLS[element], {})
        neutral = min(allowed.get(0, {0}))
        rows.append([float(min(allowed.get(charge, {neutral}))) for charge in statistics.charges])
    return torch.tensor(rows)


@dataclass(frozen=True)
class ClosedShells:
    """Score of predictions about molecules of which the first atoms are kept.

    Args:
        table: (k, q) valences, see :func:`valence_table`.
        valences: (k',) of the kept atoms, which come first.
        kept, new: weights of a squared deviation.
    """

    table: Tensor
    valences: Tensor
    kept: float = 2.0
    new: float = 1.0

    def __call__(self, prediction: Prediction, mask: NodeMask) -> PerSample:
        orders = prediction["bond"].softmax(-1) @ torch.arange(BOND_ORDERS, device=mask.device, dtype=prediction["bond"].dtype)
        sums = (orders * pair_mask(mask)).sum(-1)
        wanted = torch.einsum(
            "bne,eq,bnq->bn", prediction["atom"].softmax(-1), self.table.to(mask.device), prediction["charge"].softmax(-1)
        )
        k = len(self.valences)
        wanted = torch.cat([self.valences.to(wanted).expand(len(mask), k), wanted[:, k:]], 1)
        weight = torch.full(mask.shape, self.new, device=mask.device)
        weight[:, :k] = self.kept
        return -((sums - wanted).square() * weight * mask).sum(-1)
