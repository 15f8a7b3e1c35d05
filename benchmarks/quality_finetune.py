"""Fine-tuning against training from scratch: the same data, network, batches and number of steps; loss on held-out molecules.

usage: python benchmarks/quality_finetune.py DATA [--model qm9] [--steps 400] [--pairs 12000] [--every 100] [--out FOLDER]
       [--tuned KEY=VALUE ...] [--alone]
DATA is a prepared set (`molgen prepare LIGANDS.sdf.gz --out DATA --compute logp,qed`); 15 % of it are held out. The
two runs have different coordinate scales, so their training losses cannot be compared: the table gives the error of the predicted
coordinates (root mean square, Å) and the cross-entropy of elements and bonds (nats) at fixed noise (deviation in Å), the same noise
for all rows. Seconds are those of the processor.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
import yaml
from torch.nn import functional

from molgen.buckets import Buckets
from molgen.checkpoint import build_denoiser, load_checkpoint
from molgen.config import apply_overrides, build_experiment, dump_experiment
from molgen.diffusion.noise import SharedNoise
from molgen.experiment import Experiment
from molgen.finetune import fine_tuning, inherit
from molgen.molecules.fields import ANGSTROM_PER_UNIT
from molgen.train import fit, split_validation

NOISE = (0.3, 1.0, 3.0)
ALONE = ("train.start=", "train.devices=1", "train.strategy=auto")  # from fresh weights, in one process


@torch.no_grad()
def held_out(denoiser: torch.nn.Module, experiment: Experiment) -> list[str]:
    """Error and cross-entropies at each noise level, on the same noisy molecules for every model."""
    data = experiment.domain.open(experiment.data.path, experiment.data.conditions)
    _, valid, chosen = split_validation(experiment, data)
    process = denoiser.process
    cells = []
    for level in NOISE:
        sums = torch.zeros(6, dtype=torch.float64)
        for number, group in enumerate(Buckets(valid.sizes[chosen], 12_000, seed=0).epoch(0)):
            batch = valid.batch(chosen[group])
            t = process["pos"].schedule.time(torch.full((len(batch),), level / ANGSTROM_PER_UNIT))
            noisy = process.corrupt(batch, t, SharedNoise(torch.Generator().manual_seed(number)))
            found = denoiser(noisy, t, {})
            square = (found["pos"] - batch["pos"]).square().sum(-1)[batch.mask]
            parts = [square.sum() / 3, len(square)]
            for name, mask in (("atom", batch.mask), ("bond", batch.pair_mask)):
                parts += [functional.cross_entropy(found[name][mask], batch[name][mask], reduction="sum"), int(mask.sum())]
            sums += torch.tensor([float(part) for part in parts], dtype=torch.float64)
        cells += [
            f"{ANGSTROM_PER_UNIT * float(sums[0] / sums[1]) ** 0.5:.3f}",
            f"{float(sums[2] / sums[3]):.3f}",
            f"{float(sums[4] / sums[5]):.4f}",
        ]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=100, help="print a row after so many steps")
    parser.add_argument("--pairs", type=int, default=12_000)
    parser.add_argument("--out", help="keep the runs in this folder")
    parser.add_argument("--tuned", nargs="*", default=[], help="settings of the fine-tuned run, such as train.optimizer=muon")
    parser.add_argument("--alone", action="store_true", help="nothing from scratch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(options.out or tempfile.mkdtemp())
    settings = [f"data.path={options.data}", "data.valid_fraction=0.15", f"train.pair_budget={options.pairs}", "train.accelerator=cpu"]
    settings += [f"train.validate_every={options.steps}", f"train.checkpoint_every={options.steps}", "train.warmup_steps=50"]
    settings += ["train.decay_from=1.0"]  # a constant rate: a row is a run that goes on to the next row
    tuned = fine_tuning(options.model, [*settings, f"train.out={folder / 'tuned'}", *options.tuned])
    base = load_checkpoint(options.model)
    raw = apply_overrides(build_raw(base.experiment), [*settings, f"train.out={folder / 'scratch'}", "train.max_time=", *ALONE])
    raw["data"]["conditions"] = list(tuned.data.conditions)
    scratch = build_experiment(raw, "scratch")
    print("| run | steps | seconds |" + "".join(f" {level} Å: RMS Å | elements | bonds |" for level in NOISE))
    print("|---|---|---|" + "---|---|---|" * len(NOISE))
    data = tuned.domain.open(options.data, tuned.data.conditions)
    for name, experiment in (("fine-tuned", tuned), ("from scratch", scratch))[: 1 if options.alone else 2]:
        if name == "fine-tuned":
            weights, statistics = inherit(experiment, data.statistics, base)
            denoiser = build_denoiser(experiment, statistics).eval()
            denoiser.load_state_dict(weights)
        else:
            torch.manual_seed(experiment.train.seed)
            denoiser = build_denoiser(experiment, data.statistics).eval()
        print(f"| {name} | 0 | 0 | " + " | ".join(held_out(denoiser, experiment)) + " |", flush=True)
        spent = 0.0
        for steps in range(options.every, options.steps + 1, options.every):
            began = time.process_time()
            run = build_experiment(apply_overrides(build_raw(experiment), [f"train.max_steps={steps}"]), name)
            fit(run)
            spent += time.process_time() - began
            cells = held_out(load_checkpoint(run.train.out).denoiser, experiment)
            print(f"| {name} | {steps} | {spent:.0f} | " + " | ".join(cells) + " |", flush=True)


def build_raw(experiment: Experiment) -> dict:
    return yaml.safe_load(dump_experiment(experiment))


if __name__ == "__main__":
    main()
