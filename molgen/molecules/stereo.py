"""Stereo of a given graph: signs that its coordinates must have, and a score that leads coordinates to them.

A stereocentre c with neighbours a, b, d has one sign of the volume ``(a - c) . ((b - c) x (d - c))``. So has a stereogenic axis from i to j
with a at i and b at j, as of a hindered biaryl or an allene: it stands as the centre i with a, j and b. A double bond i=j with a at i and b
at j is cis where the parts of ``a - i`` and ``b - j`` that are normal to the bond point the same way. Signs belong to the numbers of the
atoms, so that centres without a label of Cahn, Ingold and Prelog (cis and trans on rings) are held as well. The score is a hinge on both:
``- WEIGHT sum max(0, MARGIN - sign value)^2``, with values in network units, in which those of real molecules are about 0.4 to 0.8 (axes up
to 1.5). The planes at the ends of an allene are perpendicular whether it has a sign or not; a hinge on the cosine between them leads there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from rdkit import Chem, rdBase

from molgen.molecules.axes import AXES, allenes, stereogenic
from molgen.molecules.molecule import Molecule
from molgen.types import Float, Int, NodeMask, PerSample, Positions, Prediction, Tensor

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
    """Signs that coordinates must have; :class:`Led` is the score that leads there.

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
        volumes, sides = (_table(rows, 5) for rows in (self.centres, self.bonds))
        return torch.cat([_volumes(positions[:, volumes[:, :4]], volumes[:, 4]), _sides(positions[:, sides[:, :4]], sides[:, 4])], -1)


class Led:
    """The score of samples that are led to signs of their own: see the head of this module.

    Args:
        each: the signs of every sample of a batch.
    """

    def __init__(self, each: Sequence[Handedness]):
        self.count = len(each)
        self._centres = _numbered([one.centres for one in each])
        self._bonds = _numbered([one.bonds for one in each])
        self._allenes = _numbered([[(*ends, 0) for ends in one.allenes] for one in each])

    def __bool__(self) -> bool:
        return any(map(len, (self._centres, self._bonds, self._allenes)))

    def __call__(self, prediction: Prediction, mask: NodeMask, rows: Tensor | slice = slice(None)) -> PerSample:
        """Log weights (b,) of these rows of the batch, at most 0."""
        positions = prediction["pos"]
        place = torch.full((self.count,), -1, device=positions.device)  # of a sample among the rows, -1 where it is none of them
        place[rows] = torch.arange(len(positions), device=positions.device)

        def chosen(entries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            entries = entries.to(positions.device)
            sample = place[entries[:, 0]]
            sample, entries = sample[sample >= 0], entries[sample >= 0]
            return sample, positions[sample.unsqueeze(1), entries[:, 1:5]], entries[:, 5]

        score = positions.new_zeros(len(positions))
        for entries, value in ((self._centres, _volumes), (self._bonds, _sides)):
            sample, corners, sign = chosen(entries)
            score = score.index_add(0, sample, -WEIGHT * (MARGIN - value(corners, sign)).clamp(min=0).square())
        sample, corners, _ = chosen(self._allenes)
        return score.index_add(0, sample, -PERPENDICULAR * (_cosines(corners) - COSINE).clamp(min=0).square())


def _numbered(each: Sequence[Sequence[tuple[int, ...]]]) -> Int[Tensor, "m 6"]:
    """The entries of all samples, each after the number of its sample."""
    return _table([(sample, *entry) for sample, entries in enumerate(each) for entry in entries], 6)


def _table(rows: Sequence[tuple[int, ...]], width: int) -> Int[Tensor, "m width"]:
    """Whole numbers as a tensor, of no row too."""
    return torch.tensor(rows, dtype=torch.long).reshape(-1, width)


def _volumes(corners: Float[Tensor, "*m 4 3"], sign: Int[Tensor, "k"]) -> Float[Tensor, "*m"]:
    """Signed volumes at a centre, the first corner, with three neighbours."""
    first, second, third = (corners[..., other, :] - corners[..., 0, :] for other in (1, 2, 3))
    return sign * (first * torch.linalg.cross(second, third)).sum(-1)


def _sides(corners: Float[Tensor, "*m 4 3"], sign: Int[Tensor, "k"]) -> Float[Tensor, "*m"]:
    """Signed products of what is normal to a double bond, the corners in the middle, in the ways to the others."""
    a, i, j, b = corners.unbind(-2)
    axis = torch.nn.functional.normalize(j - i, dim=-1)
    first, second = (end - (end * axis).sum(-1, keepdim=True) * axis for end in (a - i, b - j))
    return sign * (first * second).sum(-1)


def _cosines(corners: Float[Tensor, "*m 4 3"]) -> Float[Tensor, "*m"]:
    """Cosines between the end planes of an allene, without their signs."""
    a, i, j, b = corners.unbind(-2)
    first, second = (torch.linalg.cross(j - i, outer - end) for outer, end in ((a, i), (b, j)))
    return torch.nn.functional.cosine_similarity(first, second, dim=-1).abs()
