"""The best molecules of a number of draws: independent ones against rounds of variants of the best.

usage: python benchmarks/quality_search.py [--model qm9] [--targets logp=max dipole_xtb=max qed=max sa=min] [--pool 500] [--keep 10]
       [--rounds 1 5 10] [--strengths 0.6] [--seeds 1 2] [--steps 50] [--precision bf16]
Prints the mean of the measured values of the molecules kept, for every seed, the best of all, and the draws and seconds of a search.
"""

import argparse
import time

import torch

from molgen.evolution import search
from molgen.molecules.measure import Target
from molgen.sample import Request, Tally, load


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--targets", nargs="+", default=["logp=max", "dipole_xtb=max", "qed=max", "sa=min"])
    parser.add_argument("--pool", type=int, default=500)
    parser.add_argument("--keep", type=int, default=10)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.model, "cpu")
    for text in options.targets:
        target = Target.parse(text)
        for rounds in options.rounds:
            for strength in options.strengths if rounds > 1 else options.strengths[:1]:
                means, best, draws, began = [], [], 0, time.perf_counter()
                for seed in options.seeds:
                    request, tally = Request(steps=options.steps, seed=seed, precision=options.precision, candidates=1), Tally()
                    settings = {"keep": options.keep, "pool": options.pool, "rounds": rounds}
                    found = search(model, target, strength=strength, request=request, tally=tally, **settings)
                    values = [float(molecule.properties[f"measured_{target.name}"]) for molecule in found]
                    means.append(sum(values) / len(values))
                    best.append((values[0], found[0].properties["smiles"]))
                    draws += tally.drawn
                seconds = (time.perf_counter() - began) / len(options.seeds)
                shown = ", ".join(f"{mean:.3f}" for mean in means)
                top = min(best, key=lambda one: target.distance(one[0]))
                cost = f"{draws / len(options.seeds):.0f} draws, {seconds:.0f} s"
                print(f"{text}: {rounds} rounds, strength {strength}: {shown}; best {top[0]:.3f} {top[1]}; {cost}", flush=True)


if __name__ == "__main__":
    main()
