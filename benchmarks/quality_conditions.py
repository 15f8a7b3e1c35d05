"""Requested against measured logP and QED, guidance 2: mean absolute error over all draws, beside free samples and the size-only baseline.

usage: python benchmarks/quality_conditions.py DATA [--model qm9] [--num 100] [--steps 50]
DATA is a prepared set of held-out molecules with the labels logp and qed; requests and sizes are taken from its first molecules.
"""

import argparse

import numpy as np
import torch
from rdkit.Chem import QED, Crippen

from molgen.molecules.data import PackedMolecules
from molgen.molecules.metrics.validity import validity
from molgen.molecules.molecule import Molecule
from molgen.sample import Request, draw_seed, load

MEASURE = {"logp": Crippen.MolLogP, "qed": QED.qed}


def measure(molecule: Molecule, name: str) -> float:
    return MEASURE[name](molecule.to_rdkit(sanitize=True)) if validity(molecule)["valid"] else np.nan


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, held_out = load(options.model, "cpu"), PackedMolecules(options.data)
    chosen = np.random.default_rng(0).choice(len(held_out), options.num, replace=False)
    sizes, seeds = held_out.sizes[chosen].tolist(), [draw_seed(1, k) for k in range(options.num)]
    free = model.run(sizes, seeds, Request(steps=options.steps))
    for name in MEASURE:
        asked, label = held_out.labels[name][chosen], model.checkpoint.statistics.label(name)
        requests = [Request(steps=options.steps, properties={name: float(value)}) for value in asked]
        bound = [model.run([n], [seed], request)[0] for n, seed, request in zip(sizes, seeds, requests, strict=True)]
        by_size = np.array([label.by_size[n][1] for n in sizes])
        rows = {"guided": bound, "free": free}
        print(f"{name}: {options.num} requests of held-out molecules, size-only baseline {np.abs(asked - by_size).mean():.3f}")
        for kind, molecules in rows.items():
            found = np.array([measure(m, name) for m in molecules])
            print(f"  {kind}: mean absolute error {np.nanmean(np.abs(found - asked)):.3f}, {100 * np.isnan(found).mean():.0f} % failed")


if __name__ == "__main__":
    main()
