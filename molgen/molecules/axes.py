"""Axes of molecules: cumulated double bonds, and single bonds about which hindered rings cannot turn.

An even number of cumulated double bonds, as in an allene, turns the planes at its ends by 90°; an odd one, as in a butatriene, leaves them
in one plane. A single bond is hindered (atropisomers) where it joins two aromatic rings, or one and the amide group of a tertiary amide,
and three of the four positions beside it bear something else than hydrogen.
"""

from __future__ import annotations

from collections.abc import Iterator

from rdkit import Chem

SMALLEST_RING = 9
"""Ring in which an allene is nearly what it is in a chain; 1,2-cyclononadiene can be kept, 1,2-cyclooctadiene dimerises."""
HINDERED = 3
"""Positions beside a single bond, of four, that bear something."""
AMIDES = [Chem.MolFromSmarts(smarts) for smarts in ("[c]-!@[CX3](=O)-[NX3;H0]", "[c]-!@[NX3;H0]-[CX3]=O")]
"""Tertiary amides on an aromatic ring, by their carbon and by their nitrogen; the first two atoms are the single bond."""

AXES = {Chem.BondStereo.STEREOATROPCCW: 1, Chem.BondStereo.STEREOATROPCW: -1}
"""Sign of the volume of an atropisomeric bond with the neighbours of lowest number at its two ends."""


def others(mol: Chem.Mol, atom: int, *without: int) -> list[int]:
    """Neighbours of an atom but these, ascending."""
    return sorted(n.GetIdx() for n in mol.GetAtomWithIdx(atom).GetNeighbors() if n.GetIdx() not in without)


def cumulenes(mol: Chem.Mol) -> Iterator[tuple[int, int, int, int, int]]:
    """Cumulated double bonds with a neighbour at either end, as (a, i, j, b, number of double bonds) with a at the end i and b at j."""
    double, carbon = Chem.BondType.DOUBLE, 6
    middle = {
        atom.GetIdx()
        for atom in mol.GetAtoms()
        if atom.GetAtomicNum() == carbon and [bond.GetBondType() for bond in atom.GetBonds()] == [double, double]
    }
    for bond in mol.GetBonds():
        for i, here in ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()), (bond.GetEndAtomIdx(), bond.GetBeginAtomIdx())):
            if i in middle or here not in middle:
                continue
            before, first, count = i, here, 1
            while here in middle:
                before, here, count = here, others(mol, here, before)[0], count + 1
            left, right = others(mol, i, first), others(mol, here, before)
            if i < here and left and right:
                yield left[0], i, here, right[0], count


def allenes(mol: Chem.Mol) -> Iterator[tuple[int, int, int, int]]:
    """Even numbers of double bonds between carbon atoms, as (a, i, j, b) of :func:`cumulenes`; not in rings that bend them.

    The rings of ``mol`` have to be known.
    """
    for a, i, j, b, count in cumulenes(mol):
        size = mol.GetRingInfo().MinAtomRingSize(Chem.GetShortestPath(mol, i, j)[1])
        if count % 2 == 0 and not 0 < size < SMALLEST_RING and all(mol.GetAtomWithIdx(end).GetAtomicNum() == 6 for end in (i, j)):
            yield a, i, j, b


def hindered(mol: Chem.Mol) -> Iterator[tuple[int, int]]:
    """Single bonds (i, j) of a sanitised molecule with hydrogens about which nothing turns."""
    amides = {frozenset(found[:2]) for pattern in AMIDES for found in mol.GetSubstructMatches(pattern)}
    for bond in mol.GetBonds():
        ends = (bond.GetBeginAtom(), bond.GetEndAtom())
        i, j = (end.GetIdx() for end in ends)
        biaryl = all(end.GetIsAromatic() for end in ends)
        if bond.GetBondType() != Chem.BondType.SINGLE or bond.IsInRing() or not (biaryl or frozenset((i, j)) in amides):
            continue
        beside = [(n, end) for end, other in ((i, j), (j, i)) for n in others(mol, end, other)]
        if len(beside) == 4 and sum(_occupied(mol, atom, end) for atom, end in beside) >= HINDERED:
            yield i, j


def _occupied(mol: Chem.Mol, atom: int, end: int) -> bool:
    """Whether an atom beside an axis bears anything but hydrogen, apart from atoms of the ring that it shares with the end of the axis."""
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings() if atom in ring and end in ring]
    ring = min(rings, key=len) if rings else set()
    return any(mol.GetAtomWithIdx(n).GetAtomicNum() > 1 and n not in ring for n in others(mol, atom, end))


def stereogenic(mol: Chem.Mol) -> list[tuple[int, int, int, int]]:
    """Hindered single bonds and allenes of a sanitised molecule with hydrogens whose mirror images differ, as (a, i, j, b)."""
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    axes = [(others(mol, i, j)[0], i, j, others(mol, j, i)[0]) for i, j in hindered(mol)] + list(allenes(mol))
    found = []
    for a, i, j, b in axes:
        ends = [[ranks[n] for n in others(mol, end, *Chem.GetShortestPath(mol, i, j))] for end in (i, j)]
        if all(len(ranked) == 2 and ranked[0] != ranked[1] for ranked in ends):
            found.append((a, i, j, b))
    return found
