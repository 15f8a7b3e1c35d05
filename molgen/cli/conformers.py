"""``molgen conformers``: sample coordinates of given molecules."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.cli.constraining import refuse_input
from molgen.cli.stopping import until_stopped

if TYPE_CHECKING:
    from molgen.molecules.constraints import Conformers
    from molgen.sample import Request

SHIPPED = ("qm9", "leads")


@click.command()
@click.argument("source", metavar="FILE.sdf|SMILES")
@click.option("--num", default=20, show_default=True, type=click.IntRange(1), help="Conformers of each molecule.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .sdf or .xyz, each also with .gz.")
@click.option(
    "--model", help="Name of a model that ships, a run folder or a model.safetensors.  [default: qm9, or leads where it knows more]"
)
@click.option("--steps", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Network calls per conformer.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same conformers.")
@click.option("--device", help="torch device; default the GPU if there is one.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run of the same command.")
def command(source: str, num: int, out: Path, model: str | None, steps: int, seed: int, device: str | None, resume: bool) -> None:
    """Sample conformers of every molecule of an SDF file, or of a SMILES.

    Stereocentres, rings and double bonds keep the stereo of the file's geometry, or what the SMILES states; draws with another are
    replaced. Molecules of a file that the model cannot represent are counted and left out.
    """
    from molgen.errors import InputError
    from molgen.molecules.export import file_format, open_writer, partial_path
    from molgen.sample import Request, Tally, load

    kind = file_format(out)
    if kind == "smi":
        raise InputError(f"{out}: SMILES have no coordinates; use .sdf or .xyz")
    if partial_path(out).exists() and not resume:
        raise InputError(f"{partial_path(out)}: left by an interrupted run; go on with --resume, or remove it")
    refuse_input(out, source)
    graphs = read_graphs(source)
    requests = [Request(constraint=graph, steps=steps, seed=seed) for graph in graphs]
    network = load(model or first_that_knows(graphs), device)
    if network.domain.items != "molecules":
        raise InputError(f"{model}: is a model of {network.domain.items}; conformers need one of molecules")
    left_out: list[InputError] = []
    for request in list(requests):  # refuses before anything is sampled
        try:
            network.warnings(request)
        except InputError as error:
            requests.remove(request)
            left_out.append(error)
    if not requests:
        raise left_out[0]
    before = partial_path(out) if partial_path(out).exists() else out
    done = read_done(before, kind, requests, network.checkpoint.name) if resume and before.exists() else {}
    began, tally = time.perf_counter(), Tally()
    with open_writer(out, append=resume, keep_partial=True) as writer:
        try:
            for request in requests:
                start, kept = done.get(str(request.constraint), (0, 0))
                try:
                    for conformer in until_stopped(network.stream(num, request, start, kept, tally)):
                        writer.write(conformer)
                except InputError as error:  # its draws fail, one after the other
                    reason = str(error).partition(";")[0]
                    left_out.append(InputError(f"{request.constraint}: {reason}; the model cannot make it"))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(writer.left) from None
        total = writer.count
        if not total:
            raise left_out[0]
    click.echo(f"{out}: {len(graphs)} molecules, {total} conformers, drawn {tally.drawn}, {time.perf_counter() - began:.1f} s")
    for reason, count in tally.failures.most_common(8):
        click.echo(f"  failed {count}: {reason}")
    for reason in map(str, left_out[:8]):
        click.echo(f"  left out: {reason}")
    if len(left_out) > 8:
        click.echo(f"  left out: {len(left_out) - 8} more")


def read_done(path: Path, kind: str, requests: "list[Request]", model: str) -> dict[str, tuple[int, int]]:
    """Of each molecule in an interrupted file the number of the next draw and how many conformers there are.

    Raises:
        InputError: the file was made with another request or model, or by something else.
    """
    from molgen.errors import InputError
    from molgen.molecules.export import complete_records
    from molgen.molecules.records import TAGS, as_value

    known, done = {str(request.constraint): request for request in requests}, dict[str, tuple[int, int]]()
    for number, text in enumerate(complete_records(path, kind), 1):
        tags = TAGS[kind](text.splitlines())
        name = str(tags.get("conformer_of"))
        if name not in known or not isinstance(tags.get("index"), int):
            raise InputError(f"{path}: record {number} is not a conformer of these molecules; leave --resume away or give another --out")
        for tag, value in known[name].tags(model, 0).items():
            if tag != "title" and str(tags.get(tag)) != str(as_value(str(value))):
                raise InputError(f"{path}: made with {tag} {tags.get(tag)}, not {value}; resume with the same, or remove the file")
        done[name] = int(tags["index"]) + 1, done.get(name, (0, 0))[1] + 1
    return done


def first_that_knows(graphs: "list[Conformers]") -> str:
    """The first of the models that ship, from the best one on, that knows these elements and sizes; the last one where none does."""
    from molgen.checkpoint import find_checkpoint
    from molgen.molecules.fields import Statistics

    *better, last = SHIPPED
    for name in better:
        statistics = Statistics.load(find_checkpoint(name) / "statistics.json")
        elements, largest = set(statistics.elements), max(statistics.sizes)
        if all(set(graph.molecule.atomic_numbers.tolist()) <= elements and len(graph.molecule) <= largest for graph in graphs):
            return name
    return last


def read_graphs(source: str) -> "list[Conformers]":
    """The graphs of a file, or of a SMILES.

    Raises:
        InputError: neither, or a file with a broken record.
    """
    from molgen.molecules.constraints import Conformers
    from molgen.molecules.constraints.read import read_sdf

    path = Path(source)
    if not path.exists() and path.suffix not in (".sdf", ".gz", ".xyz", ".mol"):
        return [Conformers.from_smiles(source)]
    molecules = read_sdf(path)
    if len(molecules) == 1:
        return [Conformers.of(molecules[0], path.name)]
    return [Conformers.of(molecule, f"{path.name} record {number}") for number, molecule in enumerate(molecules, 1)]
