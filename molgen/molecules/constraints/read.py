"""Constraints from what users write: parts that are kept, and graphs of which conformers are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from molgen.errors import InputError
from molgen.molecules.constraints.conformers import Conformers
from molgen.molecules.constraints.dummies import grown_from, labelled, named
from molgen.molecules.constraints.keep import Keep
from molgen.molecules.constraints.select import parse_numbers
from molgen.molecules.convert import has_isotopes
from molgen.molecules.embed import marked
from molgen.molecules.export import read_records
from molgen.molecules.formats import LISTS, file_format, is_smiles, name_of
from molgen.molecules.fragments import largest_fragment, largest_part
from molgen.molecules.given import NEITHER, Changes, parse_smiles
from molgen.molecules.molecule import Molecule
from molgen.molecules.reading import check_unit, completed, records_of, sdf_path
from molgen.molecules.records import FLAT

CLOSEST = 0.5
"""Distance (Å) of two atoms of different fragments that cannot be meant; the shortest bond, of H2, has 0.74."""


def read_graphs(source: str, changes: Changes, largest: bool = False) -> tuple[list[Conformers], list[InputError]]:
    """The graphs of a file, or of a SMILES, and what is wrong with the records of the file that have none.

    Args:
        source: an SDF file, flat drawings too, a list of SMILES, or a SMILES.
        changes: counts hydrogens that are added, and molecules with isotope labels.
        largest: take the largest fragment of each, without salts and solvents.

    Raises:
        InputError: neither a file nor a SMILES.
    """
    path = Path(source)
    if not source.strip():
        raise InputError(f"{source!r}: expected a SMILES, or a file that ends in .sdf, .smi, .csv or .tsv")
    if is_smiles(source):
        mol = parse_smiles(source)
        changes.isotopes += has_isotopes(mol)
        return [Conformers.of_parsed(mol, source, largest)], []
    if not path.exists():
        raise InputError(f"{path}: no such file; check the name")
    if path.is_file() and file_format(path) in LISTS:
        return Conformers.listed(path, changes, largest)
    records, graphs, broken = records_of(path), list[Conformers](), list[InputError]()
    for number, record in enumerate(records, 1):
        name = path.name if len(records) == 1 else f"{path.name} record {number}"
        changes.isotopes += record.isotopes
        try:
            if isinstance(record.found, str):
                raise InputError(f"{path}: record {number}: {record.found}; mend or remove it")
            if isinstance(record.found, Molecule):
                given = largest_part(record.found) if largest else record.found
                graphs.append(Conformers.of(completed(given, name, changes), name))
            else:
                graphs.append(Conformers.of_graph(largest_fragment(record.found) if largest else record.found, name, record.title))
        except InputError as error:
            broken.append(error)
    return graphs, broken


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
    changes: Changes,
) -> Keep:
    """The constraint that files, or one SMILES, and numbers such as ``1,4-9`` describe; records are taken together, in their common frame.

    ``changes`` counts molecules with isotope labels.

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
        molecule, stars, isotopes = marked(smiles, otherwise=NEITHER)
        changes.isotopes += isotopes
        return Keep.starred(molecule, stars, smiles, **options)
    source = " + ".join(map(name_of, given))
    flat = "give its SMILES with * where to grow, or 3D coordinates"
    records, places = list[Molecule](), list[int]()
    for path in given:
        for number, text in enumerate(read_records(sdf_path(path)), 1):
            found, dummies = grown_from(text)
            if isinstance(found, str):
                raise InputError(f"{path}: record {number}: {named(found, text)}; {flat if found == FLAT else 'mend or remove it'}")
            changes.isotopes += labelled(text)
            places += [sum(map(len, records)) + dummy for dummy in dummies]
            records.append(found)
    if not records:
        raise InputError(f"{' + '.join(given)}: holds no molecule")
    molecule = join(records)
    check_unit(molecule, source)
    check_apart(records, source)
    return Keep.opened(molecule, places, source=source, **options)
