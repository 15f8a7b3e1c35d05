"""How near to a molecule its variants are, against the strength with which it was varied.

Of every lead ``num`` draws, none replaced. Over those that pass the strict check: Tanimoto similarity to the lead (Morgan, radius 2), shape
Tanimoto in the frame of the lead (not aligned), share of draws that are the lead itself. Intervals are 95 %, from 1,000 resamplings of the
leads. ``--fit`` prints the noise at strengths in steps of a tenth that `molgen.molecules.constraints.around` needs for a similarity (the
mean of both, from 1 to 0) that falls evenly.

usage: python benchmarks/quality_vary.py DATA.sdf.gz --leads 50 --num 4 [--skip 0] [--strengths 0.1,0.5,1] [--fit] [--plot vary.svg]
"""

import argparse
import itertools
import time

import numpy as np
import torch
from quality_control import MORGAN, representable, shuffled
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdShapeHelpers

from molgen.molecules.constraints import Around
from molgen.molecules.constraints.around import noise_of
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, load

STRENGTHS = "0.05,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,0.95,1"


def compare(lead: Molecule, variants: list[Molecule]) -> list[tuple[float, float, float]]:
    """Tanimoto similarity, shape Tanimoto and whether it is the lead, of each variant."""
    reference = heavy(lead.to_rdkit(sanitize=True))
    smiles, rows = Chem.MolToSmiles(reference, isomericSmiles=False), []
    for variant in variants:
        mol = heavy(variant.to_rdkit(sanitize=True))
        tanimoto = DataStructs.TanimotoSimilarity(MORGAN.GetFingerprint(mol), MORGAN.GetFingerprint(reference))
        shape = 1 - rdShapeHelpers.ShapeTanimotoDist(mol, reference)
        rows.append((tanimoto, shape, float(Chem.MolToSmiles(mol, isomericSmiles=False) == smiles)))
    return rows


def interval(groups: list[list[float]]) -> tuple[float, float, float]:
    """Mean over all values and its 95 % interval, resampling groups."""
    sums, counts = np.array([sum(g) for g in groups]), np.array([len(g) for g in groups])
    chosen = np.random.default_rng(0).integers(0, len(groups), (1000, len(groups)))
    means = sums[chosen].sum(1) / counts[chosen].sum(1)
    return float(sums.sum() / counts.sum()), *np.quantile(means, [0.025, 0.975]).tolist()


def measure(model: Model, leads: list[Molecule], strength: float, num: int, steps: int) -> list[float]:
    """Noise in Å, passed %, then mean and interval of Tanimoto, shape and the share of leads, the share in between, seconds a success."""
    groups: list[list[tuple[float, float, float]]] = []
    began = time.process_time()
    for lead in leads:
        request = Request(constraint=Around(molecule=lead, strength=strength), steps=steps)
        drawn = itertools.islice(model.draws(request, window=lambda start: num), num)
        groups.append(compare(lead, [molecule for molecule, reason in drawn if not reason]))
    passed = sum(map(len, groups))
    columns = [interval([[row[c] for row in group] for group in groups]) for c in range(3)]
    between = sum(0.2 <= row[0] < 1 for group in groups for row in group) / max(1, passed)
    seconds = (time.process_time() - began) / max(1, passed)
    shares = [100 * x for x in columns[2]]
    return [noise_of(strength), 100 * passed / (num * len(leads)), *columns[0], *columns[1], *shares, 100 * between, seconds]


def fit(rows: dict[float, list[float]]) -> list[float]:
    """Noise (Å) at which the measured similarity has fallen by 0.1, 0.2, ... 0.9 of the way from no noise to the highest strength."""
    table = np.array([[0.0, 1.0, 1.0]] + [[rows[s][c] for c in (0, 2, 5)] for s in sorted(rows)])
    far = table[-1, 1:]
    bounded = 1 - 1 / (1 + table[:, 0])
    lost = np.maximum.accumulate(((1 - table[:, 1:]) / (1 - far)).mean(1))
    return np.interp(np.arange(0.1, 0.95, 0.1), lost, bounded).tolist()


def plot(rows: dict[float, list[float]], path: str, title: str) -> None:
    """Tanimoto and shape similarity against strength with their intervals, and the line of an even fall of the first."""
    from matplotlib import pyplot as plt

    plt.rcParams |= {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "molgen", "axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
    strengths = np.array(sorted(rows))
    table = np.array([rows[s] for s in strengths])
    far = table[-1, 2]
    axes.plot([0, 1], [1, far], color="#9a9a9a", linestyle="--", linewidth=1, label="even fall")
    for first, label, colour in ((2, "Tanimoto, Morgan radius 2", "#0072b2"), (5, "shape Tanimoto, frame of the lead", "#d55e00")):
        axes.fill_between(strengths, table[:, first + 1], table[:, first + 2], color=colour, alpha=0.2, linewidth=0)
        axes.plot(strengths, table[:, first], color=colour, marker="o", markersize=3.5, linewidth=1.5, label=label)
    axes.set(xlabel="--strength", ylabel="similarity to the lead", xlim=(0, 1), ylim=(0, 1.03), title=title)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="SDF of molecules that were not trained on")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--leads", type=int, default=50)
    parser.add_argument("--skip", type=int, default=0, help="molecules to leave out, in shuffled order")
    parser.add_argument("--num", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--strengths", default=STRENGTHS)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--plot", help="file to draw the curves to: .svg or .png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rdBase.DisableLog("rdApp.*")
    model = load(options.model, "cpu")
    leads = representable(model, shuffled(options.data), Around)[options.skip : options.skip + options.leads]
    print(f"{len(leads)} leads, {options.num} draws each, {options.steps} steps of the whole grid, seed 0\n")
    print("| strength | noise Å | passed % | Tanimoto | shape | the lead itself % | Tanimoto 0.2 to 1 % | s a success |\n|" + "---|" * 8)
    rows = {}
    for strength in map(float, options.strengths.split(",")):
        rows[strength] = r = measure(model, leads, strength, options.num, options.steps)
        spans = [f"{r[c]:.{d}f} [{r[c + 1]:.{d}f}, {r[c + 2]:.{d}f}]" for c, d in ((2, 3), (5, 3), (8, 1))]
        print(f"| {strength:g} | {r[0]:.3f} | {r[1]:.1f} | {' | '.join(spans)} | {r[11]:.1f} | {r[12]:.3f} |", flush=True)
    if options.fit:
        print("\nnoise of strengths 0.1 to 0.9: " + ", ".join(f"{x / (1 - x):.3f}" for x in fit(rows)))
    if options.plot:
        plot(rows, options.plot, f"{len(leads)} leads, {options.num} variants each")


if __name__ == "__main__":
    main()
