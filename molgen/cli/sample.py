"""``molgen sample``: draw molecules from a model into a file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.sample import Request, Tally


@click.command()
@click.argument("model", default="qm9")
@click.option("--num", default=64, show_default=True, type=click.IntRange(1), help="Molecules to write.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .sdf, .xyz or .smi, each also with .gz.")
@click.option("--format", "kind", type=click.Choice(["sdf", "xyz", "smi"]), help="Overrules the suffix of --out.")
@click.option(
    "--steps", default=50, show_default=True, type=click.IntRange(1), help="Network calls per molecule (twice as many with --guidance)."
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same molecules.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="Requested value in physical units; repeatable.")
@click.option("--guidance", default=2.0, show_default=True, help="Strength of the request; 1 is the plain conditional model.")
@click.option("--size", metavar="N|A-B", help="Number of atoms with hydrogens; default as often as in training.")
@click.option("--keep-invalid", is_flag=True, help="Write molecules that fail the check as well.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run of the same command.")
@click.option(
    "--trajectory", type=click.Path(path_type=Path), help="Also write every step of the first molecule to this .xyz or .sdf file."
)
@click.option("--device", help="torch device; default the GPU if there is one.")
def command(
    model: str,
    num: int,
    out: Path,
    kind: str | None,
    steps: int,
    seed: int,
    properties: tuple[str, ...],
    guidance: float,
    size: str | None,
    keep_invalid: bool,
    resume: bool,
    trajectory: Path | None,
    device: str | None,
) -> None:
    """Sample molecules from MODEL, the name of a model that ships, a run folder or a model.safetensors."""
    from molgen.molecules.export import file_format, open_writer, partial_path
    from molgen.sample import Request, Tally, load

    request = Request(
        properties=parse_properties(properties),
        guidance=guidance,
        sizes=parse_sizes(size),
        steps=steps,
        seed=seed,
        keep_invalid=keep_invalid,
    )
    name = file_format(out, kind)
    if resume and name != "sdf":
        raise InputError(f"{out}: only SDF files carry the record index that --resume needs; use .sdf or leave --resume away")
    network = load(model, device)
    for line in network.warnings(request):
        click.echo(f"molgen: warning: {line}", err=True)
    start = 0
    smiles: set[str] = set()
    source = partial_path(out) if partial_path(out).exists() else out
    if resume and source.exists():
        start, smiles = read_progress(source, request)
    began, tally = time.perf_counter(), Tally()
    with open_writer(out, kind, append=resume, keep_partial=name == "sdf") as writer, _bar(num, writer.count) as advance:
        for molecule in network.stream(num, request, start, writer.count, tally):
            writer.write(molecule)
            smiles.add(identity(molecule))
            advance()
        total = writer.count
    if trajectory is not None:
        write_trajectory(network, request, trajectory)
    report(out, num, total, tally, len(smiles), time.perf_counter() - began)


def parse_properties(texts: tuple[str, ...]) -> dict[str, float]:
    """Values of ``NAME=VALUE`` options.

    Raises:
        InputError: for anything else, or a property given twice.
    """
    values: dict[str, float] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise InputError(f"--property {text}: expected NAME=VALUE such as gap_xtb=6.0")
        if name in values:
            raise InputError(f"--property {text}: {name} is given twice")
        values[name] = number
    return values


def parse_sizes(text: str | None) -> list[int]:
    """Numbers of atoms of ``18`` or ``12-20``.

    Raises:
        InputError: for anything else.
    """
    if text is None:
        return []
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or text.endswith("-") or int(last or first) < int(first) or int(first) < 1:
        raise InputError(f"--size {text}: expected a number of atoms such as 18, or a range such as 12-20")
    return list(range(int(first), int(last or first) + 1))


def identity(molecule: object) -> str:
    """Canonical SMILES without stereo, or a text of its own for what RDKit refuses."""
    from molgen.molecules.metrics.validity import validity
    from molgen.molecules.molecule import Molecule

    assert isinstance(molecule, Molecule)
    return str(validity(molecule)["smiles"]) or f"invalid {molecule.properties['index']}"


def read_progress(path: Path, request: "Request") -> tuple[int, set[str]]:
    """Next draw and the SMILES so far of an interrupted file.

    Raises:
        InputError: if the file was made with another seed or other steps.
    """
    from molgen.molecules.export import read_molecules
    from molgen.molecules.molecule import Molecule

    start = 0
    smiles: set[str] = set()
    for molecule in read_molecules(path, "sdf"):
        if not isinstance(molecule, Molecule) or "index" not in molecule.properties:
            continue
        found = {name: molecule.properties.get(name) for name in ("seed", "steps")}
        if found != {"seed": request.seed, "steps": request.steps}:
            raise InputError(f"{path}: made with seed {found['seed']} and {found['steps']} steps; resume with the same, or remove the file")
        start = int(molecule.properties["index"]) + 1
        smiles.add(identity(molecule))
    return start, smiles


def write_trajectory(network: object, request: "Request", path: Path) -> None:
    """Writes what the model believes at every step of the first draw, one record a step."""
    from dataclasses import replace

    from molgen.molecules.decode import decode
    from molgen.molecules.export import write_molecules
    from molgen.sample import Model

    assert isinstance(network, Model)
    statistics = network.checkpoint.statistics
    sizes, seeds = network.plan(request, [0])
    process = network.denoiser.process
    write_molecules(
        path,
        (
            replace(decode(process.settle(step.batch, step.prediction), statistics)[0], properties={"step": step.index, "time": step.time})
            for step in network.walk(sizes, seeds, request)
        ),
    )


def report(out: Path, num: int, total: int, tally: "Tally", unique: int, seconds: float) -> None:
    """Prints what was asked, drawn, valid and unique, and why draws failed."""
    click.echo(
        f"{out}: asked {num}, wrote {total}, drawn {tally.drawn}, valid {tally.valid} ({100 * tally.valid / max(1, tally.drawn):.1f} %), "
        f"unique {unique}, {seconds:.1f} s ({tally.kept / max(seconds, 1e-9):.1f} molecules/s)"
    )
    for reason, count in tally.failures.most_common(8):
        click.echo(f"  failed {count}: {reason}")


@contextmanager
def _bar(num: int, done: int) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error; yields what advances it by one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("sample"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sample", total=num, completed=done)
        yield lambda: progress.advance(task)
