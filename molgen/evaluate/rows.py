"""One row a record, for spreadsheets and data frames: what ``molgen evaluate --table`` writes."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from molgen.evaluate.score import Scores
from molgen.files import atomic_path
from molgen.molecules.formats import TABLES, ending

VERDICTS = ("p1_stable", "p2s_stable", "sanitizes", "valid")
CHECKS = ("record", "valid", "p2s")
"""Of whose reasons the first is told."""


@contextmanager
def opened(path: Path | None, drops: tuple[str, ...]) -> Iterator[Callable[[Scores], None]]:
    """Yields what takes the scores of the records, in order; the table is whole, or not there after an exception. Without a path: none.

    Args:
        path: ending in .csv or .tsv.
        drops: names of the energy drops that are computed.

    Raises:
        InputError: it cannot be written.
    """
    if path is None:
        yield lambda scores: None
        return
    numbers = count(1)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        writer = csv.writer(stream, delimiter=TABLES[ending(path).removeprefix(".")], lineterminator="\n")
        writer.writerow(["record", "title", *VERDICTS, "reason", "smiles", *drops])
        yield lambda scores: writer.writerow([next(numbers), *_cells(scores, drops)])


def _cells(scores: Scores, drops: tuple[str, ...]) -> list[object]:
    """Title, verdicts, the first reason, SMILES of a valid molecule, and numbers to four digits behind the point."""
    title = scores.molecule.properties.get("title", "") if scores.molecule is not None else scores.labels.get("title", "")
    reason = next((scores.reasons[check] for check in CHECKS if scores.reasons.get(check)), "")
    values = [f"{scores.values[name]:.4f}" if name in scores.values else "" for name in drops]
    return [title, *(scores.passed.get(name, False) for name in VERDICTS), reason, scores.labels.get("smiles", ""), *values]
