"""How far a generated geometry is from the nearest minimum of a force field.

The molecule is relaxed with MMFF94 from the given coordinates. Reported are the energy that it loses, the root mean square
displacement of all atoms after optimal superposition, and mean absolute changes of bond lengths, angles and torsions. Real molecules
at another level of theory also relax a little, so the figures mean something only beside those of real molecules.

References: Halgren 1996, Merck molecular force field I, 10.1002/(SICI)1096-987X(199604)17:5/6<490::AID-JCC1>3.0.CO;2-P;
Nikitin et al. 2025, GEOM-Drugs Revisited, arXiv 2505.00169 (relaxation energy as a metric).
"""

from dataclasses import replace

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from molgen.molecules.metrics.distributions import angle_atoms, angles_of, torsion_atoms, torsions_of
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule

MAX_STEPS = 2000


def relax_mmff(molecule: Molecule) -> dict[str, float | str]:
    """Relaxes with MMFF94.

    Returns:
        `mmff_drop` (kcal/mol, at least 0), `mmff_rmsd` (Å), `mmff_bond_change` (Å), `mmff_angle_change` and `mmff_torsion_change`
        (degrees), `mmff_reason` ("" on success). On failure only the reason.
    """
    with rdBase.BlockLogs():
        try:
            mol = molecule.to_rdkit(sanitize=True)
            parameters = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94")
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, parameters) if parameters is not None else None
            if field is None:
                return {"mmff_reason": "no MMFF94 parameters"}
            field.Initialize()
            before = field.CalcEnergy()
            left = field.Minimize(maxIts=MAX_STEPS)
            after = field.CalcEnergy()
        except (ValueError, RuntimeError) as error:
            return {"mmff_reason": f"RDKit: {type(error).__name__}"}
    if left or not np.isfinite(before - after):
        return {"mmff_reason": f"not converged in {MAX_STEPS} steps"}
    relaxed = replace(molecule, positions=mol.GetConformer().GetPositions())
    return {"mmff_drop": max(before - after, 0.0), **changes("mmff", molecule, relaxed), "mmff_reason": ""}


def strain_mmff(molecule: Molecule) -> dict[str, float | str]:
    """The energy that a geometry loses on the way to its nearest minimum under MMFF94: strain of the conformer as it stands.

    Returns:
        `strain_mmff` (kcal/mol, at least 0), `strain_mmff_reason` ("" on success).
    """
    if molecule.implicit_hydrogens:
        return {"strain_mmff_reason": "hydrogens are missing"}
    found = relax_mmff(molecule)
    told: dict[str, float | str] = {"strain_mmff_reason": found["mmff_reason"]}
    return told | {"strain_mmff": found["mmff_drop"]} if "mmff_drop" in found else told


def changes(prefix: str, before: Molecule, after: Molecule) -> dict[str, float | str]:
    """Displacement and mean absolute changes of the internal coordinates of the same molecule in two geometries."""
    i, j = before.bonds[:, 0], before.bonds[:, 1]
    lengths = [np.linalg.norm(m.positions[i] - m.positions[j], axis=1) for m in (before, after)]
    triples = angle_atoms(before)
    quadruples, _ = torsion_atoms(before, heavy=True)
    turned = torsions_of(after.positions, quadruples) - torsions_of(before.positions, quadruples)
    return {
        f"{prefix}_rmsd": rmsd(before.positions, after.positions),
        f"{prefix}_bond_change": _mean(np.abs(lengths[1] - lengths[0])),
        f"{prefix}_angle_change": _mean(np.abs(angles_of(after.positions, triples) - angles_of(before.positions, triples))),
        f"{prefix}_torsion_change": _mean(np.abs((turned + 180) % 360 - 180)),
    }


def rmsd(first: np.ndarray, second: np.ndarray) -> float:
    """Root mean square distance in Å of two geometries (n, 3) after the best proper rotation and translation (Kabsch 1976)."""
    a, b = first - first.mean(axis=0), second - second.mean(axis=0)
    u, singular, v = np.linalg.svd(a.T @ b)
    if np.linalg.det(u @ v) < 0:
        singular[-1] *= -1
    squared = (a**2).sum() + (b**2).sum() - 2 * singular.sum()
    return float(np.sqrt(max(squared, 0.0) / len(first)))


def nearest_rmsd(molecule: Chem.Mol, others: list[Chem.Mol]) -> float:
    """Least root mean square distance in Å of the heavy atoms to other conformers of the same molecule, over symmetric matches.

    A mirror image counts as the same conformer, as generators trained with reflections cannot tell them apart.
    """
    with rdBase.BlockLogs():
        bare, found = heavy(molecule), []
        graph = _skeleton(bare)
        for other in others:
            target = heavy(other)
            matches = _skeleton(target).GetSubstructMatches(graph, uniquify=False, maxMatches=1000)
            positions = bare.GetConformer().GetPositions()
            for match in matches:
                mapped = target.GetConformer().GetPositions()[list(match)]
                found += [rmsd(positions, mapped), rmsd(positions, mapped * [1, 1, -1])]
    return min(found, default=float("nan"))


def _skeleton(mol: Chem.Mol) -> Chem.Mol:
    """The elements and connections alone, so that two Kekulé forms of a molecule match."""
    flat = Chem.RWMol(mol)
    for bond in flat.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
        bond.SetStereo(Chem.BondStereo.STEREONONE)
    for atom in flat.GetAtoms():
        atom.SetIsAromatic(False)
        atom.SetFormalCharge(0)
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        atom.SetNumExplicitHs(0)
    return flat.GetMol()


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
