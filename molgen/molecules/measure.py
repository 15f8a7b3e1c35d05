"""Properties of a finished molecule by name, and the molecules that come nearest to a wished value.

Names are those of `molgen.molecules.properties`: from the graph by RDKit (what `molgen prepare --compute` takes), from a GFN2-xTB single
point on the geometry by tblite, strain_mmff from its relaxation under MMFF94, and homo_b3lyp, which a network estimates from the geometry.
A property that cannot be computed is NaN: data, not an error. ``predicted_NAME`` is what an estimator of the model that made the molecule
said about it, which stands among its tags.

Ranking draws by a computed property and keeping the best k of n is best-of-n selection: for independent draws the kept share k / n of the
distribution nearest to the target, without any change of the model.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rdkit import Chem, rdBase

from molgen import tags
from molgen.errors import InputError, nearest
from molgen.molecules.metrics.quantum import available, require_tblite
from molgen.molecules.metrics.slow import slow_properties
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.compute import COMPUTED, STEREO, compute
from molgen.molecules.properties import PROPERTIES, Method, measured_by
from molgen.molecules.similarity import Given, Similarity

XTB = measured_by(Method.XTB)
"""Names of the properties of a GFN2-xTB single point."""

MEASURED = tuple(PROPERTIES)
"""Every property that `measure` knows."""
COUNTS = frozenset(name for name, known in PROPERTIES.items() if known.count)
"""Those of them that are whole numbers; the others, and what is predicted, are real numbers."""

SIMILARITY = "similarity"
"""Name of the similarity to given molecules, which is a property only where there are such."""

USUAL = {
    **dict.fromkeys(("molwt", "molweight", "molecularweight", "weight", "mass", "exactmw"), "mw"),
    **dict.fromkeys(("clogp", "alogp", "xlogp", "mollogp", "crippen"), "logp"),
    **dict.fromkeys(("hbd", "hdonors", "numhdonors"), "donors"),
    **dict.fromkeys(("hba", "hacceptors", "numhacceptors"), "acceptors"),
    **dict.fromkeys(("rotbonds", "rotatablebonds", "numrotatablebonds", "nrot", "rotb"), "rotatable"),
    **dict.fromkeys(("psa", "polarsurface"), "tpsa"),
    **dict.fromkeys(("sascore", "synthesizability"), "sa"),
    **dict.fromkeys(("heavyatoms", "numheavyatoms", "hac"), "heavy"),
    **dict.fromkeys(("numrings", "ringcount"), "rings"),
    **dict.fromkeys(("csp3", "fractioncsp3"), "fsp3"),
    **dict.fromkeys(("strain", "strainenergy", "conformerstrain"), "strain_mmff"),
    **dict.fromkeys(("tanimoto", "sim", "likeness"), SIMILARITY),
}
"""Other usual names of properties, without capitals and underscores -> the name here."""

HOPELESS = 20
"""Molecules after which a function that has failed for all of them is taken for broken."""

Score = Callable[[Molecule], float]
"""What a molecule is worth; larger is better, NaN drops it."""


def find_measured(name: str, option: str) -> str:
    """The property that is meant by a name: a measured one in any case, or a predicted one as it stands.

    Whether a property is predicted depends on the model, see `check_predicted`.

    Args:
        name: as the user wrote it.
        option: what the user wrote behind the name of the option, for the error.

    Raises:
        InputError: an unknown name, with those that are known, or tblite is missing for one that needs it.
    """
    if name.startswith(tags.PREDICTED):
        return name
    if name.lower() == SIMILARITY:
        return SIMILARITY
    alike = [name] if name in MEASURED else [known for known in MEASURED if known.lower() == name.lower()]
    if len(alike) != 1:
        plain = re.sub(r"[\W_]", "", name).lower()
        meant = USUAL.get(plain) or next(iter(nearest(name, MEASURED, 1)), "")
        wish = option.partition(" ")[2].replace(name, meant, 1)
        choose = f"did you mean {wish}? Choose" if meant else "choose"
        others = f"or {tags.PREDICTED}NAME, which needs an estimator of it"
        raise InputError(f"{option}: unknown property {name!r}; {choose} from {', '.join(MEASURED)}, {SIMILARITY}, {others}")
    if alike[0] in XTB:
        require_tblite()
    return alike[0]


def check_predicted(names: Iterable[str], told: Collection[str], option: str) -> None:
    """Refuses properties that were to be predicted and are not.

    Args:
        names: of properties; measured ones are passed over.
        told: those that the estimators of a model tell of what it makes.
        option: what the user wrote, for the error.

    Raises:
        InputError: the model has no such estimator, or the property is measured.
    """
    for name in names:
        plain = name.removeprefix(tags.PREDICTED)
        if name == plain or plain in told:
            continue
        if measurable([plain]):
            raise InputError(f"{option}: {plain} can be measured and is not predicted; name it without {tags.PREDICTED}")
        known = f"; it has some of {', '.join(told)}" if told else ""
        way = "give it by --estimator" if option.startswith("--") else "load it with the model: molgen.load(MODEL, estimators=[RUN])"
        raise InputError(f"{option}: the model has no estimator of {plain}{known}; train one and {way}")


def measurable(names: Iterable[str]) -> bool:
    """Whether all of these properties can be measured here."""
    return all(name in MEASURED and (name not in XTB or available()) for name in names)


def heavy_graph(molecule: Molecule) -> Chem.Mol | None:
    """Sanitised RDKit molecule without hydrogen atoms, None where RDKit refuses it."""
    with rdBase.BlockLogs():
        try:
            return heavy(molecule.to_rdkit(sanitize=True))
        except (ValueError, RuntimeError, KeyError):
            return None


def measure(
    molecule: Molecule, names: Sequence[str], mol: Chem.Mol | None = None, similarity: Similarity | None = None
) -> dict[str, float]:
    """Properties of a molecule, NaN where it has none.

    Args:
        molecule: with hydrogens.
        names: members of `MEASURED`, predicted ones, and `SIMILARITY`.
        mol: the result of `heavy_graph` where the caller has it already, its stereo aside.
        similarity: to given molecules.
    """
    found = dict.fromkeys(names, math.nan)
    found |= {name: number_of(molecule, name) for name in names if name.startswith(tags.PREDICTED)}
    if SIMILARITY in names and similarity is not None:
        flat = heavy_graph(molecule) if mol is None else mol
        found[SIMILARITY] = similarity(flat) if flat is not None and flat.GetNumAtoms() else math.nan
    names = [name for name in names if not name.startswith(tags.PREDICTED) and name != SIMILARITY]
    graph = tuple(name for name in names if name in COMPUTED)
    if graph:
        mol = heavy_graph(molecule) if mol is None or STEREO & {*graph} else mol
        if mol is not None and mol.GetNumHeavyAtoms() > 0:
            found |= dict(zip(graph, compute(mol, graph), strict=True))
    if len(graph) < len(names):
        point = slow_properties(molecule, names)
        found |= {name: float(point.get(name, math.nan)) for name in names if name not in COMPUTED}
    return found


def number_of(molecule: Molecule, tag: str) -> float:
    """The number that a molecule carries under this name, NaN where it has none."""
    value = molecule.properties.get(tag)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def measured_tags(found: Mapping[str, float]) -> dict[str, float]:
    """What was measured as tags, to eight digits; without what has no value, and what was predicted, which has tags of its own."""
    known = {name: value for name, value in found.items() if not math.isnan(value) and not name.startswith(tags.PREDICTED)}
    return {f"{tags.MEASURED}{name}": float(f"{value:.8g}") for name, value in known.items()}


def with_measured(molecule: Molecule, names: Sequence[str], similarity: Similarity | None = None) -> Molecule:
    """The molecule with these properties as ``measured_NAME``; those that it carries already are not measured again."""
    missing = [name for name in names if f"{tags.MEASURED}{name}" not in molecule.properties]
    return replace(molecule, properties={**molecule.properties, **measured_tags(measure(molecule, missing, similarity=similarity))})


@dataclass(frozen=True)
class Target:
    """A wished value of a computed or predicted property: a number, or the largest or smallest there is.

    Args:
        name: a member of `MEASURED`, ``predicted_NAME``, or `SIMILARITY`.
        value: in the unit of the property; `inf` for the largest, `-inf` for the smallest.
        similarity: to given molecules, where that is the property.
    """

    name: str
    value: float
    similarity: Similarity | None = None

    @classmethod
    def parse(cls, text: str, similar_to: Sequence[Given] = (), option: str = "target") -> "Target":
        """Reads ``gap_xtb=5``, ``qed=max`` or ``sa=min``; case does not matter in names of measured properties.

        Args:
            text: as the user wrote it.
            similar_to: molecules, files or SMILES that ``similarity=max`` is about.
            option: what errors call the argument or the option that it was given to.

        Raises:
            InputError: anything else, or a property that cannot be measured.
        """
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            number = {"max": math.inf, "min": -math.inf}.get(value.strip(), math.nan)
        if math.isnan(number) or not name.strip():
            raise InputError(f"{option} {text}: expected NAME=VALUE, NAME=max or NAME=min, such as gap_xtb=5")
        name = find_measured(name.strip(), f"{option} {text}")
        return cls(name, number, Similarity(similar_to) if name == SIMILARITY else None)

    def measure(self, molecule: Molecule) -> float:
        """The property of a molecule, NaN where it has none."""
        return measure(molecule, [self.name], similarity=self.similarity)[self.name]

    @property
    def tag(self) -> str:
        """What molecules carry the value as: ``measured_NAME`` or ``predicted_NAME``."""
        return self.name if self.name.startswith(tags.PREDICTED) else f"{tags.MEASURED}{self.name}"

    def distance(self, value: float) -> float:
        """How far a measured value is from the wish; smaller is better, infinite for NaN."""
        if math.isnan(value):
            return math.inf
        if math.isfinite(self.value):
            return abs(value - self.value)
        return -value if self.value > 0 else value


class Best:
    """The best of the molecules seen so far, in memory of so many.

    Each carries what was found as the property ``measured_NAME`` (``predicted_NAME`` where that was asked for), or ``score`` where a
    function found it. Ties keep the earlier molecule; what cannot be measured is dropped, as is what the function fails for: ``failures``
    counts its errors.

    Args:
        target: wished value of a computed property, or a function whose larger values are better.
        keep: how many.
    """

    def __init__(self, target: Target | Score, keep: int) -> None:
        self.target, self.keep, self.seen = target, keep, 0
        self.failures: Counter[str] = Counter()
        self._heap: list[tuple[float, int, Molecule]] = []

    def see(self, molecule: Molecule) -> None:
        """Takes in a molecule.

        Raises:
            InputError: the function gives no number, or has failed for each of the first :data:`HOPELESS` molecules.
        """
        self.seen += 1
        if isinstance(self.target, Target):
            name, value = self.target.tag, self.target.measure(molecule)
            rank = -self.target.distance(value)
        else:
            name = "score"
            try:
                found = self.target(molecule)
            except Exception as error:
                self.failures[f"{type(error).__name__}: {error}"] += 1
                if self.seen == self.failures.total() == HOPELESS:
                    raise InputError(f"target: the function fails for each of the first {HOPELESS} molecules ({self.failure})") from error
                return
            try:
                rank = value = float(found)
            except (TypeError, ValueError):
                raise InputError(f"target: the function has to give a number, NaN where it cannot, got {found!r}") from None
        if math.isnan(value):
            return
        entry = (rank, -self.seen, replace(molecule, properties={**molecule.properties, name: value}))
        if len(self._heap) < self.keep:
            heapq.heappush(self._heap, entry)
        elif entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    @property
    def failure(self) -> str:
        """The commonest error of the function, "" where there was none."""
        return next((error for error, _ in self.failures.most_common(1)), "")

    @property
    def molecules(self) -> list[Molecule]:
        """The best, the best first."""
        return [molecule for _, _, molecule in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def keep_best(molecules: Iterable[Molecule], target: Target | Score, keep: int) -> list[Molecule]:
    """The ``keep`` best of the molecules, see :class:`Best`."""
    best = Best(target, keep)
    for molecule in molecules:
        best.see(molecule)
    return best.molecules
