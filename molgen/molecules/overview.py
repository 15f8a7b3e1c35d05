"""What the records of a file hold, in words: for whoever wants to know before preparing, predicting or evaluating them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from molgen.counting import counted
from molgen.known import fingerprint
from molgen.molecules.bonds import bonded, unusual_length
from molgen.molecules.given import Record, complete, graph, parse_smiles
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import num_fragments
from molgen.molecules.metrics.validity import validity
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.records import SALT
from molgen.molecules.text import shown
from molgen.molecules.vocabulary import Vocabulary

Row = tuple[str, str]
"""A name and what is printed behind it."""


@dataclass
class Values:
    """What a named value of the records is, counted."""

    numbers: list[float] = field(default_factory=list)
    text: str = ""
    others: int = 0

    def see(self, value: Any) -> None:
        """Takes in the value of a record."""
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
            self.numbers.append(value)
        else:
            self.others, self.text = self.others + 1, self.text or str(value)

    def line(self) -> str:
        """How many there are, from where to where, and what is no number."""
        said = []
        if self.numbers:
            low, high = min(self.numbers), max(self.numbers)
            spread = f"{low:.4g} to {high:.4g}, mean {np.mean(self.numbers):.4g}" if low < high else f"all {low:.4g}"
            said.append(f"{counted(len(self.numbers), 'number')}, {spread}")
        if self.others:
            said.append(f"{counted(self.others, 'text')}, the first '{shown(self.text)}'")
        return "; ".join(said)


@dataclass
class Overview:
    """Records of a file, counted.

    Args:
        flat: whether its format has no coordinates.
        models: what models can represent, by name, which the molecules may or may not be.
    """

    flat: bool
    models: Mapping[str, Vocabulary]
    records: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    first_broken: int = 0
    sizes: list[int] = field(default_factory=list)
    heavy: list[int] = field(default_factory=list)
    elements: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    charges: Counter[int] = field(default_factory=Counter)
    fits: Counter[str] = field(default_factory=Counter)
    different: set[int] = field(default_factory=set)
    values: defaultdict[str, Values] = field(default_factory=lambda: defaultdict(Values))

    def see(self, record: Record) -> None:
        """Takes in a record."""
        self.records += 1
        for name, value in record.properties.items():
            if name != "title":
                self.values[name].see(value)
        try:
            molecule = self._molecule(record.found, record.smiles)
        except ValueError as reason:
            self.broken[str(reason).partition("\n")[0]] += 1
            self.first_broken = self.first_broken or self.records
            return
        self.counts["isotopes"] += record.isotopes
        self.sizes.append(len(molecule))
        self.heavy.append(int((molecule.atomic_numbers > 1).sum()))
        self.elements.update(set(molecule.atomic_numbers.tolist()))
        self.charges[int(molecule.charges.sum())] += 1
        self.counts["charged atoms"] += bool(molecule.charges.any())
        pieces = num_fragments(len(molecule), molecule.bonds)
        self.counts["fragments"] += pieces > 1
        if smiles := str(validity(molecule)["smiles"]):
            self.different.add(fingerprint(smiles))
        for name, vocabulary in self.models.items():
            self.fits[name] += vocabulary.holds(molecule) and pieces == 1 and not molecule.charges.sum()  # as samples are

    def _molecule(self, found: Molecule | Chem.Mol | str, smiles: str) -> Molecule:
        """The molecule of a record with all its hydrogens; a drawing and what is written as SMILES have no coordinates.

        Raises:
            ValueError: it holds none.
        """
        if found == SALT and smiles:  # which a list leaves out, though they can be told
            return graph(Chem.AddHs(parse_smiles(smiles)))
        if isinstance(found, str):
            raise ValueError(found)
        if not isinstance(found, Molecule):
            self.counts["flat"] += 1
            return graph(Chem.AddHs(found))
        if not self.flat and not len(found.bonds):
            found = bonded(found)
        self.counts["other unit"] += not self.flat and unusual_length(found.atomic_numbers, found.positions, found.bonds) is not None
        try:
            with rdBase.BlockLogs():
                whole = complete(found)
        except ValueError:  # RDKit refuses it: it counts as it is
            self.counts["refused"] += 1
            return found
        self.counts["hydrogens"] += len(whole) > len(found)
        return whole

    def rows(self) -> Iterator[Row]:
        """What was found, a row at a time; nothing about what is not there."""
        total = len(self.sizes)
        ((worst, _),) = self.broken.most_common(1) or [("", 0)]
        lost = f", {self.broken.total():,} of them unreadable (first record {self.first_broken}; most often: {worst})" if worst else ""
        yield "records", f"{self.records:,}{lost}"
        if not total:
            return
        yield "different", f"{counted(len(self.different), 'molecule')}, stereo aside"
        yield "atoms", _span(self.sizes)
        yield "heavy atoms", _span(self.heavy)
        yield "elements", ", ".join(f"{SYMBOLS[n]} {_share(count, total)}" for n, count in sorted(self.elements.items()))
        for name, row, words in (
            (
                "charged atoms",
                "charged atoms",
                f"in {{}}; total charges {', '.join(f'{q:+d} {n:,}' for q, n in sorted(self.charges.items()))}",
            ),
            ("fragments", "salts", "{} of more than one piece (--largest-fragment)"),
            ("refused", "refused", "{} that RDKit cannot sanitise"),
            ("hydrogens", "hydrogens", "{} without all of them"),
            ("isotopes", "isotopes", "{} with labels, which are not kept"),
            ("flat", "coordinates", "{} as flat drawings"),
            ("other unit", "coordinates", "{} not in Å, by their bond lengths"),
        ):
            if self.counts[name]:
                yield row, words.format(f"{self.counts[name]:,}")
        if self.flat:
            yield "coordinates", "none (prepare, predict and conformers make them)"
        for name, found in self.values.items():
            yield f"tag {name}", found.line()
        if self.models:
            yield "fits", ", ".join(f"{name} {_share(self.fits[name], total)}" for name in self.models)


def _span(counts: list[int]) -> str:
    """From where to where whole numbers go."""
    low, high = min(counts), max(counts)
    return f"{low} to {high} a molecule, median {int(np.median(counts))}" if low < high else f"{low} a molecule"


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.3g} %"
