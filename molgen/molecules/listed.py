"""Molecules of a list of SMILES, with hydrogens and a conformer of each (:mod:`molgen.molecules.embed`)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rdkit import rdBase

from molgen.molecules.convert import from_rdkit
from molgen.molecules.embed import Unembeddable, embed
from molgen.molecules.export import LISTS, read_records
from molgen.molecules.given import Record, graph
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import FIXES, Chunk, Entry
from molgen.molecules.prepare.smiles import Smiles
from molgen.molecules.records import as_value
from molgen.preparation import Rejected
from molgen.workers import available_cores, in_order


def listed(path: Path, elements: Collection[int], charges: Collection[int], largest: bool = False) -> Iterator[Record]:
    """The records of a .smi, .csv or .tsv file in order, made on all cores.

    The cells of a row are properties of its molecule, its name is the `title`.

    Args:
        path: the file.
        elements: atomic numbers for which a conformer is of use; a molecule with others is handed out without coordinates (zeros).
        charges: the same of formal charges.
        largest: take the largest fragment of each, without salts and solvents.

    Raises:
        InputError: the file cannot be read, or has no column of SMILES.
        RunError: a worker process died.
    """
    source = Smiles(path, largest=largest)
    for _, made, _ in in_order(Embedded(source, frozenset(elements), frozenset(charges)), source.chunks(), available_cores()):
        yield from made


def records_in(
    path: Path, format: str, elements: Collection[int] = (), charges: Collection[int] = (), largest: bool = False
) -> Iterator[Record]:
    """The records of any file of molecules in order; of a list see :func:`listed`, without elements no conformers are made.

    Raises:
        InputError: as :func:`listed`.
        RunError: as :func:`listed`.
    """
    if format in LISTS:
        yield from listed(path, elements, charges, largest)
    else:
        yield from (Record.of(text, format) for text in read_records(path, format))


def told(where: str, name: str, smiles: str, reason: str) -> str:
    """Which record of a list cannot be used, and why."""
    parts = [f"{where} ({name})" if name else where, smiles, reason]
    return f"{': '.join(part for part in parts if part)}{f'; {fix}' if (fix := FIXES.get(reason)) and smiles else ''}"


@dataclass(frozen=True)
class Embedded:
    """Makes the molecules of a chunk of lines; sent to worker processes. See :func:`listed`."""

    source: Smiles
    elements: frozenset[int]
    charges: frozenset[int]

    def __call__(self, chunk: Chunk) -> list[Record]:
        """The records."""
        made = list[Record]()
        with rdBase.BlockLogs():
            for entry in chunk.entries:
                title = {"title": entry.name} if entry.name else {}
                properties = {**title, **{name: as_value(text) for name, text in entry.tags.items()}}
                found = self._found(entry)
                made.append(Record(replace(found, properties=properties) if isinstance(found, Molecule) else found, properties, entry.text))
        return made

    def _found(self, entry: Entry) -> Molecule | str:
        """The molecule of an entry, or the reason why there is none."""
        try:
            mol = self.source.graph(entry)
            plain = graph(mol)
            if not self.elements.issuperset(plain.atomic_numbers.tolist()) or not self.charges.issuperset(plain.charges.tolist()):
                return plain
            return from_rdkit(embed(mol, self.source.seed))
        except (Rejected, Unembeddable, ValueError) as reason:
            return str(reason).partition("\n")[0]
