"""Stereo of a given graph: signs that its coordinates must have, and a score that leads coordinates to them.

A stereocentre c with neighbours a, b, d has one sign of the volume ``(a - c) . ((b - c) x (d - c))``. A double bond i=j with a at i and b
at j is cis where the parts of ``a - i`` and ``b - j`` that are normal to the bond point the same way. Signs belong to the numbers of the
atoms, so that centres without a label of Cahn, Ingold and Prelog (cis and trans on rings) are held as well. The score is a hinge on both:
``- WEIGHT sum max(0, MARGIN - sign value)^2``, with values in network units, in which those of real molecules are about 0.4 to 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from rdkit import Chem, rdBase

from molgen.molecules.molecule import Molecule
from molgen.types import NodeMask, PerSample, Positions, Prediction, Tensor

WEIGHT, MARGIN = 10.0, 0.3
FLAT = 0.1
"""Smallest value that counts as a sign, Å^3 of a centre and Å^2 of a double bond; of real molecules they are above 0.5."""


SIDES = {
    Chem.BondStereo.STEREOZ: 1,
    Chem.BondStereo.STEREOCIS: 1,
    Chem.BondStereo.STEREOE: -1,
    Chem.BondStereo.STEREOTRANS: -1,
}
"""Whether the stereo atoms of a double bond lie on one side, 1, or on both; RDKit's newer perception of stereo says cis and trans."""


@dataclass(frozen=True)
class Handedness:
    """Signs that coordinates must have; call it with a prediction for the score.

    Args:
        centres: (centre, three of its neighbours, sign of their volume).
        bonds: (a, i, j, b, sign): a double bond i=j with a at i and b at j; +1 for cis.
    """

    centres: tuple[tuple[int, int, int, int, int], ...] = ()
    bonds: tuple[tuple[int, int, int, int, int], ...] = ()

    @classmethod
    def of(cls, mol: Chem.Mol) -> Handedness:
        """That of the stereocentres and double bonds of which RDKit knows the stereo; hydrogens are atoms of `mol`."""
        centres, bonds = [], []
        for atom in mol.GetAtoms():
            around = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
            if atom.GetChiralTag() in (Chem.ChiralType.CHI_TETRAHEDRAL_CCW, Chem.ChiralType.CHI_TETRAHEDRAL_CW) and len(around) in (3, 4):
                # seen from the first neighbour, or from where a lone pair leaves three of them, the others follow counterclockwise:
                # a negative volume, and a positive one
                turn = -1 if atom.GetChiralTag() == Chem.ChiralType.CHI_TETRAHEDRAL_CCW else 1
                centres.append((atom.GetIdx(), *around[-3:], turn if len(around) == 4 else -turn))
        for bond in mol.GetBonds():
            if (sign := SIDES.get(bond.GetStereo())) is not None:
                a, b = bond.GetStereoAtoms()
                bonds.append((a, bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), b, sign))
        return cls(tuple(centres), tuple(bonds))

    @classmethod
    def of_geometry(cls, molecule: Molecule) -> Handedness:
        """That of the molecule's coordinates; none where RDKit refuses the molecule."""
        with rdBase.BlockLogs():
            try:
                return cls.of(molecule.to_rdkit(sanitize=True))
            except (ValueError, RuntimeError):
                return cls()

    def __bool__(self) -> bool:
        return bool(self.centres or self.bonds)

    def missed(self, molecule: Molecule) -> bool:
        """Whether a sign is the other one, or none, in the molecule's coordinates."""
        return bool((self.values(torch.from_numpy(molecule.positions)[None]) < FLAT).any())

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
