"""Evaluation of shapes: a set of samples beside held-out real shapes, with the training set in the row above.

Sets are cut at random to one size n, clouds to one number of points, centred, and divided by one number for all of them: the root mean
square coordinate of the reference. Distances to training are those to the nearest of all training shapes, not only of n. A figure of a set
is a mean over its items: a share has the exact binomial interval, others that of resampled items.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molgen.errors import InputError
from molgen.evaluate.data import Progress
from molgen.evaluate.nearest import nearest
from molgen.evaluate.shape_sets import ShapeSet, Shelf, doubts_of, rms
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
    up = _up([reference, *([train] if train else []), *paths])

    def shelf(place: Path, part: str = "valid") -> Shelf:
        return Shelf(place, settings.points, settings.seed, part=part, up=up, rescale=settings.rescale)

    shelves, number = [*map(shelf, paths), shelf(reference), *([shelf(train, "train")] if train else [])], len(paths)
    sets = [one.choice(settings.limit) for one in shelves]
    scale = rms(sets[number])
    doubts = [doubts_of(one, sets[number], scale) for one in sets]
    _cut(sets, settings.seed)
    compared = [ComparedSet(one, [cloud / scale for cloud in one.clouds]) for one in sets]
    samples, real, training = compared[:number], compared[number], compared[number + 1 :]
    scored = [*samples, *training]
    distances = [_Measure("cd", "Chamfer", CHAMFER, settings.points, factor=1e3)]
    if settings.emd:
        distances.append(_Measure("emd", "earth mover's", EARTH_MOVERS, settings.emd))
    for measure in distances:
        _to_reference(measure, scored, real, settings.seed, progress)
    if training:
        whole = progress((cloud / scale for cloud in shelves[-1].clouds()), "all training shapes", len(shelves[-1]))
        _to_training(distances, [*samples, real], whole, settings.seed)
        training[0].figures |= real.figures  # in its row those of held-out shapes
    for one in scored:
        one.figures["whole"] = _mean(np.array([in_one_piece(cloud) for cloud in one.shapes.clouds]))
        one.figures |= _mesh_figures([item.checks for item in one.shapes.items if item.checks])
    seconds = time.perf_counter() - start
    groups = (*(_group(measure, settings) for measure in distances), CLOUDS, MESHES)
    beside = _summary(training[0], settings, seconds, []) if training else None
    told = [line for lines in doubts[number + 1 :] for line in lines]
    return [
        ShapeEvaluation(_summary(one, settings, seconds, [*own, *told]), beside, groups, one.shapes, one.nearest, real.shapes, settings)
        for one, own in zip(samples, doubts, strict=False)
    ]


@dataclass
class ComparedSet:
    """A set, its clouds in root mean square coordinates of the reference, and what is found about it.

    Args:
        shapes: of the set.
        clouds: theirs, scaled.
        figures: by name.
        nearest: reference nearest to each shape by Chamfer distance, and how far it is.
    """

    shapes: ShapeSet
    clouds: list[np.ndarray]
    figures: dict[str, Figure] = field(default_factory=dict)
    nearest: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class _Measure:
    """A distance of clouds: its key in names of figures, its title, the points that it takes, and the number of its units in one."""

    key: str
    title: str
    distance: Distance
    points: int
    factor: float = 1.0


def _cut(sets: list[ShapeSet], seed: int) -> None:
    """Cuts sets at random to as many shapes as the smallest has.

    Raises:
        InputError: it has fewer than two.
    """
    smallest = min(sets, key=lambda one: len(one.items))
    count = len(smallest.items)
    if count < 2:
        raise InputError(f"{smallest.name}: a comparison needs at least two shapes in every set, got {count}")
    for one in sets:
        chosen = np.sort(np.random.default_rng([seed, 2]).permutation(len(one.items))[:count])
        one.items = [one.items[k] for k in chosen]


def _to_reference(measure: _Measure, scored: list[ComparedSet], real: ComparedSet, seed: int, progress: Progress) -> None:
    """Adds the figures of sets beside the reference."""
    references = [cloud[: measure.points] for cloud in real.clouds]

    def matrix(first: list[np.ndarray], second: list[np.ndarray] | None, label: str) -> np.ndarray:
        label = f"{measure.title}: {label}"
        return distance_matrix(measure.distance, first, second, available_cores(), lambda rows: progress(rows, label, len(first)))

    rr = matrix(references, None, "reference")
    for one in scored:
        clouds, name = [cloud[: measure.points] for cloud in one.clouds], one.shapes.name
        sr, ss = matrix(clouds, references, f"{name} to reference"), matrix(clouds, None, name)
        found = set_figures(ss, sr, rr)
        one.figures[f"{measure.key}_mmd"] = _mean(found["mmd"], seed, measure.factor)
        one.figures[f"{measure.key}_coverage"] = _mean(found["coverage"], seed)
        one.figures[f"{measure.key}_nna"] = Figure(*nearest_neighbour_interval(ss, sr, rr))
        one.nearest = one.nearest or [(int(row.argmin()), float(row.min())) for row in sr]  # by Chamfer distance, which is the first


def _to_training(measures: list[_Measure], sets: list[ComparedSet], training: Iterable[np.ndarray], seed: int) -> None:
    """Adds the distances of sets to the nearest of all training shapes; which that is, the Chamfer distance tells."""
    both = [cloud for one in sets for cloud in one.clouds]
    shortest, ends = nearest(both, training, available_cores())
    for measure in measures:
        if measure.distance is CHAMFER:
            values = shortest
        else:
            cuts = ((one[: measure.points], other[: measure.points]) for one, other in zip(both, ends, strict=True))
            values = np.array([earth_movers(one, other) for one, other in cuts])
        for one, some in zip(sets, values.reshape(len(sets), -1), strict=True):
            one.figures[f"{measure.key}_train"] = _mean(some, seed, measure.factor)


def _mean(values: np.ndarray, seed: int = 0, factor: float = 1.0) -> Figure:
    """The mean of values (n,) times a factor with its interval."""
    value, low, high = interval(values, seed=seed)
    return Figure(factor * value, factor * low, factor * high)


def _up(places: list[Path]) -> Axis:
    """The axis that points up in the first packed data set, z where none is packed."""
    packed = (part_of(place) for place in places)
    return next((PackedShapes(folder).statistics.up for folder in packed if folder is not None), "z")


def _group(measure: _Measure, settings: ShapeSettings) -> Group:
    key, title, points = measure.key, measure.title, measure.points
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


def _summary(one: ComparedSet, settings: ShapeSettings, seconds: float, doubts: list[str]) -> Summary:
    shapes, count = one.shapes, len(one.clouds)
    unusable = shapes.rejected.total()
    others = f"; {unusable} others cannot be used" * bool(unusable)
    chosen = f"{shapes.name}: {count} of {shapes.found} shapes, chosen with seed {settings.seed}{others}"
    reasons = {"reading": dict(shapes.rejected.most_common())} if unusable else {}
    notes = [chosen] if count + unusable < shapes.found else []
    return Summary(shapes.name, count, count, one.figures, reasons, notes + doubts, seconds)
