"""``molgen sample`` for models of shapes: draw clouds and meshes from a model into a folder."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.domains import refuse_idle
from molgen.cli.reasons import tell_reasons
from molgen.cli.requesting import closed, parse_properties
from molgen.cli.stopping import until_stopped
from molgen.counting import counted
from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.sample import Model, Request, Tally
    from molgen.shapes.fields import Axis
    from molgen.shapes.shape import Shape

LARGEST_CLOUD = 100_000
SAME_SIZE = 0.1  # relative difference of the extents of a shape that nobody is told of


def sole(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The value of an option that may be given once.

    Raises:
        click.BadParameter: it is given more often.
    """
    if len(values) > 1:
        raise click.BadParameter(f"is given {len(values)} times: {', '.join(values)}; give one of them", context, option)
    return values[0] if values else None


@click.command()
@click.argument("model")
@click.option("--num", default=16, show_default=True, type=click.IntRange(1), help="Shapes to write.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write, new or empty; or one file .npz or .npy of all clouds (shapes, points, 3).",
)
@click.option(
    "--format",
    "kind",
    default="ply",
    show_default=True,
    type=click.Choice(["ply", "npz", "npy", "xyz", "obj", "glb", "stl", "off"]),
    help="ply, npz, npy and xyz hold points (ply with --mesh a mesh); obj, glb, stl and off hold a closed mesh around them.",
)
@click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    help="Axis that points up in the files; default y in .glb, whose format says so, and that of the training data elsewhere. "
    "Blender and Unity take an .obj for y up, slicers for z.",
)
@click.option(
    "--height",
    type=click.FloatRange(min=0, min_open=True),
    help="Extent of every shape along the axis that points up, such as 450 for mm; its lowest point is put at 0. "
    "Default: the unit sphere of the samples, about its middle.",
)
@click.option("--class", "category", metavar="NAME", multiple=True, callback=sole, help="Class of all shapes; default any.")
@click.option(
    "--text",
    metavar="WORDS",
    multiple=True,
    callback=sole,
    help="Description, such as 'a low table with four legs'; needs the extra 'text'.",
)
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="NAME=VALUE|LOW..HIGH",
    help="Requested number, or a range, of a label that the model was trained with (data.conditions=[legs,...]); repeatable.",
)
@click.option("--points", type=click.IntRange(16, LARGEST_CLOUD), help="Points of a shape; default as many as the training data store.")
@click.option(
    "--steps",
    default=30,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Network calls per shape; twice as many where something is requested, unless --guidance is 1.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same shapes.")
@click.option(
    "--guidance", type=float, help="Strength of the request; 1 is the plain conditional model.  [default: 1 for latent clouds, else 1.5]"
)
@click.option(
    "--complete",
    type=click.Path(path_type=Path),
    help="Cloud that every shape contains, in the unit of samples: its points come back as the first ones, in single precision.",
)
@click.option(
    "--between",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="A B",
    help="Two clouds or meshes: write --num shapes on the way from A to B.",
)
@click.option("--mesh", is_flag=True, help="Put a closed mesh around the points also in .ply files.")
@click.option(
    "--vertices",
    type=click.IntRange(16),
    help="Vertices of a mesh at most, such as 10000 (thin shapes need 6,000); default all of its fine surface, some 80,000.",
)
@click.option("--whole", is_flag=True, help="Write only shapes in one piece; what falls apart, a broken leg, is drawn anew and counted.")
@click.option("--keep-invalid", is_flag=True, help="Write shapes that fail the check as well.")
@click.option("--device", help="torch device; default the GPU if there is one.")
def command(
    model: str,
    num: int,
    out: Path,
    kind: str,
    up: "Axis | None",
    height: float | None,
    category: str | None,
    text: str | None,
    properties: tuple[str, ...],
    points: int | None,
    steps: int,
    seed: int,
    guidance: float | None,
    complete: Path | None,
    between: tuple[Path, Path] | None,
    mesh: bool,
    vertices: int | None,
    whole: bool,
    keep_invalid: bool,
    device: str | None,
) -> None:
    """Sample shapes from MODEL, the name of a model that ships, a run folder or a model.safetensors."""
    from molgen.files import atomic_folder, require_place
    from molgen.sample import Request, Tally, load
    from molgen.shapes.export import CLOUDS, FORMATS, SETS, refuse_placing, write_clouds, write_shape
    from molgen.shapes.surface import TooFewVertices
    from molgen.shapes.text import class_meant, names_another
    from molgen.shapes.whole import Whole

    single = out.suffix.lower() in SETS and not out.is_dir()  # one file of all clouds
    if (suffix := out.suffix.lower().removeprefix(".")) in FORMATS and not single and not out.is_dir():
        raise InputError(f"--out {out}: shapes are written into a folder; give --out {out.with_suffix('')} --format {suffix}")
    if between and (complete or category or text or properties):
        raise InputError("--between: goes with none of --complete, --class, --text and --property; give one of them")
    if whole and (between or complete):
        raise InputError("--whole: goes with neither --complete nor --between; leave it away")
    refuse_idle(
        {
            "guidance": "" if category or text or properties else "does nothing without --class, --text or --property",
            "vertices": "" if mesh or f".{kind}" not in CLOUDS else "does nothing without a mesh; give --mesh or another --format",
            "seed": "does nothing beside --between, which draws nothing at random" if between else "",
            "keep_invalid": "does nothing beside --between, whose shapes all have to pass" if between else "",
            "mesh": f".{kind} files hold points alone; give another --format" if kind in ("npz", "npy", "xyz") else "",
            "kind": f"--out {out} is one file of all clouds; give a folder" if single else "",
        }
    )
    if single and mesh:
        raise InputError(f"--mesh: --out {out} holds points alone; give a folder")
    if single:
        require_place(out)
    wishes: dict[str, Any] = {name: value for name, value in (("category", category), ("text", text)) if value is not None}
    for wish in properties:
        if (name := wish.partition("=")[0].lower()) in ("category", "class", "text"):
            raise InputError(f"--property {name}: is no number; use --{'text' if name == 'text' else 'class'}")
    numbers = parse_properties(properties)
    network = load(model, device)
    classes = network.checkpoint.statistics.vocabulary["categories"]
    if category and category.lower() not in (each.lower() for each in classes) and (meant := class_meant(category, classes)):
        raise InputError(f"--class: unknown category {category!r}; did you mean {meant}?")
    count = points or max(network.checkpoint.statistics.sizes)
    refuse_placing(out.suffix.lower() if single else f".{kind}", upward(network), up or "", height)
    request = Request(
        properties=wishes | closed(numbers, network.properties),
        guidance=guidance,
        sizes=[count],
        steps=steps,
        seed=seed,
        keep_invalid=keep_invalid,
        filters=Whole() if whole else None,
    )
    request = network.settled(request)
    warnings = network.warnings(request)
    if category and text and (other := names_another(text, category, classes)):
        warnings.append(f"--text {text!r} names a {other} and --class a {category}: shapes may be either; leave one of them away")
    for line in warnings:
        click.echo(f"molgen: warning: {line}", err=True)
    began, tally = time.perf_counter(), Tally()
    if between:
        shapes = way(network, between, count, num, steps)
    elif complete:
        shapes = containing(network, complete, num, request, tally)
    else:
        shapes = network.stream(num, request, tally=tally)
    larger: list[int] = []  # vertices of meshes that need more than --vertices
    with telling(tally):
        if single:
            write_clouds(out, list(until_stopped(shapes)), up=up or "", height=height)
        else:
            stem = re.sub(r"[/\\]", "_", category or "shape")
            with atomic_folder(out) as folder:
                for number, shape in enumerate(until_stopped(shapes)):
                    target = folder / f"{stem}_{number:04d}.{kind}"
                    try:
                        write_shape(target, shape, up=up or "", height=height, mesh=mesh, vertices=vertices)
                    except TooFewVertices as error:
                        larger.append(error.least)
                        write_shape(target, shape, up=up or "", height=height, mesh=mesh, vertices=error.least)
    if larger:
        line = f"too few for {counted(len(larger), 'shape')} to stay closed and in shape, written with up to {max(larger)}"
        click.echo(f"molgen: warning: --vertices {vertices}: {line}", err=True)
    seconds = time.perf_counter() - began
    counts = f", drawn {tally.drawn}, valid {tally.valid}" if tally.drawn else ""
    click.echo(
        f"{out}: wrote {counted(num, 'shape')} of {count} points{counts}, {seconds:.1f} s ({num * count / max(seconds, 1e-9):.0f} points/s)"
    )
    tell_reasons(tally)


@contextmanager
def telling(tally: "Tally") -> Iterator[None]:
    """Prints what was drawn, and why draws failed, where the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if tally.drawn:
            click.echo(f"  drawn {tally.drawn}, valid {tally.valid}")
            tell_reasons(tally)
        raise


def upward(network: "Model") -> "Axis":
    """Axis that points up in the shapes of a model, "" where unknown."""
    statistics: Any = network.checkpoint.statistics
    return statistics.up


def containing(network: "Model", path: Path, num: int, request: "Request", tally: "Tally") -> "Iterator[Shape]":
    """Shapes that contain the points of a file; their draws are counted in ``tally``, a new one.

    Raises:
        InputError: the file is missing or unreadable, its points leave nothing to generate or do not fit the unit of the model, or too many
            draws in a row fail the check.
    """
    from molgen.sample.complete import complete
    from molgen.shapes.given import doubt_part, read_points
    from molgen.shapes.shape import Shape

    try:
        given = read_points(path, up=upward(network), whole=min(request.sizes))
        doubt = doubt_part(given, min(request.sizes))
        for points in complete(network, given, num, request, tally):
            if doubt:  # told once the part has turned out to be of use
                click.echo(f"molgen: warning: --complete {path}: {doubt}", err=True)
                doubt = ""
            number = tally.drawn - 1
            yield Shape(
                points, {"index": number, **request.tags(network.checkpoint.name, number), "contains": path.name}, up=upward(network)
            )
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"--complete {path}: {error}") from None


def way(network: "Model", ends: tuple[Path, Path], count: int, num: int, steps: int) -> "Iterator[Shape]":
    """Shapes on the way from one file to another.

    Raises:
        InputError: a file is missing, unreadable or has too few points, or a shape on the way fails the check.
    """
    import numpy as np

    from molgen.sample.interpolate import interpolate
    from molgen.shapes.given import read_points
    from molgen.shapes.prepare.records import unit_sphere
    from molgen.shapes.shape import Shape

    up = upward(network)
    given = [read_points(path, count, up) for path in ends]
    first, second = map(unit_sphere, given)
    scales = [float(np.ptp(before, 0).max() / np.ptp(after, 0).max()) for before, after in zip(given, (first, second), strict=True)]
    scaled = [path.name for path, scale in zip(ends, scales, strict=True) if abs(scale - 1) > SAME_SIZE]
    try:
        for number, points in enumerate(interpolate(network, first, second, num, steps)):
            if scaled and not number:  # told once the ends have turned out to be of use
                click.echo(f"molgen: note: --between: {' and '.join(scaled)} scaled to the unit sphere, the unit of samples", err=True)
            weight = number / max(1, num - 1)
            told: dict[str, Any] = {"model": network.checkpoint.name, "from": ends[0].name, "to": ends[1].name, "weight": weight}
            yield Shape(points, told, up=up)
    except InputError as error:
        raise InputError(f"--between {ends[0]} {ends[1]}: {error}") from None
