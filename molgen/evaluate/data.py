"""Where molecules come from: files of records, or packed data sets; whole, or a fair sample of them.

A data set that was packed with a split is a folder with `train`, `valid` and `test` inside: as a reference its `valid` part is taken, as
training data its `train` part.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from molgen.errors import InputError, got
from molgen.known import Known, packed_fingerprints
from molgen.molecules.molecule import Molecule
from molgen.packing import part_of

if TYPE_CHECKING:
    from molgen.molecules.data import PackedMolecules

Item = str | Molecule
"""The text of a record, or what it holds."""
Progress = Callable[[Iterable, str, int | None], Iterable]


@dataclass(frozen=True)
class Source:
    """Molecules to evaluate.

    Args:
        path: of the file or folder.
        format: of the records, "" for a packed data set.
        folder: of the packed data set, None for a file.
        given: the molecules themselves, where they are in memory.
    """

    path: Path
    format: str
    folder: Path | None = None
    given: Sequence[Molecule] | None = None

    @property
    def name(self) -> str:
        """Short name for tables, with the part of a split data set."""
        name = self.path.name or str(self.path)
        return f"{name}/{self.folder.name}" if self.folder is not None and self.folder != self.path else name

    def items(self) -> Iterator[Item]:
        """All records, in order; not those of a list of SMILES, see :mod:`molgen.molecules.listed`."""
        if self.given is not None:
            yield from self.given
        elif self.folder is not None:
            data = _packed(self.folder)
            yield from (data.molecule(index) for index in range(len(data)))
        else:
            from molgen.molecules.export import read_records

            yield from read_records(self.path, self.format)

    def sample(self, limit: int) -> list[Item]:
        """At most `limit` records, drawn evenly from all of them with a fixed seed, in order."""
        rng = np.random.default_rng(0)
        if self.folder is not None:
            data = _packed(self.folder)
            chosen = np.sort(rng.permutation(len(data))[:limit])
            return [data.molecule(int(index)) for index in chosen]
        kept: list[tuple[int, Item]] = []
        for number, item in enumerate(self.items()):
            if len(kept) < limit:
                kept.append((number, item))
            else:
                place = int(rng.integers(number + 1))
                if place < limit:
                    kept[place] = (number, item)
        return [item for _, item in sorted(kept, key=lambda pair: pair[0])]

    def count(self) -> int | None:
        """Number of records where it is known without reading the file."""
        if self.given is not None:
            return len(self.given)
        return len(_packed(self.folder)) if self.folder is not None else None


def open_source(path: Path | str | Sequence[Molecule], part: str = "", lists: bool = False) -> Source:
    """Opens an SDF or XYZ file, or a packed data set.

    Args:
        path: of the file or folder, or the molecules themselves.
        part: of a data set with a split to take, `valid` or `train`.
        lists: opens a list of SMILES as well.

    Raises:
        InputError: there is no such file, its format has no coordinates, the folder is no packed data set, or a list holds something else.
    """
    if not isinstance(path, Path | Sequence):
        raise InputError(f"expected a list of molgen.Molecule objects or the name of a file, got {type(path).__name__}; write a list")
    if not isinstance(path, str | Path):
        for number, item in enumerate(path, 1):
            if item is None:
                raise InputError(f"record {number}: got None; leave it out and count it by Settings(asked=...)")
            if not isinstance(item, Molecule):
                raise InputError(f"record {number}: expected a molgen.Molecule, got {got(item)}; Molecule.from_rdkit makes one")
        return Source(Path("molecules"), "", given=path)
    path = Path(path)
    if path.is_dir():
        folder = part_of(path, part)
        if folder is not None:
            return Source(path, "", folder)
        from molgen.molecules.text import joined

        if command := joined(path):
            raise InputError(f"{path}: expected one file, got a folder of them; join them by `{command}`")
        raise InputError(f"{path}: expected a packed data set (statistics.json and arrays), found none; make one with molgen prepare")
    from molgen.molecules.formats import readable

    return Source(path, readable(path, lists=lists))


@dataclass(frozen=True)
class TrainingSet:
    """The SMILES that a model has seen.

    Args:
        known: their set.
        source: of the molecules, where there is more than the set.
        fingerprints: of the SMILES in the order of the records, 0 for a record without; uint64.
    """

    known: Known
    source: Source | None = None
    fingerprints: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))

    def molecules(self, wanted: Sequence[int]) -> Iterator[tuple[int, Molecule]]:
        """The training molecules with these fingerprints, with their fingerprint; none where there is the set alone."""
        if self.source is None:
            return
        numbers = np.flatnonzero(np.isin(self.fingerprints, np.array(wanted, dtype=np.uint64)))
        if self.source.folder is not None:
            data = _packed(self.source.folder)
            for number in numbers.tolist():
                yield int(self.fingerprints[number]), data.molecule(number)
        elif self.source.given is not None:
            from molgen.molecules.bonds import bonded

            for number in numbers.tolist():
                yield int(self.fingerprints[number]), bonded(self.source.given[number])
        elif self.source.format in ("sdf", "xyz") and len(numbers):
            from molgen.molecules.bonds import bonded
            from molgen.molecules.records import READERS

            chosen = set(numbers.tolist())
            for number, text in enumerate(self.source.items()):
                if number in chosen:
                    molecule = READERS[self.source.format](str(text))
                    if not isinstance(molecule, str):
                        yield int(self.fingerprints[number]), bonded(molecule)


def read_training(path: Path | str | Sequence[Molecule], workers: int, progress: Progress) -> TrainingSet:
    """Reads the training SMILES: of a packed data set from its list, of molecules by computing them, of a model from what it says.

    Args:
        path: of the file or folder; the name of a model that ships where there is none of that name; or the molecules themselves.
        workers: processes; 0 is this one.
        progress: shows how far it is.

    Raises:
        RunError: a worker process died.
        InputError: as `open_source`, or without a single SMILES, or a model that does not say what it was trained on.
    """
    if isinstance(path, str | Path) and (known := Known.of_model(Path(path))) is not None:
        return TrainingSet(known)
    from molgen.molecules.known_sets import Fingerprinter, fingerprints, texts

    source = open_source(path, "train", lists=True)
    if source.folder is not None:
        found = packed_fingerprints(source.folder)
    else:
        records = texts(source.path) if source.given is None else source.given
        results = fingerprints(records, Fingerprinter(source.format), max(workers, 1))
        found = [one[0] if one else 0 for _, one in progress(results, f"training SMILES of {source.name}", None)]
    numbers = np.array(found, dtype=np.uint64)
    known = Known.of(numbers)
    if not len(known):
        raise InputError(f"{source.path}: no valid molecule to compare with; check the file")
    return TrainingSet(known, source, numbers)


def _packed(folder: Path) -> "PackedMolecules":
    from molgen.molecules.data import PackedMolecules

    return PackedMolecules(folder)
