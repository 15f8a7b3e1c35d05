"""Cost of one network call against the number of atoms (10 to 180) and against the batch size, with fitted exponents.

usage: python benchmarks/speed_scaling.py [--recipes qm9_small qm9] [--repeat 3] [--threads 2]
The network has the shape of a recipe; its weights do not matter. Each figure is the fastest of
the repeats, which other work on the machine disturbs least. Exponents are slopes of least squares in log-log coordinates.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from speed_train import millions, recipe

from molgen.batch import Batch
from molgen.checkpoint import build_denoiser
from molgen.diffusion.denoiser import Preconditioned
from molgen.files import shipped
from molgen.molecules.fields import Statistics

ATOMS = (10, 20, 40, 60, 90, 120, 180)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def batch_of(like: Callable[[list[int]], Batch], count: int, atoms: int) -> Batch:
    """Positions of the spread of noise halfway, every class the first one."""
    batch = like([atoms] * count)
    return batch.replace({"pos": torch.randn(count, atoms, 3, generator=torch.Generator().manual_seed(0))})


def fastest(action: Callable[[], object], repeat: int) -> float:
    action()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def exponent(x: list[int], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(x), np.log(seconds), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipes", nargs="+", default=["qm9_small", "qm9"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    statistics = Statistics.load(shipped("weights") / "qm9" / "statistics.json")
    print(f"torch {torch.__version__}, {options.threads} threads, fastest of {options.repeat}")
    for name in options.recipes:
        experiment = recipe(name)
        denoiser = build_denoiser(experiment, statistics).eval().requires_grad_(False)

        def call(count: int, atoms: int, denoiser: Preconditioned = denoiser, like: Callable = experiment.domain.empty) -> float:
            batch = batch_of(like, count, atoms)
            return fastest(lambda: denoiser(batch, torch.full((count,), 0.5), {}), options.repeat)

        print(f"\n{name}: {millions(denoiser):.2f} M parameters\n")
        print("| atoms | ms a call of 2 molecules | ms a molecule | us a pair |\n|---|---|---|---|")
        costs = [call(2, atoms) for atoms in ATOMS]
        for atoms, seconds in zip(ATOMS, costs, strict=True):
            print(f"| {atoms} | {1e3 * seconds:.1f} | {5e2 * seconds:.1f} | {5e5 * seconds / atoms**2:.2f} |")
        small, large = exponent(list(ATOMS[:3]), costs[:3]), exponent(list(ATOMS[2:]), costs[2:])
        print(f"\nexponent {small:.2f} from {ATOMS[0]} to {ATOMS[2]} atoms, {large:.2f} from {ATOMS[2]} to {ATOMS[-1]}")
        print("\n| batch of 18 atoms each | ms a call | ms a molecule |\n|---|---|---|")
        costs = [call(count, 18) for count in BATCHES]
        for count, seconds in zip(BATCHES, costs, strict=True):
            print(f"| {count} | {1e3 * seconds:.1f} | {1e3 * seconds / count:.2f} |")
        small, large = exponent(list(BATCHES[:3]), costs[:3]), exponent(list(BATCHES[3:]), costs[3:])
        print(f"\nexponent {small:.2f} from {BATCHES[0]} to {BATCHES[2]}, {large:.2f} from {BATCHES[3]} to {BATCHES[-1]}")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
