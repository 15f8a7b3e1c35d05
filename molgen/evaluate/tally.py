"""What is kept of a set of molecules while they stream by: sums and histograms, in memory that does not grow with the set.

Records are dealt to B = 128 blocks in turn and everything is summed by block; an interval comes from resampling the blocks (bootstrap), so
that ratios of sums, medians and distances between distributions all get one in the same way. With fewer than B records a block is one
record, and from about 20 on this is the ordinary bootstrap (of fewer the intervals are wider: empty blocks are drawn as well). Only 16
bytes a record are kept besides: hashes of its SMILES, for uniqueness and novelty.
Scaffolds and functional groups are only remembered as far as the real molecules show them, which is what coverage asks.

Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 8 (grouped data).
"""

import math
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.score import Scores
from molgen.known import fingerprint
from molgen.molecules.bonds import odd_scale
from molgen.molecules.measure import number_of
from molgen.molecules.metrics.frechet import BATCH, LENGTH, Moments, activations
from molgen.molecules.molecule import Molecule
from molgen.molecules.properties import PROPERTIES
from molgen.tags import PREDICTED, REQUESTED

BLOCKS = 128

LARGEST_SET = 1000
"""Different reasons and tags that are counted by name; later ones are counted together as `OTHER`."""
OTHER = "other"
FIRST = 100
"""Molecules by whose bonds it is told whether coordinates are in Å."""


@dataclass
class Values:
    """Values of one property with the numbers of atoms of the molecules that have them, 12 bytes a molecule."""

    sizes: array = field(default_factory=lambda: array("i"))
    values: array = field(default_factory=lambda: array("d"))

    def add(self, size: int, value: float) -> None:
        """Takes in a molecule of `size` atoms."""
        self.sizes.append(size)
        self.values.append(value)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Sizes and values, each of shape (n,)."""
        return np.array(self.sizes), np.array(self.values)


@dataclass
class Requests:
    """Requested values of one property, and those measured on the samples, NaN where that fails; 20 bytes a sample."""

    requested: array = field(default_factory=lambda: array("d"))
    measured: Values = field(default_factory=Values)

    def add(self, requested: float, measured: float, size: int) -> None:
        """Takes in a sample of `size` atoms."""
        self.requested.append(requested)
        self.measured.add(size, measured)


@dataclass
class Tally:
    """Sums and histograms of a set, by block.

    Args:
        name: of the set.
        keep: number of first molecules to keep with their scores, for a gallery.
        real: whether these are real molecules, whose numeric SD tags are labels to compare requests with, and of which one half is
            compared with the other.
        reference: real molecules to compare with; scaffolds and functional groups that they lack are not kept.
    """

    name: str
    keep: int = 0
    real: bool = False
    reference: "Tally | None" = None
    records: int = 0
    read: int = 0
    ratios: dict[str, np.ndarray] = field(default_factory=dict)
    histograms: dict[str, dict[str, np.ndarray]] = field(default_factory=lambda: defaultdict(dict))
    beyond: Counter[tuple[str, float]] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    lengths: list[float | None] = field(default_factory=list)
    smiles: array = field(default_factory=lambda: array("Q"))
    p1_smiles: array = field(default_factory=lambda: array("Q"))
    scaffolds: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    halves: tuple[dict[str, Counter[str]], ...] = field(default_factory=lambda: (defaultdict(Counter), defaultdict(Counter)))
    requests: dict[str, Requests] = field(default_factory=lambda: defaultdict(Requests))
    labels: dict[str, Values] = field(default_factory=lambda: defaultdict(Values))
    tags: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    missing: np.ndarray = field(default_factory=lambda: np.zeros(BLOCKS, dtype=np.int64))
    highest_index: int = -1
    kept: list[Scores] = field(default_factory=list)
    chemnet: "ChemNet | None" = None

    def add(self, scores: Scores) -> None:
        """Takes in the scores of the next record."""
        block = self.records % BLOCKS
        self.records += 1
        molecule = scores.molecule
        self.smiles.append(fingerprint(scores.labels.get("smiles", "")))
        self.p1_smiles.append(fingerprint(scores.labels.get("p1_smiles", "")))
        if self.chemnet is not None and scores.labels.get("smiles"):
            self.chemnet.add(scores.labels["smiles"], block % 2)
        self._ratio("read", block, molecule is not None, 1)
        for check, reason in scores.reasons.items():
            self.first[check].setdefault(_count(self.reasons[check], reason), self.records)
        if molecule is not None:
            self.read += 1
            if self.read <= FIRST:
                self.lengths.append(odd_scale(molecule))
            self._requests(molecule, scores)
        for name, passed in scores.passed.items():
            self._ratio(name, block, passed, 1)
        for name, value in scores.values.items():
            if name in ("p1_atoms", "p2s_atoms", "p2_atoms"):
                self._ratio(name.removesuffix("s"), block, scores.values[name.replace("_atoms", "_stable_atoms")], value)
            elif not name.endswith("_stable_atoms"):
                self._value(name, block, value)
        for family, pooled in scores.kinds.items():
            for kind, values in pooled.items():
                self._histogram(family, kind, block, values.tolist())
        self._cover("groups", self.groups, scores.groups, block)
        self._cover("scaffolds", self.scaffolds, [name for name in [scores.labels.get("scaffold")] if name], block)
        if len(self.kept) < self.keep:
            self.kept.append(scores)

    def ask(self, number: int) -> None:
        """Counts samples that were asked for but are not among the records; `number` includes those that are."""
        self.missing = np.bincount(np.arange(self.records, max(number, self.records)) % BLOCKS, minlength=BLOCKS)

    @property
    def asked(self) -> int:
        """Number of samples asked for."""
        return self.records + int(self.missing.sum())

    def clipped(self) -> list[str]:
        """Says which distances and medians are too small because values lie beyond the ends of their histograms."""
        found, compared = [], self.real or self.reference is not None
        for (name, end), count in sorted(self.beyond.items()):
            known, total = DISTRIBUTIONS[name], sum(int(counts.sum()) for counts in self.histograms[name].values())
            what = ["distance"] * (known.distance == "w1" and compared) + ["median"] * (known.median and 2 * count >= total)
            if what:
                side, limit = ("above" if end == known.grid.high else "below"), f"{end:,g} {known.grid.unit}".strip()
                subject = known.title or name.replace("_", " ")
                bound = f"the {' and the '.join(what)} {'are lower bounds' if len(what) > 1 else 'is a lower bound'}"
                found.append(f"{subject}: {count:,} of {total:,} values {side} {limit} count as {limit}, so {bound}")
        return found

    def _cover(self, kind: str, counter: Counter[str], names: list[str], block: int) -> None:
        """Counts kinds that may matter for coverage: all of a set of real molecules, else those that the real molecules have."""
        if self.real:
            counter.update(names)
            self.halves[block % 2][kind].update(names)
        elif self.reference is not None:
            wanted: Counter[str] = getattr(self.reference, kind)
            counter.update(name for name in names if name in wanted)

    def _value(self, name: str, block: int, value: float) -> None:
        if np.isfinite(value):
            self._ratio(name, block, value, 1)
            if name in DISTRIBUTIONS:
                self._histogram(name, "", block, [value])

    def _ratio(self, name: str, block: int, part: float | int, whole: float | int) -> None:
        if name not in self.ratios:
            self.ratios[name] = np.zeros((2, BLOCKS))
        self.ratios[name][0, block] += part
        self.ratios[name][1, block] += whole

    def _histogram(self, family: str, kind: str, block: int, values: list[float]) -> None:
        grid, kinds = DISTRIBUTIONS[family].grid, self.histograms[family]
        if kind not in kinds:
            kinds[kind] = np.zeros((BLOCKS, grid.bins), dtype=np.int32)
        row = kinds[kind][block]
        for value in values:
            row[grid.place(value)] += 1
            if (end := grid.beyond(value)) is not None:
                self.beyond[family, end] += 1

    def _requests(self, molecule: Molecule, scores: Scores) -> None:
        """Collects requested against measured values, or predicted ones, labels of real molecules, and what a sample cost."""
        tags = molecule.properties
        steps, candidates = tags.get("steps"), tags.get("candidates", 1)
        if isinstance(steps, int) and isinstance(candidates, int) and not self.real:
            guided = tags.get("guidance", 1) not in (0, 1)
            _count(self.tags["network calls"], str(steps * candidates * (2 if guided else 1)))
        for name, value in molecule.properties.items():
            if isinstance(value, bool | str):
                if name in ("model", "steps"):
                    _count(self.tags[name], str(value))
                continue
            if name in ("steps", "seed"):
                _count(self.tags[name], str(value))
            elif name == "index" and {"seed", "model"} <= tags.keys() and "round" not in tags:  # rounds of a search count from 0 each
                self.highest_index = max(self.highest_index, int(value))
            elif name.startswith(REQUESTED):
                property_name = name.removeprefix(REQUESTED)
                told = number_of(molecule, f"{PREDICTED}{property_name}") if property_name not in PROPERTIES else math.nan
                measured = scores.values.get(property_name, told)
                self.requests[property_name].add(float(value), measured, len(molecule))
            elif self.real and name not in scores.values:
                self.labels[name].add(len(molecule), float(value))
        for name in PROPERTIES if self.real else ():
            found = scores.values.get(name)
            if found is not None:
                self.labels[name].add(len(molecule), found)


class ChemNet:
    """Moments of ChemNet's activations of the valid samples in even and in odd blocks."""

    def __init__(self) -> None:
        self._waiting: tuple[list[str], list[str]] = ([], [])
        self._halves = (Moments(), Moments())

    def add(self, smiles: str, half: int) -> None:
        """Takes in a sample; what ChemNet cannot read in full is left out."""
        if len(smiles) < LENGTH:
            self._waiting[half].append(smiles)
            if len(self._waiting[half]) == BATCH:
                self._flush(half)

    @property
    def halves(self) -> tuple[Moments, Moments]:
        """Moments of both halves."""
        for half in (0, 1):
            self._flush(half)
        return self._halves

    def _flush(self, half: int) -> None:
        if self._waiting[half]:
            self._halves[half].add(activations(self._waiting[half]))
            self._waiting[half].clear()


def _count(counter: Counter[str], key: str) -> str:
    """Counts the key, or `OTHER` where there are too many; returns which."""
    counted = key if key in counter or len(counter) < LARGEST_SET else OTHER
    counter[counted] += 1
    return counted
