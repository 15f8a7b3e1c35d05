"""Prepare: source -> records (in worker processes) -> one packed data set, or one for each part of a split.

Shape k of a source gets its points from a random generator of (seed, k) alone, whatever the number of processes. Records are appended
in the order of the source; the frame of every shape is settled in a second pass, when the global scale is known. OUT appears whole or not
at all.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from molgen import __version__
from molgen.errors import InputError
from molgen.files import atomic_folder, sha256
from molgen.packing import ArrayFile, Split, whole
from molgen.shapes.fields import Normalisation, ShapeLabel, ShapeStatistics
from molgen.shapes.prepare.pool import Reader, outcomes
from molgen.shapes.prepare.records import Entry, Source
from molgen.shapes.text import TextStatistics, embed

ROWS = 256  # shapes that a pass over the points holds in memory


@dataclass
class Summary:
    """What happened: counts, the statistics of every part, seconds."""

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first: str = ""  # the first rejected record and its reason
    seconds: float = 0.0
    statistics: dict[str, ShapeStatistics] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Records that became shapes."""
        return self.read - sum(self.rejected.values())


def prepare(
    source: Source,
    out: Path,
    *,
    points: int = 2048,
    normalisation: Normalisation = "shape",
    split: Split | None = whole,
    split_name: str = "none",
    seed: int = 0,
    licence: str = "",
    text: bool = False,
    workers: int = 1,
    progress: Callable[[int, int, int], None] = lambda done, size, kept: None,
) -> Summary:
    """Writes the packed data set `out`.

    Args:
        source: where shapes come from.
        out: folder to write; must not exist or be empty.
        points: to draw from every surface.
        normalisation: "shape" scales every shape to the unit sphere, "global" all of them by one factor.
        split: divides the kept records into parts; None for the parts that the source names.
        split_name: the split in words, for the card.
        seed: of the points.
        licence: of the data, for the card.
        text: store the vectors of the captions as well.
        workers: processes.
        progress: called after every chunk with records done, their total, and records kept.

    Raises:
        InputError: the source cannot be used, or no record survives.
        RunError: a worker process died.
    """
    start = time.perf_counter()
    if points < 1:
        raise InputError(f"--points {points}: expected at least 1")
    if text:
        if not source.captioned():
            raise InputError("--text: the source has no captions")
        embed(["a shape"])  # tells before the work that the encoder is missing
    entries = list(source.entries())
    summary = Summary()
    with atomic_folder(out) as folder:
        kept, table = _collect(Reader(source, points, seed), entries, folder, summary, workers, progress)
        parts = (split or _official(kept))(np.arange(len(kept)))
        empty = [part for part, mask in parts.items() if not mask.any()]
        if empty:
            raise InputError(f"split: part {empty[0]!r} gets no shape; prepare more shapes or give it a larger share")
        factor = float(np.median(table.radius)) if normalisation == "global" else 1.0
        scale = np.full(len(kept), factor) if normalisation == "global" else table.radius
        for part, mask in parts.items():
            found = _write(folder, part, np.flatnonzero(mask), kept, table, scale, source, points, normalisation, text)
            summary.statistics[part] = found
            own = {"part": part, "shapes": found.num_shapes} if part else {}
            card = {**source.describe(), "licence": licence or "unknown", "points": points, "normalisation": normalisation, "seed": seed,
                    "split": split_name, **own, "records": summary.read, "kept": summary.kept,
                    "rejected": dict(summary.rejected.most_common())}  # fmt: skip
            card["arrays_sha256"] = {path.name: sha256(path) for path in sorted((folder / part).glob("*.npy")) if "raw" not in path.name}
            card["molgen"] = __version__
            (folder / part / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
        for name in ("raw_points.npy", "raw_normals.npy"):
            (folder / name).unlink()
    summary.seconds = time.perf_counter() - start
    return summary


@dataclass
class _Table:
    """What is small enough to stay in memory: one row for each kept shape."""

    centre: np.ndarray
    radius: np.ndarray
    labels: np.ndarray
    captions: list[str]


def _collect(
    reader: Reader, entries: list[Entry], folder: Path, summary: Summary, workers: int, progress: Callable[[int, int, int], None]
) -> tuple[list[Entry], _Table]:
    names = reader.source.label_names
    kept: list[Entry] = []
    frames: list[np.ndarray] = []
    labels: list[list[float]] = []
    captions: list[str] = []
    with ExitStack() as stack:
        clouds = stack.enter_context(closing(ArrayFile(folder / "raw_points.npy", np.float32, (reader.points, 3))))
        normals = stack.enter_context(closing(ArrayFile(folder / "raw_normals.npy", np.int8, (reader.points, 3))))
        for chunk, found in outcomes(reader, entries, workers):
            for (number, entry), outcome in zip(chunk, found, strict=True):
                summary.read += 1
                if isinstance(outcome, str):
                    summary.rejected[outcome] += 1
                    summary.first = summary.first or f"record {number + 1} ({entry.name}): {outcome}"
                    continue
                clouds.append(((outcome.points - outcome.centre) / outcome.radius)[None])
                directions = np.zeros_like(outcome.points) if outcome.normals is None else outcome.normals
                normals.append(np.rint(127 * directions.clip(-1, 1))[None])
                kept.append(entry)
                frames.append(np.append(outcome.centre, outcome.radius))
                labels.append([outcome.labels.get(name, np.nan) for name in names])
                captions.append(" ".join(outcome.caption.split()))
            progress(summary.read, len(entries), summary.kept)
    if not kept:
        raise InputError(f"{reader.source.describe()['source']}: none of {summary.read} records can be used; first: {summary.first}")
    frame = np.array(frames)
    return kept, _Table(frame[:, :3], frame[:, 3], np.array(labels, np.float32).reshape(len(kept), len(names)), captions)


def _official(kept: list[Entry]) -> Split:
    """The parts that the source names."""
    parts = [entry.part for entry in kept]
    if not all(parts):
        lost = kept[parts.index("")].name
        raise InputError(f"--split official: {lost} lies in no folder 'train', 'valid' or 'test'; give fractions such as 0.8,0.1,0.1")
    return lambda index: {part: np.array([parts[k] == part for k in index]) for part in dict.fromkeys(parts)}


def _write(
    folder: Path,
    part: str,
    rows: np.ndarray,
    kept: list[Entry],
    table: _Table,
    scale: np.ndarray,
    source: Source,
    points: int,
    normalisation: Normalisation,
    text: bool,
) -> ShapeStatistics:
    """Writes one part of the split and returns its statistics."""
    (folder / part).mkdir(exist_ok=True)
    clouds, normals = (np.load(folder / f"raw_{name}.npy", mmap_mode="r") for name in ("points", "normals"))
    squares = 0.0
    with ExitStack() as stack:
        new_clouds = stack.enter_context(closing(ArrayFile(folder / part / "points.npy", np.float16, (points, 3))))
        new_normals = stack.enter_context(closing(ArrayFile(folder / part / "normals.npy", np.int8, (points, 3))))
        for some in np.array_split(rows, -(-len(rows) // ROWS)):
            block = (clouds[some] * (table.radius / scale)[some, None, None]).astype(np.float16)
            if not np.isfinite(block).all():
                raise InputError("sizes of shapes differ by more than 10,000; use --normalise shape")
            squares += float(np.square(block.astype(np.float64) - block.mean(1, keepdims=True, dtype=np.float64)).sum())
            new_clouds.append(block)
            new_normals.append(normals[some])
    classes = source.categories()
    category = np.array([classes.index(kept[k].category) if kept[k].category in classes else -1 for k in rows], np.int16)
    arrays = {"category": category, "labels": table.labels[rows], "centre": table.centre[rows], "scale": scale[rows]}
    captions = [table.captions[k] for k in rows]
    if text:
        arrays["text"] = embed(captions).astype(np.float16)
    for name, array in arrays.items():
        np.save(folder / part / f"{name}.npy", array)
    for name, lines in (("names", [kept[k].name for k in rows]), ("captions", captions)):
        (folder / part / f"{name}.txt").write_text("".join(f"{' '.join(line.split())}\n" for line in lines), encoding="utf-8")
    found = ShapeStatistics(
        num_shapes=len(rows),
        num_points=points,
        categories=classes,
        category_counts=tuple(int(count) for count in np.bincount(category[category >= 0], minlength=len(classes))),
        coordinate_std=float(np.sqrt(squares / (3 * points * len(rows)))),
        normalisation=normalisation,
        scale=float(np.median(scale[rows])),
        up=source.up,
        labels=tuple(_label(name, column) for name, column in zip(source.label_names, table.labels[rows].T, strict=True)),
        captions=source.captioned(),
        text=TextStatistics.of(captions, arrays["text"]) if text else None,
    )
    (folder / part / "statistics.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n")
    return found


def _label(name: str, column: np.ndarray) -> ShapeLabel:
    known = column[np.isfinite(column)].astype(np.float64)
    if not len(known):
        return ShapeLabel(name, "", 0, 0.0, 0.0, 0.0, 0.0)
    return ShapeLabel(name, "", len(known), float(known.mean()), float(known.std()), float(known.min()), float(known.max()))
