"""Where the labels of a record come from: its own named values, a CSV file, or a computation."""

import csv
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from rdkit import Chem

from molgen.errors import InputError, got, nearest
from molgen.molecules.prepare.compute import COMPUTED, compute
from molgen.molecules.prepare.records import NO_ROW
from molgen.molecules.prepare.table import Table
from molgen.molecules.text import Damaged, damaged, foreign, lines
from molgen.molecules.units import factor, known_units, unit
from molgen.preparation import Rejected, facts_of

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "n.d.", "nd", "?"})
"""Texts, in capitals or not, that stand for no value."""
LISTED = 8
"""Names that an error lists at most."""


class Unlabelled(Rejected):
    """A label of a record is missing or is no finite number.

    Args:
        label: Its name.
        reason: Which of these; by default the first.
    """

    def __init__(self, label: str, reason: str = "") -> None:
        super().__init__(reason or missing(label))
        self.label = label


def missing(label: str) -> str:
    """Why a record without a label is rejected."""
    return f"label {label} missing"


@dataclass(frozen=True)
class LabelTable:
    """Labels in columns of a CSV file.

    Args:
        path: The file.
        key: Named value of a record that is its key in the table; where a record lacks it, its name is the key.
        columns: Labels that are read.
        rows: Their texts by key, in this order.
        header: All columns.
    """

    path: Path
    key: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    header: tuple[str, ...]

    def row(self, name: str, tags: Mapping[str, str]) -> tuple[str, ...] | None:
        """That of a record with this name and these values; None where there is none."""
        return self.rows.get(tags.get(self.key, name).strip())

    def check(self) -> None:
        """Tells before the work that a column has values, none of which is a number, as where a spreadsheet writes decimal commas.

        Raises:
            InputError: Naming the column and the first of them.
        """
        for place, column in enumerate(self.columns):
            texts = [text for row in self.rows.values() if (text := row[place].strip()).lower() not in MISSING]
            if texts and not any(math.isfinite(_value(text)) for text in texts):
                fix = "a decimal point and no commas" if "," in texts[0] else "digits alone"
                raise InputError(
                    f"{self.path}: column {column!r} holds no number, first {got(texts[0])}; write numbers with {fix}, such as 6.5"
                )


@dataclass(frozen=True)
class Labels:
    """The columns of labels.npy: first the named ones, then the computed ones.

    Args:
        names: Labels read from the record or from `table`.
        computed: Labels computed with RDKit.
        table: Labels that take the place of those of the records.
        allow_missing: Keep a record without a label as NaN.
        units: Units of labels that are read; those of measured properties are converted (:mod:`molgen.molecules.units`).

    Raises:
        InputError: An unknown or repeated label, a unit that cannot be converted, or a column of the table that holds no number.
    """

    names: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    table: LabelTable | None = None
    allow_missing: bool = False
    units: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.computed if name not in COMPUTED]
        if unknown:
            raise InputError(f"--compute {unknown[0]}: unknown label; choose from {', '.join(COMPUTED)}")
        repeated = [name for name in self.all if self.all.count(name) > 1]
        if repeated:
            raise InputError(f"label {repeated[0]}: named twice; name it once, by --label or by --compute")
        for name, given in self.units.items():
            if name not in self.names:
                choice = f"; units are those of {', '.join(self.names)}" if self.names else ""
                raise InputError(f"--unit {name}={given}: no label {name!r} is read{choice}")
            if unit(name) and factor(name, given) is None:
                raise InputError(
                    f"--unit {name}={given}: expected one of {', '.join(known_units(name))}; molgen has {name} in {unit(name)}"
                )

        if self.table is not None:
            self.table.check()

    @property
    def all(self) -> tuple[str, ...]:
        """All labels in the order of the columns."""
        return self.names + self.computed

    @property
    def columns_with_units(self) -> list[tuple[str, str]]:
        """Name and unit of each column of labels.npy."""
        return [(name, unit(name) or self.units.get(name, "")) for name in self.all]

    @cached_property
    def factors(self) -> tuple[float, ...]:
        """What the values of `names` are multiplied by."""
        return tuple((factor(name, self.units[name]) or 1.0) if name in self.units and unit(name) else 1.0 for name in self.names)

    def describe(self) -> dict[str, object]:
        """Name, size and checksum of the file of `table`, and its key, for the card; nothing without a file."""
        if self.table is None:
            return {}
        return {"csv": {**facts_of(self.table.path), "key": self.table.key}}

    def check(self, known: Sequence[str], where: str) -> None:
        """Refuses labels that no record can have.

        Args:
            known: Names of all values of the records.
            where: The source, for the error.

        Raises:
            InputError: A label is neither one of them nor a column of the table.
        """
        columns, header = (self.table.columns, self.table.header) if self.table is not None else ((), ())
        if lacking := [name for name in self.names if name not in known and name not in columns]:
            raise InputError(f"{where}: no label {lacking[0]!r}; {instead(lacking[0], [*known, *header], self.names)}")

    def of(self, mol: Chem.Mol, name: str, tags: dict[str, str]) -> np.ndarray:
        """Labels of a sanitised molecule without hydrogen atoms, as float32.

        Raises:
            Unlabelled: A label is missing or is no finite number.
        """
        lacking: tuple[str, ...] = ()
        if self.table is not None:
            row = self.table.row(name, tags)
            lacking = self.table.columns if row is None else ()
            tags = {**tags, **dict(zip(self.table.columns, row or (), strict=False))}
        texts = [tags.get(label, "") for label in self.names]
        values = [
            self._number(label, text, label in lacking) * scale for label, text, scale in zip(self.names, texts, self.factors, strict=True)
        ]
        if self.computed:
            values += compute(mol, self.computed)
        return np.array(values, dtype=np.float32)

    def replaced(self, name: str, tags: dict[str, str]) -> np.ndarray:
        """(L,) bool, labels that the record has itself and that the table takes the place of."""
        taken = self.table.columns if self.table is not None and self.table.row(name, tags) is not None else ()
        return np.array([label in taken and tags.get(label, "").strip().lower() not in MISSING for label in self.all], dtype=np.bool_)

    def _number(self, label: str, text: str, no_row: bool) -> float:
        text = text.strip()
        if text.lower() in MISSING:
            if self.allow_missing:
                return math.nan
            raise Unlabelled(label, NO_ROW if no_row else "")
        value = _value(text)
        if not math.isfinite(value):
            raise Unlabelled(label, f"label {label} is no number")
        return value


def _value(text: str) -> float:
    """The number that a text stands for; NaN for none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def instead(name: str, known: Sequence[str], names: Sequence[str] = ()) -> str:
    """What to try instead of a label that is not there: the known name that is most like it, or the first of them.

    Args:
        name: The label.
        known: Names that there are.
        names: All labels that are asked for; a known one that commas cut into some of them, `name` among them, is told first.
    """
    cut = [one for one in known if name in _parts(one) and _is_cut(one, names)]
    if close := cut or nearest(name, known, 1):
        return f"did you mean {_quoted(close[0])}, in quotes for its comma?" if "," in close[0] else f"did you mean {close[0]!r}?"
    listed = list({one.lower(): one for one in known}.values())
    listed = listed[:LISTED] + ["..."] * (len(listed) > LISTED)
    return f"choose from {', '.join(listed)}" if listed else "give it by --csv, or a label of --compute"


def _parts(name: str) -> list[str]:
    """What a list of names makes of a name with commas."""
    return [part.strip() for part in name.split(",") if part.strip()]


def _is_cut(name: str, names: Sequence[str]) -> bool:
    """Whether a name has commas, and its parts follow one another in `names`."""
    parts = _parts(name)
    return "," in name and any(list(names[start : start + len(parts)]) == parts for start in range(len(names)))


def _quoted(name: str) -> str:
    """The option that names a label with commas, as a shell takes it."""
    return "--label " + shlex.quote('"' + name.replace('"', '""') + '"')


def read_table(path: Path, key: str | None, names: tuple[str, ...]) -> LabelTable:
    """Read the wanted label columns of a table with a header.

    Args:
        path: CSV or TSV file, plain or gzipped, UTF-8.
        key: Column that names the record; the first column by default.
        names: Wanted labels; those that are not columns are left to the records.

    Raises:
        InputError: The file or the column is missing, is damaged or not UTF-8, or a key or the name of a column occurs twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a CSV file with labels")
    number = 0
    try:
        with path.open("rb") as raw:
            rows = Table(lines(raw, "strict"), str(path))
            header = rows.names
            if not header:
                raise InputError(f"{path}: is empty; expected a header line with the names of the columns")
            key = key or header[0]
            if key not in header:
                raise InputError(f"{path}: has no column {key!r}; its columns are {', '.join(header)}; choose one with --csv-key")
            columns = tuple(name for name in names if name in header)
            table: dict[str, tuple[str, ...]] = {}
            for number, row in rows:
                name = row.get(key, "").strip()
                if name in table:
                    raise InputError(f"{path}: line {number}: key {name!r} occurs twice; keep one line for each record")
                table[name] = tuple(row.get(column, "") for column in columns)
    except Damaged as error:
        raise damaged(path, f"line {number}") from error
    except UnicodeDecodeError:
        raise foreign(path) from None
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV file ({error}); save it as one") from error
    return LabelTable(path, key, columns, table, header)
