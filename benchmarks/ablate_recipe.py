"""Ablations of the recipe: one small network trained anew with one thing changed, everything else equal.

    python benchmarks/ablate_recipe.py TRAIN VALID --out FOLDER [--steps 1200] [--num 1000] [--only NAME ...]
    python benchmarks/ablate_recipe.py TRAIN VALID --out FOLDER --table

TRAIN, VALID: prepared QM9. Every variant sees the same data in the same order (seed 0) and costs the same: one whose steps take longer than
those of the recipe, measured side by side, gets fewer of them. Then come the held-out losses at fixed noise levels, and as many draws of 50
steps (seed 0), nothing replaced: strict stability (P2s), validity, the share that is valid, unique and not in TRAIN, and the median MMFF94
relaxation of stable ones. A variant that is in FOLDER already is not run again.
"""

import argparse
import itertools
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from molgen.checkpoint import load_checkpoint
from molgen.config import load_experiment
from molgen.diffusion.noise import SharedNoise
from molgen.molecules.metrics.relaxation import relax_mmff
from molgen.molecules.metrics.stability import strict
from molgen.molecules.metrics.validity import validity
from molgen.sample import Model, Request
from molgen.train import fit
from molgen.train.module import Module

CONFIG = Path(__file__).parents[1] / "configs" / "qm9_small.yaml"
SMALL = (  # the recipe from which the ablations started, smaller
    *(f"fields.{name}={{kind: marginal, exponent: 1.0}}" for name in ("atom", "charge", "bond")),
    "model={kind: equivariant_transformer, scalars: 64, vectors: 16, pairs: 32, layers: 4}",
    "fields.valence=0",
    "objective.parts={}",
    "sampler={kind: annealed, gamma: 0.8, below: 0.2, sharpness: 2.5, grid: {kind: staged, shares: [0.06, 0.22, 0.33, 0.39]}}",
    "train={learning_rate: 2.0e-3, warmup_steps: 100, decay_from: 0.3, ema: 0.995, precision: bf16-mixed, pair_budget: 12000}",
)


def classes(*settings):
    """Overrides of the noise of all classes."""
    return tuple(f"fields.{name}.{setting}" for name in ("atom", "charge", "bond") for setting in settings)


VARIANTS = {
    "the recipe": (),
    "the recipe, another seed": ("train.seed=1",),
    "cosine schedule": ("fields.pos={kind: cosine}",),
    "input moved (VEDA)": ("model.moves=input",),
    "uniform classes": classes("kind=uniform"),
    "masked classes": classes("kind=masked"),
    "masked classes, input moved": (*classes("kind=masked"), "model.moves=input"),
    "masked classes, a tenth wrong": classes("kind=masked", "wrong=0.1"),
    "masked classes, all exponents 0.5": classes("kind=masked", "exponent=0.5"),
    "masked classes, all exponents 2": classes("kind=masked", "exponent=2.0"),
    "masked classes, bonds' exponent 2": (*classes("kind=masked"), "fields.bond.exponent=2.0"),
    "bonds settle later (exponent 0.5)": ("fields.bond.exponent=0.5",),
    "bonds settle earlier (exponent 2)": ("fields.bond.exponent=2.0",),
    "all classes settle earlier (exponent 2)": classes("exponent=2.0"),
    "no self-conditioning": ("objective.self_condition=0",),
    "tensor products, l <= 1": ("model={kind: tensor_product, degree: 1}",),
    "tensor products, l <= 2": ("model={kind: tensor_product, degree: 2}",),
    "narrow pairs, deeper": ("model.pairs=16", "model.layers=6"),
    "wide pairs, shallower": ("model.pairs=64", "model.layers=2"),
    "bond loss x 0.25": ("objective.weights.bond=1.0",),
    "bond loss x 4": ("objective.weights.bond=16.0",),
    "learning rate / 2": ("train.learning_rate=1.0e-3",),
    "learning rate x 2": ("train.learning_rate=4.0e-3",),
    "no average of weights": ("train.ema=0.0",),
    "long average (0.9995)": ("train.ema=0.9995",),
}
COSTLY = ("no self-conditioning", "tensor products, l <= 1", "tensor products, l <= 2", "narrow pairs, deeper", "wide pairs, shallower")
STAGED = "grid: {kind: staged, shares: [0.04, 0.14, 0.42, 0.4]}"  # that of configs/qm9_small.yaml
SAMPLERS = {
    "as shipped (lift 0.8 below 0.2, sharpness 2.5)": (),
    "first order": ("sampler.order=1",),
    "lift 0": ("sampler.gamma=0.0",),
    "lift 0.4": ("sampler.gamma=0.4",),
    "lift 1.2": ("sampler.gamma=1.2",),
    "lift at all levels": ("sampler.below=.inf",),
    "sharpness 1": ("sampler.sharpness=1.0",),
    "sharpness 1.7": ("sampler.sharpness=1.7",),
    "sharpness 4": ("sampler.sharpness=4.0",),
    "sharpness 0.9 above the lifts": ("sampler.sharpness_above=0.9",),
    "sharpness 0.8 above the lifts": ("sampler.sharpness_above=0.8",),
    "arcsine grid": ("sampler.grid={kind: arcsine, rho: 1.2}",),
    "Karras grid": ("sampler.grid={kind: karras}",),
    "DDIM": (f"sampler={{kind: ddim, {STAGED}}}",),
    "ancestral": (f"sampler={{kind: ancestral, {STAGED}}}",),
    "DPM-Solver++(2M)": (f"sampler={{kind: dpm_solver, {STAGED}}}",),
    "Heun": (f"sampler={{kind: heun, {STAGED}}}",),
}
RATIOS = (0.05, 0.15, 0.5, 1.5)


def experiment(name, options, folder, steps):
    """The experiment of a variant."""
    settings = [f"data.path={options.train}", "data.valid_fraction=0", f"train.out={folder}", f"train.max_steps={steps}"]
    quiet = ["train.validate_every=1000000", "train.checkpoint_every=1000000"]
    return load_experiment(CONFIG, [*SMALL, *VARIANTS[name], *settings, *quiet])


def cost(name, options, rounds=5, batches=4):
    """Processor time of a training step over that of the recipe: least of some rounds each, in turns."""
    times = {}
    for key in ("the recipe", name):
        plan = experiment(key, options, options.out / "none", 1)
        data = plan.domain.open(options.train, plan.data.conditions)
        module = Module(plan, data.statistics)
        order = np.random.default_rng(0).permutation(len(data))
        rows = [data.batch(order[100 * k : 100 * k + 36]) for k in range(batches)]
        times[key] = (module, rows, [])
    for _ in range(rounds):
        for module, rows, taken in times.values():
            began = time.process_time()
            for batch in rows:
                with torch.autocast("cpu", torch.bfloat16):
                    loss, _ = module.experiment.objective(module.denoiser, batch, torch.Generator().manual_seed(0))
                loss.backward()
            taken.append(time.process_time() - began)
    return min(times[name][2]) / min(times["the recipe"][2])


def losses(denoiser, objective, data, count=1000):
    """Held-out loss of every field at every noise level, as a sampler would see it: with an earlier prediction where training had one."""
    process, generator = denoiser.process, torch.Generator().manual_seed(0)
    schedule = process["pos"].schedule
    found = {}
    for ratio in RATIOS:
        rows = []
        for start in range(0, count, 100):
            clean = data.batch(np.arange(start, start + 100))
            t = schedule.time(torch.full((len(clean),), ratio))
            noisy = process.corrupt(clean, t, SharedNoise(generator))
            with torch.no_grad():
                previous = denoiser(noisy, t, {}) if objective.self_condition else None
                rows.append({key: float(value.mean()) for key, value in process.loss(denoiser(noisy, t, {}, previous), clean, t).items()})
        found[str(ratio)] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return found


def quality(model, num, known):
    """What draws are worth, nothing replaced."""
    began = time.process_time()
    molecules = [molecule for molecule, _ in itertools.islice(model.draws(Request(steps=50)), num)]
    seconds = time.process_time() - began
    stable = [bool(strict(molecule)["p2s_stable"]) for molecule in molecules]
    checked = [validity(molecule) for molecule in molecules]
    smiles = {str(row["smiles"]) for row in checked if row["valid"]}
    drops = [relax_mmff(molecule) for molecule, good in zip(molecules, stable, strict=True) if good]
    drops = [row["mmff_drop"] for row in drops if row.get("mmff_drop") is not None]
    return {
        "stable": float(np.mean(stable)),
        "valid": float(np.mean([bool(row["valid"]) for row in checked])),
        "new": len(smiles - known) / num,
        "drop": float(np.median(drops)) if drops else None,
        "sampling_s": seconds,
    }


def variant(name, options, known):
    """Trains and scores one variant."""
    folder = options.out / name.replace("/", "by").replace(" ", "_")
    ratio = cost(name, options) if name in COSTLY else 1.0
    steps = round(options.steps / ratio)
    shutil.rmtree(folder, ignore_errors=True)
    fit(experiment(name, options, folder, steps))
    checkpoint = load_checkpoint(folder)
    data = checkpoint.experiment.domain.open(options.valid, ())
    parameters = sum(parameter.numel() for parameter in checkpoint.denoiser.parameters())
    row = {"name": name, "steps": steps, "cost": ratio, "parameters": parameters}
    row |= {"losses": losses(checkpoint.denoiser, checkpoint.experiment.objective, data)}
    return row | quality(Model(checkpoint, "cpu"), options.num, known)


def sampled(name, options, known):
    """Scores one sampler with the weights `qm9_small`."""
    checkpoint = load_checkpoint("qm9_small")
    chosen = load_experiment(CONFIG, SAMPLERS[name]).sampler
    checkpoint = replace(checkpoint, experiment=replace(checkpoint.experiment, sampler=chosen))
    return {"name": name} | quality(Model(checkpoint, "cpu"), options.num, known)


def table(path):
    """Prints what was found."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    print("| variant | steps | parameters | " + " | ".join(f"r = {r}: positions, bonds" for r in RATIOS) + " | P2s | valid | new | drop |")
    print("|---|---|---|" + "---|" * (len(RATIOS) + 4))
    for row in rows:
        if "losses" in row:
            fields = " | ".join(f"{row['losses'][str(r)]['pos']:.3f}, {row['losses'][str(r)]['bond']:.4f}" for r in RATIOS)
            print(f"| {row['name']} | {row['steps']:,} | {row['parameters']:,} | {fields} | {scores(row)} |")
    print("\n| sampler | P2s | valid | new | drop |\n|---|---|---|---|---|")
    for row in rows:
        if "losses" not in row:
            print(f"| {row['name']} | {scores(row)} |")


def scores(row):
    """Percentages and kcal/mol."""
    drop = "" if row["drop"] is None else f"{row['drop']:.1f}"
    return f"{100 * row['stable']:.1f} | {100 * row['valid']:.1f} | {100 * row['new']:.1f} | {drop}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("valid")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200, help="training steps of the recipe")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--only", nargs="*", help="variants and samplers; default all")
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    if options.table:
        table(results)
        return
    known = set((Path(options.train) / "smiles.txt").read_text().split())
    done = {json.loads(line)["name"] for line in results.read_text().splitlines()} if results.exists() else set()
    for name in options.only or [*VARIANTS, *SAMPLERS]:
        if name not in done:
            row = (variant if name in VARIANTS else sampled)(name, options, known)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
