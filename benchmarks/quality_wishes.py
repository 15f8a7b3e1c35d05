"""Do samples have what was asked for? Properties and ranges, guidance by penalties, the best of many, pass rates of filters.

usage: python benchmarks/quality_wishes.py [--model qm9] [--num 32] [--steps 50] [--only properties,ranges,penalties,best,filters]
Every row draws `num` molecules (the last two parts share one pool of 4 x num) with the same seeds, none replaced; figures are over the
draws that pass the strict check, whose share is given. Intervals are 95 %, normal, for shares Wilson's.
"""

import argparse
import math
import time

import numpy as np
import torch

from molgen.guidance import Clash, Distance, Gradient, Guess, Shape
from molgen.molecules.decode import check
from molgen.molecules.filters import Filters
from molgen.molecules.measure import Target, keep_best, measure
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, draw_seed, load

ASKED = {"logp": (-0.5, 1.5), "qed": (0.40, 0.55), "gap_xtb": (5.0, 9.0), "dipole_xtb": (1.5, 4.5)}
RULES = ("lipinski", "rule_of_three", "logp=0..3", "rings>=1", "qed>0.5", "sa<=4")


def draws(model: Model, num: int, request: Request) -> list[Molecule]:
    """The first ``num`` draws of a request, those that fail among them."""
    found = []
    for start in range(0, num, 64):
        numbers = range(start, min(start + 64, num))
        found += model.run(model.plan(request, numbers), request)
    return found


def valid(molecules: list[Molecule]) -> list[int]:
    return [number for number, molecule in enumerate(molecules) if not check(molecule).reason]


def mean(values: list[float]) -> str:
    array = np.array([value for value in values if not math.isnan(value)])
    if len(array) < 2:
        return "-"
    return f"{array.mean():.3f} ± {1.96 * array.std(ddof=1) / len(array) ** 0.5:.3f}"


def share(part: int, whole: int) -> str:
    """A share in percent with Wilson's interval."""
    p, z = part / whole, 1.96
    centre, half = (p + z * z / (2 * whole)), z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    low, high = ((centre + sign * half) / (1 + z * z / whole) for sign in (-1, 1))
    return f"{100 * p:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def properties(model: Model, num: int, steps: int, seed: int) -> None:
    known = {condition.name for condition in model.properties}
    print("\n| property | asked | guidance | passed % | measured | mean absolute error | error of free draws | s |\n|" + "---|" * 8)
    free = draws(model, num, Request(steps=steps, seed=seed))
    for name, values in ASKED.items():
        if name not in known:
            continue
        unguided = [measure(free[k], [name])[name] for k in valid(free)]
        for value in values:
            for scale in (1.0, 2.0, 4.0):
                began = time.process_time()
                found = draws(model, num, Request(steps=steps, seed=seed, properties={name: value}, guidance=scale))
                seconds = time.process_time() - began
                good = valid(found)
                measured = [measure(found[k], [name])[name] for k in good]
                errors = [abs(x - value) for x in measured]
                row = [name, value, scale, share(len(good), num), mean(measured), mean(errors), mean([abs(x - value) for x in unguided])]
                print(f"| {' | '.join(map(str, row))} | {seconds:.0f} |", flush=True)


def ranges(model: Model, num: int, steps: int, seed: int) -> None:
    print("\n| asked | guidance | passed % | inside the range % | correlation of requested and measured |\n|" + "---|" * 5)
    for scale in (1.0, 2.0, 4.0):
        wish = {"logp": (-1.0, 2.0)}
        request = Request(steps=steps, seed=seed, properties=wish, guidance=scale)
        found = draws(model, num, request)
        good = valid(found)
        asked = np.array([request.values(draw_seed(seed, k))["logp"] for k in good])
        got = np.array([measure(found[k], ["logp"])["logp"] for k in good])
        inside = int(((got >= -1) & (got <= 2)).sum())
        correlation = np.corrcoef(asked, got)[0, 1] if len(good) > 2 else math.nan
        print(f"| logp=-1..2 | {scale} | {share(len(good), num)} | {share(inside, max(1, len(good)))} | {correlation:.2f} |", flush=True)


def similarity(shape: Shape, molecule: Molecule) -> float:
    elements = tuple(sorted(set(molecule.atomic_numbers.tolist())))
    atoms = torch.nn.functional.one_hot(torch.tensor([elements.index(z) for z in molecule.atomic_numbers.tolist()]), len(elements))
    n = len(molecule)
    empty = torch.zeros(1, n, n, 4, dtype=torch.float64)
    guess = Guess(
        positions=torch.tensor(molecule.positions)[None],
        atoms=atoms[None].double(),
        charges=torch.ones(1, n, 1, dtype=torch.float64),
        bonds=empty,
        mask=torch.ones(1, n, dtype=torch.bool),
        elements=elements,
        formal_charges=(0,),
    )
    return float(shape.similarity(guess))


def penalties(model: Model, num: int, steps: int, seed: int) -> None:
    line, ring = np.zeros((9, 3)), np.zeros((9, 3))
    line[:, 0] = np.arange(9) * 1.3
    ring[:, 0], ring[:, 1] = (2.6 * f(np.arange(9) * 2 * np.pi / 9) for f in (np.cos, np.sin))
    shapes = {name: Shape(points, name=name) for name, points in (("line", line), ("ring", ring))}

    def pair(molecule: Molecule) -> float:
        return float(np.linalg.norm(molecule.positions[0] - molecule.positions[1]))

    rows = {"free": []}
    rows |= {f"atoms 1 and 2 at {d} Å": [Gradient(Distance(1, 2, d))] for d in (2.5, 5.0)}
    for name, shape in shapes.items():
        rows |= {f"{name}, strength {s}": [Gradient(Shape(shape.points, float(s), name))] for s in (30, 100, 300)}
    rows["no contacts (below 1 Å of noise)"] = [Gradient(Clash(), below=1.0)]
    print("\n| guidance | passed % | distance of atoms 1 and 2, Å | similarity to the line | to the ring | s |\n|" + "---|" * 6)
    for title, guides in rows.items():
        began = time.process_time()
        found = draws(model, num, Request(steps=steps, seed=seed, guides=guides, sizes=[17, 18, 19]))
        seconds = time.process_time() - began
        cells = [mean([pair(m) for m in found]), *(mean([similarity(shape, m) for m in found]) for shape in shapes.values())]
        print(f"| {title} | {share(len(valid(found)), num)} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def best(pool: list[Molecule]) -> None:
    good = [pool[k] for k in valid(pool)]
    print(f"\nThe best tenth of {len(good)} molecules that passed.\n")
    print("| target | all: mean | best tenth: mean | median distance, all | best tenth |\n|" + "---|" * 5)
    for text in ("logp=1.5", "qed=max", "sa=min", "gap_xtb=8"):
        target = Target.parse(text)
        values = [measure(molecule, [target.name])[target.name] for molecule in good]
        chosen = [float(m.properties[f"measured_{target.name}"]) for m in keep_best(good, target, max(2, len(good) // 10))]
        far = [f"{np.median([target.distance(x) for x in part]):.3f}" if math.isfinite(target.value) else "-" for part in (values, chosen)]
        print(f"| {text} | {mean(values)} | {mean(chosen)} | {far[0]} | {far[1]} |", flush=True)


def filters(pool: list[Molecule]) -> None:
    good = [pool[k] for k in valid(pool)]
    print(f"\nPass rates among {len(good)} molecules that passed the check.\n\n| filter | passes % | µs a molecule |\n|---|---|---|")
    kinds = {rule: Filters(where=[rule]) for rule in RULES} | {
        f"no {name} alert": Filters(alerts=[name]) for name in ("brenk", "pains", "nih")
    }
    kinds |= {"unique": Filters(unique=True), "hazard screen alone": Filters()}
    for name, chosen in kinds.items():
        screen = chosen.start()
        screen(good[0])  # load patterns
        screen, began = chosen.start(), time.process_time()
        passed = sum(not screen(molecule) for molecule in good)
        print(f"| {name} | {share(passed, len(good))} | {1e6 * (time.process_time() - began) / len(good):.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--num", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="properties,ranges,penalties,best,filters")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, parts = load(options.model, "cpu"), options.only.split(",")
    arguments = (model, options.num, options.steps, options.seed)
    print(f"{options.model}, {options.num} draws a row, {options.steps} steps, seed {options.seed}")
    for name, part in (("properties", properties), ("ranges", ranges), ("penalties", penalties)):
        if name in parts:
            part(*arguments)
    if {"best", "filters"} & set(parts):
        pool = draws(model, 4 * options.num, Request(steps=options.steps, seed=options.seed))
        if "best" in parts:
            best(pool)
        if "filters" in parts:
            filters(pool)


if __name__ == "__main__":
    main()
