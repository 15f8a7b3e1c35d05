"""``molgen conformers``: sample coordinates of given molecules."""

import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.cli.constraining import refuse_input
from molgen.cli.reasons import tell_reasons
from molgen.cli.requesting import precision_option
from molgen.cli.resuming import left_by, records_left
from molgen.cli.stopping import until_stopped
from molgen.errors import InputError, OutputError

if TYPE_CHECKING:
    from molgen.molecules.constraints import Conformers


@click.command()
@click.argument("source", metavar="FILE.sdf|FILE.smi|SMILES")
@click.option("--num", default=20, show_default=True, type=click.IntRange(1), help="Conformers of each molecule.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .sdf or .xyz, each also with .gz.")
@click.option(
    "--model", help="Name of a model that ships, a run folder or a model.safetensors.  [default: qm9, or leads where it knows more]"
)
@click.option("--steps", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Network calls per conformer.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same conformers.")
@click.option("--device", help="torch device; default the GPU if there is one.")
@precision_option
@click.option("--include-flagged", is_flag=True, help="Also molecules that the screen for hazardous substances withholds.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run of the same command.")
def command(
    source: str,
    num: int,
    out: Path,
    model: str | None,
    steps: int,
    seed: int,
    device: str | None,
    precision: str,
    include_flagged: bool,
    resume: bool,
) -> None:
    """Sample conformers of every molecule of an SDF or SMILES file, or of a SMILES.

    Stereocentres, rings and double bonds keep the stereo of the file's geometry, or what the SMILES states; draws with another are
    replaced. Broken records and molecules that the model cannot represent are named and left out.
    """
    from molgen.molecules.encode import SHIPPED, shipped_for
    from molgen.molecules.export import file_format, open_writer
    from molgen.molecules.filters import Filters
    from molgen.sample import Request, Tally, load

    kind = file_format(out)
    if kind == "smi":
        raise InputError(f"{out}: SMILES have no coordinates; use .sdf or .xyz")
    before = left_by(out, resume)
    refuse_input(out, source)
    graphs, left_out = read_graphs(source)
    if not graphs:
        raise left_out[0]
    given = len(graphs) + len(left_out)
    filters = Filters(include_flagged=include_flagged)
    requests = [Request(constraint=graph, steps=steps, seed=seed, filters=filters, precision=precision) for graph in graphs]
    network = load(model or (shipped_for([graph.molecule for graph in graphs]) or [SHIPPED[-1]])[0], device)
    if network.domain.items != "molecules":
        raise InputError(f"{model}: is a model of {network.domain.items}; conformers need one of molecules")
    screen = filters.start()
    for request, graph in zip(list(requests), graphs, strict=True):  # refuses before anything is sampled
        try:
            network.warnings(request)
            if reason := screen(graph.molecule):
                raise InputError(f"{graph}: {reason}; --include-flagged makes its conformers")
        except InputError as error:
            requests.remove(request)
            left_out.append(error)
    if not requests:
        raise left_out[0]
    known, done = {str(request.constraint): request for request in requests}, defaultdict[str, list[int]](list)
    for tags in records_left(before, kind, network.checkpoint.name, lambda tags: known.get(str(tags.get("conformer_of")))):
        done[str(tags["conformer_of"])].append(tags["index"])
    began, tally = time.perf_counter(), Tally()
    with open_writer(out, append=resume, keep_partial=True) as writer:
        try:
            for request in requests:
                try:
                    for conformer in until_stopped(network.stream(num, request, done[str(request.constraint)], tally)):
                        writer.write(conformer)
                except OutputError:
                    raise
                except InputError as error:  # its draws fail, one after the other
                    reason = str(error).partition(";")[0]
                    left_out.append(InputError(f"{request.constraint}: {reason}; the model cannot make it"))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(writer.left) from None
        total = writer.count
        if not total:
            raise left_out[0]
    made = given - len(left_out)
    click.echo(f"{out}: {made} of {given} molecules, {total} conformers, drawn {tally.drawn}, {time.perf_counter() - began:.1f} s")
    tell_reasons(tally)
    for reason in map(str, left_out[:8]):
        click.echo(f"  left out: {reason}")
    if len(left_out) > 8:
        click.echo(f"  left out: {len(left_out) - 8} more")


def read_graphs(source: str) -> "tuple[list[Conformers], list[InputError]]":
    """The graphs of a file, or of a SMILES, and what is wrong with the records of the file that have none.

    Raises:
        InputError: neither a file nor a SMILES.
    """
    from molgen.molecules.constraints import Conformers
    from molgen.molecules.constraints.read import sort_sdf
    from molgen.molecules.export import file_format

    path = Path(source)
    if not path.exists() and path.suffix not in (".sdf", ".gz", ".xyz", ".mol", ".smi"):
        return [Conformers.from_smiles(source)], []
    if path.is_file() and file_format(path) == "smi":
        return Conformers.listed(path)
    molecules, broken = sort_sdf(path)
    alone = len(molecules) + len(broken) == 1
    graphs = [Conformers.of(molecule, path.name if alone else f"{path.name} record {n}") for n, molecule in molecules.items()]
    return graphs, list(broken.values())
