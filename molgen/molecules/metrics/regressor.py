"""The HOMO energy that B3LYP would give, estimated by a small network: DFT itself takes minutes a molecule.

Atoms carry features h_i. In each of K looks an atom sees its neighbours through radial functions g_r(d_ij) below a cutoff of 5 Å,

    a_irc = sum_j g_r(d_ij) h_jc        (how much of c at distance r),
    v_irc = sum_j g_r(d_ij) u_ij h_jc   (in which direction, u_ij a unit vector),

and mixes a and the lengths of linear combinations of v, which hold the angles, into an update of h_i. The answer is a mean of atomic
values with learned weights, because the highest orbital sits on few atoms; it changes under no rotation, reflection or renumbering.
Trained on every other molecule of the QM9 training file by benchmarks/train_regressor.py; `facts` tells its error on the others.

References: Hoogeboom et al. 2022, arXiv 2203.17003, section 5.2 (properties of samples by a network trained on the other half of the
data); Schütt et al. 2018, SchNet, 10.1063/1.5019779 (continuous filters); Drautz 2019, 10.1103/PhysRevB.99.014104 (angles from densities).
"""

from contextlib import nullcontext
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from molgen.molecules.molecule import Molecule
from molgen.nn.estimator import Look, PropertyEstimator, bells

ELEMENTS = (1, 6, 7, 8)
"""Atomic numbers that the network knows."""
LARGEST = 29
"""Atoms of the largest molecule in QM9."""
CUTOFF = 5.0
"""Å."""
WEIGHTS = "homo_b3lyp.safetensors"
SIZES, HEADS = PropertyEstimator(width=64, channels=32, radial=16, directed=8, layers=4), 4


class Regressor(nn.Module):
    """A number from elements and positions.

    Args:
        mean: of the label in the training data, eV.
        deviation: its standard deviation, eV.
    """

    def __init__(self, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation
        width = SIZES.width
        self.embed = nn.Embedding(len(ELEMENTS) + 1, width, padding_idx=0)
        self.looks = nn.ModuleList(Look(SIZES, pairs=0) for _ in range(SIZES.layers))
        self.read = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2 * HEADS))

    def forward(self, kinds: Tensor, positions: Tensor) -> Tensor:
        """Values in eV, shape (b,).

        Args:
            kinds: (b, n) place of the element in `ELEMENTS`, from 1; 0 for padding.
            positions: (b, n, 3), Å.
        """
        real = kinds > 0
        difference = positions.unsqueeze(1) - positions.unsqueeze(2)
        distance = difference.square().sum(-1).clamp(min=1e-8).sqrt()
        itself = torch.eye(kinds.shape[1], dtype=torch.bool, device=kinds.device)
        pairs = real.unsqueeze(1) & real.unsqueeze(2) & (distance < CUTOFF) & ~itself
        window = (0.5 * torch.cos(distance * (torch.pi / CUTOFF)) + 0.5) * pairs
        radial = bells(distance, SIZES.radial, CUTOFF) * window.unsqueeze(2)
        units = (difference / distance.unsqueeze(-1)).movedim(-1, 2)
        directed = units.unsqueeze(3) * (bells(distance, SIZES.directed, CUTOFF) * window.unsqueeze(2)).unsqueeze(2)
        features = self.embed(kinds)
        for look in self.looks:
            features = look(features, radial, directed)
        values, weights = self.read(features).split(HEADS, -1)
        weights = weights.masked_fill(~real.unsqueeze(-1), -torch.inf).softmax(1)
        return self.mean + self.deviation * (weights * values).sum((1, 2)) / HEADS


def homo_b3lyp(molecule: Molecule, weights: Path | None = None) -> dict[str, float | str]:
    """Energy of the highest occupied orbital as B3LYP/6-31G(2df,p) would give it on the given geometry, estimated.

    Only for what the network was trained on: neutral molecules of H, C, N and O with at most 29 atoms.

    Args:
        molecule: the molecule.
        weights: a file of benchmarks/train_regressor.py; by default the one that ships.

    Returns:
        `homo_b3lyp` (eV; absent on failure) and `homo_b3lyp_reason`, "" on success.
    """
    reason = _outside(molecule)
    if reason:
        return {"homo_b3lyp_reason": reason}
    kinds = torch.tensor([[1 + ELEMENTS.index(number) for number in molecule.atomic_numbers.tolist()]], device="cpu")
    positions = torch.tensor(molecule.positions[None], dtype=torch.float32, device="cpu")
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return {"homo_b3lyp": float(_network(weights)(kinds, positions)), "homo_b3lyp_reason": ""}


@cache
def facts() -> dict[str, str]:
    """What is known about the weights that ship: size of both halves of the data, errors on the held-out one (eV), epochs, seed."""
    return _read(None)[0]


def _outside(molecule: Molecule) -> str:
    """Reason why the network says nothing about a molecule, or ""."""
    if len(molecule) == 0 or not np.isfinite(molecule.positions).all():
        return "no atoms" if len(molecule) == 0 else "coordinates that are not finite"
    if len(molecule) > LARGEST:
        return f"more than {LARGEST} atoms"
    if not set(molecule.atomic_numbers.tolist()) <= set(ELEMENTS):
        return "element that the network never saw"
    return "charged" if molecule.charges.sum() else ""


@cache
def _network(weights: Path | None) -> Regressor:
    with torch.device("cpu"), torch.inference_mode(False):  # it stays: made in single precision on the CPU whatever mode the caller is in
        known, tensors = _read(weights)
        network = Regressor(float(known["mean"]), float(known["deviation"])).float()
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    return network.eval()


def _read(weights: Path | None) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Facts and tensors of a file, or of what ships."""
    shipped = files(__package__).joinpath(WEIGHTS)
    with nullcontext(weights) if weights else as_file(shipped) as path, safe_open(path, "pt") as stored:
        return dict(stored.metadata()), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 it is no mapping
