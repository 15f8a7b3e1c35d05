"""Cost of the network for point clouds against the number of points: time of a call, exponent, points per second, memory.

    python benchmarks/speed_shapes.py [MODEL ...]

MODEL: a configuration (default: configs/shapes.yaml with fresh weights). Times are processor seconds of one thread, the median of several
calls for one shape; memory is the growth of the peak resident size of a process that makes one call.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from molgen.checkpoint import build_denoiser
from molgen.config import load_experiment
from molgen.files import shipped
from molgen.shapes.fields import ShapeStatistics

SIZES = (512, 1024, 2048, 4096, 8192)
NAMES = tuple(f"class {k}" for k in range(19))
FOUND = ShapeStatistics(num_shapes=19, num_points=2048, categories=NAMES, category_counts=(1,) * 19, coordinate_std=0.34)


def call(denoiser, experiment, size):
    generator = torch.Generator().manual_seed(size)
    batch = experiment.domain.empty([size], FOUND)
    batch = batch.replace({"pos": torch.randn(1, size, 3, generator=generator)})
    with torch.no_grad():
        return denoiser(batch, torch.full((1,), 0.6), {})


def network(path):
    experiment = load_experiment(path)
    torch.manual_seed(0)
    return experiment, build_denoiser(experiment, FOUND).eval()


def peak(path, size):
    """Growth of the peak resident size in MB, measured in a process of its own."""
    command = [sys.executable, __file__, "--peak", str(path), str(size)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def resident(field):
    """A line of /proc/self/status in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


def main():
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--peak"]:
        experiment, denoiser = network(sys.argv[2])
        call(denoiser, experiment, 64)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = resident("VmRSS")
        call(denoiser, experiment, int(sys.argv[3]))
        print(resident("VmHWM") - before)
        return
    for path in sys.argv[1:] or [shipped("configs") / "shapes.yaml"]:
        experiment, denoiser = network(path)
        print(f"{path}: {sum(p.numel() for p in denoiser.parameters()):,} parameters")
        medians = []
        for size in SIZES:
            call(denoiser, experiment, size)
            times = []
            for _ in range(5):
                start = time.process_time()
                call(denoiser, experiment, size)
                times.append(time.process_time() - start)
            medians.append(statistics.median(times))
            rate = size / medians[-1]
            print(f"| {size:,} | {1000 * medians[-1]:.1f} ms | {rate:,.0f} | {rate / 50:,.0f} | {peak(path, size):.0f} MB |", flush=True)
        print(f"exponent {np.polyfit(np.log(SIZES), np.log(medians), 1)[0]:.2f}")


if __name__ == "__main__":
    main()
