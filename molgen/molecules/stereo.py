"""Stereo: labels of stereocentres and double bonds, and a score that leads coordinates to them.

Labels are R, S, E and Z by the rules of Cahn, Ingold and Prelog (IUPAC 2013, P-9). A stereocentre c with neighbours a, b, d has one sign of
the volume ``(a - c) . ((b - c) x (d - c))``. A double bond i=j with a at i and b at j is cis where the parts of ``a - i`` and ``b - j``
that are normal to the bond point the same way. The score is a hinge on both: ``- WEIGHT sum max(0, MARGIN - sign value)^2``, with values in
network units, in which those of real molecules are about 0.4 to 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from rdkit import Chem, rdBase

from molgen.molecules.molecule import Molecule
from molgen.types import NodeMask, PerSample, Positions, Prediction, Tensor

Labels = dict[tuple[int, ...], str]
WEIGHT, MARGIN = 10.0, 0.3


def stereo_labels(mol: Chem.Mol) -> Labels:
    """Labels of the atoms (i,) and double bonds (i, j) with i < j that have one."""
    labels: Labels = {(atom.GetIdx(),): atom.GetProp("_CIPCode") for atom in mol.GetAtoms() if atom.HasProp("_CIPCode")}
    for bond in mol.GetBonds():
        if bond.GetStereo() in (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOZ):
            i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            labels[i, j] = bond.GetStereo().name.removeprefix("STEREO")
    return labels


def labels_of(molecule: Molecule) -> Labels:
    """Labels that the geometry has; none where RDKit refuses the molecule."""
    with rdBase.BlockLogs():
        try:
            return stereo_labels(molecule.to_rdkit(sanitize=True))
        except (ValueError, RuntimeError):
            return {}


@dataclass(frozen=True)
class Handedness:
    """Signs that coordinates must have; call it with a prediction for the score.

    Args:
        centres: (centre, three of its neighbours, sign of their volume).
        bonds: (a, i, j, b, sign): a double bond i=j with a at i and b at j; +1 for cis.
    """

    centres: tuple[tuple[int, int, int, int, int], ...]
    bonds: tuple[tuple[int, int, int, int, int], ...]

    @classmethod
    def of(cls, mol: Chem.Mol) -> Handedness:
        """That of the stereocentres with four neighbours and the double bonds that :func:`stereo_labels` names."""
        centres, bonds = [], []
        for atom in mol.GetAtoms():
            around = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
            if atom.HasProp("_CIPCode") and len(around) == 4:
                # seen from the first neighbour the others follow counterclockwise: a negative volume
                sign = -1 if atom.GetChiralTag() == Chem.ChiralType.CHI_TETRAHEDRAL_CCW else 1
                centres.append((atom.GetIdx(), *around[1:], sign))
        for bond in mol.GetBonds():
            if bond.GetStereo() in (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOZ):
                a, b = bond.GetStereoAtoms()
                sign = 1 if bond.GetStereo() == Chem.BondStereo.STEREOZ else -1
                bonds.append((a, bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), b, sign))
        return cls(tuple(centres), tuple(bonds))

    def values(self, positions: Positions) -> Tensor:
        """Signed volumes and cis products (b, m), positive where the sign is the wanted one; units of the positions cubed and squared."""
        found = []
        for c, i, j, k, sign in self.centres:
            first, second, third = (positions[:, other] - positions[:, c] for other in (i, j, k))
            found.append(sign * (first * torch.linalg.cross(second, third)).sum(-1))
        for a, i, j, b, sign in self.bonds:
            axis = torch.nn.functional.normalize(positions[:, j] - positions[:, i], dim=-1)
            ends = [positions[:, a] - positions[:, i], positions[:, b] - positions[:, j]]
            first, second = (end - (end * axis).sum(-1, keepdim=True) * axis for end in ends)
            found.append(sign * (first * second).sum(-1))
        return torch.stack(found, -1) if found else positions.new_zeros(len(positions), 0)

    def __call__(self, prediction: Prediction, mask: NodeMask) -> PerSample:
        return -WEIGHT * (MARGIN - self.values(prediction["pos"])).clamp(min=0).square().sum(-1)
