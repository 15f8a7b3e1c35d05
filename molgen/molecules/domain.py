"""Molecules as a domain: see :mod:`molgen.domain`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from molgen.batch import Batch, mask_of
from molgen.diffusion.condition import Conditions
from molgen.diffusion.process import Joint
from molgen.domain import Dataset, Domain, Filters, Guide, Verdict
from molgen.errors import InputError, got
from molgen.known import Known, packed_fingerprints
from molgen.molecules.data import PackedMolecules
from molgen.molecules.decode import check, decode
from molgen.molecules.fields import MoleculeFields, Statistics, build_conditions, build_process
from molgen.molecules.guiding import OnePiece, closed_shells
from molgen.molecules.metrics.stability import strict
from molgen.molecules.molecule import Molecule
from molgen.ranges import MOST_ATOMS


@dataclass(frozen=True)
class Molecules(Domain[Molecule]):
    """Atoms with elements, charges and bonds in space."""

    fields: MoleculeFields
    items: str = "molecules"
    node: str = "atom"
    out: str = "molecules.sdf"
    guidance: float = 2.0
    steps: int = 50
    most_nodes: int = MOST_ATOMS
    pairs_per_batch: int = 10_000

    def load_statistics(self, path: Path) -> Statistics:
        return Statistics.load(path)

    def open(self, path: str | Path, labels: Sequence[str]) -> PackedMolecules:
        return PackedMolecules(path, labels)

    def known(self, data: Dataset, chosen: np.ndarray) -> Known | None:
        fingerprints = packed_fingerprints(data.path)
        return Known.of(np.array(fingerprints, np.uint64)[chosen]) if fingerprints else None

    def process(self, statistics: Statistics) -> Joint:
        return build_process(self.fields, statistics)

    def conditions(self, names: Sequence[str], statistics: Statistics) -> Conditions:
        return build_conditions(tuple(names), statistics)

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def empty(self, sizes: Sequence[int], statistics: Statistics) -> Batch:
        mask = mask_of(sizes)
        b, n = mask.shape
        classes = {name: torch.zeros(b, n, dtype=torch.long) for name in ("atom", "charge")}
        return Batch({"pos": torch.zeros(b, n, 3, dtype=torch.float32), **classes, "bond": torch.zeros(b, n, n, dtype=torch.long)}, mask)

    def decode(self, batch: Batch, statistics: Statistics) -> list[Molecule]:
        return decode(batch, statistics)

    def check(self, item: Molecule) -> Verdict:
        return check(item)

    def measures(self, names: Sequence[str]) -> bool:
        from molgen.molecules.measure import measurable

        return measurable(names)

    def measure(self, item: Molecule, names: Sequence[str]) -> dict[str, float]:
        from molgen.molecules.measure import measure

        return measure(item, names)

    def encode(self, items: Sequence[Molecule], statistics: Statistics, first: int = 1) -> Batch:
        from molgen.molecules.bonds import bonded
        from molgen.molecules.encode import encode_all

        if not items:
            raise InputError("molecules: expected at least one")
        whole = []
        for number, item in enumerate(items, first):
            if not isinstance(item, Molecule):
                raise InputError(f"molecule {number}: expected a molgen.Molecule, got {got(item)}")
            try:
                whole.append(bonded(item))
            except ValueError as error:
                raise InputError(f"molecule {number}: has no bonds, and {error}") from None
        return encode_all(whole, statistics, first)

    def with_labels(self, statistics: Statistics, others: Statistics) -> Statistics:
        known = {label.name for label in statistics.labels}
        return replace(statistics, labels=(*statistics.labels, *(label for label in others.labels if label.name not in known)))

    def doubt(self, sizes: Sequence[int], statistics: Statistics) -> str:
        seen = statistics.sizes
        unseen = sorted(set(sizes) - set(seen))
        if not unseen:
            return ""
        others = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
        return f"size {unseen[0]}{others} never occurred in training ({min(seen)} to {max(seen)} atoms)"

    def filters(self) -> Filters:
        from molgen.molecules.filters import Filters

        return Filters()

    def guides(self, statistics: Statistics) -> tuple[Guide, ...]:
        shells = closed_shells(self.fields.valence) if self.fields.valence and statistics.hydrogens else ()
        return (*shells, OnePiece()) if self.fields.one_piece else shells

    def quality(self, items: Sequence[Molecule]) -> dict[str, float]:
        """``stable``: share of strictly stable molecules (P2s)."""
        return {"stable": float(np.mean([bool(strict(molecule)["p2s_stable"]) for molecule in items]))}
