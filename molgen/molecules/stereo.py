"""Stereo labels: R and S of stereocentres, E and Z of double bonds, by the rules of Cahn, Ingold and Prelog (IUPAC 2013, P-9)."""

from __future__ import annotations

from rdkit import Chem, rdBase

from molgen.molecules.molecule import Molecule

Labels = dict[tuple[int, ...], str]


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
