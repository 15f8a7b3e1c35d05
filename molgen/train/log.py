"""``metrics.csv`` of a run folder: a row for every logged step.

Lightning's own CSV logger deletes the file of a run that goes on; here it goes on as well.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from molgen.files import atomic_path


class MetricsLog(Logger):
    """Appends rows as they come; columns are sorted, and the file is written anew where one is added.

    Args:
        folder: of the run. Rows that an earlier part of the run left stay, up to the first step that is logged now.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **more: Any) -> None:
        """The experiment lies in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {**{name: float(value) for name, value in metrics.items()}, "step": int(step or 0)}
        if "epoch" in row:
            row["epoch"] = int(row["epoch"])
        if self._columns is None:
            self._write([old for old in self._read() if int(old["step"]) < row["step"]], row)
        elif not row.keys() <= set(self._columns):
            self._write(self._read(), row)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns or ()).writerow(row)

    def _read(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            return [row for row in rows if None not in row.values() and row["step"].isdecimal()]  # a last one may be cut off

    def _write(self, rows: list[dict[str, str]], new: Mapping[str, Any]) -> None:
        """Writes these rows with columns for them and for a new one."""
        self._columns = sorted(new.keys() | (rows[0].keys() if rows else set()) | set(self._columns or ()))
        with atomic_path(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
