"""Requests of a property that nothing but an estimator knows, judged by what the property really is.

usage: python benchmarks/quality_own_label.py prepare FILE.sdf --num 800 --name tpsa --out FOLDER [--seed 0]
       python benchmarks/quality_own_label.py judge MODEL --estimator RUN --held FOLDER/held.sdf --name tpsa [--num 48] [--candidates 1 4]
The first writes FOLDER/known.sdf and FOLDER/held.sdf, molecules of FILE with the computed property under the name own_NAME, which the
program cannot compute. After training an estimator on the one, the second asks for values and sizes of molecules of the other, and computes
the property of what is made: mean absolute errors with 95 % intervals, beside those of a guess from the size.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from molgen.evaluate.summary import RESAMPLES
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.measure import measure
from molgen.molecules.molecule import Molecule
from molgen.sample import Request, load


def prepare(options: argparse.Namespace) -> None:
    molecules = [record for record in read_molecules(options.file) if isinstance(record, Molecule)]
    order = np.random.default_rng(options.seed).permutation(len(molecules))
    options.out.mkdir(exist_ok=True)
    for name, chosen in (("known", order[: options.num]), ("held", order[options.num :])):
        some = (molecules[k] for k in chosen)
        write_molecules(
            options.out / f"{name}.sdf",
            (replace(m, properties={f"own_{options.name}": measure(m, [options.name])[options.name]}) for m in some),
        )


def judge(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    model, label = load(options.model, "cpu", [options.estimator]), f"own_{options.name}"
    held = [record for record in read_molecules(options.held, limit=options.num) if isinstance(record, Molecule)]
    by_size = model.checkpoint.statistics.label(label).by_size
    mean = model.checkpoint.statistics.label(label).mean
    asked = np.array([molecule.properties[label] for molecule in held])
    guess = np.abs(asked - [by_size.get(len(molecule), (0, mean, 0))[1] for molecule in held])
    print(f"{options.model}, {len(held)} requests of {label}, {options.steps} steps, bf16; a guess from the size {_interval(guess)}")
    for candidates in options.candidates:
        for steering in options.steering:
            errors, told, began = [], [], time.perf_counter()
            for number, (molecule, value) in enumerate(zip(held, asked.tolist(), strict=True)):
                request = Request(
                    properties={label: value},
                    sizes=[len(molecule)],
                    steps=options.steps,
                    seed=number,
                    candidates=candidates,
                    steering=steering,
                    precision="bf16",
                )
                (made,) = model.stream(1, request)
                errors.append(abs(measure(made, [options.name])[options.name] - value))
                told.append(abs(made.properties[f"predicted_{label}"] - value))
            seconds = (time.perf_counter() - began) / len(held)
            print(
                f"candidates {candidates}, steering {steering:g}: {_interval(np.array(errors))}, by the estimator {np.mean(told):.3g}, "
                f"{seconds:.1f} s each",
                flush=True,
            )


def _interval(errors: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    means = [errors[rng.integers(len(errors), size=len(errors))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{errors.mean():.3g} [{low:.3g}, {high:.3g}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("prepare")
    one.add_argument("file", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(run=prepare, num=800)
    two = commands.add_parser("judge")
    two.add_argument("model")
    two.add_argument("--estimator", required=True)
    two.add_argument("--held", type=Path, required=True)
    two.add_argument("--candidates", type=int, nargs="+", default=[1, 4])
    two.add_argument("--steering", type=float, nargs="+", default=[1.0])
    two.add_argument("--steps", type=int, default=50)
    two.set_defaults(run=judge, num=48)
    for command in (one, two):
        command.add_argument("--name", required=True, help="computed property")
        command.add_argument("--num", type=int)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
