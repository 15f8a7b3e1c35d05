"""Similarity to given molecules: Tanimoto of Morgan fingerprints of radius 2 in 2,048 bits.

Reference: Rogers and Hahn 2010, 10.1021/ci100050t (extended-connectivity fingerprints).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molgen.errors import InputError
from molgen.molecules.bonds import bonded
from molgen.molecules.known_sets import graphs
from molgen.molecules.metrics.validity import bare
from molgen.molecules.molecule import Molecule

RADIUS, BITS = 2, 2048

Given = Path | str | Molecule
"""A molecule, a file of molecules, or a SMILES."""


class Similarity:
    """Largest similarity to any of some molecules.

    Args:
        given: molecules, files and SMILES; at least one.

    Raises:
        InputError: none, or what is no molecule and no file of molecules.
    """

    def __init__(self, given: Sequence[Given]) -> None:
        self._fingerprints: list[Any] = []
        for one in given:
            if not isinstance(one, Molecule):
                self._fingerprints += map(_fingerprint, graphs(one, most=0.0))
                continue
            try:
                self._fingerprints.append(_fingerprint(bare(bonded(one).to_rdkit(sanitize=True))))
            except (ValueError, RuntimeError):
                raise InputError(f"similar_to: RDKit refuses {one!r}; mend it") from None
        if not self._fingerprints:
            raise InputError("similarity: similar to what? give --similar-to FILE or SMILES (in Python similar_to=[...])")

    def __call__(self, mol: Chem.Mol) -> float:
        """From 0 to 1, of a sanitised molecule without hydrogen atoms."""
        return max(DataStructs.BulkTanimotoSimilarity(_fingerprint(mol), self._fingerprints))


def name_of(given: Given) -> str:
    """What tags call a molecule, a file or a SMILES."""
    return f"molecule {given.digest()}" if isinstance(given, Molecule) else str(given)


def _fingerprint(mol: Chem.Mol) -> Any:
    return _generator().GetFingerprint(mol)


@cache
def _generator() -> Any:
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
