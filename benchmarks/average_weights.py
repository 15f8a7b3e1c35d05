"""Averages the weights of runs of one model on the same data, which often beats each of them.

usage: python benchmarks/average_weights.py OUT RUN RUN [...] [--shares 0.5 0.5 ...]
The runs have to start from common weights, so that they lie in one basin (Wortsman et al. 2022, arXiv 2203.05482). OUT gets the
configuration and the statistics of the last run, a card that names all of them, and the molecules that any of them was trained on
(for --novel training), where all of them say so.
"""

import argparse
from functools import reduce
from operator import or_
from pathlib import Path

from molgen.checkpoint import load_checkpoint, save_checkpoint
from molgen.train.checkpointing import narrow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--shares", nargs="+", type=float, help="of the runs; equal by default")
    options = parser.parse_args()
    shares = options.shares or [1 / len(options.runs)] * len(options.runs)
    if len(shares) != len(options.runs) or abs(sum(shares) - 1) > 1e-6:
        parser.error(f"--shares: expected {len(options.runs)} numbers with the sum 1, got {shares}")
    models = [load_checkpoint(run) for run in options.runs]
    for model in models[:-1]:
        if model.experiment.model != models[-1].experiment.model or model.statistics != models[-1].statistics:
            parser.error(f"{model.name} and {models[-1].name} have other networks or other data")
    states = [model.denoiser.state_dict() for model in models]
    weights = {
        name: sum(share * state[name].double() for share, state in zip(shares, states, strict=True)).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }
    parts = ", ".join(f"{share:g} {run}" for share, run in zip(shares, options.runs, strict=True))
    save_checkpoint(options.out, models[-1].experiment, models[-1].statistics, narrow(weights), {"description": f"weights of {parts}"})
    known = [model.known for model in models if model.known is not None]
    if len(known) == len(models):
        reduce(or_, known).save(options.out)


if __name__ == "__main__":
    main()
