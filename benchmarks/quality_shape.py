"""How near samples come to the shape of a ligand that they are asked to have, without a protein.

Of every ligand that the model can represent ``num`` raw draws with as many atoms, at each strength of the score; strength 0 is a free
sample, brought to the ligand by its middle, or by RDKit's Open3DAlign in the last row. Over those that pass the strict check: shape
Tanimoto to the ligand where it lies (RDKit, heavy atoms) and Tanimoto similarity of the graphs (Morgan, radius 2). Intervals are 95 %, from
1,000 resamplings of the ligands.

usage: python benchmarks/quality_shape.py LIGANDS.sdf.gz [--model leads] [--ligands 24] [--num 2] [--strengths 0,30,100,300]
"""

import argparse
import itertools
import time

import numpy as np
import torch
from quality_control import MORGAN, representable, shuffled
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdMolAlign, rdShapeHelpers

from molgen.guidance import Gradient, Shape
from molgen.molecules.constraints import Around
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, load
from molgen.shapes.metrics import interval


def overlap(mol: Chem.Mol, ligand: Chem.Mol) -> float:
    """Shape Tanimoto of two molecules where they lie."""
    return 1 - float(rdShapeHelpers.ShapeTanimotoDist(mol, ligand))


def aligned(mol: Chem.Mol, ligand: Chem.Mol) -> float:
    """Shape Tanimoto after Open3DAlign has laid the first molecule on the second."""
    rdMolAlign.GetO3A(mol, ligand).Align()
    return overlap(mol, ligand)


def draws(model: Model, ligand: Molecule, strength: float, num: int, steps: int) -> list[Molecule]:
    """Those of so many draws that pass, where the ligand lies."""
    score = Shape(ligand.positions[ligand.atomic_numbers != 1], strength or 1.0)
    guides = (Gradient(score),) if strength else ()
    request = Request(sizes=[len(ligand)], steps=steps, guides=guides)
    return [score.place(m) for m, reason in itertools.islice(model.draws(request, window=lambda start: num), num) if not reason]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="leads")
    parser.add_argument("--ligands", type=int, default=24)
    parser.add_argument("--num", type=int, default=2)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--strengths", default="0,30,100,300")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rdBase.DisableLog("rdApp.*")
    model = load(options.model, "cpu")
    ligands = representable(model, shuffled(options.data), Around)[: options.ligands]
    references = [heavy(ligand.to_rdkit(sanitize=True)) for ligand in ligands]
    prints = [MORGAN.GetFingerprint(reference) for reference in references]
    print(f"{len(ligands)} ligands, {options.num} draws each, {options.steps} steps, seed 0\n")
    print("| strength | passed % | shape Tanimoto | Tanimoto of graphs | s a draw |\n|" + "---|" * 5)

    def row(name: str, found: list[list[Molecule]], seconds: float | None, measure=overlap) -> None:
        pairs = [(heavy(m.to_rdkit(sanitize=True)), k) for k, own in enumerate(found) for m in own]
        passed = 100 * len(pairs) / (options.num * len(ligands))
        shapes = [[measure(mol, references[k]) for mol, place in pairs if place == k] for k in range(len(ligands))]
        graphs = [DataStructs.TanimotoSimilarity(MORGAN.GetFingerprint(mol), prints[k]) for mol, k in pairs]
        mean, low, high = interval(np.array([np.mean(own) for own in shapes if own]))
        told = "" if seconds is None else f"{seconds:.2f}"
        print(f"| {name} | {passed:.0f} | {mean:.3f} [{low:.3f}, {high:.3f}] | {np.mean(graphs):.2f} | {told} |", flush=True)

    free: list[list[Molecule]] = []
    for strength in map(float, options.strengths.split(",")):
        began = time.process_time()
        found = [draws(model, ligand, strength, options.num, options.steps) for ligand in ligands]
        row(f"{strength:g}", found, (time.process_time() - began) / (options.num * len(ligands)))
        free = free if strength else found
    if free:
        row("0, aligned", free, None, aligned)


if __name__ == "__main__":
    main()
