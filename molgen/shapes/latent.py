"""Shapes as latent clouds: see :mod:`molgen.domain` and :mod:`molgen.nn.point_autoencoder`.

A sample has one node for each latent point, with the fields

    pos (b K 3)        in normalised units, centred
    feature (b K F)    standardised by the autoencoder's running moments
    shape (b G)        the shape latent, likewise

whatever the number of points of the cloud that it stands for; sizes count the points of the cloud, which only the decoder makes. A model is
a folder with the autoencoder's folder inside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from molgen.batch import Batch, mask_of
from molgen.diffusion.condition import Conditions
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import PositionSchedule, VarianceExploding
from molgen.diffusion.space import Centered, Features, Whole
from molgen.domain import Guide
from molgen.errors import InputError
from molgen.files import atomic_folder, atomic_path
from molgen.limits import Limited
from molgen.nn.point_autoencoder import Autoencoder, LatentCloud
from molgen.shapes.data import PackedShapes
from molgen.shapes.domain import ShapeDomain, given_points
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.joined import Joined, longest_link
from molgen.shapes.latent_statistics import LatentStatistics, load_autoencoder
from molgen.shapes.shape import Shape

CHUNK = 64  # clouds encoded at once
MEASURED = 4096  # clouds, the first ones, of which statistics are taken
COMMON = 0.95  # share of the clouds whose latent points are linked within the `reach` of the statistics
DETAIL = 2048
"""Points that show all of a sample: its bumps are as wide as the latent cells, and smoothing at the spacing of so many takes them away."""
MESHED = 8192
"""Points of a sample that becomes a mesh: with fewer, gaps as narrow as a handle's are bridged, and thin parts may come off."""
STORED = ("positions", "features", "outlines")
SCALES = "scales.json"


@dataclass(frozen=True, kw_only=True)
class LatentFields(Limited):
    """The noise of latent points and of their features.

    Args:
        kind: selects this domain.
        autoencoder: run folder of the trained autoencoder; a model needs it no more, because it holds a copy.
        points: of a cloud that the encoder sees.
        pos: schedule of the latent points, which is the clock.
        feature: schedule of the features, whose deviation is 1.
        shape: schedule of the shape latent, likewise.
    """

    kind: Literal["shape_latent"] = "shape_latent"
    autoencoder: str = ""
    points: Annotated[int, Field(ge=1)] = 1024
    pos: PositionSchedule = VarianceExploding(sigma_min=0.002, sigma_max=20.0)
    feature: PositionSchedule = VarianceExploding(sigma_min=0.01, sigma_max=100.0)
    shape: PositionSchedule = VarianceExploding(sigma_min=0.01, sigma_max=20.0)


class PackedLatents:
    """The latent clouds of a packed set of shapes.

    Args:
        shapes: the data set.
        folder: of :func:`encode_latents`.
        autoencoder: folder of the trained autoencoder that encoded them.

    Raises:
        InputError: the folder holds those of other shapes.
    """

    def __init__(self, shapes: PackedShapes, folder: Path, autoencoder: Path):
        self.path, self.shapes = shapes.path, shapes
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in STORED]
        self.positions, self.features, self.outlines = arrays
        if {len(array) for array in arrays} != {len(shapes)}:
            raise InputError(f"{folder}: does not belong to the data set; delete the folder, it is made again")
        _, k, f = self.features.shape
        self.sizes = np.full(len(shapes), k)
        scales = json.loads((folder / SCALES).read_text(encoding="utf-8"))
        self.statistics = LatentStatistics(shapes.statistics, k, f, self.outlines.shape[1], folder=autoencoder, **scales)

    def __len__(self) -> int:
        return len(self.shapes)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Latent clouds of these shapes with their labels."""
        indices = np.asarray(indices)
        pos, feature, shape = (
            torch.from_numpy(array[indices].astype(np.float32)) for array in (self.positions, self.features, self.outlines)
        )
        mask = torch.ones(pos.shape[:2], dtype=torch.bool)
        pos = pos - pos.mean(1, keepdim=True)
        return Batch({"pos": pos, "feature": feature, "shape": shape}, mask, self.shapes.labels_of(indices))


def encode_latents(shapes: PackedShapes, network: Autoencoder, points: int) -> Path:
    """Encodes a data set, if it is not done yet.

    Args:
        shapes: the data set.
        network: the autoencoder.
        points: of every cloud that the encoder sees.

    Returns:
        The folder ``latents_<digest of the encoder>_<points>`` in that of the data set, which holds positions.npy (S, K, 3), features.npy
        (S, K, F) and outlines.npy (S, G), all float16, and scales.json.

    Raises:
        InputError: shapes have too few points, or the folder cannot be written.
    """
    k, stored = network.config.latents, shapes.statistics.num_points
    if not k <= points <= stored:
        choice = f"give at most {stored}" if points > stored else f"give at least {k}, one for each latent point"
        raise InputError(f"fields.points={points}: {shapes.path} stores {stored} points of a shape; {choice}")
    folder = shapes.path / f"latents_{network.fingerprint[:12]}_{points}"
    if not complete(folder):
        try:
            with atomic_folder(folder) as temporary:
                for name, array in zip(STORED, encode_all(network, shapes, points), strict=True):
                    np.save(temporary / f"{name}.npy", array)
                measure(temporary)
        except (InputError, OSError):
            if not complete(folder):  # else another run has made it meanwhile
                raise
    if not (folder / SCALES).is_file():  # made by an earlier version
        measure(folder)
    return folder


def complete(folder: Path) -> bool:
    """Whether a folder holds all latent clouds of a data set."""
    return all((folder / f"{name}.npy").is_file() for name in STORED)


def measure(folder: Path) -> None:
    """Writes the root mean square coordinate of the latent points beside them, and how long links within a cloud commonly are."""
    some = torch.from_numpy(np.load(folder / "positions.npy", mmap_mode="r")[:MEASURED].astype(np.float64))
    links = longest_link(some, torch.ones(some.shape[:2], dtype=torch.bool))
    scales = {"coordinate_std": float(some.square().mean().sqrt()), "reach": float(links.quantile(COMMON))}
    with atomic_path(folder / SCALES) as temporary:
        temporary.write_text(json.dumps(scales), encoding="utf-8")


def encode_all(network: Autoencoder, shapes: PackedShapes, points: int) -> list[np.ndarray]:
    """Latent points (S, K, 3), features (S, K, F) and shape latents (S, G) of all shapes, float16."""
    found = []
    with torch.no_grad():
        for start in range(0, len(shapes), CHUNK):
            batch = shapes.batch(np.arange(start, min(start + CHUNK, len(shapes))), points=points)
            found.append([part.to(torch.float16).numpy() for part in network.encode(batch["pos"], batch.mask)[:3]])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def mixed(count: int) -> np.ndarray:
    """A fixed random order of so many decoded points, which come cell by cell: the first ones are an even choice of all."""
    return np.random.default_rng(count).permutation(count)


@dataclass(frozen=True)
class ShapeLatents(ShapeDomain):
    """Latent clouds of shapes."""

    fields: LatentFields = field(default_factory=LatentFields)
    guidance: ClassVar[float] = 1.0
    pairs_per_batch: ClassVar[int] = 1 << 27  # of decoded points; latent clouds are small

    def load_statistics(self, path: Path) -> LatentStatistics:
        return LatentStatistics.load(path)

    def open(self, path: str | Path, labels: Sequence[str]) -> PackedLatents:
        if not self.fields.autoencoder:
            raise InputError("fields.autoencoder is empty: give the folder of a trained one, fields.autoencoder=RUN")
        shapes, autoencoder = PackedShapes(path, labels), Path(self.fields.autoencoder)
        network = load_autoencoder(autoencoder)
        shapes.statistics.check_up(ShapeStatistics.load(autoencoder / "statistics.json"))
        return PackedLatents(shapes, encode_latents(shapes, network, self.fields.points), autoencoder)

    def process(self, statistics: LatentStatistics) -> Joint:
        pos = Gaussian(self.fields.pos, Centered(), max(statistics.coordinate_std, 0.01))
        feature = Gaussian(self.fields.feature, Features(statistics.features))
        return Joint({"pos": pos, "feature": feature, "shape": Gaussian(self.fields.shape, Whole(statistics.outline))})

    def conditions(self, names: Sequence[str], statistics: LatentStatistics) -> Conditions:
        return super().conditions(names, statistics.shape)

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def empty(self, sizes: Sequence[int], statistics: LatentStatistics) -> Batch:
        mask = mask_of([statistics.latents] * len(sizes))
        widths = {"pos": (*mask.shape, 3), "feature": (*mask.shape, statistics.features), "shape": (len(mask), statistics.outline)}
        fields = {name: torch.zeros(width, dtype=torch.float32) for name, width in widths.items()}
        return Batch(fields, mask, {"points": torch.as_tensor(list(sizes))})

    def encode(self, items: Sequence[Shape], statistics: LatentStatistics, first: int = 1) -> Batch:
        network, found = statistics.autoencoder.to("cpu"), list[LatentCloud]()
        for points in given_points(items, statistics.up, statistics.normalisation, first, statistics.latents):
            x = torch.from_numpy(points - points.mean(0)).to(torch.float32).unsqueeze(0)
            with torch.no_grad():
                found.append(network.encode(x, torch.ones(x.shape[:2], dtype=torch.bool)))
        pos, feature, shape, mask = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Batch({"pos": pos, "feature": feature, "shape": shape}, mask, {"points": torch.tensor([len(item) for item in items])})

    def decode(self, batch: Batch, statistics: LatentStatistics) -> list[Shape]:
        if "points" not in batch.labels:
            raise InputError("batch: its labels lack 'points', how many every shape is to have; keep those of model.encode")
        shapes = []
        network = statistics.autoencoder.to(batch.mask.device)
        for row, count in enumerate(batch.labels["points"].tolist()):
            latent = LatentCloud(*(value[row : row + 1] for value in (batch["pos"], batch["feature"], batch["shape"], batch.mask)))
            with torch.no_grad():
                cloud = network(latent, count)[0].double().cpu().numpy()
            shapes.append(Shape((cloud - cloud.mean(0))[mixed(count)], up=statistics.up, detail=DETAIL))
        return shapes

    def doubt(self, sizes: Sequence[int], statistics: LatentStatistics) -> str:
        few = [n for n in sizes if n < statistics.latents]
        return f"{few[0]} points are fewer than the latent points ({statistics.latents})" if few else ""

    def guides(self, statistics: LatentStatistics) -> tuple[Guide, ...]:
        return (Joined(reach=statistics.reach),)
