"""Sampling speed of a model: molecules per second by number of steps and of cores, peak memory, and where the time goes.

usage: python benchmarks/speed_sample.py [MODEL] [--cores 1 2] [--steps 20 50] [--precision fp32 bf16] [--num 64]
"""

import argparse
import itertools
import resource
import time

import torch
from torch.profiler import profile

from molgen.cli.memory import keep_freed_memory
from molgen.sample import Request, load

MATRIX = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="qm9")
    parser.add_argument("--cores", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--steps", type=int, nargs="*", default=[20, 50])
    parser.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--num", type=int, default=64)
    options = parser.parse_args()
    keep_freed_memory()  # as the command does
    model = load(options.model, "cpu")

    def draw(request: Request) -> float:
        began = time.perf_counter()
        found = [len(molecule) for molecule, _ in itertools.islice(model.draws(request, window=lambda start: options.num), options.num)]
        assert len(found) == options.num
        return time.perf_counter() - began

    print(f"{options.model}, torch {torch.__version__}, {options.num} draws, batches of at most about {model.domain.pairs_per_batch} pairs")
    for precision, cores, steps in itertools.product(options.precision, options.cores, options.steps):
        torch.set_num_threads(cores)
        draw(Request(steps=2, precision=precision))
        seconds = draw(Request(steps=steps, precision=precision))
        call = 1000 * seconds * cores / steps / options.num
        rate = f"{options.num / seconds:6.2f} molecules/s, {call:.2f} ms of a core per molecule and call"
        print(f"{precision}, {cores} cores, {steps:4d} steps: {seconds:6.2f} s, {rate}", flush=True)
    torch.set_num_threads(1)
    with profile() as trace:
        wall = draw(Request(steps=10, precision=options.precision[0]))
    rows = {row.key: row.self_cpu_time_total / 1e6 for row in trace.key_averages()}
    matrix = sum(seconds for key, seconds in rows.items() if key in MATRIX)
    other = sum(seconds for key, seconds in rows.items() if key.startswith("aten::")) - matrix
    rest = 1 - (matrix + other) / wall
    shares = f"matrix products {matrix / wall:.0%}, element-wise and copies {other / wall:.0%}, Python and the rest {rest:.0%}"
    print(f"share of time ({options.precision[0]}, one core): {shares}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
