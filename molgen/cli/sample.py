"""``molgen sample``: draw molecules from a model into a file."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.molecules.molecule import Molecule
    from molgen.sample import Model, Request, Tally

LARGEST_SIZE = 1000  # the cost of a molecule grows with the square of its size


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
@click.option("--trajectory", type=click.Path(path_type=Path), help="Also write every step of the first draw to this .xyz or .sdf file.")
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
    if trajectory is not None:
        check_trajectory(trajectory, out)
    if resume and name != "sdf":
        raise InputError(f"{out}: only SDF files carry the record index that --resume needs; use .sdf or leave --resume away")
    network = load(model, device)
    for line in network.warnings(request):
        click.echo(f"molgen: warning: {line}", err=True)
    start = 0
    smiles: set[str] = set()
    source = partial_path(out) if partial_path(out).exists() else out
    if resume and source.exists():
        start, smiles = read_progress(source, request, network.checkpoint.name)
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
    numbers = first.isdecimal() and (last.isdecimal() or "-" not in text)
    if not numbers or not 1 <= int(first) <= int(last or first) <= LARGEST_SIZE:
        raise InputError(f"--size {text}: expected a number of atoms such as 18, or a range such as 12-20, of at most {LARGEST_SIZE}")
    return list(range(int(first), int(last or first) + 1))


def check_trajectory(path: Path, out: Path) -> None:
    """Refuses a trajectory file that cannot be written, before anything is sampled.

    Raises:
        InputError: for another format, a missing folder, or the file of the molecules.
    """
    from molgen.molecules.export import file_format

    if file_format(path) == "smi":
        raise InputError(f"--trajectory {path}: expected a file name ending in .xyz or .sdf; SMILES have no coordinates")
    if not path.parent.is_dir():
        raise InputError(f"--trajectory {path}: folder {path.parent} does not exist; create it first")
    if path.is_dir() or path.resolve() == out.resolve():
        raise InputError(f"--trajectory {path}: is {'a folder' if path.is_dir() else 'the file of --out'}; give the name of another file")


def identity(molecule: "Molecule") -> str:
    """Canonical SMILES without stereo, or a text of its own for what RDKit refuses."""
    from molgen.molecules.metrics.validity import validity

    return str(validity(molecule)["smiles"]) or f"invalid {molecule.properties['index']}"


def read_progress(path: Path, request: "Request", model: str) -> tuple[int, set[str]]:
    """Next draw and the SMILES so far of an interrupted file; a record cut in half is drawn again.

    Raises:
        InputError: if the file was made with another request or model, or by something else.
    """
    from molgen.molecules.export import parse_record, read_records
    from molgen.molecules.molecule import Molecule
    from molgen.molecules.records import read_tags

    start = 0
    smiles: set[str] = set()
    expected = request.tags(model)
    for number, text in enumerate(read_records(path, "sdf"), 1):
        if not text.splitlines()[-1].startswith("$$$$"):
            break
        tags, molecule = read_tags(text.splitlines()), parse_record(text, number, "sdf")
        if not isinstance(tags.get("index"), int):
            raise InputError(f"{path}: record {number} is not from `molgen sample`; leave --resume away or give another --out")
        found = {name: value for name, value in tags.items() if name in expected or name.startswith("requested_")}
        if {name: str(value) for name, value in found.items()} != {name: str(value) for name, value in expected.items()}:
            raise InputError(f"{path}: made with {_listed(found)}, not {_listed(expected)}; resume with the same, or remove the file")
        strange = isinstance(molecule, Molecule) and bool(request.sizes) and len(molecule) not in request.sizes
        if strange or not (tags.get("passed") == "True" or request.keep_invalid):
            raise InputError(f"{path}: record {number} does not fit --size or --keep-invalid; resume with the same, or remove the file")
        start = int(tags["index"]) + 1
        smiles.add(identity(molecule) if isinstance(molecule, Molecule) else f"invalid {tags['index']}")
    return start, smiles


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def write_trajectory(network: "Model", request: "Request", path: Path) -> None:
    """Writes what the model believes at every step of the first draw, one record a step."""
    from dataclasses import replace

    from molgen.molecules.export import write_molecules

    domain, statistics = network.domain, network.checkpoint.statistics
    sizes, seeds = network.plan(request, [0])
    process = network.denoiser.process
    write_molecules(
        path,
        (
            replace(
                domain.decode(process.settle(step.batch, step.prediction), statistics)[0],
                properties={"step": step.index, "time": step.time},
            )
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
    console = Console(stderr=True)  # silent in a file or a pipe
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("sample", total=num, completed=done)
        yield lambda: progress.advance(task)
