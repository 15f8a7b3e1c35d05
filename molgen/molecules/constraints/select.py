"""Which atoms of a molecule: numbers as users write them, and substructures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

from molgen.errors import InputError
from molgen.molecules.molecule import Molecule


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """Numbers of ``1,4-9``, in the order given.

    Raises:
        InputError: naming the option, for anything else.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or "-" not in part)) or int(first) > int(last or first) or int(last or 0) > 99999:
            raise InputError(f"{option} {text}: expected numbers of atoms such as 1,4-9")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def format_numbers(numbers: Iterable[int]) -> str:
    """The inverse of :func:`parse_numbers`, ascending: ``1,4-9``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def check_numbers(numbers: Sequence[int], molecule: Molecule, source: str, what: str) -> None:
    """Refuses numbers that no atom has, and repeated ones.

    Raises:
        InputError: naming the first of them.
    """
    for place, number in enumerate(numbers):
        if not 1 <= number <= len(molecule):
            raise InputError(f"{source}: {what} names atom {number}, but the atoms are numbered from 1 to {len(molecule)}")
        if number in numbers[:place]:
            raise InputError(f"{source}: {what} names atom {number} twice")


def check_pull(pull: Any) -> None:
    """Refuses what is no scale of guidance.

    Raises:
        InputError: it is no number, negative or not finite.
    """
    if not isinstance(pull, Real) or isinstance(pull, bool) or not 0 <= float(pull) < math.inf:
        raise InputError(f"pull: expected a number of at least 0, got {pull!r}")


def match(molecule: Molecule, smarts: str, source: str) -> list[tuple[int, ...]]:
    """Numbers (from 1) of the atoms of every match of a SMARTS pattern, ascending.

    Raises:
        InputError: if the pattern cannot be parsed, the molecule is not valid, or nothing matches.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts) if isinstance(smarts, str) else None
        if pattern is None or pattern.GetNumAtoms() == 0:
            raise InputError(f"{smarts}: not a SMARTS pattern")
        mol = molecule.to_rdkit()
        try:
            Chem.SanitizeMol(mol)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{source}: RDKit refuses the molecule ({str(error).splitlines()[0]}); mend it or name atoms") from None
    matches = sorted(tuple(sorted(index + 1 for index in found)) for found in mol.GetSubstructMatches(pattern))
    if not matches:
        raise InputError(f"{source}: nothing matches {smarts}")
    return matches
