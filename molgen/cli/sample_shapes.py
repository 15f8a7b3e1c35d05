"""``molgen sample`` for models of shapes: draw clouds and meshes from a model into a folder."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.constraining import refuse_input
from molgen.cli.domains import refuse_idle
from molgen.cli.given_shapes import doubt_pose, part_of, upward, variation_of, way
from molgen.cli.options import once
from molgen.cli.reasons import tell_reasons
from molgen.cli.requesting import closed, parse_properties, sampler_option
from molgen.cli.shape_files import ShapeFiles
from molgen.cli.stopping import until_stopped
from molgen.counting import counted
from molgen.errors import InputError
from molgen.ranges import MOST_POINTS, MOST_STEPS

if TYPE_CHECKING:
    from molgen.domain import Constraint
    from molgen.sample import Model, Request, Tally
    from molgen.shapes.fields import Axis
    from molgen.shapes.part import Part
    from molgen.shapes.whole import Whole


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
    help="Extent of every shape along the axis that points up, its lowest point at 0. A unit is a metre in .glb, Blender and Unity "
    "(0.45 for a stool) and a millimetre in slicers (450). Default: the unit sphere of the samples, about its middle.",
)
@click.option("--class", "category", metavar="NAME", multiple=True, callback=once(), help="Class of all shapes; default any.")
@click.option(
    "--text",
    metavar="WORDS",
    multiple=True,
    callback=once(),
    help="Description, such as 'a low table with four legs'; needs the extra 'text'.",
)
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="NAME=VALUE|LOW..HIGH",
    help="Requested number, or a range, of a label that the model was trained with (data.conditions=[legs,...]); repeatable.",
)
@click.option(
    "--points",
    type=click.IntRange(16, MOST_POINTS),
    help="Points of a shape; default as many as the training data store, and 8192 for meshes of latent clouds.",
)
@click.option(
    "--steps",
    default=30,
    show_default=True,
    type=click.IntRange(1, MOST_STEPS),
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
@click.option(
    "--around",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Vary the cloud or mesh of this file, scaled to the unit sphere; --class and --text lead the variants.",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    help="With --around: from 0, the shape as the model represents it, to 1, a free sample.  [default: 0.2]",
)
@click.option(
    "--given-up",
    type=click.Choice(["x", "y", "z"]),
    help="Axis that points up in files for --complete, --between and --around that do not say so, such as y in an .obj of Blender; default "
    "that of the training data. In a .glb it is y.",
)
@click.option("--mesh", is_flag=True, help="Put a closed mesh around the points also in .ply files.")
@click.option(
    "--vertices",
    type=click.IntRange(16),
    help="Vertices of a mesh at most, such as 10000 (thin shapes need 6,000); default all of its fine surface, some 80,000.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="Write only shapes in one piece, meshes included; shapes that fall apart (a broken leg) are replaced and counted.",
)
@click.option("--keep-invalid", is_flag=True, help="Write shapes that fail the check as well.")
@click.option("--device", help="torch device; default the GPU if there is one.")
@sampler_option
def command(
    model: str,
    num: int,
    out: Path,
    kind: str,
    up: "Axis | None",
    height: float | None,
    mesh: bool,
    vertices: int | None,
    points: int | None,
    between: tuple[Path, Path] | None,
    around: Path | None,
    strength: float | None,
    given_up: "Axis | None",
    device: str | None,
    **asked: Any,
) -> None:
    """Sample shapes from MODEL, the name of a model that ships, a run folder or a model.safetensors."""
    from molgen.sample import Tally, load
    from molgen.sample.model import IMPATIENCE
    from molgen.shapes.whole import Whole

    wished = bool(asked["category"] or asked["text"] or asked["properties"])
    if between and (asked["complete"] or around or wished):
        raise InputError("--between: goes with none of --complete, --around, --class, --text and --property; give one of them")
    if around and asked["complete"]:
        raise InputError("--complete and --around: give one of them")
    if between and asked["whole"]:
        raise InputError("--whole: does not go with --between; leave it away")
    refuse_idle(
        {
            "given_up": "" if between or around or asked["complete"] else "does nothing without --complete, --between or --around",
            "strength": "" if around else "does nothing without --around",
            "guidance": "" if wished else "does nothing without --class, --text or --property",
            "seed": "does nothing beside --between, which draws nothing at random" if between else "",
            "sampler": "does nothing beside --between, which follows the flow of the model" if between else "",
            "keep_invalid": "does nothing beside --between, whose shapes all have to pass" if between else "",
        }
    )
    refuse_input(out, asked["complete"], around, *(between or ()))
    files = ShapeFiles(out, kind, up or "", height, mesh, vertices)
    network = load(model, device)
    own: Axis = given_up or ""
    count = points or usual_points(network, files.meshes and not (between or asked["complete"]))
    files.check(upward(network), count)
    part = part_of(asked["complete"], network, own, count) if asked["complete"] else None
    given = variation_of(around, network, own, count, strength) if around else part
    whole = Whole(files.meshes, vertices) if asked["whole"] else None
    request = network.settled(request_of(asked, network, count, given, whole))
    posed = doubt_pose("--around", around, given.points, network, own) if around and given else []
    for line in network.warnings(request) + doubts(asked, network, count, part) + posed + files.doubts():
        click.echo(f"molgen: warning: {line}", err=True)
    began, tally = time.perf_counter(), Tally()
    shapes = (
        way(network, between, own, count, num, asked["steps"])
        if between
        else network.stream(num, request, tally=tally, patience=IMPATIENCE if given else 0)
    )
    with telling(tally):
        files.write(until_stopped(shapes), asked["category"] or "shape")
    seconds = time.perf_counter() - began
    counts = f", drawn {tally.drawn}, valid {tally.valid}" if tally.drawn else ""
    click.echo(
        f"{out}: wrote {counted(num, 'shape')} of {count} points{counts}, {seconds:.1f} s ({num * count / max(seconds, 1e-9):.0f} points/s)"
    )
    tell_reasons(tally)


def request_of(asked: Mapping[str, Any], network: "Model", count: int, given: "Constraint | None", whole: "Whole | None") -> "Request":
    """What the options ask for, of shapes of ``count`` points.

    Raises:
        InputError: a property that is no number, a class that the model does not know, or the same asked for twice.
    """
    from molgen.config import change_sampler
    from molgen.sample import Request
    from molgen.shapes.words import class_meant

    for wish in asked["properties"]:
        if (name := wish.partition("=")[0].lower()) in ("category", "class", "text"):
            raise InputError(f"--property {name}: is no number; use --{'text' if name == 'text' else 'class'}")
    category, classes = asked["category"], network.checkpoint.statistics.vocabulary["categories"]
    if category and category.lower() not in (each.lower() for each in classes) and (meant := class_meant(category, classes)):
        raise InputError(f"--class: unknown category {category!r}; did you mean {meant}?")
    wishes = {name: asked[name] for name in ("category", "text") if asked[name] is not None}
    return Request(
        properties=wishes | closed(parse_properties(asked["properties"]), network.properties),
        guidance=asked["guidance"],
        sizes=[count],
        steps=asked["steps"],
        seed=asked["seed"],
        keep_invalid=asked["keep_invalid"],
        filters=whole,
        constraint=given,
        sampler=change_sampler(network.checkpoint.experiment, asked["sampler"]) if asked["sampler"] else None,
    )


def doubts(asked: Mapping[str, Any], network: "Model", count: int, part: "Part | None") -> list[str]:
    """What is strange about words beside a class, and about a part of shapes of ``count`` points, a line each."""
    from molgen.shapes.given import doubt_part
    from molgen.shapes.words import names_another

    lines, category, text = [], asked["category"], asked["text"]
    classes = network.checkpoint.statistics.vocabulary["categories"]
    if category and text and (other := names_another(text, category, classes)):
        lines.append(f"--text {text!r} names a {other} and --class a {category}: shapes may be either; leave one of them away")
    if part and (doubt := doubt_part(part.points, count)):
        lines.append(f"--complete {asked['complete']}: {doubt}")
    return lines


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


def usual_points(network: "Model", meshes: bool) -> int:
    """Points of a shape where nobody says it: as many as the training data store, and more where latent clouds are to become meshes."""
    from molgen.shapes.latent import MESHED, ShapeLatents

    stored = max(network.checkpoint.statistics.sizes)
    return max(stored, MESHED) if meshes and isinstance(network.domain, ShapeLatents) else stored
