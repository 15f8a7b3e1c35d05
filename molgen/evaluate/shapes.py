"""Evaluation of shapes: a set of samples beside held-out real shapes, with the training set in the row above.

Sets are cut at random to one size n, clouds to one number of points, centred, and divided by one number for all of them: the root mean
square coordinate of the reference. Distances to training are those to the nearest of all training shapes, not only of n. A figure of a set
is a mean over its items: a share has the exact binomial interval, others that of resampled items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
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
    nearest_neighbour_interval,
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
    """Compares one set of samples with held-out shapes, see :func:`evaluate_sets`."""
    (found,) = evaluate_sets([path], reference, train, settings, progress)
    return found


def evaluate_sets(
    paths: Sequence[Path], reference: Path, train: Path | None, settings: ShapeSettings, progress: Progress
) -> list[ShapeEvaluation]:
    """Compares sets of samples, and the training set where it is given, with held-out shapes; all sets are cut to one size.

    Lengths are in units of the root mean square coordinate of the reference; squared Chamfer distances are told in 1e-3 of their unit.

    Args:
        paths: samples: folders of clouds or meshes, .npz files or packed data sets.
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
    own = {f"samples {number}": path for number, path in enumerate(paths)}
    places = {**{name: (path, "valid") for name, path in own.items()}, "reference": (reference, "valid")}
    places |= {"training": (train, "train")} if train else {}
    up = _up([reference, *([train] if train else []), *paths])
    shelves = {
        name: Shelf(place, settings.points, settings.seed, part=part, up=up, rescale=settings.rescale)
        for name, (place, part) in places.items()
    }
    sets = {name: shelf.choice(settings.limit) for name, shelf in shelves.items()}
    smallest = min(sets.values(), key=lambda one: len(one.items))
    count = len(smallest.items)
    if count < 2:
        raise InputError(f"{smallest.name}: a comparison needs at least two shapes in every set, got {count}")
    scale = float(np.sqrt(np.mean([np.square(cloud).mean() for cloud in sets["reference"].clouds])))
    for one in sets.values():
        chosen = np.sort(np.random.default_rng([settings.seed, 2]).permutation(len(one.items))[:count])
        one.items = [one.items[k] for k in chosen]
    clouds = {name: [cloud / scale for cloud in one.clouds] for name, one in sets.items()}
    distances: list[tuple[str, str, Distance, int]] = [("cd", "Chamfer", CHAMFER, settings.points)]
    if settings.emd:
        distances.append(("emd", "earth mover's", EARTH_MOVERS, settings.emd))
    figures: dict[str, dict[str, Figure]] = {name: {} for name in sets if name != "reference"}
    groups = []
    pairs: dict[str, list[tuple[int, float]]] = {}
    for key, title, distance, points in distances:
        cut = {name: [cloud[:points] for cloud in some] for name, some in clouds.items()}
        rr = _matrix(distance, cut["reference"], None, f"{title}: reference", progress)
        for name, found in figures.items():
            sr = _matrix(distance, cut[name], cut["reference"], f"{title}: {sets[name].name} to reference", progress)
            ss = _matrix(distance, cut[name], None, f"{title}: {sets[name].name}", progress)
            found |= {f"{key}_{figure}": _mean(values, settings.seed) for figure, values in set_figures(ss, sr, rr).items()}
            found[f"{key}_nna"] = Figure(*nearest_neighbour_interval(ss, sr, rr))
            pairs.setdefault(name, [(int(row.argmin()), float(row.min())) for row in sr])  # by Chamfer distance, which is the first
        groups.append(_group(key, title, points, settings))
    if train:
        asked = [*own, "reference"]
        both = [cloud for name in asked for cloud in clouds[name]]
        whole = progress((cloud / scale for cloud in shelves["training"].clouds()), "all training shapes", len(shelves["training"]))
        shortest, ends = nearest(both, whole, available_cores())
        to_train = {"cd": shortest}
        if settings.emd:
            cuts = ((one[: settings.emd], other[: settings.emd]) for one, other in zip(both, ends, strict=True))
            to_train["emd"] = np.array([earth_movers(one, other) for one, other in cuts])
        for key, values in to_train.items():
            for name, some in zip(asked, values.reshape(len(asked), count), strict=True):  # of held-out shapes in the real row
                figures["training" if name == "reference" else name][f"{key}_train"] = _mean(some, settings.seed)
    for name, found in figures.items():
        found["whole"] = _mean(np.array([in_one_piece(cloud) for cloud in sets[name].clouds]))
        found |= _mesh_figures([item.checks for item in sets[name].items if item.checks])
    summaries = {name: _summary(sets[name], found, count, settings, time.perf_counter() - start) for name, found in figures.items()}
    return [
        ShapeEvaluation(
            samples=summaries[name],
            real=summaries.get("training"),
            groups=(*groups, CLOUDS, MESHES),
            shown=sets[name],
            nearest=pairs[name],
            reference=sets["reference"],
            settings=settings,
        )
        for name in own
    ]


def _mean(values: np.ndarray, seed: int = 0) -> Figure:
    """The mean of values (n,) with its interval."""
    return Figure(*interval(values, seed=seed))


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
            Column(f"{key}_coverage", "coverage", meaning="references that are nearest to some sample; 55 to 60 for equal large sets"),
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
    found = {name: _mean(values) for name, values in columns.items()}
    if np.isfinite(volume).any():
        found["volume"] = _mean(np.abs(volume[np.isfinite(volume)]))
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
