"""Sampling speed of a model: molecules per second by number of steps, peak memory, and where the time goes.

usage: python benchmarks/speed_sample.py [MODEL] [--threads N]
"""

import argparse
import resource
import time

import numpy as np
import torch
from torch.profiler import profile

from molgen.sample import Request, load, size_probabilities

MATRIX = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="qm9")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="*", default=[20, 50, 100, 250])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load(options.model, "cpu")
    sizes, probabilities = size_probabilities(model.checkpoint.statistics, Request())
    chosen = sorted(np.random.default_rng(0).choice(sizes, 64, p=probabilities).tolist())
    model.run(chosen, range(64), Request(steps=2))
    print(f"torch {torch.__version__}, {options.threads} threads, 64 molecules of {np.mean(chosen):.1f} atoms in one batch")
    for steps in options.steps:
        began = time.perf_counter()
        model.run(chosen, range(64), Request(steps=steps))
        seconds = time.perf_counter() - began
        call = 1000 * seconds / steps / 64
        print(f"{steps:4d} steps: {seconds:6.2f} s, {64 / seconds:6.2f} molecules/s, {call:.2f} ms per molecule and call")
    with profile() as trace:
        began = time.perf_counter()
        model.run(chosen, range(64), Request(steps=10))
        wall = time.perf_counter() - began
    rows = {row.key: row.self_cpu_time_total / 1e6 for row in trace.key_averages()}
    matrix = sum(seconds for key, seconds in rows.items() if key in MATRIX)
    other = sum(seconds for key, seconds in rows.items() if key.startswith("aten::")) - matrix
    rest = 1 - (matrix + other) / wall
    print(f"share of time: matrix products {matrix / wall:.0%}, element-wise and copies {other / wall:.0%}, Python and the rest {rest:.0%}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
