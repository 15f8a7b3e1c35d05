"""Sets of known molecules: files, lists, prepared data sets, models and single SMILES, read for their graphs alone.

A record need not be what samples are: it may be flat, lack some or all hydrogen atoms, which its open valences then stand for, or hold a
salt. Identity is the canonical SMILES without stereo, isotopes and atom maps.
"""

import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from molgen.errors import InputError
from molgen.known import Known, fingerprint, packed_fingerprints
from molgen.molecules.bonds import bonded
from molgen.molecules.export import LISTS, file_format, read_records
from molgen.molecules.metrics.validity import bare, canonical
from molgen.molecules.prepare.smiles import smiles_and_names
from molgen.molecules.records import READERS

TRAINING = "training"
"""Names, as what molecules have to differ from, those that the model was trained on."""
LARGEST_LOSS = 0.5
"""Share of the records of a file that may be no molecules before it is refused as the wrong one."""
SHOWN = 60
"""Characters of a record that a message shows."""


def texts(path: Path) -> Iterator[str]:
    """Texts of the records of an SDF or XYZ file, or of a .smi, .csv or .tsv list the SMILES, empty for a blank cell.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    return (smiles for smiles, _ in smiles_and_names(path)) if file_format(path) in LISTS else read_records(path)


def graph(text: str, format: str) -> Chem.Mol | None:
    """The molecule of a record as it is compared: sanitised, without hydrogen atoms, stereo, isotopes and atom maps; None for none.

    Bonds of an XYZ record, and of an SDF record without bonds, are told by the geometry.
    """
    with rdBase.BlockLogs():
        try:
            mol = _read(text, format)
            if mol is None or not mol.GetNumAtoms() or not all(atom.GetAtomicNum() for atom in mol.GetAtoms()):
                return None
            return bare(mol)
        except (ValueError, RuntimeError, KeyError):  # RDKit refuses it, or no bonds fit its geometry
            return None


def _read(text: str, format: str) -> Chem.Mol | None:
    if format in LISTS:
        return Chem.MolFromSmiles(text)
    if format == "sdf" and "\nM  END" in text:
        mol = Chem.MolFromMolBlock(text, strictParsing=False)
        if mol is not None and (mol.GetNumAtoms() < 2 or mol.GetNumBonds()):
            return mol
    molecule = READERS[format](text)
    return None if isinstance(molecule, str) else bonded(molecule).to_rdkit(sanitize=True)


def fingerprint_of_record(text: str, format: str) -> int:
    """Fingerprint of the canonical SMILES of a record (see `texts`), 0 where it is no molecule."""
    mol = graph(text, format)
    return 0 if mol is None else fingerprint(Chem.MolToSmiles(mol, isomericSmiles=False))


def graphs(source: Path | str, most: float = LARGEST_LOSS) -> Iterator[Chem.Mol]:
    """The molecules (see `graph`) of a file, or of a text that is a SMILES; what is no molecule is told in a warning at the end.

    Args:
        source: the name of the file, or the SMILES.
        most: share of the records that may be no molecules; blank cells of a table do not count.

    Raises:
        InputError: the file is missing or of an unknown format, none of its records is a molecule, or too many are not.
    """
    from molgen.molecules.constraints.read import is_smiles

    path, alone = Path(source), isinstance(source, str) and is_smiles(source)
    if not alone and not path.exists():
        raise InputError(f"{source}: no such file; check the name")
    format, records = ("smi", iter([str(source)])) if alone else (file_format(path), texts(path))
    count, lost, first = 0, 0, ""
    for number, text in enumerate(records, 1):
        if not text.strip():
            continue
        count += 1
        mol = graph(text, format)
        if mol is not None:
            yield mol
            continue
        lost += 1
        first = first or f"the first is record {number}{_shown(text, format)}"
    if lost == count:
        raise InputError(f"{source}: {'neither a file nor a SMILES' if alone else 'no valid molecule to compare with'}; check it")
    if lost > most * count:
        raise InputError(f"{source}: {lost} of {count} records are no valid molecules, {first}; mend them")
    if lost:
        warnings.warn(f"{source}: {lost} of {count} records are no molecules and exclude nothing, {first}", stacklevel=2)


def known_molecules(source: Path | str) -> Known:
    """The molecules of a file or a prepared data set, what a model was trained on, or the molecule of a SMILES.

    A prepared data set has its SMILES written down; a file takes about a millisecond a record, and of its salts and charged molecules the
    largest fragment and its neutral form are known too.

    Raises:
        InputError: there is nothing of this name, or as `graphs`.
    """
    from molgen.molecules.constraints.read import is_smiles

    smiles = isinstance(source, str) and is_smiles(source)
    if smiles and (mol := graph(str(source), "smi")) is not None:  # before it is taken for a path, which may not be so long
        return Known.of(map(fingerprint, forms(mol)))
    path = Path(source)
    if (known := Known.of_model(path)) is not None:
        return known
    if found := packed_fingerprints(path / "train") or packed_fingerprints(path):
        known = Known.of(found)
        if not len(known):
            raise InputError(f"{source}: no valid molecule to compare with; check it")
        return known
    if not path.exists():
        what = "no such file, prepared data set or model" + ", and no SMILES" * smiles
        raise InputError(f"{source}: {what}; check the name ({TRAINING!r} stands for the model that samples)")
    return Known.of(fingerprint(form) for mol in graphs(source) for form in forms(mol))


def forms(mol: Chem.Mol) -> Iterable[str]:
    """Canonical SMILES of a molecule (see `graph`); of a salt or an ion also of its largest fragment, and of that in its neutral form."""
    smiles = Chem.MolToSmiles(mol, isomericSmiles=False)
    if "." not in smiles and not any(atom.GetFormalCharge() for atom in mol.GetAtoms()):
        return (smiles,)
    choose, uncharge = _standards()
    with rdBase.BlockLogs():
        largest = choose.choose(mol)
        neutral = uncharge.uncharge(largest)
    return smiles, *(canonical(Chem.MolToSmiles(one, isomericSmiles=False)) for one in (largest, neutral))


@cache
def _standards() -> tuple[rdMolStandardize.LargestFragmentChooser, rdMolStandardize.Uncharger]:
    return rdMolStandardize.LargestFragmentChooser(), rdMolStandardize.Uncharger()


def _shown(text: str, format: str) -> str:
    """The beginning of a record, or its title, in brackets; nothing where it has none."""
    lines = text.splitlines()
    line = (lines[1] if format == "xyz" and len(lines) > 1 else lines[0]).strip()
    return f" ({line[:SHOWN]}{'...' * (len(line) > SHOWN)})" if line else ""
