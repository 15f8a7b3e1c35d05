"""Tables as spreadsheets save them: a header, and columns separated by commas, semicolons or tabs."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from molgen.errors import InputError

MARKS = ",;\t"


class Table:
    """The rows of a table.

    Args:
        lines: of the file; what separates columns is what cuts the header, the first of them, into most cells.
        where: the file, for messages.

    Raises:
        InputError: two columns have the same name.
    """

    def __init__(self, lines: Iterable[str], where: str) -> None:
        lines, self.where = iter(lines), where
        header = next(lines, "")
        self.mark = max(MARKS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), ())))
        self.reader = csv.DictReader(chain([header], lines), delimiter=self.mark)
        self.reader.fieldnames = self.names = tuple(name.strip() for name in self.reader.fieldnames or ())
        repeated = [name for name, count in Counter(self.names).items() if name and count > 1]
        if repeated:
            raise InputError(f"{where}: two columns are named {repeated[0]!r}; rename one of them, or leave it out")

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Number of the line and cells by column, without those that are missing at the end.

        Raises:
            InputError: a row has more filled cells than the header has names; a decimal comma would otherwise give a wrong label.
        """
        for row in self.reader:
            if any(map(str.strip, row.pop(None, ()))):  # where DictReader puts them
                fix = "; write 1.5, not 1,5, or quote cells with commas" if self.mark == "," else ""
                raise InputError(f"{self.where}: line {self.reader.line_num}: more cells than the header{fix}")
            yield self.reader.line_num, {name: cell for name, cell in row.items() if cell}
