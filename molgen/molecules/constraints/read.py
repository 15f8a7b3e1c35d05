"""Given molecules from files, and constraints from what users write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from molgen.errors import InputError
from molgen.molecules.bonds import unusual_length
from molgen.molecules.constraints.keep import Keep
from molgen.molecules.constraints.select import parse_numbers
from molgen.molecules.export import BrokenRecord, file_format, read_molecules
from molgen.molecules.molecule import Molecule

ENDINGS = (".sdf", ".sd", ".mol", ".xyz", ".smi", ".smiles", ".csv", ".tsv", ".txt", ".pdb", ".mol2", ".partial")
"""Of names of files, which no SMILES has."""
CLOSEST = 0.5
"""Distance (Å) of two atoms of different fragments that cannot be meant; the shortest bond, of H2, has 0.74."""


def read_sdf(path: Path | str) -> list[Molecule]:
    """The molecules of an SDF file, all of them whole, with hydrogens and three-dimensional.

    Raises:
        InputError: no SDF file, no record, or a broken one.
    """
    molecules, broken = sort_sdf(path)
    if broken:
        raise next(iter(broken.values()))
    return list(molecules.values())


def sort_sdf(path: Path | str) -> tuple[dict[int, Molecule], dict[int, InputError]]:
    """The molecules of an SDF file by the number of their record, and what is wrong with the other records.

    Raises:
        InputError: no SDF file, or no record.
    """
    path = Path(path)
    if file_format(path) != "sdf":
        raise InputError(f"{path}: expected an SDF file, which has bonds and charges")
    molecules, broken = dict[int, Molecule](), dict[int, InputError]()
    for number, record in enumerate(read_molecules(path), 1):
        if isinstance(record, BrokenRecord):
            broken[number] = InputError(f"{path}: record {number}: {record.reason}; mend or remove it")
        else:
            molecules[number] = record
    if not molecules and not broken:
        raise InputError(f"{path}: holds no molecule")
    return molecules, broken


def check_unit(molecule: Molecule, source: str) -> None:
    """Refuses coordinates in another unit than Å.

    Raises:
        InputError: bonds are far from their usual lengths.
    """
    found = unusual_length(molecule.atomic_numbers, molecule.positions, molecule.bonds)
    if found is not None:
        raise InputError(f"{source}: bonds have {found:.2g} times their usual length; give coordinates in Å (not nm, 0.1, or bohr, 1.9)")


def is_smiles(text: str) -> bool:
    """Whether a text is to be read as a SMILES: no file has this name, and it does not end as one does."""
    return not Path(text).exists() and not text.lower().removesuffix(".gz").endswith(ENDINGS)


def name_of(given: str) -> str:
    """What messages and tags call a file or a SMILES."""
    return given if is_smiles(given) else Path(given).name


def read_one(path: str) -> Molecule:
    """The molecule of an SDF file that holds one, or of a SMILES.

    Raises:
        InputError: as :func:`read_sdf`, for more than one record, for another unit than Å, and as :meth:`Molecule.from_smiles`.
    """
    if is_smiles(path):
        return Molecule.from_smiles(path)
    molecules = read_sdf(path)
    if len(molecules) > 1:
        raise InputError(f"{path}: holds {len(molecules)} molecules; give a file with one")
    check_unit(molecules[0], str(path))
    return molecules[0]


def join(molecules: Sequence[Molecule]) -> Molecule:
    """Several fragments in one frame as one molecule, atoms numbered on through them."""
    offsets = np.cumsum([0, *(len(molecule) for molecule in molecules)])
    bonds = [molecule.bonds + np.array([offset, offset, 0]) for molecule, offset in zip(molecules, offsets, strict=False)]
    return Molecule(
        atomic_numbers=np.concatenate([molecule.atomic_numbers for molecule in molecules]),
        positions=np.concatenate([molecule.positions for molecule in molecules]),
        charges=np.concatenate([molecule.charges for molecule in molecules]),
        bonds=np.concatenate(bonds),
    )


def check_apart(molecules: Sequence[Molecule], source: str) -> None:
    """Refuses fragments that stand in each other's place, such as the molecules of a library.

    Raises:
        InputError: atoms of two records are closer than any bond.
    """
    for number, molecule in enumerate(molecules[1:], 2):
        before = join(molecules[: number - 1]).positions
        if cKDTree(before).query(molecule.positions)[0].min() < CLOSEST:
            raise InputError(
                f"{source}: record {number} stands where another one is; records are fragments of one molecule, in one frame: "
                "give a file with one molecule, or fragments that lie apart"
            )


def read_keep(
    given: Sequence[str],
    atoms: str | None,
    smarts: str | None,
    match: int | None,
    attach: str | None,
    replace_hydrogens: str | None,
    new_atoms: str | None,
) -> Keep:
    """The constraint that files, or one SMILES, and numbers such as ``1,4-9`` describe; records are taken together, in their common frame.

    Raises:
        InputError: for files, numbers or patterns that fit nothing.
    """
    options: dict[str, Any] = {
        "atoms": parse_numbers(atoms, "--atoms") if atoms else (),
        "smarts": smarts or "",
        "match": match or 1,
        "attach": parse_numbers(attach, "--attach") if attach else (),
        "replace_hydrogens": parse_numbers(replace_hydrogens, "--replace-hydrogens") if replace_hydrogens else (),
        "new_atoms": parse_numbers(new_atoms, "--new-atoms") if new_atoms else (),
    }
    if smiles := next(filter(is_smiles, given), None):
        if len(given) > 1:
            raise InputError(f"--keep {smiles}: a SMILES has no frame in common with other parts; give all as SDF files, in one frame")
        return Keep.from_smiles(smiles, **options)
    source = " + ".join(map(name_of, given))
    records = [record for path in given for record in read_sdf(path)]
    molecule = join(records)
    check_unit(molecule, source)
    check_apart(records, source)
    return Keep(molecule=molecule, source=source, **options)
