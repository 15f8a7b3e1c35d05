"""Latent shapes: what the autoencoder loses, and what encoding, decoding and a call of the denoiser cost.

    python benchmarks/quality_latent.py MODEL HELD_OUT [--shapes 190] [--png reconstructions.png]

MODEL: folder of a model of latent clouds. HELD_OUT: packed shapes with at least 2,048 stored points. The encoder sees 1,024 points of a
shape; the 1,024 decoded ones are compared with 1,024 others. The floor is what the points that the encoder saw score themselves, the
resampling error of the surface. Squared Chamfer distances in normalised units. Times are processor seconds of one thread.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from molgen.batch import Batch
from molgen.checkpoint import load_checkpoint
from molgen.shapes.data import PackedShapes
from molgen.shapes.metrics import chamfer
from molgen.shapes.render import picture, save_png, sheet

SEEN = 1024


def milliseconds(function, repeats=5):
    """Median processor time of a call."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def reconstruction(network, shapes, count):
    """Chamfer distances (trials, count): the floor, decoded clouds for noise of 0, 0.1, 0.2 and 0.4, and shape latents of others."""
    generator, rows = torch.Generator().manual_seed(0), []
    for start in range(0, count, 38):
        batch = shapes.batch(np.arange(start, min(start + 38, count)), points=2 * SEEN)
        seen, others, mask = batch["pos"][:, :SEEN], batch["pos"][:, SEEN:], batch.mask[:, :SEEN]
        latent = network.encode(seen, mask)
        clouds = [seen]
        for noise in (0, 0.1, 0.2, 0.4):
            features, shape = (code + noise * torch.randn(code.shape, generator=generator) for code in (latent.features, latent.shape))
            clouds.append(network(latent._replace(features=features, shape=shape), SEEN))
        shuffled = latent.shape[torch.randperm(len(seen), generator=generator)]
        clouds.append(network(latent._replace(shape=shuffled), SEEN))
        rows.append([[chamfer(a.numpy(), b.numpy()) for a, b in zip(cloud, others, strict=True)] for cloud in clouds])
    return np.concatenate(rows, 1)


def speeds(network, denoiser, shapes):
    """Table of times."""
    for points in (1024, 2048):
        batch = shapes.batch(np.arange(16), points=points)
        latent = network.encode(batch["pos"], batch.mask)
        print(f"encode, {points:,} points | {milliseconds(lambda b=batch: network.encode(b['pos'], b.mask)) / 16:.1f} ms a shape")
    for points in (1024, 2048, 8192):
        print(f"decode, {points:,} points | {milliseconds(lambda n=points: network(latent, n)) / 16:.1f} ms a shape")
    for count in (1, 16):
        pos, feature, shape, mask = (part[:count] for part in latent)
        batch, t = Batch({"pos": pos, "feature": feature, "shape": shape}, mask), torch.full((count,), 0.5)
        taken = milliseconds(lambda b=batch, t=t: denoiser(b, t, {}))
        print(f"call of the denoiser, batch of {count} | {taken / count:.1f} ms a shape")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("held_out")
    parser.add_argument("--shapes", type=int, default=190)
    parser.add_argument("--png")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint, shapes = load_checkpoint(arguments.model), PackedShapes(arguments.held_out, [])
    network = checkpoint.statistics.autoencoder
    count = min(arguments.shapes, len(shapes))
    with torch.no_grad():
        floor, *found = reconstruction(network, shapes, count)
        print(f"{count} shapes, floor {floor.mean():.5f}")
        trials = ("decoded", *(f"noise {k} on the codes" for k in (0.1, 0.2, 0.4)), "shape latents of other shapes")
        for what, values in zip(trials, found, strict=True):
            print(f"{what}: {values.mean():.5f}, {values.mean() / floor.mean():.2f} of the floor")
        category = shapes.category[:count]
        for k, name in enumerate(shapes.statistics.categories):
            chosen = np.flatnonzero(category == k)
            if len(chosen):
                print(f"  {name}: {found[0][chosen].mean() / floor[chosen].mean():.2f} of the floor ({len(chosen)} shapes)")
        speeds(network, checkpoint.denoiser, shapes)
        if arguments.png:
            batch = shapes.batch(np.arange(min(24, count)), points=2048)
            made = network(network.encode(batch["pos"], batch.mask), 2048)
            pairs = [picture(cloud.numpy()) for pair in zip(batch["pos"], made, strict=True) for cloud in pair]
            save_png(arguments.png, sheet(pairs, 8))


if __name__ == "__main__":
    main()
