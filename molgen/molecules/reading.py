"""Given molecules: the records of SDF files as they stand, and made whole, with all their hydrogens and coordinates."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from molgen.errors import InputError
from molgen.molecules.bonds import IN_ANGSTROM, unusual_length
from molgen.molecules.constraints.conformers import Conformers
from molgen.molecules.constraints.dummies import named
from molgen.molecules.convert import read_record
from molgen.molecules.embed import conformer, unmarked
from molgen.molecules.encode import check_vocabulary, missing_hydrogens
from molgen.molecules.export import read_records
from molgen.molecules.fields import Statistics
from molgen.molecules.formats import conversion, file_format, is_smiles
from molgen.molecules.fragments import largest_fragment, largest_part
from molgen.molecules.given import NEITHER, Changes, Record
from molgen.molecules.metrics.validity import short_reason
from molgen.molecules.molecule import Molecule


def read_sdf(path: Path | str) -> list[Molecule]:
    """The molecules of an SDF file as they stand, all of them three-dimensional; missing hydrogens are not added.

    Isotope labels are not kept, of which a warning tells.

    Raises:
        InputError: no SDF file, no record, or a broken one.
    """
    molecules, changes = list[Molecule](), Changes(str(path))
    for number, text in enumerate(read_records(sdf_path(path)), 1):
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
    texts = list(read_records(sdf_path(path)))
    if not texts:
        raise InputError(f"{path}: holds no molecule")
    records = [Record.of(text, "sdf") for text in texts]
    return [
        replace(record, found=named(record.found, text)) if isinstance(record.found, str) else record
        for record, text in zip(records, texts, strict=True)
    ]


def sdf_path(path: Path | str) -> Path:
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
        raise InputError(f"{source}: bonds have {found:.2g} times their usual length; {IN_ANGSTROM}")


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
