"""``molgen conformers``: sample coordinates of given molecules."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.cli.stopping import until_stopped

if TYPE_CHECKING:
    from molgen.molecules.constraints import Conformers

SHIPPED = ("qm9", "leads")


@click.command()
@click.argument("source", metavar="FILE.sdf|SMILES")
@click.option("--num", default=20, show_default=True, type=click.IntRange(1), help="Conformers of each molecule.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .sdf or .xyz, each also with .gz.")
@click.option(
    "--model", help="Name of a model that ships, a run folder or a model.safetensors.  [default: qm9, or leads where it knows more]"
)
@click.option("--steps", default=50, show_default=True, type=click.IntRange(1), help="Network calls per conformer.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same conformers.")
@click.option("--device", help="torch device; default the GPU if there is one.")
def command(source: str, num: int, out: Path, model: str | None, steps: int, seed: int, device: str | None) -> None:
    """Sample conformers of every molecule of an SDF file, or of a SMILES.

    Stereocentres and double bonds keep the stereo of the file's geometry, or what the SMILES states; draws with another are replaced.
    """
    from molgen.errors import InputError
    from molgen.molecules.export import file_format, open_writer
    from molgen.sample import Request, Tally, load

    if file_format(out) == "smi":
        raise InputError(f"{out}: SMILES have no coordinates; use .sdf or .xyz")
    graphs = read_graphs(source)
    requests = [Request(constraint=graph, steps=steps, seed=seed) for graph in graphs]
    network = load(model or first_that_knows(graphs), device)
    if network.domain.items != "molecules":
        raise InputError(f"{model}: is a model of {network.domain.items}; conformers need one of molecules")
    for request in requests:  # refuses before anything is sampled
        network.warnings(request)
    began, tally = time.perf_counter(), Tally()
    with open_writer(out) as writer:
        for request in requests:
            for conformer in until_stopped(network.stream(num, request, tally=tally)):
                writer.write(conformer)
    click.echo(f"{out}: {len(graphs)} molecules, {tally.kept} conformers, drawn {tally.drawn}, {time.perf_counter() - began:.1f} s")
    for reason, count in tally.failures.most_common(8):
        click.echo(f"  failed {count}: {reason}")


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
    return [Conformers.of(molecule, str(molecule.properties.get("title", path.name))) for molecule in read_sdf(path)]
