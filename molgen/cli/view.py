"""``molgen view``: look at molecules in the browser, at shapes in a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.cli.domains import refuse_arrays, refuse_idle
from molgen.counting import counted
from molgen.errors import InputError
from molgen.files import require_place, require_suffix

if TYPE_CHECKING:
    from molgen.shapes.fields import Axis


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE with .html, or .png for shapes]")
@click.option("--limit", type=click.IntRange(1), default=500, show_default=True, help="Show the first so many.")
@click.option("--up", type=click.Choice(["x", "y", "z"]), help="Axis that points up in files of shapes that do not say so.  [default: z]")
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open the page in the browser.")
def command(file: Path, out: Path | None, limit: int, up: "Axis | None", open_browser: bool) -> None:
    """Show the molecules of FILE (SDF or XYZ, also .gz) as one HTML page with drawings and a 3D viewer.

    Shapes (a mesh, a cloud, or a folder of them) are drawn into one PNG picture.

    \b
    Examples:
      molgen view molecules.sdf
      molgen view chairs --out chairs.png
    """  # noqa: D301 click reads the backspace
    from molgen.molecules.text import joined
    from molgen.shapes.recognise import holds_shapes

    if not file.exists():
        raise InputError(f"{file}: no such file or folder; check the name")
    refuse_arrays(file)
    shapes = holds_shapes(file)
    if file.is_dir() and not shapes and not joined(file):
        raise InputError(f"{file}: folder without meshes or clouds; give a file of molecules, or a folder of shapes")
    suffix = ".png" if shapes else ".html"
    if out is None:
        stem = file.name if file.is_dir() else file.name.removesuffix(".gz").rpartition(".")[0]
        out = file.with_name(stem + suffix)
    else:
        require_suffix("--out", out, "shapes are drawn into a picture" if shapes else "molecules are shown on a page", suffix)
    require_place(out)
    if shapes:
        from molgen.cli.view_shapes import view_shapes

        view_shapes(file, out, limit, up)
    else:
        refuse_idle({"up": "does nothing for molecules" if up else ""})
        view_molecules(file, out, limit)
    if open_browser:
        click.launch(str(out.resolve()))


def view_molecules(file: Path, out: Path, limit: int) -> None:
    """Writes the page of the molecules of a file."""
    from molgen.cli.progress import track
    from molgen.evaluate import Settings, evaluate
    from molgen.report.page import gallery_page, write_page

    evaluation = evaluate(file, settings=Settings(perceive=False, keep=limit, limit=limit + 1), progress=track)
    kept, more = evaluation.tally.kept, evaluation.tally.records > limit
    write_page(out, gallery_page(file.name, kept, more))
    shown = sum(scores.molecule is not None for scores in kept)
    broken = f", and what is wrong with {counted(len(kept) - shown, 'record')}" * (shown < len(kept))
    those = f", those of the first {limit:,} records" if limit > 1 else ", the first one"
    click.echo(f"{out}: {counted(shown, 'molecule')}{broken}" + those * more)
