"""Constrained samples of real molecules: how many succeed, how diverse they are, what a success costs.

A success is a draw that is strictly stable (P2s: closed shells, no net charge, one piece), valid for RDKit, and holds the kept atoms
exactly. Kept parts are cut from held-out molecules, which are taken in an order shuffled once and for all:

    grow      one side of an acyclic single bond between heavy atoms is kept, with its hydrogens; the cut is the attachment point
    scaffold  the ring atoms are kept without hydrogens or anything else; every atom of them may be an attachment point
    link      two sides of a molecule are kept, what connects them is generated
    decorate  the whole molecule (at most 7 heavy atoms) but two hydrogens is kept

usage: python benchmarks/quality_control.py DATA.sdf.gz [TASK ...] --model qm9 --leads 50 --draws 8 --steps 50
"""

import argparse
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molgen.errors import InputError
from molgen.molecules.constraints import Around, Conformers, Keep
from molgen.molecules.export import read_molecules
from molgen.molecules.metrics.stability import distance_lookup
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, load

MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2)


def sides(mol: Chem.Mol) -> Iterator[tuple[int, int, set[int]]]:
    """Acyclic single bonds i-j between heavy atoms, each way round, with the atoms on the side of i."""
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE or any(a.GetAtomicNum() == 1 for a in ends):
            continue
        for here, there in (ends, ends[::-1]):
            side, todo = {here.GetIdx()}, [here.GetIdx()]
            while todo:
                for a in mol.GetAtomWithIdx(todo.pop()).GetNeighbors():
                    if a.GetIdx() not in side and a.GetIdx() != there.GetIdx():
                        side.add(a.GetIdx())
                        todo.append(a.GetIdx())
            yield here.GetIdx(), there.GetIdx(), side


def heavy_atoms(mol: Chem.Mol, atoms: set[int]) -> int:
    return sum(mol.GetAtomWithIdx(i).GetAtomicNum() > 1 for i in atoms)


def numbers(atoms: set[int]) -> list[int]:
    return sorted(i + 1 for i in atoms)


def grow(molecule: Molecule, mol: Chem.Mol) -> Keep | None:
    """Keeps the larger side of the cut that is closest to removing 3 heavy atoms."""
    total = heavy_atoms(mol, set(range(len(molecule))))
    cuts = [(abs(total - heavy_atoms(mol, side) - 3), i, side) for i, _, side in sides(mol) if 3 <= heavy_atoms(mol, side) <= total - 2]
    if not cuts:
        return None
    _, point, side = min(cuts, key=lambda cut: (cut[0], cut[1]))
    return Keep(molecule=molecule, atoms=numbers(side), attach=[point + 1])


def scaffold(molecule: Molecule, mol: Chem.Mol) -> Keep | None:
    """Keeps the ring atoms, of which there must be at least 3 less than heavy atoms."""
    ring = {a.GetIdx() for a in mol.GetAtoms() if a.IsInRing()}
    if not ring or heavy_atoms(mol, set(range(len(molecule)))) - len(ring) < 3:
        return None
    return Keep(molecule=molecule, atoms=numbers(ring))


def link(molecule: Molecule, mol: Chem.Mol) -> Keep | None:
    """Keeps two sides that leave at least one heavy atom between them."""
    best: tuple[int, Keep] | None = None
    for (i, _, first), (j, _, second) in itertools.combinations(list(sides(mol)), 2):
        between = set(range(len(molecule))) - first - second
        if first & second or min(heavy_atoms(mol, first), heavy_atoms(mol, second)) < 1 or heavy_atoms(mol, between) < 1:
            continue
        kept = heavy_atoms(mol, first | second)
        if best is None or kept > best[0]:
            best = kept, Keep(molecule=molecule, atoms=numbers(first | second), attach=[i + 1, j + 1])
    return best[1] if best and best[0] >= 3 else None


def decorate(molecule: Molecule, mol: Chem.Mol) -> Keep | None:
    """Makes room in place of the first and the last hydrogen on different heavy atoms."""
    if not 4 <= heavy_atoms(mol, set(range(len(molecule)))) <= 7:
        return None
    hydrogens = {a.GetNeighbors()[0].GetIdx(): a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() == 1}
    chosen = list(dict.fromkeys([hydrogens[min(hydrogens)], hydrogens[max(hydrogens)]])) if hydrogens else []
    return Keep(molecule=molecule, replace_hydrogens=numbers(set(chosen))) if len(chosen) == 2 else None


TASKS = {"grow": grow, "scaffold": scaffold, "link": link, "decorate": decorate}


def shuffled(data: str) -> list[Molecule]:
    """The molecules of a file, in an order that is always the same."""
    molecules = [m for m in read_molecules(data) if isinstance(m, Molecule)]
    random.Random(0).shuffle(molecules)
    return molecules


def representable(model: Model, molecules: list[Molecule], kind: type[Around] | type[Conformers]) -> list[Molecule]:
    """Those that the model can vary, or make conformers of."""
    found = []
    for molecule in molecules:
        with suppress(InputError):
            kind(molecule=molecule).sizes(model.checkpoint.statistics, [])
            found.append(molecule)
    return found


def constraints(model: Model, data: str, task: str, leads: int) -> tuple[list[Keep], Counter[str]]:
    """The first so many constraints of this kind that molecules of a file allow, and why the model cannot represent others before them."""
    found, refused = [], Counter()
    for molecule in shuffled(data):
        keep = TASKS[task](molecule, molecule.to_rdkit(sanitize=True))
        if keep is None:
            continue
        try:
            keep.sizes(model.checkpoint.statistics, [])
            found.append(keep)
        except InputError as error:
            refused[re.sub(r"atom \d+|\d+ kept", "...", str(error).partition(": ")[2])[:45]] += 1
        if len(found) == leads:
            break
    return found, refused


def diversity(molecules: list[Molecule]) -> tuple[float, list[str]]:
    """Mean Tanimoto distance (Morgan, radius 2) of all pairs, and canonical SMILES."""
    plain = [heavy(molecule.to_rdkit(sanitize=True)) for molecule in molecules]
    prints = [MORGAN.GetFingerprint(mol) for mol in plain]
    distances = [1 - s for i in range(1, len(prints)) for s in DataStructs.BulkTanimotoSimilarity(prints[i], prints[:i])]
    return float(np.mean(distances)) if distances else float("nan"), [Chem.MolToSmiles(mol, isomericSmiles=False) for mol in plain]


def measure(model: Model, keeps: list[Keep], draws: int, steps: int, seed: int) -> dict:
    """Counts and means over all constraints."""
    good: list[Molecule] = []
    reasons: Counter[str] = Counter()
    distances, unique, solved, sizes = [], 0, 0, []
    began = time.process_time()
    for keep in keeps:
        request = Request(constraint=keep, steps=steps, seed=seed)
        drawn = list(itertools.islice(model.draws(request, window=lambda start: draws), draws))
        passed = [molecule for molecule, reason in drawn if not reason]
        reasons.update(reason for _, reason in drawn if reason)
        if passed:
            distance, smiles = diversity(passed)
            distances.append(distance)
            unique += len(set(smiles))
            solved += 1
        good += passed
        sizes.append(len(keep.fragment.numbers))
    seconds = time.process_time() - began
    asked = draws * len(keeps)
    share = len(good) / max(1, asked)
    return {
        "leads": len(keeps),
        "kept atoms": float(np.mean(sizes)),
        "success %": 100 * share,
        "+-": 196 * (share * (1 - share) / max(1, asked)) ** 0.5,
        "leads solved %": 100 * solved / max(1, len(keeps)),
        "P1 of successes %": 100 * float(np.mean([bool(distance_lookup(m)["p1_stable"]) for m in good])) if good else float("nan"),
        "unique of successes %": 100 * unique / max(1, len(good)),
        "Tanimoto distance": float(np.nanmean(distances)) if np.isfinite(distances).any() else float("nan"),
        "s per success": seconds / max(1, len(good)),
        "reasons": reasons.most_common(5),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="SDF of held-out molecules")
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--leads", type=int, default=50)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.model, "cpu")
    for task in options.tasks:
        keeps, refused = constraints(model, options.data, task, options.leads)
        result = measure(model, keeps, options.draws, options.steps, options.seed) | {"refused": dict(refused)}
        print(task, ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in result.items()), flush=True)


if __name__ == "__main__":
    main()
