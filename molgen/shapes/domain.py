"""Shapes as a domain: see :mod:`molgen.domain`.

A cloud is a set of independent draws from a surface, so a model for clouds does not care how many there are: training sees a random part of
the stored points, of a random size, and sampling may ask for any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from molgen.batch import Batch, mask_of
from molgen.chance import coin
from molgen.diffusion.condition import Category, Conditions, Member, Scalar, Vector
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import PositionSchedule, VarianceExploding
from molgen.diffusion.space import Centered
from molgen.domain import Domain, Guide, Verdict
from molgen.errors import InputError, got
from molgen.geometry import center
from molgen.limits import Limited
from molgen.ranges import MOST_POINTS
from molgen.shapes.data import PackedShapes
from molgen.shapes.fields import Axis, Normalisation, ShapeStatistics, turning
from molgen.shapes.shape import Shape, check_readable

LARGEST_COORDINATE = 4.0  # of a sample, in normalised units; training shapes stay within about 1
STRONGEST = 6.0
"""Guidance up to which most shapes pass: of mugs of the weights `shapes` (usual 1) all at 5, two thirds at 6, one in sixteen at 7. Of
molecules of `qm9_small` asked for a logP of 1.5 (usual 2) 30 of 32 pass at 6, 22 at 8 and 21 at 12, which takes no warning."""
FEWEST_STEPS = 3
"""One or two leave a ball of a thirtieth or a sixth of the size of a shape."""


@dataclass(frozen=True, kw_only=True)
class ShapeFields(Limited):
    """The noise of the points, and how many of them training sees: between both numbers, evenly in the logarithm."""

    kind: Literal["shape"] = "shape"
    pos: PositionSchedule = VarianceExploding(sigma_min=0.002, sigma_max=20.0)
    points: tuple[int, int] = (256, 512)


class ShapeDomain(Domain[Shape]):
    """What clouds of points and latent clouds have in common."""

    items: ClassVar[str] = "shapes"
    node: ClassVar[str] = "point"
    out: ClassVar[str] = "shapes"
    steps: ClassVar[int] = 30
    most_nodes: ClassVar[int] = MOST_POINTS

    def conditions(self, names: Sequence[str], statistics: Any) -> Conditions:
        members: list[Member] = []
        for name in names:
            if name == "category":
                members.append(Category("category", statistics.categories))
            elif name == "text":
                text = statistics.described()
                members.append(Vector("text", text.mean, text.std, partial(text.encode, classes=statistics.categories)))
            else:
                label = statistics.label(name)
                members.append(Scalar(name, label.mean, label.std, label.min, label.max, label.unit))
        return Conditions(tuple(members))

    def check(self, item: Shape) -> Verdict:
        if not np.isfinite(item.points).all():
            return Verdict("coordinates are not finite")
        if np.abs(item.points - item.points.mean(0)).max() > LARGEST_COORDINATE:
            return Verdict(f"points farther than {LARGEST_COORDINATE:g} from the centre")
        return Verdict("collapsed to a point" if item.points.std() < 1e-3 else "")

    def extremes(self, guidance: float | None, steps: int) -> list[str]:
        lines = []
        if guidance is not None and guidance > STRONGEST:
            lines.append(f"guidance={guidance:g} is far above the usual {self.guidance:g}: {self.items} fail the check above {STRONGEST:g}")
        if steps < FEWEST_STEPS:
            lines.append(f"steps={steps}: {self.items} of so few steps shrink to a small ball; usual are {self.steps}")
        return lines

    def filters(self) -> None:
        return None

    def quality(self, items: Sequence[Shape]) -> dict[str, float]:
        """``spread``: mean over shapes of the root mean square coordinate, to be compared with that of the data."""
        return {"spread": float(np.mean([item.points.std() for item in items]))}


def given_points(shapes: Sequence[Shape], up: Axis, normalisation: Normalisation, first: int = 1, fewest: int = 1) -> list[np.ndarray]:
    """The points (n, 3) of whole shapes that a model is to read, turned to its axis that points up.

    Args:
        shapes: of which those that know their axis are turned.
        up: axis that points up in the shapes of the model.
        normalisation: of these.
        first: number of the first shape in messages.
        fewest: points of a shape.

    Raises:
        InputError: there are none, or one is no shape, in another unit, or has too few points or points not finite or mostly copies.
    """
    if not shapes:
        raise InputError("shapes: expected at least one")
    found = []
    for number, shape in enumerate(shapes, first):
        if not isinstance(shape, Shape):
            raise InputError(f"shape {number}: expected a molgen.Shape, got {got(shape)}")
        check_readable(shape.points, normalisation, fewest, f"shape {number}")
        found.append(shape.points @ turning(shape.up, up).T)
    return found


@dataclass(frozen=True)
class Shapes(ShapeDomain):
    """Clouds of points on surfaces."""

    fields: ShapeFields = field(default_factory=ShapeFields)
    guidance: ClassVar[float] = 1.5
    pairs_per_batch: ClassVar[int] = 1 << 24

    def load_statistics(self, path: Path) -> ShapeStatistics:
        return ShapeStatistics.load(path)

    def open(self, path: str | Path, labels: Sequence[str]) -> PackedShapes:
        data = PackedShapes(path, labels)
        if not 1 <= self.fields.points[0] <= self.fields.points[1] <= data.statistics.num_points:
            wanted, stored = f"{self.fields.points[0]} to {self.fields.points[1]}", data.statistics.num_points
            raise InputError(f"fields.points: expected a range within the {stored} points stored in {data.path}, got {wanted}")
        return data

    def process(self, statistics: ShapeStatistics) -> Joint:
        return Joint({"pos": Gaussian(self.fields.pos, Centered(), max(statistics.coordinate_std, 0.01))})

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        low, high = np.log(self.fields.points)
        device, share = batch.mask.device, coin(generator)
        count = min(batch.mask.shape[1], round(float(np.exp(low + share * (high - low)))))
        chosen = torch.randperm(batch.mask.shape[1], generator=generator, device=device)[:count]
        mask = batch.mask[:, chosen]
        return Batch({"pos": center(batch["pos"][:, chosen], mask)}, mask, batch.labels)

    def empty(self, sizes: Sequence[int], statistics: ShapeStatistics) -> Batch:
        mask = mask_of(sizes)
        return Batch({"pos": torch.zeros(*mask.shape, 3, dtype=torch.float32)}, mask)

    def encode(self, items: Sequence[Shape], statistics: ShapeStatistics, first: int = 1) -> Batch:
        given = given_points(items, statistics.up, statistics.normalisation, first)
        clouds = [torch.from_numpy(points).to(torch.float32) for points in given]
        mask = mask_of([len(cloud) for cloud in clouds])
        return Batch({"pos": center(pad_sequence(clouds, batch_first=True), mask)}, mask)

    def decode(self, batch: Batch, statistics: ShapeStatistics) -> list[Shape]:
        return [Shape(sample["pos"].cpu().numpy().astype(np.float64), up=statistics.up) for sample in batch.split()]

    def doubt(self, sizes: Sequence[int], statistics: ShapeStatistics) -> str:
        few = [n for n in sizes if n < self.fields.points[0] // 2]
        return f"{few[0]} points are fewer than half of the fewest in training ({self.fields.points[0]})" if few else ""

    def guides(self, statistics: ShapeStatistics) -> tuple[Guide, ...]:
        return ()
