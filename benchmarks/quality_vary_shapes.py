"""How near to a shape its variants are, against the strength with which it was varied.

Of every held-out shape ``num`` draws, none replaced. Mean distance (units of the unit sphere) of a point of one cloud to the nearest of the
other, of both ways the mean; share of the variants in one piece; share whose nearest held-out shape but the given one is of its class
(of the given shapes themselves in the first row). Intervals are 95 %, from 1,000 resamplings of the shapes. ``--fit`` prints the noise at
strengths in steps of a tenth that `molgen.shapes.variation` needs for a distance that rises evenly.

usage: python benchmarks/quality_vary_shapes.py HELD_OUT [--model shapes] [--shapes 38] [--skip 0] [--num 2] [--strengths 0,0.1,1] [--class]
       [--fit] [--png FILE]
HELD_OUT is a prepared set of shapes with classes; as many of each are varied. ``--class`` asks for the class of the given shape as well.
"""

import argparse
import itertools
import math
import time

import numpy as np
import torch
from quality_completion import class_by_class
from scipy.spatial import cKDTree

from molgen.sample import Model, Request, load
from molgen.shapes import variation
from molgen.shapes.data import PackedShapes
from molgen.shapes.metrics import chamfer, in_one_piece, interval
from molgen.shapes.render import picture, save_png, sheet
from molgen.shapes.shape import Shape
from molgen.shapes.variation import NOISE, Variation
from molgen.strength import noise_at

STRENGTHS = "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1"
TRIED = (0.0, 0.5, 0.8, 1.1, 1.4, 1.7, 2.0, 2.4, 2.8, 3.2, 3.6, 4.2, 5.0, 6.0, 8.0, 12.0, math.inf)
"""Noise at which the curve is measured for a fit, in units of the deviation of the data."""
COMPARED = 256  # points on which the nearest shape is looked for


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of a point of one cloud to the nearest of the other, of both ways the mean."""
    return float(cKDTree(other).query(one)[0].mean() + cKDTree(one).query(other)[0].mean()) / 2


def varied(model: Model, given: np.ndarray, strength: float, num: int, category: str | None) -> list[Shape]:
    """So many variants of a shape, good or not."""
    properties = {"category": category} if category else {}
    request = Request(sizes=[len(given)], constraint=Variation(given, strength), properties=properties)
    return [shape for shape, _ in itertools.islice(model.draws(request, window=lambda start: num), num)]


def fit(model: Model, clouds: list[np.ndarray], num: int) -> list[float]:
    """Noise, in units of the deviation of the data, at which the mean distance has risen by 0.1, 0.2, ... 0.9 of its way."""
    found = []
    for noise in TRIED:
        variation.NOISE = (noise, noise)
        found.append(float(np.mean([distance(cloud, shape.points) for cloud in clouds for shape in varied(model, cloud, 0.5, num, None)])))
        print(f"noise {noise:g}: {found[-1]:.4f}", flush=True)
    risen = np.maximum.accumulate((np.array(found) - found[0]) / (found[-1] - found[0]))
    bounded = [sigma / (1 + sigma) if math.isfinite(sigma) else 1.0 for sigma in TRIED]
    return [x / (1 - x) for x in np.interp(np.arange(0.1, 0.95, 0.1), risen, bounded).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--shapes", type=int, default=38)
    parser.add_argument("--skip", type=int, default=0, help="shapes to leave out, the first ones of all classes in turn")
    parser.add_argument("--num", type=int, default=2)
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--strengths", default=STRENGTHS)
    parser.add_argument("--class", dest="asked", action="store_true")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--png", default="", help="picture of the first variant at every strength, a row for each of the first six shapes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, held_out = load(options.model, "cpu"), PackedShapes(options.data)
    labels, names = held_out.category, held_out.statistics.categories
    chosen = class_by_class(held_out)[options.skip : options.skip + options.shapes]
    clouds = [held_out.batch([row], points=options.points)["pos"][0].double().numpy() for row in chosen]
    if options.fit:
        print("\nnoise of strengths 0.1 to 0.9: " + ", ".join(f"{noise:.2f}" for noise in fit(model, clouds, options.num)))
        return
    known = [held_out.batch([row], points=COMPARED)["pos"][0].double().numpy() for row in range(len(held_out))]

    def of_class(points: np.ndarray, row: int) -> float:
        """Whether the nearest shape but this one is of its class."""
        gaps = [math.inf if other == row else chamfer(points[:COMPARED], cloud) for other, cloud in enumerate(known)]
        return float(labels[int(np.argmin(gaps))] == labels[row])

    print(f"{len(clouds)} shapes, {options.num} draws each, 30 steps of the whole grid, seed 0\n")
    print("| strength | noise | distance | in one piece % | of its class % | s a draw |\n|" + "---|" * 6)
    print(f"| given | | | {100 * np.mean([in_one_piece(cloud) for cloud in clouds]):.0f} | ", end="")
    print(f"{100 * np.mean([of_class(cloud, row) for cloud, row in zip(clouds, chosen, strict=True)]):.0f} | |")
    strips = [[picture(cloud, size=200)] for cloud in clouds[:6]]
    for strength in map(float, options.strengths.split(",")):
        began = time.process_time()
        asked = [names[int(labels[row])] if options.asked else None for row in chosen]
        variants = [varied(model, cloud, strength, options.num, name) for cloud, name in zip(clouds, asked, strict=True)]
        seconds = (time.process_time() - began) / (options.num * len(clouds))
        mean, low, high = interval(
            np.array([np.mean([distance(cloud, v.points) for v in own]) for cloud, own in zip(clouds, variants, strict=True)])
        )
        whole = 100 * np.mean([in_one_piece(v.points) for own in variants for v in own])
        same = 100 * np.mean([of_class(v.points, row) for own, row in zip(variants, chosen, strict=True) for v in own])
        line = f"| {strength:g} | {noise_at(strength, NOISE):.2f} | {mean:.3f} [{low:.3f}, {high:.3f}] | {whole:.0f} | {same:.0f} |"
        print(f"{line} {seconds:.2f} |", flush=True)
        for strip, own in zip(strips, variants, strict=False):
            strip.append(picture(own[0].points, size=200))
    if options.png:
        save_png(options.png, sheet([image for strip in strips for image in strip], len(strips[0])))


if __name__ == "__main__":
    main()
