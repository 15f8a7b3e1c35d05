"""Raw quality of a model's draws, nothing replaced: strict stability (P2s), validity, P1, uniqueness and novelty, by number of steps.

usage: python benchmarks/quality_qm9.py [MODEL] --num 1000 --steps 50 --seed 0 [--train DATA] [--out FILE.sdf]
"""

import argparse
import itertools
import time

import numpy as np
import torch

from molgen.molecules.export import write_sdf
from molgen.molecules.metrics.stability import distance_lookup, lenient, strict
from molgen.molecules.metrics.validity import lookup_validity, validity
from molgen.sample import Request, load


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="qm9")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--train", help="prepared training data, for novelty")
    parser.add_argument("--out", help="SDF file that keeps the draws")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load(options.model, "cpu")
    began = time.perf_counter()
    draws = model.draws(Request(steps=options.steps, seed=options.seed))
    molecules = [molecule for molecule, _ in itertools.islice(draws, options.num)]
    seconds = time.perf_counter() - began
    if options.out:
        write_sdf(options.out, molecules)
    known = set(open(f"{options.train}/smiles.txt").read().split()) if options.train else set()  # noqa: SIM115, PTH123
    rows = [strict(m) | lenient(m) | distance_lookup(m) | validity(m) | lookup_validity(m) for m in molecules]
    smiles = {str(r["smiles"]) for r in rows if r["valid"]}

    def share(key: str) -> str:
        mean = float(np.mean([bool(r[key]) for r in rows]))
        return f"{100 * mean:.1f} +- {196 * (mean * (1 - mean) / len(rows)) ** 0.5:.1f}"

    def atoms(prefix: str) -> float:
        return 100 * sum(int(r[f"{prefix}_stable_atoms"]) for r in rows) / sum(int(r[f"{prefix}_atoms"]) for r in rows)

    cost = f"{seconds:.0f} s on {options.threads} threads"
    print(f"model {options.model}, {options.num} draws, {options.steps} steps, seed {options.seed}, {cost}")
    print(f"P2s molecule stable {share('p2s_stable')} %, atom {atoms('p2s'):.2f} %; valid {share('valid')} %")
    print(f"P2 lenient molecule stable {share('p2_stable')} %")
    print(f"P1 molecule stable {share('p1_stable')} %, atom {atoms('p1'):.2f} %, valid {share('p1_valid')} %")
    print(
        f"valid and unique {100 * len(smiles) / len(rows):.1f} %"
        + (f", and novel {100 * len(smiles - known) / len(rows):.1f} %" if known else "")
    )


if __name__ == "__main__":
    main()
