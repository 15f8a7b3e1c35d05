"""Molecules of a list of SMILES, with hydrogens and a conformer of each (:mod:`molgen.molecules.embed`)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rdkit import rdBase

from molgen.molecules.convert import from_rdkit
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import Chunk, Rejected
from molgen.molecules.prepare.smiles import Smiles
from molgen.molecules.records import as_value
from molgen.workers import available_cores, in_order


def listed(path: Path) -> Iterator[Molecule | str]:
    """Those of a .smi, .csv or .tsv file in order, made on all cores, or the reason why there is none.

    The cells of a row are properties of its molecule, its name is the `title`.

    Raises:
        InputError: the file cannot be read, or has no column of SMILES.
        RunError: a worker process died.
    """
    source = Smiles(path)
    for _, made, _ in in_order(Embedded(source), source.chunks(), available_cores()):
        yield from made


@dataclass(frozen=True)
class Embedded:
    """Makes the molecules of a chunk of lines; sent to worker processes."""

    source: Smiles

    def __call__(self, chunk: Chunk) -> list[Molecule | str]:
        """The molecules, or the reasons why there is none."""
        made = list[Molecule | str]()
        with rdBase.BlockLogs():
            for entry in chunk.entries:
                try:
                    molecule = from_rdkit(self.source.parse(entry)[0])
                except (Rejected, ValueError) as reason:
                    made.append(str(reason).partition("\n")[0])
                    continue
                title = {"title": entry.name} if entry.name else {}
                made.append(replace(molecule, properties={**title, **{name: as_value(text) for name, text in entry.tags.items()}}))
        return made
