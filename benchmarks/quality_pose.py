"""How often `molgen.sample.pose.likeliest_up` finds the axis that points up in held-out shapes.

Every shape is given as it stands, upside down, and lying (another axis up, drawn by seed), each time with a front drawn by seed. Told is
the share of which another axis than the model's own was told, right the share of these of which it was the right one.

usage: python benchmarks/quality_pose.py HELD_OUT [--model shapes] [--shapes 76] [--skip 0] [--seed 0]
HELD_OUT is a prepared set of shapes with classes, z up; as many of each are taken.
"""

import argparse
import time

import numpy as np
import torch
from quality_completion import class_by_class

from molgen.sample import load
from molgen.sample.pose import likeliest_up, poses
from molgen.shapes.data import PackedShapes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--shapes", type=int, default=76)
    parser.add_argument("--skip", type=int, default=0, help="shapes to leave out, the first ones of all classes in turn")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, held_out = load(options.model, "cpu"), PackedShapes(options.data)
    rng, began = np.random.default_rng(options.seed), time.perf_counter()
    stood: dict[str, list[tuple[str, str]]] = {"as it stands": [], "upside down": [], "lying": []}
    for row in class_by_class(held_out)[options.skip : options.skip + options.shapes]:
        points = held_out.batch([row], points=2048)["pos"][0].double().numpy()
        for name, axis in (("as it stands", "z"), ("upside down", "-z"), ("lying", str(rng.choice(["x", "-x", "y", "-y"])))):
            turn = poses("z")[axis][rng.integers(4)].T  # the rotation back: that axis points up in what it makes
            stood[name].append((axis, likeliest_up(model, points @ turn.T)))
    print(f"{options.model}, {options.data}, seed {options.seed}, {options.shapes} shapes after {options.skip}")
    print("| given | told % | of these right % |\n|---|---|---|")
    for name, found in stood.items():
        told = [axis == other for axis, other in found if other != "z"]
        print(f"| {name} | {100 * len(told) / len(found):.1f} | {100 * np.mean(told):.1f} |" if told else f"| {name} | 0.0 | |")
    print(f"{(time.perf_counter() - began) / (3 * options.shapes):.2f} s a shape")


if __name__ == "__main__":
    main()
