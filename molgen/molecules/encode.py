"""From molecules to fields: the inverse of :mod:`molgen.molecules.decode`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molgen.batch import Batch, join, mask_of
from molgen.errors import InputError
from molgen.files import shipped
from molgen.models import MADE_FOR
from molgen.molecules.decode import check
from molgen.molecules.fields import ANGSTROM_PER_UNIT, Statistics
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import num_fragments
from molgen.molecules.molecule import Molecule
from molgen.molecules.vocabulary import Vocabulary

HYPERVALENT = ("P", "S", "As", "Se")
"""Elements whose bonds to O are written as double ones or with charges."""


def check_molecule(molecule: Any) -> None:
    """Refuses what is no molecule, such as the name of a file.

    Raises:
        InputError: saying how molecules are read.
    """
    if not isinstance(molecule, Molecule):
        ways = "molgen.read_sdf(FILE) reads those of a file, molgen.Molecule.from_rdkit(mol) takes one of RDKit"
        raise InputError(f"molecule: expected a molgen.Molecule, got {molecule!r}; {ways}")


@cache
def _vocabulary(folder: Path) -> Vocabulary:
    """That of the model in a folder."""
    return Vocabulary.of(Statistics.load(folder / "statistics.json"))


def shipped_for(molecule: Molecule) -> list[str]:
    """The models that ship that know the elements, charges and number of atoms of a molecule, the best one first; none makes ions."""
    if molecule.charges.sum():
        return []
    heavy, folder = int((molecule.atomic_numbers > 1).sum()), shipped("weights")
    ranked = sorted(MADE_FOR, key=lambda name: heavy > MADE_FOR[name])
    return [name for name in ranked if _vocabulary(folder / name).holds(molecule)]


def _instead(molecule: Molecule) -> str:
    """Which model that ships knows the molecule, for an error; empty where none does."""
    return "".join(f"; the model {name} knows such" for name in shipped_for(molecule)[:1])


def _uncharged(molecule: Molecule, atom: int) -> str:
    """How a molecule is written without the charge of an atom (from 0), for an error; empty where it is not."""
    numbers, charges = molecule.atomic_numbers.tolist(), molecule.charges.tolist()
    for i, j, order in molecule.bonds.tolist():
        plus, minus = (i, j) if charges[i] > charges[j] else (j, i)
        if atom in (i, j) and order == 1 and charges[plus] == 1 and charges[minus] == -1 and SYMBOLS[numbers[plus]] in HYPERVALENT:
            first, second = SYMBOLS[numbers[plus]], SYMBOLS[numbers[minus]]
            return f"; write [{first}+][{second}-] as {first}={second}"
    return "; give its neutral form" if sum(charges) else ""


def check_vocabulary(molecule: Molecule, statistics: Statistics, source: str) -> None:
    """Refuses what a model with this vocabulary cannot represent.

    Raises:
        InputError: for an element or a formal charge that the training data lack, naming the atom (from 1), or a model of shapes.
    """
    if not hasattr(statistics, "elements"):
        raise InputError(f"{source}: is a molecule; the model makes none")
    for number, (element, charge) in enumerate(zip(molecule.atomic_numbers.tolist(), molecule.charges.tolist(), strict=True), 1):
        if element not in statistics.elements:
            known = ", ".join(SYMBOLS[z] for z in statistics.elements)
            raise InputError(f"{source}: atom {number} is {SYMBOLS[element]}; the model was trained on {known} only{_instead(molecule)}")
        if charge not in statistics.charges:
            known = ", ".join(f"{q:+d}" if q else "0" for q in statistics.charges)
            reason = f"the model was trained on the charges {known} only"
            fix = _instead(molecule) or _uncharged(molecule, number - 1)
            raise InputError(f"{source}: atom {number} has the charge {charge:+d}; {reason}{fix}")


def encode(molecule: Molecule, statistics: Statistics, sizes: Sequence[int]) -> Batch:
    """A batch of samples with these sizes that all begin with the molecule: positions centred and in network units, zeros after it.

    The molecule must fit the vocabulary, see :func:`check_vocabulary`, and be no larger than the smallest size.
    """
    b, n, k = len(sizes), max(sizes), len(molecule)
    pos = np.zeros((b, n, 3), np.float32)
    atom, charge, bond = np.zeros((b, n), np.int64), np.zeros((b, n), np.int64), np.zeros((b, n, n), np.int64)
    pos[:, :k] = (molecule.positions - molecule.positions.mean(0)) / ANGSTROM_PER_UNIT
    atom[:, :k] = [statistics.elements.index(z) for z in molecule.atomic_numbers.tolist()]
    charge[:, :k] = [statistics.charges.index(q) for q in molecule.charges.tolist()]
    i, j, order = molecule.bonds.T
    bond[:, i, j] = bond[:, j, i] = order
    arrays = {"pos": pos, "atom": atom, "charge": charge, "bond": bond}
    return Batch({name: torch.from_numpy(array) for name, array in arrays.items()}, mask_of(sizes))


def encode_all(molecules: Sequence[Molecule], statistics: Statistics, first: int = 1) -> Batch:
    """A batch of molecules: positions centred and in network units, padded to the largest.

    Raises:
        InputError: for an element or a formal charge that the model was not trained on, naming the molecule (from ``first``) and the atom.
    """
    for number, molecule in enumerate(molecules, first):
        check_molecule(molecule)
        if not len(molecule):
            raise InputError(f"molecule {number}: has no atoms")
        check_vocabulary(molecule, statistics, f"molecule {number}")
    return join([encode(molecule, statistics, [len(molecule)]) for molecule in molecules])


def missing_hydrogens(molecule: Molecule) -> str:
    """What is to be done about hydrogens that are no atoms; empty where none are missing."""
    from molgen.molecules.given import complete, lacks_hydrogens

    try:
        missing = len(complete(molecule)) - len(molecule)
    except ValueError:  # RDKit cannot tell how many
        bare = not (molecule.atomic_numbers == 1).any()
        what = f"has {'no' if bare else 'not all'} hydrogens as atoms; add them, with coordinates"
        return what if bare or lacks_hydrogens(molecule) else ""
    return f"lacks {missing} hydrogens as atoms; molgen.molecules.given.complete adds them" if missing else ""


def _largest(molecule: Molecule) -> str:
    """SMILES of the largest fragment."""
    from molgen.molecules.fragments import largest_part

    return largest_part(molecule).to_smiles()


def own_size(molecule: Molecule, statistics: Statistics, wanted: Sequence[int], source: str, samples: str) -> list[int]:
    """The size of a molecule, for samples that have exactly its atoms; ``samples`` says in an error what these are.

    Raises:
        InputError: if the model cannot represent the molecule or another size is wanted.
    """
    if num_fragments(len(molecule), molecule.bonds) > 1:
        raise InputError(f"{source}: more than one molecule; leave out the salt: '{_largest(molecule)}'")
    check_vocabulary(molecule, statistics, source)
    n = len(molecule)
    if n > max(statistics.sizes):
        raise InputError(f"{source}: {n} atoms; the model was trained on at most {max(statistics.sizes)}{_instead(molecule)}")
    if reason := check(molecule).reason:
        if lacking := missing_hydrogens(molecule):
            raise InputError(f"{source}: {lacking} ({reason})")
        raise InputError(f"{source}: no sample with its atoms can pass the check ({reason}); give its neutral form, or mend it")
    if wanted and n not in wanted:
        raise InputError(f"{source}: {samples} have its {n} atoms; ask for no other size")
    return [n]
