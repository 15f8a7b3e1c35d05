"""How well a model's estimator tells properties of held-out molecules from the model's guesses, by the noise at which they are made.

usage: python benchmarks/quality_estimator.py DATA [--model qm9] [--num 1000] [--ratios 0.05 0.2 0.4 0.6 1 2] [--widen WEIGHTS]
DATA is a prepared set of held-out molecules with the labels. Guesses are made from corrupted molecules without conditions, each the second
of two (self-conditioning), with matrix products in bfloat16. Mean absolute errors in the unit of the label, and in brackets the root of the
mean squared error in units of the deviation that the estimator itself states, 1 where that is right. --widen writes weights that state
larger deviations: of every label by the largest of these numbers at ratios up to 0.6, where samples are steered, or as they are.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from molgen.buckets import Buckets
from molgen.diffusion.estimation import estimate, read_guess, standardised
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.rounding import Rounded
from molgen.molecules.data import PackedMolecules
from molgen.sample import load
from molgen.tensors import write_tensors

STEERED = 0.6
"""Largest noise-to-signal ratio at which the deviations matter most."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.05, 0.2, 0.4, 0.6, 1.0, 2.0])
    parser.add_argument("--widen", type=Path, metavar="WEIGHTS", help="where to write weights with deviations that are not too small")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.model, "cpu")
    if len(model.checkpoint.estimators) != 1:
        parser.error(f"{options.model}: has no estimator")
    (told,) = model.checkpoint.estimators
    network, conditions = told.network, told.conditions
    data, process, denoiser = PackedMolecules(options.data, conditions.names), model.denoiser.process, Rounded(model.denoiser)
    chosen = np.random.default_rng(0).choice(len(data), min(options.num, len(data)), replace=False)
    batches = [chosen[rows] for rows in Buckets(data.sizes[chosen], 20_000).epoch(0)]
    stds = torch.tensor([data.statistics.label(name).std for name in conditions.names])
    noise = SharedNoise(torch.Generator().manual_seed(0))
    factors = torch.ones(len(stds))
    print("ratio " + ", ".join(conditions.names))
    for value in options.ratios:
        errors, squares = [], []
        for rows in batches:
            clean = data.batch(rows)
            ratio = torch.full((len(rows),), value)
            t = process.clock.schedule.time(ratio.double()).float()
            with torch.no_grad():
                noisy = process.corrupt(clean, t, noise)
                guess = read_guess(process, denoiser(noisy, t, {}, denoiser(noisy, t, {})))
                mean, deviation = estimate(network, guess, clean.mask, ratio)
            error = mean - standardised(conditions, clean.labels)
            errors.append(error.abs() * stds)
            squares.append((error / deviation).square())
        found, calibrated = torch.cat(errors).mean(0), torch.cat(squares).mean(0).sqrt()
        print(f"{value:g} " + ", ".join(f"{a:.3f} ({c:.2f})" for a, c in zip(found.tolist(), calibrated.tolist(), strict=True)), flush=True)
        if value <= STEERED:
            factors = torch.maximum(factors, calibrated)
    print(f"{len(chosen)} molecules")
    if options.widen:
        network.widen(factors)
        write_tensors(options.widen, network.state_dict())
        print(f"{options.widen}: deviations times " + ", ".join(f"{factor:.2f}" for factor in factors.tolist()))


if __name__ == "__main__":
    main()
