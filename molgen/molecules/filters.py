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

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import yaml
from rdkit import Chem, rdBase

from molgen.errors import InputError, got
from molgen.known import Known, fingerprint
from molgen.molecules.convert import refused
from molgen.molecules.known_sets import TRAINING, graph_of, known_molecules
from molgen.molecules.measure import SIMILARITY, check_predicted, measure, measured_tags
from molgen.molecules.metrics.validity import heavy, plain_smiles
from molgen.molecules.molecule import Molecule
from molgen.molecules.patterns import CATALOGUES, Pattern, catalogue, is_file, read_patterns
from molgen.molecules.similarity import Similarity, name_of
from molgen.molecules.wishes import Rule, check_together
from molgen.tags import called

EXPECTED: dict[str, tuple[Any, str]] = {
    "where": (str, "ranges and rules such as 'mw<160'"),
    "alerts": (str, "names of catalogues"),
    "has": (str, "SMARTS patterns"),
    "lacks": (str | Path, "SMARTS patterns or names of files of them"),
    "novel": (str | Path | Molecule, "molecules, names of files, of data sets or of models, or SMILES"),
    "similar_to": (str | Path | Molecule, "molecules, names of files or SMILES"),
    "accept": (Callable, "functions of a molecule"),
}
"""What the members of arguments have to be, and in words."""
HOPELESS = 20
"""Molecules from the first on for which a function of one's own may raise."""
LISTED = 5
"""Molecules that the description of `novel` names one by one."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What to let through.

    Args:
        where: ranges and rules, see `Rule.parse`; each must hold. A single text is one of them.
        alerts: catalogues of structural alerts that must not match, members of `CATALOGUES`; a single text is one of them.
        has: SMARTS patterns of substructures, each of which a molecule must have.
        lacks: SMARTS patterns, and files of them (:func:`~molgen.molecules.patterns.read_patterns`), none of which it may have.
        unique: let a molecule that passes the check through only once.
        novel: molecules, files (SMILES, CSV, SDF, XYZ), prepared data sets, models or SMILES whose molecules must not come again, or the
            word `TRAINING` for what the model was trained on; a single one may stand for itself.
        similar_to: molecules, files or SMILES that the property `similarity` is about, as in ``where="similarity>=0.4"``.
        include_flagged: let hazardous substances through.
        accept: functions of a `Molecule` that say whether it passes; one that raises rules the molecule out.

    Raises:
        InputError: a range, a catalogue or a pattern that does not exist, or ranges of one property that do not overlap.
    """

    items: ClassVar[str] = "molecules"

    where: Iterable[str] = ()
    alerts: Iterable[str] = ()
    has: Iterable[str] = ()
    lacks: Iterable[str | Path] | str | Path = ()
    unique: bool = False
    novel: Iterable[str | Path | Molecule] | str | Path | Molecule = ()
    similar_to: Iterable[str | Path | Molecule] | str | Path | Molecule = ()
    include_flagged: bool = False
    accept: Iterable[Callable[[Molecule], object]] | Callable[[Molecule], object] = ()
    sets: dict[str, Known] = field(default_factory=dict, repr=False, compare=False)
    """What `read_known` has read, by its name; copies with other arguments share it."""
    names: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """What errors call an argument, where that is not its name."""

    def __post_init__(self) -> None:
        for name, (kinds, expected) in EXPECTED.items():
            if isinstance(given := getattr(self, name), str | Path | Molecule) or callable(given):
                given = (given,) if str(given) else ()
            members = tuple(given) if isinstance(given, Iterable) and not isinstance(given, Mapping) else (given,)
            if not all(isinstance(member, kinds) for member in members):
                raise InputError(f"{self._named(name)}: expected {expected}, got {got(given)}")
            object.__setattr__(self, name, members)  # a generator gives them once
        for name in ("unique", "include_flagged"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InputError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        check_together(self.rules, self._named("where"))
        for rule in self.rules:
            if SIMILARITY in rule.ranges and not self._similar_to:
                fix = f"name molecules, files or SMILES by {self._named('similar_to')}"
                raise InputError(f"{self._named('where')} {rule.text}: similar to what? {fix}")
        if stray := next(filter(is_file, self.has), None):
            what = f"a file of patterns is for {self._named('lacks')}; name the patterns that a molecule must have one by one"
            raise InputError(f"{self._named('has')} {stray}: {what}")
        _ = self.patterns
        for name in self.alerts:
            if name.lower() not in CATALOGUES:
                raise InputError(f"{self._named('alerts')} {name}: unknown catalogue; choose from {', '.join(CATALOGUES)}")

    def _named(self, argument: str) -> str:
        """What errors call an argument."""
        return self.names.get(argument, argument)

    @property
    def _known(self) -> tuple[Any, ...]:
        """The members of `novel`."""
        return tuple(cast(Iterable[Any], self.novel))

    @property
    def _similar_to(self) -> tuple[Any, ...]:
        """The members of `similar_to`."""
        return tuple(cast(Iterable[Any], self.similar_to))

    @property
    def _accept(self) -> tuple[Callable[[Molecule], object], ...]:
        """The members of `accept`."""
        return tuple(cast(Iterable[Any], self.accept))

    @property
    def rules(self) -> list[Rule]:
        """The parsed ranges."""
        return [Rule.parse(text, self._named("where")) for text in self.where]

    @cached_property
    def patterns(self) -> tuple[list[Pattern], list[Pattern]]:
        """Those that a molecule must have and those that it must not have."""
        has, lacks = self._named("has"), self._named("lacks")
        required = [pattern for smarts in self.has for pattern in read_patterns(smarts, has)]
        return required, [pattern for given in cast(Iterable[Any], self.lacks) for pattern in read_patterns(given, lacks)]

    @cached_property
    def _told(self) -> list[str]:
        """What the description says of `novel`: more than a few molecules are their number and what tells them from others."""
        graphs = {place: graph for place, given in enumerate(self._known) if (graph := graph_of(given))}
        if len(different := sorted({*graphs.values()})) > LISTED:
            digest = hashlib.blake2b("\n".join(different).encode(), digest_size=4).hexdigest()
            others = [str(given) for place, given in enumerate(self._known) if place not in graphs]
            return [*others, f"{len(different)} molecules (digest {digest})"]
        return [graphs[place] if isinstance(given, Molecule) else str(given) for place, given in enumerate(self._known)]

    def describe(self) -> str:
        """One line that is the same for the same filters, "" where nothing but hazards is ruled out."""
        parts = [rule.text for rule in self.rules] + [f"no {name.lower()} alert" for name in self.alerts]
        parts += [f"with {smarts}" for smarts in self.has] + [f"without {given}" for given in cast(Iterable[Any], self.lacks)]
        parts += [f"novel against {known}" for known in self._told] + [f"similar to {name_of(given)}" for given in self._similar_to]
        parts += ["unique"] * self.unique + ["hazards included"] * self.include_flagged
        parts += [f"accepted by {called(function)}" for function in self._accept]
        return "; ".join(sorted(parts))

    def start(self, seen: Iterable[int] = (), trained: Known | None = None, predicted: Collection[str] = ()) -> "Screen":
        """The screen of a run that has let the molecules with the fingerprints ``seen`` through before.

        Raises:
            InputError: the file of ``novel`` is missing or holds no molecule, or the model does not say what it was trained on; a rule is
                about a property that should be predicted and is not.
        """
        for rule in self.rules:
            check_predicted(rule.ranges, predicted, f"{self._named('where')} {rule.text}")
        if TRAINING in self._known and trained is None:
            raise InputError("novel=training: this model does not say what it was trained on; give its data set or a file of molecules")
        known = self.read_known() + [trained for source in self._known if source == TRAINING and trained is not None]
        return Screen(self, set(seen) if self.unique else set(), Known.merged(known))

    def read_known(self, workers: int = 1) -> list[Known]:
        """The sets of ``novel``, but for `TRAINING`; each is read once, a large file in so many processes.

        Raises:
            InputError: as :meth:`start`.
        """
        for source in self._known:
            if source != TRAINING and name_of(source) not in self.sets:
                self.sets[name_of(source)] = known_molecules(source, workers)
        return [self.sets[name_of(source)] for source in self._known if source != TRAINING]


class Screen:
    """Filters at work: call it with one molecule after the other; ``seen`` holds the fingerprints of those it let through once.

    What is measured for its rules is put among the properties of the molecule, as ``measured_NAME``.
    """

    def __init__(self, filters: Filters, seen: set[int], known: Sequence[Known] = ()) -> None:
        self.filters, self.seen, self.known = filters, seen, known
        self._rules = filters.rules
        self._names = sorted({name for rule in self._rules for name in rule.ranges})
        self._alerts = {name.lower(): catalogue(name) for name in filters.alerts}
        self._has, self._lacks = filters.patterns
        self._similarity = Similarity(filters._similar_to) if SIMILARITY in self._names else None
        self._raised, self._worked = Counter[Any](), set[Any]()

    def __call__(self, molecule: Any) -> str:
        """Why the molecule is ruled out, or ""; one that RDKit refuses has no properties and is judged by its bonds alone.

        Raises:
            InputError: it is something else.
        """
        if not isinstance(molecule, Molecule):
            raise InputError(f"expected a molgen.Molecule, got a {type(molecule).__name__}; Molecule.from_rdkit takes one of RDKit")
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
        reason = self._repeated(key) or self._substructure(mol) or self._judge(molecule, mol if whole else None)
        if not reason and key and self.filters.unique:
            self.seen.add(key)
        return reason

    def _repeated(self, key: int) -> str:
        if key and key in self.seen:
            return "not unique"
        return "not novel" if key and any(key in known for known in self.known) else ""

    def _substructure(self, mol: Chem.Mol) -> str:
        for pattern in self._lacks:
            if pattern.matches(mol):
                return f"with {pattern.name}"
        return next((f"without {pattern.name}" for pattern in self._has if not pattern.matches(mol)), "")

    def _judge(self, molecule: Molecule, mol: Chem.Mol | None) -> str:
        if mol is not None:
            for name, catalogue in self._alerts.items():
                if catalogue.HasMatch(mol):
                    return f"{name} alert"
        if self._rules:
            found = measure(molecule, self._names, mol, self._similarity)
            molecule.properties.update(measured_tags(found))
            if reason := next((reason for reason in (rule(found) for rule in self._rules) if reason), ""):
                return reason
        return next((reason for function in self.filters._accept if (reason := self._refused(function, molecule))), "")

    def _refused(self, function: Callable[[Molecule], object], molecule: Molecule) -> str:
        """Why a function of one's own rules a molecule out, or ""; an InputError where it has raised for each of the first ones."""
        try:
            passed = function(molecule)
        except Exception as error:
            what = f"{called(function)} raised {type(error).__name__}: {' '.join(str(error).split()):.100}"
            self._raised[function] += 1
            if self._raised[function] == HOPELESS and function not in self._worked:
                raise InputError(f"accept: {what}, for each of the first {HOPELESS} molecules") from error
            return what
        self._worked.add(function)
        return "" if passed else f"not accepted by {called(function)}"


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
    try:
        mol = molecule.to_rdkit()
        Chem.SanitizeMol(mol)
        return heavy(mol), True
    except (ValueError, RuntimeError):
        mol = refused(molecule)
    perceived = Chem.Mol(mol)
    try:
        Chem.SanitizeMol(perceived, Chem.SANITIZE_ALL ^ Chem.SANITIZE_PROPERTIES ^ Chem.SANITIZE_CLEANUP)
    except (ValueError, RuntimeError):  # patterns of aromatic rings match none that are not perceived
        return mol, False
    return perceived, False
