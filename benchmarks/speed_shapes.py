"""Cost of shapes against the number of points: a call of the point U-Net, a sample from the weights `shapes`, a closed surface.

    python benchmarks/speed_shapes.py [--parts unet latent surface] [--points 512 1024 2048 4096 8192] [--repeat 5]

`unet`: one call of the network of configs/shapes.yaml with fresh weights. `latent`: one cloud of the weights `shapes`, 30 steps, guidance
1.5 with a class, decoded to that many points. `surface`: the closed mesh around that cloud. Times are processor seconds of one thread,
medians of the repeats after one call that is not counted; memory is the peak resident size of a process that makes one call. The exponent
is the slope of least squares in log-log coordinates with its standard error.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from molgen.checkpoint import build_denoiser
from molgen.config import load_experiment
from molgen.files import shipped
from molgen.sample import Draw, Request, load
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.surface import reconstruct

POINTS = (512, 1024, 2048, 4096, 8192)
NAMES = tuple(f"class {k}" for k in range(19))
FOUND = ShapeStatistics(num_shapes=19, num_points=2048, categories=NAMES, category_counts=(1,) * 19, coordinate_std=0.34)
REQUEST = Request(properties={"category": "chair"}, guidance=1.5, steps=30)
Work = Callable[[int], Callable[[], object]]  # points -> what is measured, once all that it needs is there


def unet() -> Work:
    experiment = load_experiment(shipped("configs") / "shapes.yaml", ["data.conditions=[category]"])
    torch.manual_seed(0)
    denoiser = build_denoiser(experiment, FOUND).eval().requires_grad_(False)

    def work(points: int) -> Callable[[], object]:
        batch = experiment.domain.empty([points], FOUND)
        batch = batch.replace({"pos": torch.randn(1, points, 3, generator=torch.Generator().manual_seed(points))})
        return lambda: denoiser(batch, torch.full((1,), 0.6), {})

    return work


def latent() -> Work:
    model = load("shapes", "cpu")
    return lambda points: lambda: model.run([Draw(0, points, 0)], REQUEST)


def surface() -> Work:
    model = load("shapes", "cpu")

    def work(points: int) -> Callable[[], object]:
        cloud = model.run([Draw(0, points, 0)], REQUEST)[0].points
        return lambda: reconstruct(cloud)

    return work


PARTS: dict[str, Callable[[], Work]] = {"unet": unet, "latent": latent, "surface": surface}


def seconds(action: Callable[[], object], repeat: int) -> float:
    """Median processor seconds of a call."""
    times = []
    for _ in range(repeat + 1):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def resident(field: str) -> float:
    """A line of /proc/self/status in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


def peak(part: str, points: int) -> str:
    """Peak resident size while one call is made, and how much of it was not there before."""
    action = PARTS[part]()(points)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident("VmRSS")
    action()
    return f"{resident('VmHWM'):.0f} MB | {resident('VmHWM') - before:.0f} MB"


def slope(points: list[int], times: list[float]) -> tuple[float, float]:
    """Exponent of the cost and its standard error."""
    x, y = np.log(points), np.log(times)
    (found, offset), x = np.polyfit(x, y, 1), x - x.mean()
    residual = y - np.polyval([found, offset], np.log(points))
    return float(found), float(np.sqrt(np.square(residual).sum() / (len(x) - 2) / np.square(x).sum()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--points", nargs="+", type=int, default=list(POINTS))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="print the peak memory of one part and number of points alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(peak(options.parts[0], options.points[0]))
        return
    print(f"torch {torch.__version__}, one thread, median of {options.repeat}, processor time")
    for part in options.parts:
        work, times = PARTS[part](), []
        print(f"\n{part}\n\n| points | s | points/s | peak memory | of it for the call |\n|---|---|---|---|---|")
        for points in options.points:
            times.append(seconds(work(points), options.repeat))
            command = [sys.executable, __file__, "--memory", "--parts", part, "--points", str(points)]
            memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"| {points:,} | {times[-1]:.4g} | {points / times[-1]:,.0f} | {memory} |", flush=True)
        if len(times) > 2:
            print("\nexponent {:.2f} ± {:.2f}".format(*slope(options.points, times)))


if __name__ == "__main__":
    main()
