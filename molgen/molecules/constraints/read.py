"""Given molecules from files, and constraints from what users write."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from molgen.errors import InputError
from molgen.files import exists
from molgen.molecules.bonds import unusual_length
from molgen.molecules.constraints.conformers import Conformers
from molgen.molecules.constraints.dummies import grown_from, labelled, named
from molgen.molecules.constraints.keep import Keep
from molgen.molecules.constraints.select import parse_numbers
from molgen.molecules.convert import has_isotopes, read_record
from molgen.molecules.embed import conformer, marked, unmarked
from molgen.molecules.encode import check_vocabulary, missing_hydrogens
from molgen.molecules.export import FOREIGN, LISTS, conversion, file_format, read_records
from molgen.molecules.fields import Statistics
from molgen.molecules.fragments import largest_fragment, largest_part
from molgen.molecules.given import NEITHER, Changes, Record, parse_smiles
from molgen.molecules.metrics.validity import short_reason
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import FLAT

ENDINGS = (".sdf", ".sd", ".mol", ".xyz", ".smi", ".smiles", ".csv", ".tsv", ".txt", ".partial", *FOREIGN)
"""Of names of files, which no SMILES has."""
CLOSEST = 0.5
"""Distance (Å) of two atoms of different fragments that cannot be meant; the shortest bond, of H2, has 0.74."""


def read_sdf(path: Path | str) -> list[Molecule]:
    """The molecules of an SDF file as they stand, all of them three-dimensional; missing hydrogens are not added.

    Isotope labels are not kept, of which a warning tells.

    Raises:
        InputError: no SDF file, no record, or a broken one.
    """
    molecules, changes = list[Molecule](), Changes(str(path))
    for number, text in enumerate(read_records(_sdf(path)), 1):
        record, isotopes = read_record(text, "sdf")
        if isinstance(record, str):
            raise InputError(f"{path}: record {number}: {named(record, text)}; mend or remove it")
        molecules.append(record)
        changes.isotopes += isotopes
    if not molecules:
        raise InputError(f"{path}: holds no molecule")
    for line in changes.lines():
        warnings.warn(line, stacklevel=2)
    return molecules


def records_of(path: Path | str) -> list[Record]:
    """All records of an SDF file, flat drawings and broken ones too.

    Raises:
        InputError: no SDF file, or no record.
    """
    texts = list(read_records(_sdf(path)))
    if not texts:
        raise InputError(f"{path}: holds no molecule")
    records = [Record.of(text, "sdf") for text in texts]
    return [
        replace(record, found=named(record.found, text)) if isinstance(record.found, str) else record
        for record, text in zip(records, texts, strict=True)
    ]


def _sdf(path: Path | str) -> Path:
    """The path of an SDF file.

    Raises:
        InputError: its name is that of another one.
    """
    if (format := file_format(path)) != "sdf":
        fix = f"convert it: {conversion(path)}" if format == "xyz" else "give one, or a SMILES"
        raise InputError(f"{path}: expected an SDF file, which has bonds and charges; {fix}")
    return Path(path)


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
    return not exists(text) and not text.lower().removesuffix(".gz").endswith(ENDINGS)


def name_of(given: str) -> str:
    """What messages and tags call a file or a SMILES."""
    return given if is_smiles(given) else Path(given).name


def read_one(path: str, changes: Changes) -> Molecule:
    """The molecule of an SDF file that holds one, or of a SMILES.

    Hydrogens that are no atoms are added, of a flat drawing a conformer is made, isotope labels are not kept; ``changes`` counts all.

    Raises:
        InputError: no SDF file, more or less than one record, a broken one, another unit than Å, or no conformer is found.
    """
    if is_smiles(path):
        molecule, isotopes = unmarked(path, otherwise=NEITHER)
        changes.isotopes += isotopes
        return molecule
    records = records_of(path)
    for number, record in enumerate(records, 1):
        if isinstance(record.found, str):
            raise InputError(f"{path}: record {number}: {record.found}; mend or remove it")
    if len(records) > 1:
        raise InputError(f"{path}: holds {len(records)} molecules; give a file with one")
    changes.isotopes += records[0].isotopes
    return whole(records[0], path, changes)


def whole(record: Record, source: str, changes: Changes, statistics: Statistics | None = None, largest: bool = False) -> Molecule:
    """The molecule of a record with all its hydrogens and with coordinates.

    Args:
        record: of any file.
        source: its name in messages.
        changes: counts hydrogens that are added and drawings that get coordinates.
        statistics: of the model that is to read the molecule: what it cannot represent is refused before any of this.
        largest: take the largest fragment, without salts and solvents.

    Raises:
        InputError: there is no molecule, it is in another unit than Å, no conformer is found, or the model cannot represent it.
    """
    found = record.found
    if isinstance(found, str):
        raise InputError(f"{source}: {found}")
    if not isinstance(found, Molecule):
        found = largest_fragment(found) if largest else found
        if statistics is not None:
            _check_single(Conformers.of_graph(found, source).molecule, statistics, source)
        return replace(changes.embed(conformer(found, source)), properties=record.properties)
    molecule = largest_part(found) if largest else found
    if statistics is not None:
        _check_single(molecule, statistics, source)
    check_unit(molecule, source)
    return completed(molecule, source, changes) if statistics is None or statistics.hydrogens else molecule


def _check_single(molecule: Molecule, statistics: Statistics, source: str) -> None:
    """Refuses several molecules in one record, and what a model cannot represent.

    Raises:
        InputError: saying which part to give, or what the model lacks.
    """
    largest = largest_part(molecule)
    if len(largest) < len(molecule):
        raise InputError(f"{source}: more than one molecule; give --largest-fragment, which takes '{largest.to_smiles()}'")
    check_vocabulary(molecule, statistics, source)


def completed(molecule: Molecule, source: str, changes: Changes) -> Molecule:
    """The molecule with all its hydrogens as atoms, see :func:`molgen.molecules.given.complete`.

    Raises:
        InputError: some are missing, and RDKit refuses the molecule.
    """
    try:
        return changes.complete(molecule)
    except ValueError as error:
        if lacking := missing_hydrogens(molecule):
            raise InputError(f"{source}: {lacking} (RDKit: {short_reason(error)})") from None
        return molecule


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
        for number, text in enumerate(read_records(_sdf(path)), 1):
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
