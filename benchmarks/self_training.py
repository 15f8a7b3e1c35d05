"""Training data that hold a model's own new molecules: how the weights `qm9` got from recalling their data to proposing molecules.

    molgen sample TEACHER --num N --keep-invalid --out samples.sdf
    python benchmarks/self_training.py select TEACHER samples.sdf ... --data DATA --held-out HELD.sdf --out pool.sdf
    molgen prepare pool.sdf --out pool --label gap_xtb,dipole_xtb --compute logp,qed
    python benchmarks/self_training.py mix DATA pool --share 0.65 --out mix
    molgen train --from qm9 data.path=mix

`select` takes every molecule once and none of DATA or of those held out, corrupts its coordinates to a noise-to-signal ratio of 0.03 and
walks them down in three calls without lifts, which takes away most of the noise that the sampler left. It keeps what is strictly stable and
valid, the same molecule as before, and valid by distances (P1), and measures gap and dipole. `mix` writes all molecules of DATA and, as
often as makes SHARE of the whole, those of the pool, each in proportion to a weight. The weights are those of maximum entropy under which
the means of descriptors are those of DATA, five at most: new molecules have more nitrogen and rings, and of such a pool a model would learn
that. What a model draws differs from what it was trained on, too: with `--drawn`, draws of TEACHER, the means that are asked for lie as far
on the other side of those of DATA as those of its valid draws lie from them.
"""

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from molgen.checkpoint import load_checkpoint
from molgen.diffusion.noise import PerSampleNoise
from molgen.molecules.data import PackedMolecules
from molgen.molecules.export import write_sdf
from molgen.molecules.measure import measure
from molgen.molecules.metrics.descriptors import descriptors, ring_sizes
from molgen.molecules.metrics.stability import strict
from molgen.molecules.metrics.validity import lookup_validity, sanitised, validity
from molgen.molecules.molecule import Molecule
from molgen.molecules.reading import read_sdf

RATIOS = (0.03, 0.02, 0.01)
BATCH = 64
DESCRIPTORS = ("logp", "qed", "rotatable", "rings", "donors", "fsp3", "aromatic_rings", "stereocentres", "largest_ring", "heavy")
LARGEST = 5.0
"""Weight that no molecule of the pool exceeds, the mean being 1."""


def polished(model: str, molecules: list[Molecule]) -> Iterator[tuple[Molecule, Molecule]]:
    """Molecules, by size, and what three calls without lifts make of them at little noise."""
    checkpoint = load_checkpoint(model)
    network, domain, statistics = checkpoint.denoiser.eval(), checkpoint.experiment.domain, checkpoint.statistics
    process = network.process
    times = [float(process.clock.schedule.time(torch.tensor(ratio, dtype=torch.float64))) for ratio in RATIOS]
    by_size: dict[int, list[Molecule]] = defaultdict(list)
    for molecule in molecules:
        by_size[len(molecule)].append(molecule)
    seeds = itertools.count()
    for _, alike in sorted(by_size.items()):
        for first in range(0, len(alike), BATCH):
            part = alike[first : first + BATCH]
            clean = domain.encode(part, statistics)
            noise = PerSampleNoise([next(seeds) for _ in part])
            batch, previous = process.corrupt(clean, torch.full((len(part),), times[0]), noise), None
            for t, s in itertools.pairwise((*times, 0.0)):
                here, there = torch.full((len(part),), t), torch.full((len(part),), s)
                previous = network(batch, here, {}, previous)
                batch = process.reverse(batch, previous, here, there, noise, 0.0)
            assert previous is not None
            yield from zip(part, domain.decode(process.settle(batch, previous), statistics), strict=True)


def select(options: argparse.Namespace) -> None:
    """Writes the pool."""
    seen = {str(validity(molecule)["smiles"]) for molecule in read_sdf(options.held_out)}
    seen.update((options.data / "smiles.txt").read_text().splitlines())
    fresh, read = [], 0
    for molecule in itertools.chain.from_iterable(map(read_sdf, options.samples)):
        read += 1
        smiles = str(validity(molecule)["smiles"])
        if smiles and smiles not in seen:
            seen.add(smiles)
            fresh.append(molecule)
    pool, changed, far = [], 0, 0
    for before, after in polished(options.model, fresh):
        after = replace(before, positions=after.positions, bonds=after.bonds, charges=after.charges, properties={})
        now = validity(after)
        if not now["valid"] or not strict(after)["p2s_stable"] or now["smiles"] != validity(before)["smiles"]:
            changed += 1
        elif not lookup_validity(after)["p1_valid"]:
            far += 1
        else:
            labels = measure(after, ["gap_xtb", "dipole_xtb"])
            pool.append(replace(after, properties={name: float(f"{value:.5g}") for name, value in labels.items() if value == value}))
    print(f"{read} read, {len(fresh)} new and different, {changed} changed, {far} not valid by distances, {len(pool)} kept")
    write_sdf(options.out, pool)


def described(molecule: Molecule) -> list[float]:
    """What the pool is to have in common with the data: descriptors, elements, small rings, multiple bonds, bonds between heteroatoms."""
    mol = sanitised(molecule)[1]
    assert mol is not None, "a valid molecule"
    known, sizes, numbers = descriptors(mol), ring_sizes(mol), molecule.atomic_numbers
    first, second, order = molecule.bonds.T
    return [
        *(float(known[name]) for name in DESCRIPTORS),
        *(float((numbers == element).sum()) for element in (6, 7, 8, 1)),
        *(float(sizes.count(size)) for size in (3, 4, 5)),
        float((order == 3).sum()),
        float((order == 2).sum()),
        float(((numbers[first] > 6) & (numbers[second] > 6)).sum()),
    ]


def weights(pool: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Weights (n,) of mean 1, `LARGEST` at most, that bring the means of descriptors (n, d) of the pool to these (d,)."""
    scaled = (pool - means) / (deviations + 1e-9)
    slopes, found = np.zeros(scaled.shape[1]), np.ones(len(scaled))
    for _ in range(3000):
        found = np.exp(np.clip(scaled @ slopes, -20, 20))
        found = np.minimum(found / found.mean(), LARGEST)
        found /= found.mean()
        slopes -= 0.2 * ((scaled * found[:, None]).mean(axis=0) + 0.02 * slopes)
    return found


def mix(options: argparse.Namespace) -> None:
    """Writes the data set."""
    data, pool, rng = PackedMolecules(options.data), PackedMolecules(options.pool), np.random.default_rng(0)
    assert pool.statistics.elements == data.statistics.elements, "classes of atoms are numbers in the list of elements"
    real = np.array([described(data.molecule(index)) for index in range(0, len(data), 20)])
    own = np.array([described(pool.molecule(index)) for index in range(len(pool))])
    target = mean = real.mean(axis=0)
    if options.drawn:
        valid = [molecule for molecule in read_sdf(options.drawn) if validity(molecule)["valid"]]
        target = 2 * mean - np.array([described(molecule) for molecule in valid]).mean(axis=0)
    weight = weights(own, target, real.std(axis=0))
    print(f"effective share of the pool {weight.sum() ** 2 / (weight**2).sum() / len(weight):.2f}")
    print("means of data, pool, those asked for and of the weighted pool:")
    for row in zip(mean, own.mean(axis=0), target, (own * weight[:, None]).mean(axis=0), strict=True):
        print("  " + " ".join(f"{value:7.3f}" for value in row))
    wanted = int(options.share / (1 - options.share) * len(data)) * weight / weight.sum()
    times = np.floor(wanted).astype(int) + (rng.random(len(pool)) < wanted % 1)
    picked = rng.permutation(np.repeat(np.arange(len(pool)), times))
    rows = dict.fromkeys(("positions", "atoms", "charges"), "atom_offsets") | {"bonds": "bond_offsets"}
    arrays = {
        **{
            name: [getattr(data, name), *(getattr(pool, name)[slice(*getattr(pool, offsets)[k : k + 2])] for k in picked)]
            for name, offsets in rows.items()
        },
        "atom_offsets": [data.atom_offsets, data.atom_offsets[-1] + np.cumsum(pool.sizes[picked])],
        "bond_offsets": [data.bond_offsets, data.bond_offsets[-1] + np.cumsum(np.diff(pool.bond_offsets)[picked])],
        "labels": [np.stack([*data.labels.values()], axis=1), np.stack([_label(pool, name)[picked] for name in data.labels], axis=1)],
        "records": [np.arange(len(data) + len(picked))],
    }
    options.out.mkdir(parents=True)
    for name, parts in arrays.items():
        np.save(options.out / f"{name}.npy", np.concatenate(parts))
    lines, more = (Path(folder, "smiles.txt").read_text().splitlines() for folder in (data.path, pool.path))
    (options.out / "smiles.txt").write_text("".join(f"{line}\n" for line in (*lines, *(more[k] for k in picked))))
    facts = json.loads((data.path / "statistics.json").read_text())
    facts |= {"num_molecules": len(data) + len(picked), "num_atoms": int(len(data.atoms) + pool.sizes[picked].sum())}
    (options.out / "statistics.json").write_text(json.dumps(facts))
    print(f"{len(data)} molecules and {len(pool)} of the pool, {len(picked)} times, one of them {times.max()} times")


def _label(pool: PackedMolecules, name: str) -> np.ndarray:
    return pool.labels.get(name, np.full(len(pool), np.nan, np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("select")
    one.add_argument("model")
    one.add_argument("samples", type=Path, nargs="+")
    one.add_argument("--data", type=Path, required=True)
    one.add_argument("--held-out", type=Path, required=True)
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=select)
    two = commands.add_parser("mix")
    two.add_argument("data", type=Path)
    two.add_argument("pool", type=Path)
    two.add_argument("--share", type=float, default=0.65)
    two.add_argument("--drawn", type=Path)
    two.add_argument("--out", type=Path, required=True)
    two.set_defaults(run=mix)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        options.run(options)


if __name__ == "__main__":
    main()
