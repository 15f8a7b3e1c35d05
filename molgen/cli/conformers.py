"""``molgen conformers``: sample coordinates of given molecules."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from molgen.cli.constraining import refuse_input, tell_changes
from molgen.cli.progress import bar
from molgen.cli.reasons import tell_left_out, tell_reasons
from molgen.cli.requesting import precision_option
from molgen.cli.resuming import left_by, plain_text, records_left, refuse_fewer
from molgen.cli.screening import compute_option, computing_of, conformers_with
from molgen.counting import counted
from molgen.errors import InputError, OutputError
from molgen.molecules.formats import file_format, name_of
from molgen.ranges import MOST_STEPS

DEFAULT = "leads"
"""Model that tells what is wrong with a molecule that none knows."""


@click.command()
@click.argument("source", metavar="FILE|SMILES")
@click.option("--num", default=20, show_default=True, type=click.IntRange(1), help="Conformers of each molecule.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .sdf or .xyz, each also with .gz.")
@click.option(
    "--model",
    help="Name of a model that ships, a run folder or a model.safetensors.  [default: qm9 up to nine heavy atoms, else leads]",
)
@click.option("--steps", default=50, show_default=True, type=click.IntRange(1, MOST_STEPS), help="Network calls per conformer.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same conformers.")
@click.option("--device", help="torch device; default the GPU if there is one.")
@precision_option
@click.option("--largest-fragment", is_flag=True, help="Take the largest fragment of every molecule, not salts; it keeps its charge.")
@click.option(
    "--where", multiple=True, metavar="RULE", help="Only conformers with this property: strain_mmff<10, dipole_xtb=1..3, ...; repeatable."
)
@compute_option("conformer", "energy_xtb, strain_mmff")
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
    largest_fragment: bool,
    where: tuple[str, ...],
    compute: tuple[str, ...],
    include_flagged: bool,
    resume: bool,
) -> None:
    """Sample conformers of every molecule of an SDF file, of a list of SMILES (.smi, .csv, .tsv), or of a SMILES.

    Stereocentres, rings and double bonds keep the stereo of the file's geometry, of the wedges of a flat drawing, or what the SMILES
    states; draws with another are replaced. Hydrogens that a file lacks are added. Broken records and molecules that the model cannot
    represent are named and left out.
    """
    from molgen.conformation import conformers
    from molgen.domain import require
    from molgen.molecules.constraints import Conformers
    from molgen.molecules.constraints.read import read_graphs
    from molgen.molecules.encode import shipped_for
    from molgen.molecules.export import open_writer
    from molgen.molecules.filters import Filters
    from molgen.molecules.given import Changes
    from molgen.molecules.molecule import Molecule
    from molgen.molecules.records import READERS
    from molgen.sample import Model, Request, Tally, load

    kind = file_format(out)
    if kind not in READERS:
        raise InputError(f"{out}: has no coordinates; use .sdf or .xyz")
    common = Request(steps=steps, seed=seed, filters=conformers_with(where, compute, include_flagged), precision=precision)
    computed = computing_of({"compute": compute, "similar_to": ()})
    before = left_by(out, kind, resume)
    refuse_input(out, source)
    changes = Changes(name_of(source))
    graphs, left_out = read_graphs(source, changes, largest_fragment)
    tell_changes(changes)
    if not graphs:
        raise left_out[0]
    given = len(graphs) + len(left_out)
    screen, networks, planned, doubts = Filters().start(), dict[str, Model](), dict[str, tuple[Model, Conformers]](), dict[str, None]()
    for graph in graphs:  # refuses before anything is sampled
        name = model or next(iter(shipped_for(graph.molecule)), DEFAULT)
        if name not in networks:
            networks[name] = load(name, device)
        network = networks[name]
        require("molecules", network.domain, name, "conformers")
        try:
            doubts |= dict.fromkeys(network.warnings(replace(common, constraint=graph)))
            if not include_flagged and (reason := screen(graph.molecule)):
                raise InputError(f"{graph}: {reason}; --include-flagged makes its conformers")
            planned[plain_text(graph)] = network, graph
        except InputError as error:
            left_out.append(error)
    if not planned:
        raise left_out[0]
    for line in doubts:
        click.echo(f"molgen: warning: {line}", err=True)

    settled = {network: network.settled(common) for network in networks.values()}

    def expect(tags: Mapping[str, Any]) -> Mapping[str, Any] | None:
        network, graph = planned.get(plain_text(tags.get("conformer_of")), (None, None))
        return None if network is None else replace(settled[network], constraint=graph).tags(network.checkpoint.name, tags["index"])

    done = defaultdict[str, list[int]](list)
    for tags in records_left(before, kind, expect):
        done[plain_text(tags["conformer_of"])].append(tags["index"])
    refuse_fewer(before, max(map(len, done.values()), default=0), num)
    began, tally, found = time.perf_counter(), Tally(), dict[Model, Iterator[Iterator[Molecule]]]()
    for network in networks.values():
        own = {name: graph for name, (other, graph) in planned.items() if other is network}
        found[network] = conformers(network, [*own.values()], num, request=common, done=[done[name] for name in own], tally=tally)
    fewer = list[str]()
    with open_writer(out, append=resume, keep_partial=True) as writer, bar(num * len(planned), writer.count) as advance:
        try:
            for name, (network, _) in planned.items():
                wrote = len(done[name])
                try:
                    for conformer in advance(next(found[network])):
                        writer.write(computed(conformer))
                        wrote += 1
                except OutputError:
                    raise
                except InputError as error:  # its draws come to nothing, one after the other
                    why = InputError(f"{name}: {str(error).partition(';')[0]}; given up")
                    if wrote:
                        fewer.append(f"{wrote} of {num}: {why}")
                    else:
                        left_out.append(why)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(writer.left) from None
        total = writer.count
        if not total:
            raise left_out[0]
    made = given - len(left_out)
    used = ", ".join(dict.fromkeys(network.checkpoint.name for network, _ in planned.values()))
    seconds = time.perf_counter() - began
    click.echo(
        f"{out}: {made} of {counted(given, 'molecule')}, {counted(total, 'conformer')} by {used}, drawn {tally.drawn}, {seconds:.1f} s"
    )
    tell_reasons(tally)
    tell_left_out(fewer, "fewer")
    tell_left_out(left_out)
