"""Trains the network that estimates the B3LYP HOMO energy on every other molecule of a prepared data set and measures it on the rest.

python benchmarks/train_regressor.py DATA [--half even] [--epochs 14] [--seed 0] [--out homo_b3lyp.safetensors]

Molecules at even (or odd) places of the data set are trained on; the weights that are kept are a running average. Nothing is chosen by
looking at the held-out half, which is measured once, at the end. The even half made the network that ships; one of the odd half judges
molecules that the other has chosen (`quality_conditions.py --judge`).
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from molgen.molecules.data import PackedMolecules
from molgen.molecules.metrics.regressor import ELEMENTS, Regressor

LABEL = "homo_b3lyp"


class Arrays:
    """Molecules of a packed data set by size, unpadded."""

    def __init__(self, data: PackedMolecules) -> None:
        kinds = np.zeros(max(ELEMENTS) + 1, np.int64)
        kinds[list(ELEMENTS)] = np.arange(1, len(ELEMENTS) + 1)
        numbers = np.array(data.statistics.elements)[data.atoms]
        self.kinds, self.positions = torch.from_numpy(kinds[numbers]), torch.from_numpy(np.array(data.positions))
        self.starts, self.sizes = data.atom_offsets[:-1], data.sizes
        self.labels = torch.from_numpy(data.labels[LABEL].copy())

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        atoms = torch.from_numpy(self.starts[rows][:, None] + np.arange(self.sizes[rows[0]]))
        return self.kinds[atoms], self.positions[atoms], self.labels[rows]

    def batches(self, rows: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Batches of molecules of one size, in random order."""
        found = []
        shuffled = rng.permutation(rows)
        for atoms in np.unique(self.sizes[rows]):
            same = shuffled[self.sizes[shuffled] == atoms]
            found += np.array_split(same, max(1, round(len(same) / size)))
        for place in rng.permutation(len(found)):
            yield found[place]


@torch.no_grad()
def errors(network: Regressor, arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    """Absolute errors in eV."""
    network.eval()
    found = []
    for part in arrays.batches(rows, 128, np.random.default_rng(0)):
        kinds, positions, labels = arrays.batch(part)
        found.append((network(kinds, positions) - labels).abs().numpy())
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", choices=["even", "odd"], default="even", help="places of the molecules that are trained on")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="use only the first so many molecules")
    parser.add_argument("--out", type=Path, default=Path("homo_b3lyp.safetensors"))
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rng = np.random.default_rng(options.seed)
    arrays = Arrays(PackedMolecules(options.data, [LABEL]))
    everything = np.arange(len(arrays.labels))[: options.limit]
    first = 0 if options.half == "even" else 1
    trained, held_out = everything[first::2], everything[1 - first :: 2]
    labels = arrays.labels[trained]
    network = Regressor(float(labels.mean()), float(labels.std()))
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    total = options.epochs * sum(1 for _ in arrays.batches(trained, options.batch, np.random.default_rng(0)))
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, total_steps=total, pct_start=0.05)
    began, cpu = time.perf_counter(), time.process_time()
    for epoch in range(options.epochs):
        network.train()
        losses = []
        for rows in arrays.batches(trained, options.batch, rng):
            kinds, positions, wanted = arrays.batch(rows)
            loss = (network(kinds, positions) - wanted).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1}: training error {np.mean(losses):.4f} eV, {time.perf_counter() - began:.0f} s", flush=True)
    error = errors(average.module, arrays, held_out)
    by_size = {n: float(labels[arrays.sizes[trained] == n].mean()) for n in np.unique(arrays.sizes[trained])}
    guess = np.array([by_size.get(n, float(labels.mean())) for n in arrays.sizes[held_out]])
    baseline = float(np.abs(arrays.labels[held_out].numpy() - guess).mean())
    facts = {
        "label": LABEL,
        "unit": "eV",
        "mean": network.mean,
        "deviation": network.deviation,
        "half": options.half,
        "trained_on": len(trained),
        "held_out": len(held_out),
        "mean_absolute_error": float(error.mean()),
        "median_absolute_error": float(np.median(error)),
        "size_only_error": baseline,
        "epochs": options.epochs,
        "seed": options.seed,
        "minutes": (time.process_time() - cpu) / 60,
    }
    weights = {name: value.half().contiguous() for name, value in average.module.state_dict().items()}
    save_file(weights, options.out, {name: str(value) for name, value in facts.items()})
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    for name, value in facts.items():
        print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")


if __name__ == "__main__":
    main()
