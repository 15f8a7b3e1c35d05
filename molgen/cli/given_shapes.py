"""What ``molgen sample`` is given for models of shapes: a part, a shape to vary, the ends of a way."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from molgen.sample import Model
    from molgen.shapes.fields import Axis
    from molgen.shapes.part import Part
    from molgen.shapes.shape import Shape
    from molgen.shapes.variation import Variation

SAME_SIZE = 0.1  # relative difference of the radius of a shape that nobody is told of


def upward(network: "Model") -> "Axis":
    """Axis that points up in the shapes of a model, "" where unknown."""
    statistics: Any = network.checkpoint.statistics
    return statistics.up


def read(path: Path, network: "Model", own: "Axis", count: int | None = None, whole: int | None = None) -> "np.ndarray":
    """The points of a file in the frame of a model (:func:`molgen.shapes.given.read_points`); ``own`` is its axis that points up, if told.

    Raises:
        InputError: the file is missing or unreadable, or the model does not know which axis points up.
    """
    from molgen.shapes.fields import turning
    from molgen.shapes.given import read_points

    up = upward(network)
    if own and not up:
        raise InputError(f"--given-up {own}: {network.checkpoint.name} does not say which axis points up in its shapes; leave it away")
    return read_points(path, count, own or up, whole) @ turning(own, up).T


def part_of(path: Path, network: "Model", own: "Axis", count: int) -> "Part":
    """The part of shapes of ``count`` points that a file holds, see :func:`read`.

    Raises:
        InputError: the file is missing or unreadable, or its points describe no surface.
    """
    from molgen.shapes.part import Part

    return Part(read(path, network, own, whole=count), path.name)


def variation_of(path: Path, network: "Model", own: "Axis", count: int, strength: float | None) -> "Variation":
    """Variants, of ``count`` points, of the shape of a file, see :func:`read`.

    Raises:
        InputError: the file is missing or unreadable, or has too few points for the model.
    """
    from molgen.shapes.latent import ShapeLatents
    from molgen.shapes.variation import STRENGTH, Variation

    points, scaled = to_unit(read(path, network, own, None if isinstance(network.domain, ShapeLatents) else count))
    if scaled:
        click.echo(f"molgen: note: --around: {path.name} scaled to the unit sphere, the unit of samples", err=True)
    return Variation(points, STRENGTH if strength is None else strength, path.name)


def doubt_pose(option: str, path: Path, points: "np.ndarray", network: "Model", own: "Axis") -> list[str]:
    """Another axis of a file that points up as the model believes, in one line; nothing where ``own`` or the format says which.

    Args:
        option: by which the file is given.
        path: of the file.
        points: (n, 3) of the whole shape in it, as :func:`read` and :func:`to_unit` give them.
        network: the model.
        own: its axis that points up, if told.
    """
    from molgen.sample.pose import likeliest_up

    up = upward(network)
    if own or not up or path.suffix.lower() == ".glb" or (found := likeliest_up(network, points)) == up:
        return []
    fix = "turn it" if found.startswith("-") else f"--given-up {found} turns it"
    return [f"{option} {path}: looks as if {found} pointed up, and in the shapes of the model {up} does; {fix}"]


def to_unit(points: "np.ndarray") -> "tuple[np.ndarray, bool]":
    """A cloud (n, 3) in the unit sphere, and whether its size was another one."""
    from molgen.shapes.points import unit_sphere

    radius = float(((points - points.mean(0)) ** 2).sum(-1).max() ** 0.5)
    return unit_sphere(points), abs(radius - 1) > SAME_SIZE


def way(network: "Model", ends: tuple[Path, Path], own: "Axis", count: int, num: int, steps: int) -> "Iterator[Shape]":
    """Shapes on the way from one file to another, see :func:`read`.

    Raises:
        InputError: a file is missing, unreadable or has too few points, or a shape on the way fails the check.
    """
    from molgen.sample.interpolate import interpolate
    from molgen.shapes.latent import DETAIL, ShapeLatents
    from molgen.shapes.shape import Shape

    up, detail = upward(network), DETAIL if isinstance(network.domain, ShapeLatents) else 0
    given = [to_unit(read(path, network, own, count)) for path in ends]
    scaled = [path.name for path, (_, other) in zip(ends, given, strict=True) if other]
    try:
        for number, points in enumerate(interpolate(network, given[0][0], given[1][0], num, steps)):
            if not number:  # told once the ends have turned out to be of use
                if scaled:
                    click.echo(f"molgen: note: --between: {' and '.join(scaled)} scaled to the unit sphere, the unit of samples", err=True)
                for path, (end, _) in zip(ends, given, strict=True):
                    for line in doubt_pose("--between", path, end, network, own):
                        click.echo(f"molgen: warning: {line}", err=True)
            weight = number / max(1, num - 1)
            told: dict[str, Any] = {"model": network.checkpoint.name, "from": ends[0].name, "to": ends[1].name, "weight": weight}
            yield Shape(points, told, up=up, detail=detail)
    except InputError as error:
        raise InputError(f"--between {ends[0]} {ends[1]}: {error}") from None
