"""Molecules as the rows of a table, for spreadsheets and data frames."""

import csv
import io
from collections.abc import Mapping

from molgen.molecules.molecule import Molecule
from molgen.molecules.values import known


class Rows:
    """A table of molecules: SMILES with stereo, then the properties, of which a molecule may lack some.

    Args:
        mark: what separates columns.
    """

    def __init__(self, mark: str = ",") -> None:
        self._mark = mark
        self._rows: list[dict[str, object]] = []

    def add(self, molecule: Molecule) -> None:
        """Adds a row; a property `smiles` gives way to the SMILES with stereo."""
        self._rows.append({"smiles": molecule.to_smiles(), **{k: v for k, v in known(molecule.properties).items() if k != "smiles"}})

    def keep(self, smiles: str, properties: Mapping[str, object]) -> None:
        """Adds a row as its source has it: the properties, and before them the SMILES where it is none of them."""
        named = any("smiles" in name.lower() and str(value).strip() == smiles for name, value in properties.items())
        self._rows.append({"smiles": smiles, **known(properties)} if smiles and not named else known(properties))

    def text(self) -> str:
        """The table: a header, columns in the order in which they appeared, nothing where a molecule has no value."""
        columns = dict.fromkeys(name for row in self._rows for name in row) or ["smiles"]
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(columns), delimiter=self._mark, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        return stream.getvalue()
