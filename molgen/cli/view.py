"""``molgen view``: look at molecules in the browser, at shapes in a picture."""

from pathlib import Path

import click

from molgen.errors import InputError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE with .html, or .png for shapes]")
@click.option("--limit", type=click.IntRange(1), default=500, show_default=True, help="Show the first so many.")
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open the page in the browser.")
def command(file: Path, out: Path | None, limit: int, open_browser: bool) -> None:
    r"""Show the molecules of FILE (SDF or XYZ, also .gz) as one HTML page with drawings and a 3D viewer.

    Shapes (a mesh, a cloud, or a folder of them) are drawn into one PNG picture.

    \b
    Examples:
      molgen view molecules.sdf
      molgen view chairs --out chairs.png
    """
    from molgen.cli.evaluate_shapes import is_shapes

    if is_shapes(file):
        from molgen.cli.view_shapes import view_shapes

        out = _named(out or file.with_name(f"{file.stem if file.is_file() else file.name}.png"), ".png", "shapes are drawn into a picture")
        view_shapes(file, out, limit)
    else:
        out = _named(
            out or file.with_name(file.name.removesuffix(".gz").rpartition(".")[0] + ".html"), ".html", "molecules are shown on a page"
        )
        view_molecules(file, out, limit)
    if open_browser:
        click.launch(str(out.resolve()))


def _named(out: Path, suffix: str, what: str) -> Path:
    """The file to write, which no viewer would open by another suffix."""
    if out.suffix.lower() != suffix:
        raise InputError(f"--out {out}: {what}, expected a name that ends in {suffix}")
    return out


def view_molecules(file: Path, out: Path, limit: int) -> None:
    """Writes the page of the molecules of a file."""
    from molgen.cli.evaluate import progress
    from molgen.evaluate import Settings, evaluate
    from molgen.report.page import gallery_page, write_page

    evaluation = evaluate(file, settings=Settings(perceive=False, keep=limit, limit=limit), progress=progress)
    write_page(out, gallery_page(file.name, evaluation.tally.kept, evaluation.tally.records))
    click.echo(f"{out}: {evaluation.tally.read} molecules")
