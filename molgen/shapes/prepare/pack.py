"""Writing one part of a packed data set of shapes in constant memory."""

import json
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molgen.errors import InputError
from molgen.packing import ArrayFile
from molgen.shapes.fields import Axis, Normalisation, ShapeStatistics
from molgen.shapes.prepare.block import Block
from molgen.shapes.prepare.records import Entry, Source
from molgen.shapes.text import TextStatistics, embed
from molgen.statistics import Label, moments


@dataclass
class Table:
    """What is small enough to stay in memory: one row for each kept shape."""

    kept: list[Entry] = field(default_factory=list)
    radius: list[float] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)

    def append(self, block: Block, entries: list[Entry]) -> None:
        """Adds the shapes of a block of these records."""
        self.kept += [entries[number] for number in block.index.tolist()]
        self.radius += block.radius.tolist()
        self.captions += block.captions.tolist()


def write_part(
    folder: Path,
    blocks: Iterable[Block],
    mask: np.ndarray,
    table: Table,
    source: Source,
    points: int,
    normalisation: Normalisation,
    text: bool,
    up: Axis,
) -> ShapeStatistics:
    """Writes the shapes where ``mask`` (kept,) is true and returns their statistics.

    Raises:
        InputError: sizes differ so much that one scale does not fit all.
    """
    folder.mkdir(exist_ok=True)
    everywhere = float(np.median(table.radius))
    squares, labels, centres, scales = 0.0, [], [], []
    start = 0
    with ExitStack() as stack:
        clouds = stack.enter_context(closing(ArrayFile(folder / "points.npy", np.float16, (points, 3))))
        normals = stack.enter_context(closing(ArrayFile(folder / "normals.npy", np.int8, (points, 3))))
        for block in blocks:
            own = mask[start : start + len(block.index)]
            start += len(block.index)
            radius = block.radius[own]
            scale = np.full(len(radius), everywhere) if normalisation == "global" else radius
            cloud = (block.points[own] * (radius / scale)[:, None, None]).astype(np.float16)
            if not np.isfinite(cloud).all():
                raise InputError("sizes of shapes differ by more than 10,000; use --normalise shape")
            squares += float(np.square(cloud.astype(np.float64) - cloud.mean(1, keepdims=True, dtype=np.float64)).sum())
            clouds.append(cloud)
            normals.append(block.normals[own])
            labels.append(block.labels[own])
            centres.append(block.centre[own])
            scales.append(scale)
    rows = np.flatnonzero(mask).tolist()
    used = {entry.category for entry in table.kept}
    classes = tuple(name for name in source.categories() if name in used)
    category = np.array([classes.index(name) if (name := table.kept[k].category) in classes else -1 for k in rows], np.int16)
    arrays = {"category": category, "labels": np.concatenate(labels), "centre": np.concatenate(centres), "scale": np.concatenate(scales)}
    captions = [table.captions[k] for k in rows]
    if text:
        arrays["text"] = embed(captions).astype(np.float16)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    for name, lines in (("names", [table.kept[k].name for k in rows]), ("captions", captions)):
        (folder / f"{name}.txt").write_text("".join(f"{' '.join(line.split())}\n" for line in lines), encoding="utf-8")
    found = ShapeStatistics(
        num_shapes=len(rows),
        num_points=points,
        categories=classes,
        category_counts=tuple(int(count) for count in np.bincount(category[category >= 0], minlength=len(classes))),
        coordinate_std=float(np.sqrt(squares / (3 * points * len(rows)))),
        normalisation=normalisation,
        scale=float(np.median(arrays["scale"])),
        up=up,
        labels=tuple(Label(name, "", **moments(column)) for name, column in zip(source.label_names, arrays["labels"].T, strict=True)),
        captions=source.captioned(),
        text=TextStatistics.of(captions, arrays["text"]) if text else None,
    )
    (folder / "statistics.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    return found
