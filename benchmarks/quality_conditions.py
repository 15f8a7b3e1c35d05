"""Requested against measured properties: mean absolute error of draws by request, of free draws of the same sizes, and of the size alone.

usage: python benchmarks/quality_conditions.py DATA [--model qm9] [--num 100] [--steps 50] [--guidance 1 2] [--steering 1 0]
       [--candidates 1 2 4] [--names logp qed ...] [--precision bf16] [--judge HOMO]
DATA is a prepared set of held-out molecules with the model's conditions as labels; one property at a time is requested with the values and
sizes of its first molecules. logp, qed, tpsa and sa by RDKit, gap_xtb and dipole_xtb by GFN2-xTB, homo_b3lyp by the network that ships.
Every request is walked as often as the largest number of candidates says; of the first K the nearest that is valid counts, as in `molgen
sample --candidates K`. Requests none of whose candidates is valid count as failed; the errors are those of the others. What is computed
chooses and judges; a network must not, so that the HOMO is judged by HOMO, the weights that `train_regressor.py --half odd` made from the
other half of the training molecules, while the network that ships chooses.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch

from molgen.diffusion.noise import PerSampleNoise
from molgen.molecules.data import PackedMolecules
from molgen.molecules.measure import measure
from molgen.molecules.metrics.regressor import homo_b3lyp
from molgen.molecules.metrics.validity import validity
from molgen.molecules.molecule import Molecule
from molgen.sample import Model, Request, draw_seed, load
from molgen.shapes.metrics import interval

BATCH = 50


def draw(model: Model, request: Request, sizes: np.ndarray, asked: dict[str, np.ndarray]) -> list[Molecule]:
    """One molecule a number that is asked for; every sample has values of its own."""
    process, out = model.denoiser.process, []
    for start in range(0, len(sizes), BATCH):
        rows = slice(start, start + BATCH)
        condition = {name: torch.tensor(values[rows], dtype=torch.float32) for name, values in asked.items()}
        noise = PerSampleNoise([draw_seed(1, k) for k in range(len(sizes))][rows])
        empty = model.domain.empty(sizes[rows].tolist(), model.checkpoint.statistics)
        with torch.no_grad():
            sampler = model.checkpoint.experiment.sampler
            *_, last = sampler.walk(model.walker(request).denoiser, process, empty, condition, noise, request.steps)
        out += model.domain.decode(last.batch, model.checkpoint.statistics)
    return out


def written(errors: np.ndarray) -> str:
    """Mean and 95 % bootstrap interval."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*interval(errors))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--steering", type=float, nargs="+", default=[1.0], help="scales of guidance by the model's estimator")
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--names", nargs="+", default=["logp", "qed", "gap_xtb", "dipole_xtb", "homo_b3lyp"])
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--judge", type=Path, help="weights for the HOMO that did not choose")
    options = parser.parse_args()
    if max(options.candidates) > 1 and "homo_b3lyp" in options.names and options.judge is None:
        parser.error("the network that chooses the nearest HOMO must not judge it: give --judge, or --names without homo_b3lyp")
    torch.set_num_threads(1)
    model, held_out, begin = load(options.model, "cpu"), PackedMolecules(options.data), time.perf_counter()
    chosen = np.random.default_rng(0).choice(len(held_out), options.num, replace=False)
    chosen = chosen[np.argsort(held_out.sizes[chosen])]
    sizes = held_out.sizes[chosen]

    def request(guidance: float, steering: float = 0.0) -> Request:
        return Request(steps=options.steps, guidance=guidance, steering=steering, precision=options.precision)

    def errors(molecules: list[Molecule], name: str, judge: Path | None = None) -> np.ndarray:
        """|measured - asked| (requests, draws), NaN where a draw failed; by these weights for the HOMO."""
        judged = (lambda m: float(homo_b3lyp(m, judge).get(name, np.nan))) if judge else (lambda m: measure(m, [name])[name])
        found = np.array([judged(m) if validity(m)["valid"] else np.nan for m in molecules])
        return np.abs(found.reshape(len(chosen), -1) - held_out.labels[name][chosen, None])

    def row(label: str, values: np.ndarray) -> str:
        failed = np.isnan(values)
        return f"{label} {written(values[~failed])} ({100 * failed.mean():.0f} % failed)"

    free = draw(model, request(0.0), sizes, {})
    for name in options.names:
        judge = options.judge if name == "homo_b3lyp" else None
        asked, label = held_out.labels[name][chosen], model.checkpoint.statistics.label(name)
        by_size = np.array([label.by_size[n][1] for n in sizes.tolist()])
        parts = [f"size-only {written(np.abs(asked - by_size))}", row("free", errors(free, name, judge))]
        for guidance, steering in itertools.product(options.guidance, options.steering):
            most = max(options.candidates)
            drawn = draw(model, request(guidance, steering), sizes.repeat(most), {name: asked.repeat(most)})
            judged = errors(drawn, name, judge)
            choosing = np.nan_to_num(errors(drawn, name) if judge else judged, nan=np.inf)
            for k in options.candidates:
                found = judged[np.arange(len(chosen)), choosing[:, :k].argmin(1)]  # NaN where all candidates failed
                parts.append(row(f"guidance {guidance:g}, steering {steering:g}, nearest of {k}", found))
        print(f"{name}: " + ", ".join(parts), flush=True)
    print(f"{options.num} requests, {options.steps} steps, {options.precision}, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
