"""``molgen view``: look at molecules in the browser."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file to write.  [default: FILE with .html]")
@click.option("--limit", type=click.IntRange(1), default=500, show_default=True, help="Show the first so many records.")
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open the page in the browser.")
def command(file: Path, out: Path | None, limit: int, open_browser: bool) -> None:
    r"""Show the molecules of FILE (SDF or XYZ, also .gz) as one HTML page with drawings and a 3D viewer.

    \b
    Example:
      molgen view molecules.sdf
    """
    from molgen.cli.evaluate import progress
    from molgen.evaluate import Settings, evaluate
    from molgen.report.page import gallery_page, write_page

    out = out or file.with_name(file.name.removesuffix(".gz").rpartition(".")[0] + ".html")
    evaluation = evaluate(file, settings=Settings(perceive=False, keep=limit, limit=limit), progress=progress)
    write_page(out, gallery_page(file.name, evaluation.tally.kept, evaluation.tally.records))
    click.echo(f"{out}: {evaluation.tally.read} molecules")
    if open_browser:
        click.launch(str(out.resolve()))
