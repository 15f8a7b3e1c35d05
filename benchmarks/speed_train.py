"""Training throughput on real molecules: molecules per second of the recipe `qm9_small` and of a larger network, and how much is padding.

usage: python benchmarks/speed_train.py DATA [--sizes small large] [--seconds 60] [--threads 2] [--device cpu]
DATA is a prepared set with the labels of the recipe. A step is what a run does: batch from the packed files, forward, backward, clipping,
optimiser, moving average. The first two steps are not timed.
"""

import argparse
import time

import numpy as np
import torch

from molgen.batch import Batch
from molgen.buckets import Buckets
from molgen.config import Experiment, load_experiment
from molgen.files import shipped
from molgen.molecules.data import PackedMolecules
from molgen.train import Module

SIZES = {
    "small": (),
    "large": ("model.scalars=192", "model.vectors=32", "model.pairs=96", "model.layers=8", "model.context=192"),
}
"""Overrides of the recipe `qm9_small` by size of the network."""


def recipe(size: str) -> Experiment:
    return load_experiment(shipped("configs") / "qm9_small.yaml", SIZES[size])


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def waste(sizes: np.ndarray, buckets: Buckets) -> tuple[float, float]:
    """Share of padded node slots and of padded pairs of an epoch that hold nothing."""
    pairs = sum(len(batch) * int(sizes[batch].max()) ** 2 for batch in buckets.epoch(0))
    return buckets.padding(0), 1 - float(np.square(sizes, dtype=np.float64).sum()) / pairs


def throughput(experiment: Experiment, data: PackedMolecules, seconds: float, device: torch.device) -> tuple[Module, float, int]:
    """The module, molecules per second and steps of a run of so many seconds."""
    torch.manual_seed(0)
    module = Module(experiment, data.statistics).to(device)
    optimizer = module.configure_optimizers()
    stream = Buckets(data.sizes, experiment.train.pair_budget, experiment.train.seed).stream(0)

    def step(batch: Batch, number: int) -> None:
        generator = torch.Generator(device).manual_seed(number)
        total, _ = experiment.objective(module.denoiser, module.denoiser.process, batch, generator)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(module.denoiser.parameters(), experiment.train.gradient_clip)
        optimizer.step()
        module.average.update_parameters(module.denoiser)
        total.item()  # waits for the device

    for number in range(2):
        step(data.batch(next(stream)).to(device), number)
    began, molecules, steps = time.perf_counter(), 0, 0
    while time.perf_counter() - began < seconds:
        chosen = next(stream)
        step(data.batch(chosen).to(device), steps)
        molecules, steps = molecules + len(chosen), steps + 1
    return module, molecules / (time.perf_counter() - began), steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads")
    for size in options.sizes:
        experiment = recipe(size)
        data = PackedMolecules(options.data, experiment.data.conditions)
        slots, pairs = waste(data.sizes, Buckets(data.sizes, experiment.train.pair_budget, experiment.train.seed))
        module, rate, steps = throughput(experiment, data, options.seconds, torch.device(options.device))
        print(
            f"{size}: {millions(module.denoiser):.2f} M parameters, {rate:.1f} molecules/s ({steps} steps in {options.seconds:.0f} s, "
            f"{data.sizes.mean():.1f} atoms each, budget {experiment.train.pair_budget} pairs), "
            f"padding {100 * slots:.1f} % of the atoms, {100 * pairs:.1f} % of the pairs"
        )


if __name__ == "__main__":
    main()
