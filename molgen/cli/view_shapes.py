"""`molgen view` for shapes: a picture of all of them."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.cli.domains import refuse_idle
from molgen.counting import counted
from molgen.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from molgen.shapes.fields import Axis


def view_shapes(path: Path, out: Path, limit: int, up: "Axis | None") -> None:
    """Draws the first shapes of a file, a folder (by name) or a packed data set into one PNG file; unreadable files are counted by reason.

    Args:
        path: the file or folder.
        out: the picture.
        limit: how many are drawn.
        up: axis that points up in files that do not say so, None for z.

    Raises:
        InputError: no shape can be read, the picture cannot be written, or an axis is told of a data set, which says it.
    """
    from molgen.packing import part_of
    from molgen.shapes.recognise import find_all
    from molgen.shapes.render import save_png, sheet

    reasons, first = Counter[str](), dict[str, Path]()
    data = part_of(path, "train")
    if data is not None and (data / "points.npy").is_file():
        refuse_idle({"up": f"does nothing for {path}, a data set, which says what points up" if up else ""})
        drawn = draw_packed(data)
    else:
        files = find_all(path) if path.is_dir() else [path]
        drawn = draw_files(files, up or "z", reasons, first)
    pictures = list(islice(drawn, limit))
    if not pictures:
        named = [f"{count} {reason.partition('; ')[0]}" for reason, count in reasons.most_common()]
        why = ", ".join(named) if len(named) > 1 else next(iter(reasons), "no mesh or cloud")
        which = "cannot be drawn" if reasons.total() == 1 else f"none of {counted(reasons.total(), 'file')} can be drawn"
        raise InputError(f"{path}: {which} ({why})")
    more = next(drawn, None) is not None
    save_png(out, sheet(pictures, math.ceil(math.sqrt(1.6 * len(pictures)))))
    for reason, count in reasons.most_common():
        which = str(first[reason]) if count == 1 else f"{first[reason]} and {count - 1} more"
        click.echo(f"left out {count}: {reason} ({which})")
    click.echo(f"{out}: {counted(len(pictures), 'shape')}" + ", the first ones; --limit draws more" * more)


def draw_files(files: Sequence[Path], up: "Axis", reasons: Counter[str], first: dict[str, Path]) -> "Iterator[np.ndarray]":
    """Pictures (256, 256, 3) of the shapes of files, one by one; files that cannot be read are counted by reason, with the first."""
    from molgen.shapes.render import draw_file

    for file in files:
        try:
            yield from draw_file(file, up)
        except InputError as error:
            reason = str(error).removeprefix(f"{file}: ")
            reasons[reason] += 1
            first.setdefault(reason, file)


def draw_packed(folder: Path) -> "Iterator[np.ndarray]":
    """Pictures (256, 256, 3) of the shapes of a packed data set, one by one, the axis that points up in it upright.

    Raises:
        InputError: a file of the data set is missing or damaged.
    """
    from molgen.shapes.data import PackedShapes
    from molgen.shapes.fields import turning
    from molgen.shapes.render import picture

    data = PackedShapes(folder)
    upright = turning(data.statistics.up, "z").T
    for index in range(len(data)):
        yield picture(data.cloud(index) @ upright)
