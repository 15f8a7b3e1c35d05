"""Stereo of a given graph: signs that its coordinates must have, and a score that leads coordinates to them.

A stereocentre c with neighbours a, b, d has one sign of the volume ``(a - c) . ((b - c) x (d - c))``. So has a stereogenic axis from i to j
with a at i and b at j, as of a hindered biaryl or an allene: it stands as the centre i with a, j and b. A double bond i=j with a at i and b
at j is cis where the parts of ``a - i`` and ``b - j`` that are normal to the bond point the same way. Signs belong to the numbers of the
atoms, so that centres without a label of Cahn, Ingold and Prelog (cis and trans on rings) are held as well. The score is a hinge on both:
``- WEIGHT sum max(0, MARGIN - sign value)^2``, with values in network units, in which those of real molecules are about 0.4 to 0.8 (axes up
to 1.5). The planes at the ends of an allene are perpendicular whether it has a sign or not; a hinge on the cosine between them leads there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from rdkit import Chem, rdBase

from molgen.molecules.axes import AXES, allenes, stereogenic
from molgen.molecules.molecule import Molecule
from molgen.types import NodeMask, PerSample, Positions, Prediction, Tensor

WEIGHT, MARGIN = 10.0, 0.3
FLAT = 0.1
"""Smallest value that counts as a sign, Å^3 of a centre and Å^2 of a double bond; of real molecules they are above 0.5."""
COSINE, PERPENDICULAR = 0.1, 40.0
"""Cosine between the end planes of an allene from which on it is led to less, and the weight of that."""


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
        centres: (centre, three of its neighbours, sign of their volume); of an axis (i, a, j, b, sign).
        bonds: (a, i, j, b, sign): a double bond i=j with a at i and b at j; +1 for cis.
        allenes: (a, i, j, b): ends i and j of an allene with a at i and b at j.
    """

    centres: tuple[tuple[int, int, int, int, int], ...] = ()
    bonds: tuple[tuple[int, int, int, int, int], ...] = ()
    allenes: tuple[tuple[int, int, int, int], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, mol: Chem.Mol) -> Handedness:
        """That of the centres, double bonds and hindered single bonds of which RDKit knows the stereo; hydrogens are atoms of `mol`."""
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
            if (sign := AXES.get(bond.GetStereo())) is not None:
                i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
                a, b = (min(n.GetIdx() for n in mol.GetAtomWithIdx(e).GetNeighbors() if n.GetIdx() not in (i, j)) for e in (i, j))
                centres.append((i, a, j, b, sign))
        return cls(tuple(centres), tuple(bonds), tuple(allenes(mol)))

    @classmethod
    def of_geometry(cls, molecule: Molecule) -> Handedness:
        """That of the molecule's coordinates, axes (:mod:`molgen.molecules.axes`) as well; none where RDKit refuses the molecule."""
        with rdBase.BlockLogs():
            try:
                mol = molecule.to_rdkit(sanitize=True)
                found = cls.of(mol)
            except (ValueError, RuntimeError):
                return cls()
        axes = cls(tuple((i, a, j, b, 1) for a, i, j, b in stereogenic(mol)))
        volumes = axes.values(torch.from_numpy(molecule.positions)[None])[0].tolist()
        signed = [(*axis[:4], 1 if v > 0 else -1) for axis, v in zip(axes.centres, volumes, strict=True) if abs(v) > FLAT]
        return replace(found, centres=(*found.centres, *signed))

    def __bool__(self) -> bool:
        return bool(self.centres or self.bonds or self.allenes)

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

    def cosines(self, positions: Positions) -> Tensor:
        """Cosines (b, m) of the angles between the end planes of allenes, without their signs: 0 as it should be, 1 where planar."""
        found = []
        for a, i, j, b in self.allenes:
            axis = positions[:, j] - positions[:, i]
            first, second = (torch.linalg.cross(axis, positions[:, outer] - positions[:, end]) for outer, end in ((a, i), (b, j)))
            found.append(torch.nn.functional.cosine_similarity(first, second, dim=-1).abs())
        return torch.stack(found, -1) if found else positions.new_zeros(len(positions), 0)

    def __call__(self, prediction: Prediction, mask: NodeMask) -> PerSample:
        positions = prediction["pos"]
        turned = (MARGIN - self.values(positions)).clamp(min=0).square().sum(-1)
        planar = (self.cosines(positions) - COSINE).clamp(min=0).square().sum(-1)
        return -WEIGHT * turned - PERPENDICULAR * planar
