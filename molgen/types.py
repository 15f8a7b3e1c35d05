"""Axis legend, tensor aliases and units.

Axes: ``b`` samples of a batch, ``n`` nodes (atoms or points, padded), ``m`` unordered pairs ``i < j`` (``n (n - 1) / 2``), ``k`` classes of
a categorical field, ``o`` bond orders, ``a`` and ``e`` input features of a node and of a pair, ``ka`` and ``ke`` output features of these,
``u`` vector channels, ``q`` condition features, ``w`` width of the network.

Some modules have axes of their own: ``k`` properties that an estimator tells (:mod:`molgen.diffusion.estimation`); ``k`` latent points,
``f`` features of one and ``g`` numbers of the shape latent (:mod:`molgen.nn.point_autoencoder`); ``q`` formal charges and ``w`` valences of
an element and a charge (:mod:`molgen.molecules.valence`).

Units: lengths Å, energies eV unless a name says otherwise, charges e. Time ``t`` runs from 0 (clean) to 1 (noise), ``s < t``.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

PerSample = Float[Tensor, "b"]
Positions = Float[Tensor, "b n 3"]
POSITION_SETS = 2
"""Centred position sets of unit scale that a backbone sees: the noisy positions, and an earlier guess or zeros."""
PositionSets = Float[Tensor, f"b n {POSITION_SETS} 3"]
NodeMask = Bool[Tensor, "b n"]
PairMask = Bool[Tensor, "b n n"]
Prediction = dict[str, Tensor]

__all__ = [
    "POSITION_SETS",
    "Bool",
    "Float",
    "Int",
    "NodeMask",
    "PairMask",
    "PerSample",
    "PositionSets",
    "Positions",
    "Prediction",
    "Tensor",
]
