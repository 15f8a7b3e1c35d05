"""The text of one XYZ record: how to split a file into records, read one and write one."""

import shlex
from collections.abc import Iterable, Iterator

import numpy as np

from molgen.molecules.metrics.elements import NUMBERS, SYMBOLS
from molgen.molecules.molecule import Molecule
from molgen.molecules.text import MAX_LINES, NO_ATOMS, NOT_FINITE
from molgen.molecules.values import as_value, known
from molgen.tags import Value

STRAY = "record that does not start with the number of atoms"
TRAILER = 3
"""Lines behind each frame in the raw files of QM9: frequencies, SMILES and InChI."""


def split_xyz(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Splits XYZ text by the number of atoms in the first line of each record; lines up to the next such number are one stray record.

    Three lines behind a frame of which the third begins with `InChI=`, as in the raw files of QM9, are left out.
    """
    record: list[str] = []
    expected = 0  # lines of the record; 0 for stray ones
    behind = False  # a frame
    for line in lines:
        counts = _is_count(line) and int(line) < MAX_LINES
        if record and not expected and counts:
            yield "".join(record), True
            record, behind = [], False
        if not record:
            if not line.strip():
                continue
            expected = int(line) + 2 if counts else 0
        if expected or len(record) <= MAX_LINES:
            record.append(line)
        if len(record) == expected:
            yield "".join(record), line.endswith("\n")
            record, behind = [], True
        elif behind and not expected and len(record) == TRAILER and line.startswith("InChI="):
            record, behind = [], False
    if record:
        yield "".join(record), not expected and record[-1].endswith("\n")


def read_xyz_record(text: str) -> Molecule | str:
    """Reads an XYZ record: elements and coordinates; bonds and charges are unknown and left empty."""
    lines = text.splitlines()
    if not _is_count(lines[0]):
        return STRAY
    count = int(lines[0])
    rows = [line.split() for line in lines[2:]]
    if count == 0:
        return NO_ATOMS
    if len(rows) != count:
        return "fewer lines than atoms (cut off?)"
    properties = read_comment(lines)
    element, first = _columns(str(properties.pop("Properties", "species:S:1:pos:R:3")))
    if element < 0 or first < 0:
        return "Properties in the comment without species:S:1 and pos:R:3"
    try:
        numbers = [int(row[element]) if _is_count(row[element]) else NUMBERS[row[element].capitalize()] for row in rows]
        positions = np.array([[float(value.replace("*^", "e")) for value in row[first : first + 3]] for row in rows])
    except (ValueError, KeyError, IndexError):
        return "line that is not an element with three coordinates"
    if positions.shape != (count, 3) or not all(0 < number < len(SYMBOLS) for number in numbers):
        return "line that is not an element with three coordinates"
    if not np.isfinite(positions).all():
        return NOT_FINITE
    return Molecule(np.array(numbers, dtype=np.int64), positions, np.zeros(count, np.int64), np.zeros((0, 3), np.int64), properties)


def _is_count(text: str) -> bool:
    """Whether a text is a number of nine digits at most."""
    text = text.strip()
    return len(text) < 10 and text.isascii() and text.isdigit()


def _columns(described: str) -> tuple[int, int]:
    """Columns of the element and of the first coordinate in an extended XYZ record, such as ``species:S:1:pos:R:3``; -1 for none."""
    words, places, column = described.split(":"), {"species:S:1": -1, "pos:R:3": -1}, 0
    for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=False):
        places[f"{name}:{kind}:{count}"] = column
        column += int(count) if _is_count(count) else 1
    return places["species:S:1"], places["pos:R:3"]


def write_xyz_record(molecule: Molecule) -> str:
    """Writes an XYZ record; the comment line holds the properties as key=value."""
    named = {one_line(name).replace("=", "_"): one_line(value) for name, value in known(molecule.properties).items()}
    comment = " ".join(f"{shlex.quote(name)}={shlex.quote(value)}" for name, value in named.items())
    rows = [
        f"{SYMBOLS[number]:2s} {x:14.8f} {y:14.8f} {z:14.8f}"
        for number, (x, y, z) in zip(molecule.atomic_numbers.tolist(), molecule.positions.tolist(), strict=True)
    ]
    return "\n".join([str(len(rows)), comment, *rows]) + "\n"


def read_comment(lines: list[str]) -> dict[str, Value]:
    """Properties in the comment line of an XYZ record's lines, see :func:`comment_pairs`; numbers become such, but for the title."""
    return {name: value if name == "title" else as_value(value) for name, value in comment_pairs(lines).items()}


def comment_pairs(lines: list[str]) -> dict[str, str]:
    """What the comment line of an XYZ record's lines says, as written: key=value pairs, or else a title and maybe the charge."""
    comment = lines[1] if len(lines) > 1 else ""
    try:
        lexer = shlex.shlex(comment, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""  # backslashes are those of SMILES and paths
        words = list(lexer)
    except ValueError:
        words = comment.split()
    pairs = [word.partition("=") for word in words]
    if pairs and all(separator for _, separator, _ in pairs):
        return {name: value for name, _, value in pairs}
    charge = {name: value for name, _, value in pairs if name == "charge" and value}  # a word among others may be a SMILES
    return {"title": comment.strip(), **charge} if comment.strip() else {}


def one_line(value: Value) -> str:
    """The text of a value with single blanks in the place of line breaks and other white space."""
    return " ".join(str(value).split())
