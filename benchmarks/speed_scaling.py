"""Cost of one network call and one training step against the number of atoms and the batch size, with fitted exponents.

usage: python benchmarks/speed_scaling.py [--threads N]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from molgen.batch import Batch, mask_of
from molgen.checkpoint import build_denoiser
from molgen.config import build_experiment
from molgen.files import shipped
from molgen.molecules.fields import Statistics

SMALL = {"kind": "equivariant_transformer", "scalars": 96, "vectors": 24, "pairs": 48, "layers": 5}
LARGE = {"kind": "equivariant_transformer", "scalars": 256, "vectors": 32, "pairs": 96, "layers": 9, "context": 256}


def batch_of(count: int, atoms: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    bond = torch.zeros(count, atoms, atoms, dtype=torch.long)
    classes = torch.zeros(count, atoms, dtype=torch.long)
    return Batch(
        {"pos": torch.randn(count, atoms, 3, generator=generator), "atom": classes, "charge": classes, "bond": bond},
        mask_of([atoms] * count),
    )


def seconds(action, repeat: int) -> float:
    action()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    statistics = Statistics.load(Path(shipped("weights")) / "qm9" / "statistics.json")
    for name, size in (("small", SMALL), ("large", LARGE)):
        experiment = build_experiment({"model": size}, "benchmark")
        denoiser = build_denoiser(experiment, statistics)
        print(f"{name}: {sum(p.numel() for p in denoiser.parameters()) / 1e6:.2f} M parameters, {options.threads} threads")

        def train(batch: Batch, denoiser=denoiser, experiment=experiment) -> None:
            total, _ = experiment.objective(denoiser, denoiser.process, batch, torch.Generator().manual_seed(1))
            total.backward()

        count = 96 if name == "small" else 32
        took = seconds(lambda train=train, count=count: train(batch_of(count, 18)), 3)
        print(f"  training, batch {count} of 18 atoms: {count / took:.0f} molecules/s")
        costs = []
        counts = [10, 20, 40, 80, 120, 180] if name == "small" else [10, 20, 40, 80]
        with torch.no_grad():
            for atoms in counts:
                batch = batch_of(4, atoms)
                costs.append(seconds(lambda batch=batch, denoiser=denoiser: denoiser(batch, torch.full((4,), 0.5), {}), 3) / 4)
                print(f"  call, {atoms:3d} atoms: {1000 * costs[-1]:8.2f} ms a molecule")
            slope = np.polyfit(np.log(counts[-3:]), np.log(costs[-3:]), 1)[0]
            print(f"  fitted exponent over the last three sizes: {slope:.2f}")
            for size_of_batch in (1, 4, 16, 64, 256) if name == "small" else (1, 16, 64):
                batch = batch_of(size_of_batch, 18)
                took = seconds(lambda batch=batch, n=size_of_batch, denoiser=denoiser: denoiser(batch, torch.full((n,), 0.5), {}), 3)
                print(f"  call, batch {size_of_batch:3d} of 18 atoms: {1000 * took / size_of_batch:6.2f} ms a molecule")


if __name__ == "__main__":
    main()
