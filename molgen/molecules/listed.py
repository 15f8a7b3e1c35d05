"""Molecules of a list of SMILES, with hydrogens and a conformer of each (:mod:`molgen.molecules.embed`)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rdkit import Chem, rdBase

from molgen.molecules.convert import from_rdkit, has_isotopes
from molgen.molecules.embed import embed
from molgen.molecules.export import read_records
from molgen.molecules.formats import LISTS
from molgen.molecules.given import Record, graph
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import FIXES, Chunk
from molgen.molecules.prepare.smiles import Smiles
from molgen.molecules.text import shown
from molgen.molecules.values import as_value
from molgen.molecules.vocabulary import Vocabulary
from molgen.preparation import Rejected
from molgen.workers import available_cores, in_order


def listed(path: Path, vocabulary: Vocabulary | None = None, largest: bool = False) -> Iterator[Record]:
    """The records of a .smi, .csv or .tsv file in order, made on all cores.

    The cells of a row are properties of its molecule, its name is the `title`.

    Args:
        path: the file.
        vocabulary: elements and charges for which a conformer is of use; a molecule with others is handed out without coordinates (zeros).
        largest: take the largest fragment of each, without salts and solvents.

    Raises:
        InputError: the file cannot be read, or has no column of SMILES.
        RunError: a worker process died.
    """
    source = Smiles(path)
    for _, made, _ in in_order(Embedded(source, vocabulary, largest), source.chunks(), available_cores()):
        yield from made


def records_in(path: Path, format: str, vocabulary: Vocabulary | None = None, largest: bool = False) -> Iterator[Record]:
    """The records of any file of molecules in order; of a list see :func:`listed`, without a vocabulary no conformers are made.

    Raises:
        InputError: as :func:`listed`.
        RunError: as :func:`listed`.
    """
    if format in LISTS:
        yield from listed(path, vocabulary, largest)
    else:
        yield from (Record.of(text, format) for text in read_records(path, format))


def told(where: str, name: str, smiles: str, reason: str) -> str:
    """Which record of a list cannot be used, and why."""
    parts = [f"{where} ({name})" if name else where, shown(smiles), reason]
    return f"{': '.join(part for part in parts if part)}{f'; {fix}' if (fix := FIXES.get(reason)) and smiles else ''}"


@dataclass(frozen=True)
class Embedded:
    """Makes the molecules of a chunk of lines; sent to worker processes. See :func:`listed`."""

    source: Smiles
    vocabulary: Vocabulary | None
    largest: bool

    def __call__(self, chunk: Chunk) -> list[Record]:
        """The records."""
        made = list[Record]()
        with rdBase.BlockLogs():
            for entry in chunk.entries:
                title = {"title": entry.name} if entry.name else {}
                properties = {**title, **{name: as_value(text) for name, text in entry.tags.items()}}
                try:
                    mol = self.source.graph(entry, self.largest)
                    found = replace(self._molecule(mol), properties=properties)
                    made.append(Record(found, properties, entry.text, has_isotopes(mol)))
                except (Rejected, ValueError) as reason:
                    made.append(Record(str(reason).partition("\n")[0], properties, entry.text))
        return made

    def _molecule(self, mol: Chem.Mol) -> Molecule:
        """The molecule of a graph, with a conformer where it is of use.

        Raises:
            Rejected: none is found.
            ValueError: as :func:`~molgen.molecules.given.graph`.
        """
        plain = graph(mol)
        if self.vocabulary is None or self.vocabulary.lacking(plain.atomic_numbers.tolist(), plain.charges.tolist()):
            return plain
        return from_rdkit(embed(mol, self.source.seed))
