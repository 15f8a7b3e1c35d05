"""Sets of known molecules: files, lists, prepared data sets, models and single SMILES, read for their graphs alone.

A record need not be what samples are: it may be flat, lack some or all hydrogen atoms, which its open valences then stand for, or hold a
salt. Identity is the canonical SMILES without stereo, isotopes and atom maps.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from molgen.errors import InputError
from molgen.known import Known, fingerprint, packed_fingerprints
from molgen.molecules.bonds import bonded
from molgen.molecules.export import read_records
from molgen.molecules.formats import LISTS, file_format, is_smiles
from molgen.molecules.metrics.validity import bare, canonical
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.smiles import smiles_and_names
from molgen.molecules.records import READERS
from molgen.workers import in_order

TRAINING = "training"
"""Names, as what molecules have to differ from, those that the model was trained on."""
LARGEST_LOSS = 0.5
"""Share of the records of a file that may be no molecules before it is refused as the wrong one."""
CHUNK = 200
"""Records that a process reads at once."""
ENOUGH = 10_000
"""Records that are read in the time that processes take to start."""
SHOWN = 60
"""Characters of a record that a message shows."""
Made = TypeVar("Made")
Item = TypeVar("Item", bound=str | Molecule)


def texts(path: Path) -> Iterator[str]:
    """Texts of the records of an SDF or XYZ file, or of a .smi, .csv or .tsv list the SMILES, empty for a blank cell.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    return (smiles for smiles, _ in smiles_and_names(path)) if file_format(path) in LISTS else read_records(path)


def graph(record: str | Molecule, format: str) -> Chem.Mol | None:
    """The molecule of a record as it is compared: sanitised, without hydrogen atoms, stereo, isotopes and atom maps; None for none.

    Bonds of an XYZ record, and of an SDF record without bonds, are told by the geometry.
    """
    with rdBase.BlockLogs():
        try:
            mol = _read(record, format)
            if mol is None or not mol.GetNumAtoms() or not all(atom.GetAtomicNum() for atom in mol.GetAtoms()):
                return None
            return bare(mol)
        except (ValueError, RuntimeError, KeyError):  # RDKit refuses it, or no bonds fit its geometry
            return None


def _read(record: str | Molecule, format: str) -> Chem.Mol | None:
    if isinstance(record, Molecule):
        return bonded(record).to_rdkit(sanitize=True)
    if format in LISTS:
        return Chem.MolFromSmiles(record)
    if format == "sdf" and "\nM  END" in record:
        mol = Chem.MolFromMolBlock(record, strictParsing=False)
        if mol is not None and (mol.GetNumAtoms() < 2 or mol.GetNumBonds()):
            return mol
    molecule = READERS[format](record)
    return None if isinstance(molecule, str) else bonded(molecule).to_rdkit(sanitize=True)


@dataclass(frozen=True)
class Fingerprinter:
    """Fingerprints of the canonical SMILES of records (see `texts`), none where one is no molecule; sent to worker processes.

    Args:
        format: of the records.
        all_forms: those of all forms of a molecule, see `forms`, not of the record as it stands alone.
    """

    format: str
    all_forms: bool = False

    def __call__(self, chunk: list[Item]) -> list[list[int]]:
        """Those of each record."""
        return [self._of(record) for record in chunk]

    def _of(self, record: str | Molecule) -> list[int]:
        mol = graph(record, self.format)
        if mol is None:
            return []
        return [fingerprint(one) for one in (forms(mol) if self.all_forms else (Chem.MolToSmiles(mol, isomericSmiles=False),))]


def fingerprints(records: Iterable[Item], work: Fingerprinter, workers: int, here: int = ENOUGH) -> Iterator[tuple[Item, list[int]]]:
    """Records with their fingerprints, in order.

    Args:
        records: their texts, or the molecules themselves.
        work: reads them.
        workers: processes that read all but the first records; 1 is this one.
        here: how many records are read in this process before others are started.

    Raises:
        RunError: a worker process died.
    """
    records = iter(records)
    chunks = iter(lambda: list(islice(records, CHUNK)), [])
    for chunk in islice(chunks, here // CHUNK):
        yield from zip(chunk, work(chunk), strict=True)
    for chunk, found, _ in in_order(work, chunks, workers):
        yield from zip(chunk, found, strict=True)


def graphs(source: Path | str, most: float = LARGEST_LOSS) -> Iterator[Chem.Mol]:
    """The molecules (see `graph`) of a file, or of a text that is a SMILES; what is no molecule is told in a warning at the end.

    Args:
        source: the name of the file, or the SMILES.
        most: share of the records that may be no molecules; blank cells of a table do not count.

    Raises:
        InputError: the file is missing or of an unknown format, none of its records is a molecule, or too many are not.
    """
    format, records = _opened(source)
    return _usable(source, format, ((text, graph(text, format)) for text in records), most)


def _opened(source: Path | str) -> tuple[str, Iterator[str]]:
    """The format and the records of a file, or of a text that is a SMILES.

    Raises:
        InputError: the file is missing or of an unknown format.
    """
    path = Path(source)
    if _alone(source):
        return "smi", iter([str(source)])
    if not path.exists():
        raise InputError(f"{source}: no such file; check the name")
    return file_format(path), texts(path)


def _alone(source: Path | str) -> bool:
    """Whether it is the SMILES of one molecule."""
    return isinstance(source, str) and is_smiles(source)


def _usable(source: Path | str, format: str, found: Iterable[tuple[str, Made | None]], most: float) -> Iterator[Made]:
    """What was made of the records that are molecules; see `graphs`.

    Raises:
        InputError: none of them is one, or too many are not.
    """
    count, lost, first = 0, 0, ""
    for number, (text, made) in enumerate(found, 1):
        if not text.strip():
            continue
        count += 1
        if made:
            yield made
            continue
        lost += 1
        first = first or f"the first is record {number}{_shown(text, format)}"
    if lost == count:
        raise InputError(f"{source}: {'neither a file nor a SMILES' if _alone(source) else 'no valid molecule to compare with'}; check it")
    if lost > most * count:
        raise InputError(f"{source}: {lost} of {count} records are no valid molecules, {first}; mend them")
    if lost:
        warnings.warn(f"{source}: {lost} of {count} records are no molecules and exclude nothing, {first}", stacklevel=2)


def graph_of(source: Path | str | Molecule) -> str:
    """Canonical SMILES of what is one molecule by itself, a SMILES among it; "" for files, data sets and models.

    Raises:
        InputError: RDKit refuses a molecule.
    """
    mol = _single(source)
    return "" if mol is None else Chem.MolToSmiles(mol, isomericSmiles=False)


def _single(source: Path | str | Molecule) -> Chem.Mol | None:
    """What is one molecule by itself as it is compared (see `graph`), None for files, data sets and models.

    Raises:
        InputError: RDKit refuses a molecule.
    """
    if not isinstance(source, Molecule):  # before it is taken for a path, which a SMILES may be too long for
        return graph(str(source), "smi") if _alone(source) else None
    try:
        with rdBase.BlockLogs():
            return bare(bonded(source).to_rdkit(sanitize=True))
    except (ValueError, RuntimeError):
        raise InputError(f"novel: RDKit refuses {source!r}; mend it, or leave it out") from None


def known_molecules(source: Path | str | Molecule, workers: int = 1) -> Known:
    """The molecules of a file or a prepared data set, what a model was trained on, or one molecule or that of a SMILES.

    A prepared data set has its SMILES written down; a file takes about a millisecond a record, and of its salts and charged molecules the
    largest fragment and its neutral form are known too.

    Args:
        source: the name, the molecule or the SMILES.
        workers: processes for a large file.

    Raises:
        InputError: there is nothing of this name, or as `graphs`.
        RunError: a worker process died.
    """
    if (mol := _single(source)) is not None:
        return Known.of(map(fingerprint, forms(mol)))
    smiles, source = not isinstance(source, Molecule) and _alone(source), str(source)
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
    format, records = _opened(source)
    read = fingerprints(records, Fingerprinter(format, all_forms=True), workers)
    return Known.of(one for made in _usable(source, format, read, LARGEST_LOSS) for one in made)


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
