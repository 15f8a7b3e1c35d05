"""Substructures that molecules have to have, or must not have: SMARTS patterns, and files of them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from molgen.errors import InputError

SUFFIX = ".smarts"
"""What names of files of patterns end in."""
_CATALOGUES = {name.lower(): found for name, found in FilterCatalogParams.FilterCatalogs.names.items()}
CATALOGUES = tuple(sorted(_CATALOGUES))
"""Names of RDKit's catalogues of structural alerts."""


@dataclass(frozen=True)
class Pattern:
    """A substructure.

    Args:
        name: what reasons call it.
        query: what matches it, in molecules without hydrogen atoms.
    """

    name: str
    query: Chem.Mol

    def matches(self, mol: Chem.Mol) -> bool:
        """Whether the molecule has it; stereo does not matter."""
        return mol.HasSubstructMatch(self.query)


@cache
def catalogue(*names: str) -> FilterCatalog:
    """The patterns of several of RDKit's catalogues."""
    parameters = FilterCatalogParams()
    for name in names:
        parameters.AddCatalog(_CATALOGUES[name.lower()])
    return FilterCatalog(parameters)


def parse_pattern(smarts: str, where: str, name: str = "") -> Pattern:
    """A pattern from its SMARTS, hydrogen atoms in it as hydrogens of their neighbours.

    Args:
        smarts: the text.
        where: what the user wrote it in, for the error.
        name: by default the text itself.

    Raises:
        InputError: it is no SMARTS.
    """
    with rdBase.BlockLogs():
        query = Chem.MolFromSmarts(smarts, mergeHs=True)
    if query is None or query.GetNumAtoms() == 0:
        raise InputError(f"{where}: {smarts or 'an empty text'} is no SMARTS pattern; mend it, or give a file that ends in {SUFFIX}")
    return Pattern(name or smarts, query)


def is_file(given: Path | str) -> bool:
    """Whether this names a file of patterns."""
    return isinstance(given, Path) or given.lower().endswith(SUFFIX)


def read_patterns(given: Path | str, option: str) -> list[Pattern]:
    """The patterns of a SMARTS or of a file, which has a pattern and its name on each line; `#` starts a comment.

    Args:
        given: the SMARTS, or the name of the file.
        option: that it was given to, for the error.

    Raises:
        InputError: a pattern is no SMARTS, or the file cannot be read or holds none.
    """
    if not is_file(given):
        return [parse_pattern(str(given), f"{option} {given}")]
    try:
        lines = Path(given).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise InputError(f"{option} {given}: cannot be read ({reason}); check the file") from None
    found = []
    for number, line in enumerate(lines, 1):
        smarts, _, name = line.strip().replace("\t", " ").partition(" ")
        if smarts and not smarts.startswith("#"):  # a bond, which no pattern begins with
            found.append(parse_pattern(smarts, f"{given}: line {number}", f" {name}".partition(" #")[0].strip()))
    if not found:
        raise InputError(f"{option} {given}: holds no pattern; write a SMARTS and a name on each line")
    return found
