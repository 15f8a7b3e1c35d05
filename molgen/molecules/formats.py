"""Formats of molecule files, by the ends of their names, and texts that are SMILES and no names."""

from pathlib import Path
from shlex import quote

from molgen.errors import InputError
from molgen.files import exists, require_regular

ENDINGS = {
    ".sdf": "sdf",
    ".sd": "sdf",
    ".mol": "sdf",
    ".xyz": "xyz",
    ".smi": "smi",
    ".smiles": "smi",
    ".csv": "csv",
    ".tsv": "tsv",
}
"""Ends of names -> formats."""
TABLES = {"csv": ",", "tsv": "\t"}
"""Formats that are tables -> what separates their columns."""
LISTS = ("smi", *TABLES)
"""Formats without coordinates."""
FORMATS = tuple(dict.fromkeys(ENDINGS.values()))
"""Names of the formats that can be read and written."""
SUFFIXES = ".sdf, .xyz, .smi, .csv or .tsv"
FOREIGN = (".pdb", ".ent", ".pdbqt", ".cif", ".mmcif", ".mol2", ".cml", ".mrv", ".cdxml", ".gjf")
"""Of names of files of structures that are not read: bonds, charges or hydrogens are missing in them, or a program has them its own way."""


def ending(path: Path | str) -> str:
    """The last suffix of a name in small letters, with its dot, without `.gz`; empty for none."""
    _, dot, suffix = Path(path).name.lower().removesuffix(".gz").rpartition(".")
    return dot + suffix


def file_format(path: Path | str, format: str | None = None) -> str:
    """The format of a file: `format` when given, else by suffix (`.sdf`, `.xyz`, `.smi`, `.csv`, `.tsv`, each also with `.gz`).

    Raises:
        InputError: the suffix or the format is unknown, or a device, a pipe or a socket has the name.
    """
    path = Path(path)
    require_regular(path)
    suffix = f".{format.lower()}" if format else ending(path.name.lower().removesuffix(".partial"))
    if suffix not in ENDINGS:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; expected a file that ends in {SUFFIXES}")
        refuse_foreign(path)
        raise InputError(f"{path}: expected a file name ending in {SUFFIXES} (or one of them with .gz), got '{path.name}'; rename it")
    return ENDINGS[suffix]


def readable(path: Path | str, format: str | None = None, lists: bool = False) -> str:
    """The format of an existing file of molecules with 3D coordinates, or with ``lists`` of a list of SMILES.

    Raises:
        InputError: there is no such file, or it is of another format.
    """
    path = Path(path)
    name = file_format(path, format) if path.exists() else ""  # which says what is wrong with a pipe
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the name")
    if name in LISTS and not lists:
        raise InputError(f"{path}: expected molecules with 3D coordinates (.sdf or .xyz), got SMILES; embed them by `molgen prepare`")
    return name


def refuse_foreign(path: Path) -> None:
    """Refuses an existing file of a format that Open Babel converts.

    Raises:
        InputError: with the command.
    """
    if ending(path) in FOREIGN and path.exists():
        raise InputError(f"{path}: is no SDF file; convert it, with bonds and hydrogens: {conversion(path)}")


def conversion(path: Path | str) -> str:
    """The command of Open Babel that makes an SDF file of another."""
    made = Path(str(path).removesuffix(".gz")).with_suffix(".sdf")
    return f"obabel {quote(str(path))} -O {quote(str(made))} -h"


def is_smiles(text: str) -> bool:
    """Whether a text is to be read as a SMILES: no file has this name, and it does not end as one does."""
    return not exists(text) and ending(text) not in (*ENDINGS, *FOREIGN, ".txt", ".partial")


def name_of(given: str) -> str:
    """What messages and tags call a file or a SMILES."""
    return given if is_smiles(given) else Path(given).name
