"""`molgen view` for shapes: a picture of all of them."""

import math
from collections import Counter
from pathlib import Path

import click

from molgen.errors import InputError


def view_shapes(path: Path, out: Path, limit: int) -> None:
    """Draws the shapes of a file or folder, by name, into one PNG file; those that cannot be read are counted by reason.

    Raises:
        InputError: no shape can be read, or the picture cannot be written.
    """
    from molgen.shapes.given import draw_file
    from molgen.shapes.recognise import find
    from molgen.shapes.render import save_png, sheet

    files = sorted({*find(path), *path.rglob("*.npz")}) if path.is_dir() else [path]
    pictures, reasons = [], Counter[str]()
    for file in files[:limit]:
        try:
            pictures.append(draw_file(file))
        except InputError as error:
            reasons[str(error).removeprefix(f"{file}: ")] += 1
    if not pictures:
        raise InputError(f"{path}: none of {len(files)} files can be drawn ({next(iter(reasons), 'no mesh or cloud')})")
    save_png(out, sheet(pictures, math.ceil(math.sqrt(1.6 * len(pictures)))))
    for reason, count in reasons.most_common():
        click.echo(f"left out {count}: {reason}")
    click.echo(f"{out}: {len(pictures)} shapes" + f", those of the first {limit} of {len(files)} files" * (len(files) > limit))
