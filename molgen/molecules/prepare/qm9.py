"""QM9 from the raw files that torch-geometric downloads: gdb9.sdf, gdb9.sdf.csv, uncharacterized.txt.

About 30,000 records of gdb9.sdf carry wrong bonds or a net charge, so only elements and coordinates are taken from it
and bonds are perceived anew (`molgen.molecules.bonds`). The 3,054 molecules whose geometry does not match their SMILES
(uncharacterized.txt) are dropped. Labels come from the CSV file in the units of `torch_geometric.datasets.QM9`.

Reference: Ramakrishnan et al., Quantum chemistry structures and properties of 134 kilo molecules, Sci. Data 2014,
10.1038/sdata.2014.22 (CC0).
"""

import csv
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import ClassVar

import numpy as np
from rdkit import Chem

from molgen.errors import InputError
from molgen.files import sha256
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare import sdf
from molgen.molecules.prepare.records import Entry, Source
from molgen.molecules.prepare.xyz import perceived
from molgen.molecules.records import why_unreadable
from molgen.molecules.units import EV_PER_HARTREE, EV_PER_KCAL_MOL
from molgen.preparation import Rejected

FILES = ("gdb9.sdf", "gdb9.sdf.csv", "uncharacterized.txt")
RECORDS = 133_885
UNCHARACTERIZED = 3_054
TRAIN = 100_000

UNITS: dict[str, tuple[float, str]] = {
    "A": (1.0, "GHz"),
    "B": (1.0, "GHz"),
    "C": (1.0, "GHz"),
    "mu": (1.0, "D"),
    "alpha": (1.0, "a0^3"),
    "homo": (EV_PER_HARTREE, "eV"),
    "lumo": (EV_PER_HARTREE, "eV"),
    "gap": (EV_PER_HARTREE, "eV"),
    "r2": (1.0, "a0^2"),
    "zpve": (EV_PER_HARTREE, "eV"),
    "u0": (EV_PER_HARTREE, "eV"),
    "u298": (EV_PER_HARTREE, "eV"),
    "h298": (EV_PER_HARTREE, "eV"),
    "g298": (EV_PER_HARTREE, "eV"),
    "cv": (1.0, "cal/(mol K)"),
    "u0_atom": (EV_PER_KCAL_MOL, "eV"),
    "u298_atom": (EV_PER_KCAL_MOL, "eV"),
    "h298_atom": (EV_PER_KCAL_MOL, "eV"),
    "g298_atom": (EV_PER_KCAL_MOL, "eV"),
}
"""Factor from the unit of the CSV file and unit of the label, by column."""

ALIASES = {"homo_b3lyp": "homo", "lumo_b3lyp": "lumo", "gap_b3lyp": "gap", "dipole_b3lyp": "mu"}


@dataclass(frozen=True)
class Qm9(Source):
    """The raw files under `root`/raw."""

    root: Path
    excluded: frozenset[int]  # record numbers from 0
    records: int
    chunk: ClassVar[int] = 200

    @classmethod
    def open(cls, root: Path) -> "Qm9":
        """Look at the raw files, downloading them where they are missing.

        Raises:
            InputError: They are missing and cannot be downloaded, or are not what they should be.
        """
        raw = root / "raw"
        if not all((raw / name).is_file() for name in FILES):
            download(root)
        excluded = read_excluded(raw / "uncharacterized.txt")
        with (raw / "gdb9.sdf.csv").open("rb") as stream:
            records = sum(1 for line in stream if line.strip()) - 1
        return cls(root, excluded, records)

    @property
    def size(self) -> int:
        """Bytes of gdb9.sdf."""
        return (self.root / "raw" / FILES[0]).stat().st_size

    def describe(self) -> dict[str, object]:
        """Citation and checksums."""
        return {
            "source": "QM9 (gdb9.sdf, gdb9.sdf.csv, uncharacterized.txt)",
            "citation": "Ramakrishnan et al., Sci. Data 2014, 10.1038/sdata.2014.22",
            "sha256": {name: sha256(self.root / "raw" / name) for name in FILES},
        }

    def columns(self) -> tuple[str, ...]:
        """Names of the published labels."""
        return (*UNITS, *ALIASES)

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Records of gdb9.sdf, each with its row of the CSV file.

        Raises:
            InputError: A file is damaged, or the two do not belong together.
        """
        path = self.root / "raw" / FILES[1]
        with path.open(newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            missing = [name for name in ("mol_id", *UNITS) if name not in (table.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: has no column {missing[0]!r}; expected the file that torch-geometric downloads")
            for entry, position in sdf.entries(self.root / "raw" / FILES[0]):
                row = next(table, None)
                if row is None or row["mol_id"] != entry.name:
                    found = row["mol_id"] if row else "the end of the file"
                    raise InputError(
                        f"{path}: record {entry.index + 1}: expected {entry.name} as in gdb9.sdf, got {found}; fetch both again"
                    )
                text = "" if entry.index in self.excluded else entry.text
                yield Entry(entry.index, text, entry.name, row), position

    def parse(self, entry: Entry) -> tuple[Chem.Mol, str, dict[str, str]]:
        """Elements and coordinates from the record, bonds and charges from the geometry."""
        if not entry.text:
            raise Rejected("uncharacterized")
        mol = Chem.MolFromMolBlock(entry.text, sanitize=False, removeHs=False)
        if mol is None:
            raise Rejected(why_unreadable(entry.text))
        numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.int64)
        empty = np.zeros((0, 3), np.int64)
        molecule = Molecule(numbers, mol.GetConformer().GetPositions(), np.zeros(len(numbers), np.int64), empty)
        return perceived(molecule), entry.name, labels(entry.tags)


def labels(row: dict[str, str]) -> dict[str, str]:
    """Values of one row in the units of `UNITS`, also under the names of `ALIASES`."""
    values = {}
    for name, (factor, _) in UNITS.items():
        try:
            values[name] = repr(float(row[name]) * factor)
        except ValueError:
            values[name] = row[name]
    return values | {alias: values[name] for alias, name in ALIASES.items()}


def units() -> dict[str, str]:
    """Units of all labels by name."""
    own = {name: unit for name, (_, unit) in UNITS.items()}
    return own | {alias: own[name] for alias, name in ALIASES.items()}


def read_excluded(path: Path) -> frozenset[int]:
    """Record numbers (from 0) listed in uncharacterized.txt: lines whose first word is a number."""
    words = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(int(row[0]) - 1 for row in words if row and row[0].isdigit())


def download(root: Path) -> None:
    """Fetch the raw files with torch-geometric into `root`/raw, all or none.

    Raises:
        InputError: They cannot be fetched.
    """
    from torch_geometric.datasets import QM9

    raw = root / "raw"
    with tempfile.TemporaryDirectory() as folder:
        dataset = QM9.__new__(QM9)  # its constructor would also process all molecules
        dataset.root = folder
        Path(dataset.raw_dir).mkdir()
        try:
            with redirect_stderr(StringIO()):  # it names every address
                dataset.download()
        except Exception as error:
            raise InputError(
                f"{raw}: {', '.join(FILES)} are not there and cannot be downloaded ({type(error).__name__}); put them there"
            ) from error
        raw.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.move(Path(dataset.raw_dir) / name, raw / name)


def official_split(records: int, excluded: frozenset[int]) -> dict[str, np.ndarray]:
    """Record numbers of the split of Anderson et al. (Cormorant, 2019, 1906.04015), which EDM and its successors use.

    The characterised records in order are permuted by `np.random.seed(0); np.random.permutation`; the first 100,000
    are for training, the last tenth (13,083) for the test, the 17,748 between for validation. Membership is settled
    before any record is rejected for another reason.

    Args:
        records: Records of gdb9.sdf.
        excluded: Uncharacterised records.

    Raises:
        InputError: The files are not the complete ones.
    """
    if (records, len(excluded)) != (RECORDS, UNCHARACTERIZED):
        raise InputError(
            f"--split official: needs all {RECORDS} records of QM9 with {UNCHARACTERIZED} uncharacterised, "
            f"got {records} with {len(excluded)}; give fractions such as 0.8,0.1,0.1"
        )
    included = np.setdiff1d(np.arange(records), np.fromiter(excluded, np.int64))
    order = included[np.random.RandomState(0).permutation(len(included))]
    test = len(included) // 10
    return {"train": order[:TRAIN], "valid": order[TRAIN : len(order) - test], "test": order[len(order) - test :]}
