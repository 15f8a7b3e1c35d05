"""From fields back to molecules, and the check that a sample must pass.

A sample that is not a molecule is data, not an exception: :func:`check` answers with a short reason, and reasons are counted.
"""

from __future__ import annotations

import numpy as np

from molgen.batch import Batch
from molgen.domain import Verdict
from molgen.molecules.fields import ANGSTROM_PER_UNIT, Statistics
from molgen.molecules.molecule import Molecule


def decode(batch: Batch, statistics: Statistics) -> list[Molecule]:
    """Molecules of a clean batch, in its order: elements, charges and bonds by the vocabulary, positions in Å."""
    elements, charges = np.array(statistics.elements, np.int64), np.array(statistics.charges, np.int64)
    molecules = []
    for sample in batch.split():
        bond = sample["bond"].cpu().numpy()
        i, j = np.nonzero(np.triu(bond, 1))
        molecules.append(
            Molecule(
                atomic_numbers=elements[sample["atom"].cpu().numpy()],
                positions=sample["pos"].cpu().numpy().astype(np.float64) * ANGSTROM_PER_UNIT,
                charges=charges[sample["charge"].cpu().numpy()],
                bonds=np.stack([i, j, bond[i, j]], 1).astype(np.int64),
                implicit_hydrogens=not statistics.hydrogens,
            )
        )
    return molecules


def check(molecule: Molecule) -> Verdict:
    """Passes a molecule that is strictly stable (protocol P2s) and valid for RDKit; `smiles`: canonical, without stereo."""
    from molgen.molecules.metrics.stability import strict
    from molgen.molecules.metrics.validity import validity

    verdict = strict(molecule)
    if not verdict["p2s_stable"]:
        return Verdict(str(verdict["p2s_reason"]))
    valid = validity(molecule)
    return Verdict("", {"smiles": str(valid["smiles"])}) if valid["valid"] else Verdict(str(valid["valid_reason"]))
