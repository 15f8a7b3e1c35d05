"""Evaluation of shapes: a set of samples beside held-out real shapes, with the training set in the row above.

Sets are cut at random to one size n, clouds to one number of points, centred, and divided by one number for all of them: the root mean
square coordinate of the reference. A figure of a set is a mean over its items, so that resampling the items gives its interval.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from molgen.errors import InputError
from molgen.evaluate.summary import Figure, Summary
from molgen.evaluate.tables import Column, Group
from molgen.packing import part_of
from molgen.shapes.data import PackedShapes
from molgen.shapes.export import read_cloud
from molgen.shapes.fields import Axis
from molgen.shapes.metrics import (
    CHAMFER,
    EARTH_MOVERS,
    LARGEST_ASSIGNMENT,
    Distance,
    distance_matrix,
    in_one_piece,
    interval,
    mesh_checks,
    points_to_surface,
    set_figures,
)
from molgen.shapes.prepare.clouds import Clouds
from molgen.shapes.prepare.meshes import load_mesh, sample
from molgen.shapes.prepare.records import Rejected, choose
from molgen.shapes.recognise import SUFFIXES
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
class ShapeSet:
    """Clouds of one size, centred, with their names, and what those that came from a mesh told about it."""

    name: str
    clouds: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    up: str = ""
    found: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    checks: list[dict[str, float] | None] = field(default_factory=list)


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


def read_set(path: Path, settings: ShapeSettings, limit: int, part: str = "train", up: Axis = "z") -> ShapeSet:
    """Reads a random choice of at most ``limit`` shapes.

    Args:
        path: a packed data set, an .npz of clouds, a file of one shape, or a folder of meshes and clouds at any depth.
        settings: points, scale and seed.
        limit: how many.
        part: of a data set with a split, `train` or `valid` (`test` where there is none).
        up: axis that points up in the sets, to which a .glb is turned; "" leaves it as it is.

    Raises:
        InputError: nothing is there, nothing can be used, or fewer points are stored than needed.
    """
    rng = np.random.default_rng([settings.seed, 0])
    folder = part_of(path, part)
    if folder is not None:
        data = PackedShapes(folder)
        found = ShapeSet(path.name, up=data.statistics.up, found=len(data))
        chosen = np.sort(rng.permutation(len(data))[:limit])
        batch = data.batch(chosen, settings.points, rng)
        names = data.names
        for cloud, index in zip(batch["pos"].numpy().astype(np.float64), chosen, strict=True):
            _add(found, names[index], cloud, None, settings)
        return found
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; expected shapes (.npz, {', '.join(SUFFIXES)}), a folder of them, or a packed data set"
        )
    _clouds.cache_clear()  # a file may have been written anew since it was read
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*SUFFIXES, ".npz")) if path.is_dir() else [path]
    entries = [(file, index) for file in files for index in (range(len(_clouds(file))) if file.suffix.lower() == ".npz" else [0])]
    found = ShapeSet(path.name, found=len(entries))
    for number in np.sort(rng.permutation(len(entries))[:limit]):
        file, index = entries[number]
        name = str(file.relative_to(path)) if path.is_dir() else file.name
        try:
            cloud, checks = _read(file, index, up, settings, np.random.default_rng([settings.seed, 1, number]))
        except Rejected as reason:
            found.rejected[str(reason)] += 1
            continue
        _add(found, name if file.suffix.lower() != ".npz" else f"{name} {index + 1}", cloud, checks, settings)
    if not found.clouds:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.rejected.most_common(3)) or "no shape files"
        raise InputError(
            f"{path}: no usable shape ({reasons}); expected clouds of at least {settings.points} points (see --points), or meshes"
        )
    return found


@lru_cache(maxsize=1)
def _clouds(file: Path) -> np.ndarray:
    """The points (S, P, 3) of a file; the last one is kept, as all of its clouds are read one after the other."""
    return Clouds(file).arrays["points"]


def _read(
    file: Path, index: int, up: Axis, settings: ShapeSettings, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, float] | None]:
    if file.suffix.lower() == ".npz":
        return choose(_clouds(file)[index], None, settings.points, rng).points, None
    try:
        mesh = load_mesh(file, up)
    except Rejected as reason:
        if str(reason) != "no faces" or file.suffix.lower() != ".ply":
            raise
        return choose(read_cloud(file)[0], None, settings.points, rng).points, None
    cloud = sample(mesh, settings.points, rng).points
    mesh.merge_vertices()
    checks = {name: float(value) for name, value in mesh_checks(mesh).items()}
    return cloud, {**checks, "gap": float(points_to_surface(cloud[:256], mesh).max())}


def _add(found: ShapeSet, name: str, cloud: np.ndarray, checks: dict[str, float] | None, settings: ShapeSettings) -> None:
    cloud = cloud - cloud.mean(0)
    if settings.rescale:
        cloud = cloud / np.linalg.norm(cloud, axis=1).max()
    found.clouds.append(cloud)
    found.names.append(name)
    found.checks.append(checks)


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
    sets = [read_set(place, settings, settings.limit, part, up) for place, part in places]
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
    nearest: list[tuple[int, float]] = []
    for key, title, distance, points in distances:
        cut = [[cloud[:points] for cloud in some] for some in clouds]
        rr = _matrix(distance, cut[1], None, f"{title}: reference", progress)
        to_reference = {}
        for number in scored:
            sr = to_reference[number] = _matrix(distance, cut[number], cut[1], f"{title}: {sets[number].name} to reference", progress)
            ss = _matrix(distance, cut[number], None, f"{title}: {sets[number].name}", progress)
            for name, values in set_figures(ss, sr, rr).items():
                figures[number][f"{key}_{name}"] = Figure(*interval(values, seed=settings.seed))
            if number == 0 and not nearest:
                nearest = [(int(row.argmin()), float(row.min())) for row in sr]
        groups.append(_group(key, title, points, settings))
        if train:
            own = _matrix(distance, cut[0], cut[2], f"{title}: to training", progress).min(1)
            figures[0][f"{key}_train"] = Figure(*interval(own, seed=settings.seed))
            figures[2][f"{key}_train"] = Figure(*interval(to_reference[2].min(0), seed=settings.seed))
    for number in scored:
        figures[number]["whole"] = Figure(*interval(np.array([in_one_piece(cloud) for cloud in sets[number].clouds])))
        figures[number] |= _mesh_figures([checks for checks in sets[number].checks if checks])
    summaries = [_summary(one, found, count, settings, time.perf_counter() - start) for one, found in zip(sets, figures, strict=True)]
    return ShapeEvaluation(
        samples=summaries[0],
        real=summaries[2] if train else None,
        groups=(*groups, CLOUDS, MESHES),
        shown=sets[0],
        nearest=nearest,
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
    scale = "squared, " if key == "cd" else ""
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
                "from each sample to its nearest training shape; in the real row, from each held-out shape",
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
    if count < one.found:
        summary.notes = [f"{one.name}: {count} of {one.found} shapes, chosen with seed {settings.seed}"]
    return summary
