"""Completion of held-out shapes of which a half is given: what lies on one side of a random plane through the middle of the points.

Squared Chamfer distance (units of the unit sphere) to the whole shape, 1,024 points of each: of the given half alone, of completed clouds
with the class, and of a sample of the class that knows nothing of the half, moved so that the centres agree. Intervals are 95 %, from 1,000
resamplings of the shapes.

usage: python benchmarks/quality_completion.py HELD_OUT [--model shapes] [--num 38] [--points 1024] [--guidance 1] [--png FILE]
HELD_OUT is a prepared set of shapes with classes; as many of each are taken.
"""

import argparse
import itertools
import time
from dataclasses import replace

import numpy as np
import torch

from molgen.sample import Request, load
from molgen.shapes.data import PackedShapes
from molgen.shapes.metrics import chamfer, interval
from molgen.shapes.part import Part
from molgen.shapes.render import picture, save_png, sheet


def class_by_class(shapes: PackedShapes) -> list[int]:
    """The numbers of all shapes, one of each class in turn."""
    rows = [np.flatnonzero(shapes.category == k) for k in range(len(shapes.statistics.categories))]
    return [int(row) for each in itertools.zip_longest(*rows) for row in each if row is not None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--num", type=int, default=38)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--png", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, held_out, rng = load(options.model, "cpu"), PackedShapes(options.data), np.random.default_rng(0)
    labels, names, chosen = held_out.category, held_out.statistics.categories, class_by_class(held_out)[: options.num]
    found: dict[str, list[float]] = {"the given half": [], "completed": [], "a sample of the class": []}
    pictures, began = [], time.process_time()
    for number, row in enumerate(chosen):
        whole = held_out.batch([row], points=options.points)["pos"][0].numpy().astype(np.float64)
        side = whole @ rng.normal(size=3)
        given = whole[side > np.median(side)]
        request = Request(
            sizes=[len(whole)],
            properties={"category": names[int(labels[row])]},
            guidance=options.guidance,
            steps=options.steps,
            seed=number,
        )
        (completed,) = model.stream(1, replace(request, constraint=Part(given)))
        (free,) = model.stream(1, request)
        moved = free.points - free.points.mean(0) + whole.mean(0)
        for name, points in zip(found, (given, completed.points, moved), strict=True):
            found[name].append(chamfer(points, whole))
        pictures += [picture(points, size=200) for points in (whole, given, completed.points)]
    print("| | squared Chamfer distance to the whole, 1e-3 |\n|---|---|")
    for name, values in found.items():
        mean, low, high = interval(1e3 * np.array(values))
        print(f"| {name} | {mean:.1f} [{low:.1f}, {high:.1f}] |")
    print(f"\n{len(chosen)} shapes, {(time.process_time() - began) / len(chosen):.2f} s a shape, both samples")
    if options.png:
        save_png(options.png, sheet(pictures, 12))


if __name__ == "__main__":
    main()
