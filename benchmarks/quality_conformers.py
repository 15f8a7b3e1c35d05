"""Conformers of real molecules, beside RDKit's ETKDG at equal numbers.

Coverage: share of molecules with a conformer closer than the threshold to the geometry of the file. Matching RMSD: mean of the closest.
Heavy atoms, best over rotations and symmetry.

usage: python benchmarks/quality_conformers.py DATA.sdf.gz --model qm9 --leads 50 --num 10 --steps 50
"""

import argparse
import itertools
import time

import numpy as np
import torch
from quality_control import representable, shuffled
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem, rdMolAlign

from molgen.molecules.constraints import Conformers
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, load

THRESHOLDS = (0.25, 0.5)


def rmsds(mols: list[Chem.Mol], reference: Chem.Mol) -> list[float]:
    """Heavy-atom RMSD (Å) of each to the reference, best over rotations and symmetry."""
    return [rdMolAlign.GetBestRMS(heavy(mol), heavy(reference), maxMatches=1000) for mol in mols]


def etkdg(reference: Chem.Mol, num: int) -> list[Chem.Mol]:
    """Conformers by RDKit with the stereo of the reference."""
    mol = Chem.Mol(reference)
    mol.RemoveAllConformers()
    return [Chem.Mol(mol, confId=i) for i in AllChem.EmbedMultipleConfs(mol, num, AllChem.ETKDGv3())]


def row(name: str, found: list[list[float]], seconds: float, missing: int) -> None:
    closest = [min(values) for values in found if values]
    cover = ", ".join(f"COV<{x} {100 * sum(c < x for c in closest) / len(found):.1f} %" for x in THRESHOLDS)
    spread = np.mean([np.mean(values) for values in found if values])
    cost = f"{seconds / len(found):.2f} s a molecule, {missing} without"
    print(f"{name}: {cover}, MAT {np.mean(closest):.3f} Å, mean of all {spread:.3f} Å, {cost}")


def conformers(model: Model, leads: list[Molecule], num: int, steps: int, precision: str) -> None:
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    times, drawn, kept = [0.0, 0.0], 0, 0
    for lead in leads:
        reference = lead.to_rdkit(sanitize=True)
        began = time.process_time()
        request = Request(constraint=Conformers.of(lead), steps=steps, precision=precision)
        passed = []
        for molecule, reason in itertools.islice(model.draws(request, window=lambda start: num), 4 * num):
            drawn += 1
            if not reason:
                passed.append(molecule)
            if len(passed) == num:
                break
        kept += len(passed)
        times[0] += time.process_time() - began
        ours.append(rmsds([molecule.to_rdkit(sanitize=True) for molecule in passed], reference))
        began = time.process_time()
        mols = etkdg(reference, num)
        times[1] += time.process_time() - began
        theirs.append(rmsds(mols, reference))
    print(
        f"conformers of {len(leads)} molecules, {num} each, {steps} steps: {100 * kept / drawn:.1f} % of {drawn} draws had graph and stereo"
    )
    row("molgen", ours, times[0], sum(not values for values in ours))
    row("ETKDG", theirs, times[1], sum(not values for values in theirs))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="SDF of held-out molecules")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--leads", type=int, default=50)
    parser.add_argument("--num", type=int, default=10)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rdBase.DisableLog("rdApp.*")
    model = load(options.model, "cpu")
    leads = representable(model, shuffled(options.data), Conformers)[: options.leads]
    conformers(model, leads, options.num, options.steps, options.precision)


if __name__ == "__main__":
    main()
