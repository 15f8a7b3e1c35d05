"""Axis legend, tensor aliases and units.

Axes: ``b`` samples of a batch, ``n`` nodes (atoms or points, padded), ``k`` classes of a categorical field,
``c`` scalar channels, ``v`` vector channels, ``p`` pair channels, ``m`` unordered pairs ``i < j`` (``n (n - 1) / 2``),
``q`` condition features.

Units: lengths Å, energies eV unless a name says otherwise, charges e. Time ``t`` runs from 0 (clean) to 1 (noise), ``s < t``.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

PerSample = Float[Tensor, "b"]
Positions = Float[Tensor, "b n 3"]
NodeMask = Bool[Tensor, "b n"]
PairMask = Bool[Tensor, "b n n"]
Prediction = dict[str, Tensor]

__all__ = [
    "Bool",
    "Float",
    "Int",
    "NodeMask",
    "PairMask",
    "PerSample",
    "Positions",
    "Prediction",
    "Tensor",
]
