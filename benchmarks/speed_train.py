"""Training throughput on real molecules: molecules per second of recipes, where the time of a step goes, and how much is padding.

usage: python benchmarks/speed_train.py DATA [--recipes qm9_small qm9 leads] [--seconds 60] [--threads 2] [--device cpu]
DATA is a prepared set. A step is what a run does: batch from the packed files, forward in the recipe's precision, backward, clipping,
optimiser, moving average; conditions are left out. The first two steps are not timed.
"""

import argparse
import time

import numpy as np
import torch

from molgen.batch import Batch
from molgen.buckets import Buckets
from molgen.config import load_experiment
from molgen.experiment import Experiment
from molgen.files import shipped
from molgen.molecules.data import PackedMolecules
from molgen.train import Module


def recipe(name: str) -> Experiment:
    return load_experiment(shipped("configs") / f"{name}.yaml", ["data.conditions=[]", "train.start="])


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def waste(sizes: np.ndarray, buckets: Buckets) -> tuple[float, float]:
    """Share of padded node slots and of padded pairs of an epoch that hold nothing."""
    slots = sum(len(batch) * buckets.nodes(batch) for batch in buckets.epoch(0))
    pairs = sum(len(batch) * int(sizes[batch].max()) ** 2 for batch in buckets.epoch(0))
    return 1 - int(sizes.sum()) / slots, 1 - float(np.square(sizes, dtype=np.float64).sum()) / pairs


def throughput(
    experiment: Experiment, data: PackedMolecules, seconds: float, device: torch.device
) -> tuple[Module, float, dict[str, float]]:
    """The module, molecules per second, and seconds of a step by part."""
    torch.manual_seed(0)
    module = Module(experiment, data.statistics).to(device)
    optimizer = module.configure_optimizers()
    stream = Buckets(data.sizes, experiment.train.pair_budget, experiment.train.seed).stream(0)
    half = experiment.train.precision == "bf16-mixed"
    spent = dict.fromkeys(("batch", "forward", "backward", "optimiser"), 0.0)

    def timed(part: str, began: float) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        spent[part] += now - began
        return now

    def step(number: int) -> int:
        now = time.perf_counter()
        batch: Batch = data.batch(next(stream)).to(device)
        now = timed("batch", now)
        generator = torch.Generator(device).manual_seed(number)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            total, _ = experiment.objective(module.denoiser, batch, generator)
        now = timed("forward", now)
        optimizer.zero_grad()
        total.backward()
        now = timed("backward", now)
        torch.nn.utils.clip_grad_norm_(module.denoiser.parameters(), experiment.train.gradient_clip)
        optimizer.step()
        module.average_weights(number)
        timed("optimiser", now)
        return len(batch)

    for number in range(2):
        step(number)
    spent.update(dict.fromkeys(spent, 0.0))
    began, molecules, steps = time.perf_counter(), 0, 0
    while time.perf_counter() - began < seconds:
        molecules, steps = molecules + step(steps), steps + 1
    return module, molecules / (time.perf_counter() - began), {part: total / steps for part, total in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--recipes", nargs="+", default=["qm9_small", "qm9"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads")
    data = PackedMolecules(options.data)
    for name in options.recipes:
        experiment = recipe(name)
        slots, pairs = waste(data.sizes, Buckets(data.sizes, experiment.train.pair_budget, experiment.train.seed))
        module, rate, parts = throughput(experiment, data, options.seconds, torch.device(options.device))
        print(
            f"{name}: {millions(module.denoiser):.2f} M parameters, {experiment.train.precision}, {rate:.1f} molecules/s "
            f"({data.sizes.mean():.1f} atoms each, budget {experiment.train.pair_budget} pairs), seconds a step: "
            + ", ".join(f"{part} {seconds:.3f}" for part, seconds in parts.items())
            + f"; padding {100 * slots:.1f} % of the atoms, {100 * pairs:.1f} % of the pairs"
        )


if __name__ == "__main__":
    main()
