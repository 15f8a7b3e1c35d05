"""Evaluation of shapes: a set of samples beside held-out real shapes, with the training set in the row above.

Sets are cut at random to one size n, clouds to one number of points, centred, and divided by one number for all of them: the root mean
square coordinate of the reference. Distances to training are those to the nearest of all training shapes, not only of n. A figure of a set
is a mean over its items, so that resampling the items gives its interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molgen.errors import InputError
from molgen.evaluate.nearest import nearest
from molgen.evaluate.shape_sets import ShapeSet, Shelf
from molgen.evaluate.summary import Figure, Summary
from molgen.evaluate.tables import Column, Group
from molgen.packing import part_of
from molgen.shapes.data import PackedShapes
from molgen.shapes.fields import Axis
from molgen.shapes.metrics import (
    CHAMFER,
    EARTH_MOVERS,
    LARGEST_ASSIGNMENT,
    Distance,
    distance_matrix,
    earth_movers,
    in_one_piece,
    interval,
    set_figures,
)
from molgen.workers import available_cores

Progress = Callable[[Iterable, str, int | None], Iterable]


@dataclass(frozen=True, kw_only=True)
class ShapeSettings:
    """How to evaluate.

    Args:
        points: of every cloud.
        limit: shapes of each set at most.
        emd: points of the clouds between which the earth mover's distance is computed; 0 leaves it out. 2,048 is the exact protocol,
            fewer are a named approximation.
        rescale: scale every shape to the unit sphere first, for meshes of arbitrary size.
        seed: of all choices.
    """

    points: int = 2048
    limit: int = 100
    emd: int = 0
    rescale: bool = False
    seed: int = 0


@dataclass
class ShapeEvaluation:
    """The outcome: figures of the samples and of the training set, and what a gallery shows."""

    samples: Summary
    real: Summary | None
    groups: tuple[Group, ...]
    shown: ShapeSet
    nearest: list[tuple[int, float]]
    reference: ShapeSet
    settings: ShapeSettings


def evaluate_shapes(path: Path, reference: Path, train: Path | None, settings: ShapeSettings, progress: Progress) -> ShapeEvaluation:
    """Compares samples, and the training set where it is given, with held-out shapes.

    Lengths are in units of the root mean square coordinate of the reference; squared Chamfer distances are told in 1e-3 of their unit.

    Args:
        path: samples: a folder of clouds or meshes, an .npz file or a packed data set.
        reference: held-out shapes, likewise.
        train: training shapes, likewise; they are scored as if they were samples.
        settings: how.
        progress: wraps an iterable of results to show how far it is.

    Raises:
        InputError: a set cannot be read, or holds fewer than two shapes.
    """
    start = time.perf_counter()
    if not 0 <= settings.emd <= min(settings.points, LARGEST_ASSIGNMENT):
        raise InputError(f"--emd {settings.emd}: expected 0 to {min(settings.points, LARGEST_ASSIGNMENT)} points")
    places = ((path, "valid"), (reference, "valid"), *([(train, "train")] if train else []))
    up = _up([reference, *([train] if train else []), path])
    shelves = [Shelf(place, settings.points, settings.seed, part=part, up=up, rescale=settings.rescale) for place, part in places]
    sets = [shelf.choice(settings.limit) for shelf in shelves]
    count = min(len(one.clouds) for one in sets)
    if count < 2:
        small = min(sets, key=lambda one: len(one.clouds))
        raise InputError(f"{small.name}: a comparison needs at least two shapes in every set, got {count}")
    scale = float(np.sqrt(np.mean([np.square(cloud).mean() for cloud in sets[1].clouds])))
    for one in sets:
        chosen = np.sort(np.random.default_rng([settings.seed, 2]).permutation(len(one.clouds))[:count])
        one.clouds, one.names, one.checks = ([each[k] for k in chosen] for each in (one.clouds, one.names, one.checks))
    clouds = [[cloud / scale for cloud in one.clouds] for one in sets]
    distances: list[tuple[str, str, Distance, int]] = [("cd", "Chamfer", CHAMFER, settings.points)]
    if settings.emd:
        distances.append(("emd", "earth mover's", EARTH_MOVERS, settings.emd))
    figures: list[dict[str, Figure]] = [{} for _ in sets]
    scored = [k for k in range(len(sets)) if k != 1]
    groups = []
    pairs: list[tuple[int, float]] = []
    for key, title, distance, points in distances:
        cut = [[cloud[:points] for cloud in some] for some in clouds]
        rr = _matrix(distance, cut[1], None, f"{title}: reference", progress)
        for number in scored:
            sr = _matrix(distance, cut[number], cut[1], f"{title}: {sets[number].name} to reference", progress)
            ss = _matrix(distance, cut[number], None, f"{title}: {sets[number].name}", progress)
            for name, values in set_figures(ss, sr, rr).items():
                figures[number][f"{key}_{name}"] = Figure(*interval(values, seed=settings.seed))
            if number == 0 and not pairs:
                pairs = [(int(row.argmin()), float(row.min())) for row in sr]
        groups.append(_group(key, title, points, settings))
    if train:
        whole = progress((cloud / scale for cloud in shelves[2].clouds()), "all training shapes", len(shelves[2]))
        own, found = nearest([*clouds[0], *clouds[1]], whole, available_cores())
        to_train = {"cd": own}
        if settings.emd:
            ends = zip([*clouds[0], *clouds[1]], found, strict=True)
            to_train["emd"] = np.array([earth_movers(one[: settings.emd], other[: settings.emd]) for one, other in ends])
        for key, values in to_train.items():
            figures[0][f"{key}_train"] = Figure(*interval(values[:count], seed=settings.seed))
            figures[2][f"{key}_train"] = Figure(*interval(values[count:], seed=settings.seed))
    for number in scored:
        figures[number]["whole"] = Figure(*interval(np.array([in_one_piece(cloud) for cloud in sets[number].clouds])))
        figures[number] |= _mesh_figures([checks for checks in sets[number].checks if checks])
    summaries = [_summary(one, found, count, settings, time.perf_counter() - start) for one, found in zip(sets, figures, strict=True)]
    return ShapeEvaluation(
        samples=summaries[0],
        real=summaries[2] if train else None,
        groups=(*groups, CLOUDS, MESHES),
        shown=sets[0],
        nearest=pairs,
        reference=sets[1],
        settings=settings,
    )


def _up(places: list[Path]) -> Axis:
    """The axis that points up in the first packed data set, z where none is packed."""
    packed = (part_of(place) for place in places)
    return next((PackedShapes(folder).statistics.up for folder in packed if folder is not None), "z")


def _matrix(distance: Distance, first: list[np.ndarray], second: list[np.ndarray] | None, label: str, progress: Progress) -> np.ndarray:
    return distance_matrix(distance, first, second, available_cores(), lambda rows: progress(rows, label, len(first)))


def _group(key: str, title: str, points: int, settings: ShapeSettings) -> Group:
    approximate = f", approximated on {points} points" if points < settings.points else f" on {points} points"
    unit, digits = ("1e-3", 2) if key == "cd" else ("", 4)
    scale, near = ("squared, ", "") if key == "cd" else ("", " by Chamfer distance")
    return Group(
        f"{title[0].upper()}{title[1:]} distance{approximate} ({scale}in root mean square coordinates of the reference)",
        (
            Column(
                f"{key}_nna",
                "1-NNA",
                meaning="nearest other cloud from the own set: 50 is ideal, 0 are copies, 100 tells the sets apart",
                better="",
            ),
            Column(f"{key}_coverage", "coverage", meaning="references that are nearest to some sample; 63 for equal large sets"),
            Column(f"{key}_mmd", "MMD", unit, digits, "low", "from each reference to its nearest sample"),
            Column(
                f"{key}_train",
                "to training",
                unit,
                digits,
                "",
                f"from each sample to the nearest of all training shapes{near}, 0 for copies; in the real row, from each held-out shape",
            ),
        ),
    )


CLOUDS = Group("Clouds", (Column("whole", "in one piece", meaning="points hang together, no broken leg, no loose handle"),))
MESHES = Group(
    "Meshes",
    (
        Column("watertight", "watertight", meaning="every edge has two faces"),
        Column("consistent", "one winding", meaning="neighbouring faces are wound the same way"),
        Column("outwards", "faces outwards", meaning="of watertight ones: faces are wound so that they enclose a volume, not a void"),
        Column("one_body", "in one piece", meaning="faces hang together"),
        Column("euler", "Euler number", "", 1, "", "vertices - edges + faces; 2 for a ball, 0 for a ring"),
        Column("volume", "volume", "", 4, "", "of watertight ones, units of the file"),
        Column("gap", "points to surface", "", 6, "low", "largest distance of a drawn point from the surface: checks the referee itself"),
    ),
)


def _mesh_figures(checks: list[dict[str, float]]) -> dict[str, Figure]:
    if not checks:
        return {}
    columns = {name: np.array([check[name] for check in checks]) for name in ("euler", "gap")}
    columns |= {name: np.array([bool(check[name]) for check in checks]) for name in ("watertight", "consistent")}
    columns["one_body"] = np.array([check["bodies"] == 1 for check in checks])
    volume = np.array([check["volume"] for check in checks])
    if np.isfinite(volume).any():
        columns["outwards"] = volume[np.isfinite(volume)] > 0
    found = {name: Figure(*interval(values)) for name, values in columns.items()}
    if np.isfinite(volume).any():
        found["volume"] = Figure(*interval(np.abs(volume[np.isfinite(volume)])))
    return found


def _summary(one: ShapeSet, figures: dict[str, Figure], count: int, settings: ShapeSettings, seconds: float) -> Summary:
    if figures.get("cd_mmd"):
        for name in ("cd_mmd", "cd_train"):
            if name in figures:
                figure = figures[name]
                figures[name] = Figure(1e3 * figure.value, 1e3 * figure.low, 1e3 * figure.high)
    summary = Summary(one.name, count, count)
    summary.figures = figures
    summary.seconds = seconds
    summary.reasons = {"reading": dict(one.rejected.most_common())} if one.rejected else {}
    unusable = one.rejected.total()
    if count + unusable < one.found:
        others = f"; {unusable} others cannot be used" * bool(unusable)
        summary.notes = [f"{one.name}: {count} of {one.found} shapes, chosen with seed {settings.seed}{others}"]
    return summary
