"""``molgen conformers``: sample coordinates of given molecules."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.constraining import refuse_input, tell_changes
from molgen.cli.progress import bar
from molgen.cli.reasons import tell_left_out, tell_reasons
from molgen.cli.requesting import precision_option
from molgen.cli.resuming import left_by, plain_text, records_left, refuse_fewer
from molgen.cli.screening import compute_option, computing_of, conformers_with
from molgen.counting import counted
from molgen.errors import InputError
from molgen.molecules.formats import file_format, name_of
from molgen.ranges import MOST_STEPS

if TYPE_CHECKING:
    from molgen.molecules.constraints import Conformers
    from molgen.molecules.molecule import Molecule
    from molgen.sample import Model, Request, Tally

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
@click.option("--resume", is_flag=True, help="Continue an interrupted run of the same command.")
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
    from molgen.molecules.constraints.read import read_graphs
    from molgen.molecules.encode import shipped_for
    from molgen.molecules.export import open_writer
    from molgen.molecules.given import Changes
    from molgen.molecules.records import READERS
    from molgen.sample import Request, Tally

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
    given, plan = len(graphs) + len(left_out), Plan(common, num, left_out)
    for graph in graphs:  # refuses before anything is sampled
        plan.take(graph, model or next(iter(shipped_for(graph.molecule)), DEFAULT), device, include_flagged)
    if not plan.graphs:
        raise left_out[0]
    for line in plan.doubts:
        click.echo(f"molgen: warning: {line}", err=True)
    for tags in records_left(before, kind, plan.expect):
        plan.done[plain_text(tags["conformer_of"])].append(tags["index"])
    refuse_fewer(before, max(map(len, plan.done.values()), default=0), num)
    began, tally = time.perf_counter(), Tally()
    with open_writer(out, append=resume, keep_partial=True) as writer, bar(num * len(plan.graphs), writer.count) as advance:
        try:
            for conformer in plan.conformers(tally, advance):
                writer.write(computed(conformer))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(writer.left) from None
        total = writer.count
        if not total:
            raise left_out[0]
    made, seconds = given - len(left_out), time.perf_counter() - began
    used = ", ".join(dict.fromkeys(network.checkpoint.name for network, _ in plan.graphs.values()))
    click.echo(
        f"{out}: {made} of {counted(given, 'molecule')}, {counted(total, 'conformer')} by {used}, drawn {tally.drawn}, {seconds:.1f} s"
    )
    tell_reasons(tally)
    tell_left_out(plan.fewer, "fewer")
    tell_left_out(left_out)


class Plan:
    """The molecules of which conformers are made, each with its model, and what is wrong with the others.

    Args:
        common: the request of all.
        num: conformers of each.
        left_out: why records of the file are left out; further reasons are added.
    """

    def __init__(self, common: "Request", num: int, left_out: list[InputError]):
        from molgen.molecules.filters import Filters

        self.common, self.num, self.left_out = common, num, left_out
        self.screen = Filters().start()
        self.networks: dict[str, Model] = {}
        self.graphs: dict[str, tuple[Model, Conformers]] = {}
        """By name of the molecule."""
        self.settled: dict[Model, Request] = {}
        self.doubts: dict[str, None] = {}
        """Warnings, each once."""
        self.done: dict[str, list[int]] = defaultdict(list)
        """Numbers of the draws that an earlier run has written, by name of the molecule."""
        self.fewer: list[str] = []
        """Of which molecules fewer conformers were made, and why."""

    def take(self, graph: "Conformers", name: str, device: str | None, include_flagged: bool) -> None:
        """Adds a molecule for the model of this name, or why it is left out.

        Raises:
            InputError: there is no such model, or it is none of molecules.
        """
        from molgen.domain import require
        from molgen.sample import load

        if name not in self.networks:
            self.networks[name] = load(name, device)
        network = self.networks[name]
        require("molecules", network.domain, name, "conformers")
        try:
            self.doubts |= dict.fromkeys(network.warnings(replace(self.common, constraint=graph)))
            if not include_flagged and (reason := self.screen(graph.molecule)):
                raise InputError(f"{graph}: {reason}; --include-flagged makes its conformers")
            self.graphs[plain_text(graph)] = network, graph
        except InputError as error:
            self.left_out.append(error)

    def expect(self, tags: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The tags that this run would give the record with these; None if it makes no such record."""
        network, graph = self.graphs.get(plain_text(tags.get("conformer_of")), (None, None))
        if network is None:
            return None
        if network not in self.settled:
            self.settled[network] = network.settled(self.common)
        return replace(self.settled[network], constraint=graph).tags(network.checkpoint.name, tags["index"])

    def conformers(self, tally: "Tally", advance: "Callable[[Iterable[Molecule]], Iterator[Molecule]]") -> "Iterator[Molecule]":
        """The conformers that are missing, molecule by molecule; those whose draws come to nothing are given up and named."""
        from molgen.conformation import conformers

        found: dict[Model, Iterator[Iterator[Molecule]]] = {}
        for network in self.networks.values():
            own = {name: graph for name, (other, graph) in self.graphs.items() if other is network}
            done = [self.done[name] for name in own]
            found[network] = conformers(network, [*own.values()], self.num, request=self.common, done=done, tally=tally)
        for name, (network, _) in self.graphs.items():
            made = len(self.done[name])
            try:
                for conformer in advance(next(found[network])):
                    yield conformer
                    made += 1
            except InputError as error:  # its draws come to nothing, one after the other
                why = InputError(f"{name}: {str(error).partition(';')[0]}; given up")
                if made:
                    self.fewer.append(f"{made} of {self.num}: {why}")
                else:
                    self.left_out.append(why)
