"""From chunks of entries to blocks of arrays."""

from dataclasses import dataclass

from rdkit import Chem, rdBase

from molgen.molecules.bonds import unusual_length
from molgen.molecules.convert import has_isotopes
from molgen.molecules.fragments import largest_fragment
from molgen.molecules.metrics.validity import bare
from molgen.molecules.prepare.block import Block
from molgen.molecules.prepare.compute import STEREO
from molgen.molecules.prepare.fit import Fit
from molgen.molecules.prepare.labels import Labels, Unlabelled
from molgen.molecules.prepare.records import (
    OTHER_UNIT,
    Chunk,
    Entry,
    Record,
    Source,
    add_hydrogens,
    check_atoms,
    sanitize,
    to_arrays,
)
from molgen.preparation import Rejected


@dataclass(frozen=True)
class Converter:
    """All that a worker needs.

    Args:
        source: Where records come from.
        labels: Which labels they get.
        hydrogens: Keep hydrogens as atoms.
        complete: Place hydrogens that a record lacks.
        largest: Keep the largest fragment of a record alone.
        fit: What a model can represent, where the data are for one.
    """

    source: Source
    labels: Labels
    hydrogens: bool = True
    complete: bool = False
    largest: bool = False
    fit: Fit | None = None

    def __call__(self, chunk: Chunk) -> Block:
        """Convert a chunk; what cannot be used is listed with its reason."""
        records, rejected = [], []
        with rdBase.BlockLogs():
            for entry in chunk.entries:
                try:
                    records.append(self.record(entry))
                except Rejected as reason:
                    rejected.append((entry.index, entry.name, reason.label if isinstance(reason, Unlabelled) else "", str(reason)))
        return Block.of(records, rejected, len(self.labels.all))

    def names(self, entry: Entry) -> list[str]:
        """Names of all values that an entry which can be parsed may have: its own and those of the table."""
        with rdBase.BlockLogs():
            header = self.labels.table.header if self.labels.table is not None else ()
            return [*(self.source.columns() or self.source.parse(entry)[2]), *header]

    def record(self, entry: Entry) -> Record:
        """Convert one entry.

        Raises:
            Rejected: With the reason.
        """
        mol, name, tags = self.source.parse(entry)
        if self.largest:
            mol = largest_fragment(mol)
        check_atoms(mol)
        if self.complete or not mol.GetNumConformers():
            mol = add_hydrogens(mol)
        sanitize(mol, self.hydrogens)
        if self.fit is not None:
            self.fit.check(mol)
        mol = self.source.place(mol)
        plain = bare(mol)
        labels = self.labels.of(bare(mol, stereo=True) if STEREO & {*self.labels.computed} else plain, name, tags)
        replaced = self.labels.replaced(name, tags)
        smiles = Chem.MolToSmiles(plain, isomericSmiles=False)
        numbers, positions, charges, bonds = to_arrays(mol, self.hydrogens)
        if unusual_length(numbers, positions, bonds) is not None:
            raise Rejected(OTHER_UNIT)
        return Record(entry.index, numbers, positions, charges, bonds, labels, replaced, has_isotopes(mol), smiles)
