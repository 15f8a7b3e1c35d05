"""What a chemist rules out before looking: ranges of properties, structural alerts, known and repeated molecules, hazardous substances.

A filter answers with "" or with a short reason, and reasons are counted: a molecule that was ruled out is data, as an invalid draw is.
`Filters` says what is wanted; `Filters.start` makes the `Screen` of one run, which remembers what it has let through so that a molecule
comes only once. Identity is the canonical SMILES without stereo, the form in which sets are compared.

The screen for hazardous substances (hazards.yaml) is on by default. It recognises classes under international control by their
scaffolds; it knows neither doses nor every dangerous molecule, and it flags some medicines that share a scaffold (nitrogen mustards).
What it passes is not therefore safe.

References: Brenk et al. 2008, 10.1002/cmdc.200700139, and Baell and Holloway 2010, 10.1021/jm901137j (structural alerts); Chemical Weapons
Convention, Annex on Chemicals.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from rdkit import Chem, rdBase
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from molgen.errors import InputError
from molgen.known import Known, fingerprint, packed_fingerprints
from molgen.molecules.bonds import bonded
from molgen.molecules.export import LISTS, file_format, read_records
from molgen.molecules.measure import check_predicted, measure
from molgen.molecules.metrics.validity import canonical, plain_smiles, validity
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.smiles import smiles_and_names
from molgen.molecules.records import READERS
from molgen.molecules.wishes import Rule, check_together

CATALOGUES = tuple(sorted(name.lower() for name in FilterCatalogParams.FilterCatalogs.names))
"""Names of RDKit's catalogues of structural alerts."""
TRAINING = "training"
"""Names, as what molecules have to differ from, those that the model was trained on."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What to let through.

    Args:
        where: ranges and rules, see `Rule.parse`; each must hold. A single text is one of them.
        alerts: catalogues of structural alerts that must not match, members of `CATALOGUES`; a single text is one of them.
        unique: let a molecule that passes the check through only once.
        novel: files (SMILES, CSV, SDF, XYZ), prepared data sets or models whose molecules must not come again, or the word `TRAINING` for
            what the model was trained on; a single one may stand for itself.
        include_flagged: let hazardous substances through.

    Raises:
        InputError: a range or a catalogue that does not exist, or ranges of one property that do not overlap.
    """

    where: Sequence[str] = ()
    alerts: Sequence[str] = ()
    unique: bool = False
    novel: Sequence[str | Path] | str | Path = ()
    include_flagged: bool = False

    def __post_init__(self) -> None:
        for name in ("where", "alerts", "novel"):
            if isinstance(given := getattr(self, name), str | Path):
                object.__setattr__(self, name, (given,) if str(given) else ())
        if not all(isinstance(known, str | Path) for known in self._known):
            raise InputError(f"novel: expected names of files, of data sets or of models, got {self.novel!r}")
        check_together(self.rules)
        for name in self.alerts:
            if name.lower() not in CATALOGUES:
                raise InputError(f"--alerts {name}: unknown catalogue; choose from {', '.join(CATALOGUES)}")

    @property
    def _known(self) -> tuple[Any, ...]:
        """The files and models of `novel`."""
        return tuple(cast(Iterable[Any], self.novel))

    @property
    def rules(self) -> list[Rule]:
        """The parsed ranges."""
        return [Rule.parse(text) for text in self.where]

    def describe(self) -> str:
        """One line that is the same for the same filters, "" where nothing but hazards is ruled out."""
        parts = [rule.text for rule in self.rules] + [f"no {name.lower()} alert" for name in self.alerts]
        parts += [f"novel against {known}" for known in self._known]
        parts += ["unique"] * self.unique + ["hazards included"] * self.include_flagged
        return "; ".join(sorted(parts))

    def start(self, seen: Iterable[int] = (), trained: Known | None = None, predicted: Collection[str] = ()) -> "Screen":
        """The screen of a run that has let the molecules with the fingerprints ``seen`` through before.

        Raises:
            InputError: the file of ``novel`` is missing or holds no molecule, or the model does not say what it was trained on; a rule is
                about a property that should be predicted and is not.
        """
        for rule in self.rules:
            check_predicted(rule.ranges, predicted, f"--where {rule.text}")
        if TRAINING in self._known and trained is None:
            raise InputError("novel=training: this model does not say what it was trained on; give its data set or a file of molecules")
        known = [trained if source == TRAINING else known_molecules(source) for source in self._known]
        return Screen(self, set(seen) if self.unique else set(), [one for one in known if one is not None])


class Screen:
    """Filters at work: call it with one molecule after the other; ``seen`` holds the fingerprints of those it let through once."""

    def __init__(self, filters: Filters, seen: set[int], known: Sequence[Known] = ()) -> None:
        self.filters, self.seen, self.known = filters, seen, known
        self._rules = filters.rules
        self._names = sorted({name for rule in self._rules for name in rule.ranges})
        self._alerts = {name.lower(): _catalogue(name.upper()) for name in filters.alerts}

    def __call__(self, molecule: Molecule) -> str:
        """Why the molecule is ruled out, or ""; one that RDKit refuses has no properties and is judged by its bonds alone."""
        with rdBase.BlockLogs():
            return self._verdict(molecule)

    def _verdict(self, molecule: Molecule) -> str:
        mol, whole = _bare(molecule)
        if not self.filters.include_flagged:
            flag = hazard(mol)
            if flag:
                return f"flagged: {flag}"
        judged = whole and molecule.properties.get("passed", True)  # what fails the check has no identity, nor one in the file
        key = fingerprint(plain_smiles(mol)) if judged and (self.filters.unique or self.known) else 0
        reason = self._judge(molecule, mol if whole else None, key)
        if not reason and key and self.filters.unique:
            self.seen.add(key)
        return reason

    def _judge(self, molecule: Molecule, mol: Chem.Mol | None, key: int) -> str:
        if key and key in self.seen:
            return "not unique"
        if key and any(key in known for known in self.known):
            return "not novel"
        if mol is not None:
            for name, catalogue in self._alerts.items():
                if catalogue.HasMatch(mol):
                    return f"{name} alert"
        if not self._rules:
            return ""
        found = measure(molecule, self._names, mol)
        return next((reason for reason in (rule(found) for rule in self._rules) if reason), "")


LARGEST_LOSS = 0.1
"""Share of the records of a file that may be unreadable, as a few are in every collection, before it is refused as the wrong one."""


def known_molecules(path: Path | str) -> Known:
    """The molecules of a file or a prepared data set, or what a model was trained on.

    A prepared data set has its SMILES written down; a SMILES or molecule file takes about a millisecond a record.

    Raises:
        InputError: the file is missing, of an unknown format, or more than a tenth of its records are no valid molecules.
    """
    path = Path(path)
    if (known := Known.of_model(path)) is not None:
        return known
    if not path.exists():
        raise InputError(f"{path}: no such file, prepared data set or model; check the name")
    found = packed_fingerprints(path / "train") or packed_fingerprints(path)
    if not found and path.is_file() and file_format(path) in LISTS:
        found = fingerprints_of_smiles(path)
    elif not found:
        found = [fingerprint_of_record(text, file_format(path)) for text in read_records(path)]
    unread = found.count(0)
    if unread == len(found):
        raise InputError(f"{path}: no valid molecule to compare with; check the file")
    if unread > LARGEST_LOSS * len(found):
        raise InputError(
            f"{path}: {unread} of {len(found)} records are no valid molecules, the first is record {found.index(0) + 1}; mend them"
        )
    return Known.of(found)


def fingerprints_of_smiles(path: Path) -> list[int]:
    """Fingerprints of the SMILES of a list or a table, 0 for an invalid one.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    return [fingerprint(canonical(smiles)) for smiles, _ in smiles_and_names(path)]


def fingerprint_of_record(text: str, format: str) -> int:
    """Fingerprint of the canonical SMILES of an SDF or XYZ record of a known set; 0 for an invalid one.

    Only the graph counts: an SDF record without one hydrogen atom may be flat, and its open valences are hydrogens. Bonds of an XYZ record
    are told by its geometry.
    """
    molecule = READERS[format](text)
    if format == "sdf" and (isinstance(molecule, str) or not (molecule.atomic_numbers == 1).any()):
        with rdBase.BlockLogs():
            whole = Chem.MolFromMolBlock(text, sanitize=False, removeHs=False, strictParsing=False)
            if whole is not None and not any(atom.GetAtomicNum() == 1 for atom in whole.GetAtoms()):
                mol = Chem.MolFromMolBlock(text)
                return fingerprint(plain_smiles(mol)) if mol is not None and mol.GetNumAtoms() else 0
    if isinstance(molecule, str):
        return 0
    try:
        return fingerprint(str(validity(bonded(molecule))["smiles"]))
    except ValueError:  # no bonds fit its geometry
        return 0


@dataclass(frozen=True)
class Hazard:
    """A class of hazardous substances: name, the schedule it comes from, and (pattern, least matches, what it means)."""

    name: str
    source: str
    patterns: tuple[tuple[Chem.Mol, int, str], ...]


@cache
def hazards() -> tuple[Hazard, ...]:
    """The classes of hazards.yaml."""
    raw = yaml.safe_load(resources.files(__package__).joinpath("hazards.yaml").read_text(encoding="utf-8"))
    return tuple(
        Hazard(
            entry["name"],
            entry["source"],
            tuple((Chem.MolFromSmarts(p["smarts"]), p.get("least", 1), p["means"]) for p in entry["patterns"]),
        )
        for entry in raw["classes"]
    )


def hazard(mol: Chem.Mol) -> str:
    """Name of the first class of hazardous substances that a molecule belongs to, or "".

    Args:
        mol: without hydrogen atoms, ring information computed.
    """
    for entry in hazards():
        for pattern, least, _ in entry.patterns:
            if least == 1 and mol.HasSubstructMatch(pattern):
                return entry.name
            if least > 1 and len(mol.GetSubstructMatches(pattern, maxMatches=least)) >= least:
                return entry.name
    return ""


def _bare(molecule: Molecule) -> tuple[Chem.Mol, bool]:
    """The molecule without hydrogen atoms and True; one that RDKit refuses with them, as far as it is perceived, and False."""
    mol = molecule.to_rdkit()
    try:
        Chem.SanitizeMol(mol)
        return Chem.RemoveHs(mol), True
    except (ValueError, RuntimeError):
        mol = molecule.to_rdkit()
        mol.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(mol)
        with suppress(ValueError, RuntimeError):  # patterns of aromatic rings match none that are not perceived
            Chem.SanitizeMol(mol, Chem.SANITIZE_ALL ^ Chem.SANITIZE_PROPERTIES ^ Chem.SANITIZE_CLEANUP)
        return mol, False


@cache
def _catalogue(name: str) -> FilterCatalog:
    parameters = FilterCatalogParams()
    parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
    return FilterCatalog(parameters)
