"""Everything that is measured on one molecule, collected for the tally.

`score` runs in a worker process on the text of a record (or a `Molecule` of a packed data set). What fails becomes a reason.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from molgen.molecules.molecule import Molecule
from molgen.tags import REQUESTED


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Which of the slower checks to run.

    Args:
        format: of record texts, `sdf` or `xyz`.
        perceive: compare bonds with those perceived from the geometry.
        relax: relax under MMFF94.
        posebusters: run PoseBusters' checks.
        xtb: compute GFN2-xTB properties and relax under it.
        measure: slow properties to compute in any case; by default those that the record was requested to have.
    """

    format: str = "sdf"
    perceive: bool = True
    relax: bool = False
    posebusters: bool = False
    xtb: bool = False
    measure: frozenset[str] | None = None


@dataclass
class Scores:
    """What was found about one record.

    Args:
        molecule: as read; None when the record is broken.
        passed: yes-or-no verdicts by name; a missing name means that the check was not run.
        values: numbers by name.
        reasons: why a check failed, by check.
        kinds: values pooled by kind, for each family of distributions.
        labels: strings by name: SMILES, scaffold, title of a broken record.
        groups: functional groups.
    """

    molecule: Molecule | None = None
    passed: dict[str, bool] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)

    @classmethod
    def broken(cls, reason: str, title: str = "") -> "Scores":
        """A record that holds no molecule, or that was lost."""
        return cls(reasons={"record": reason}, labels={"title": title})


@dataclass(frozen=True)
class Scorer:
    """Scores one record; an instance is sent to the worker processes.

    Args:
        checks: which to run.
    """

    checks: Checks = Checks()

    def __call__(self, item: str | Molecule | None) -> Scores | None:
        """Scores the text of a record or a molecule; None only imports the libraries."""
        if item is None:
            _warm_up(self.checks)
            return None
        molecule = None
        try:
            if isinstance(item, str):
                from molgen.molecules.records import READERS, read_atoms

                text, item = item, READERS[self.checks.format](item)
                if isinstance(item, str):
                    sdf = self.checks.format == "sdf"
                    molecule = read_atoms(text) if sdf else None
                    title = text.partition("\n")[0].strip() if sdf else ""
                    return Scores.broken(item, title) if molecule is None else score(molecule, self.checks, item)
            molecule = item
            return score(item, self.checks)
        except Exception as error:  # a defect of a check must not stop the run: it is counted and shown
            return Scores(molecule=molecule, reasons={"record": f"check failed with {type(error).__name__}: {str(error)[:80]}"})


def score(molecule: Molecule, checks: Checks = Checks(), unread: str = "") -> Scores:
    """Runs every check on a molecule.

    Args:
        molecule: any, also broken; one without bonds (from XYZ) gets those perceived from its geometry, and fails every check of bonds
            where that tells none.
        checks: which of the slower ones to run.
        unread: why bonds that it had cannot be read: the coordinates tell P1 and the size, and every check of bonds fails.
    """
    from molgen.molecules.metrics.geometry import geometry
    from molgen.molecules.metrics.stability import distance_lookup, lenient, lookup_bonds, strict
    from molgen.molecules.metrics.validity import lookup_validity, sanitised

    scores = Scores(molecule=molecule)
    if not unread:
        molecule = scores.molecule = _perceive(scores, molecule, checks)
    near = lookup_bonds(molecule.atomic_numbers, molecule.positions) if np.isfinite(molecule.positions).all() else None
    lookup = lookup_validity(molecule, near)
    _take(scores, distance_lookup(molecule, near), lookup)
    scores.values["atoms"] = float(len(molecule))
    scores.labels["p1_smiles"] = str(lookup["p1_smiles"])
    if unread and checks.perceive:
        _take(scores, {"agreement": False, "agreement_reason": unread})
    if unfit := unread or scores.reasons.get("perception", ""):
        _fail(scores, len(molecule), unfit)
    else:
        verdict, mol = sanitised(molecule)
        _take(scores, strict(molecule), lenient(molecule), geometry(molecule), verdict)
        if checks.perceive and "perceived" not in scores.values:
            _take(scores, _agreement(molecule))
        if scores.passed["valid"]:
            scores.labels["smiles"] = str(verdict["smiles"])
            _of_valid(scores, molecule, mol)
            _physics(scores, molecule, checks)
    if checks.posebusters and not scores.passed["valid"]:
        scores.passed["posebusters"] = False
        scores.reasons["posebusters"] = "not valid"
    return scores


def _perceive(scores: Scores, molecule: Molecule, checks: Checks) -> Molecule:
    """The molecule, with the bonds and charges that its geometry tells where it comes without any, unless a model of molgen drew it so.

    `perceived` is 1 for one that got them and 0 for one whose geometry tells none.
    """
    from molgen.molecules.bonds import NO_FIT, bonded, lacks_hydrogens, unusual_length

    lacks = len(molecule) > 1 and len(molecule.bonds) == 0
    drawn = checks.format != "xyz" and {"model", "seed", "index", "steps"} <= molecule.properties.keys()
    if not lacks or drawn:
        return molecule
    try:
        found = bonded(molecule)
        another_unit = unusual_length(found.atomic_numbers, found.positions, found.bonds) is not None
        if another_unit or lacks_hydrogens(found.atomic_numbers, found.bonds, found.charges):
            raise ValueError(NO_FIT)
    except ValueError as error:
        scores.reasons["perception"] = _unfit(error)
        scores.values["perceived"] = 0.0
        return molecule
    scores.values["perceived"] = 1.0
    return found


def _fail(scores: Scores, atoms: int, reason: str) -> None:
    """Fails all checks of bonds; of the values that need some there are none."""
    for name in ("p2s", "p2"):
        _take(scores, {f"{name}_atoms": atoms, f"{name}_stable_atoms": 0, f"{name}_stable": False, f"{name}_reason": reason})
    _take(scores, {"sanitizes": False, "valid": False, "valid_reason": reason, "geometry": False, "geometry_reason": reason})


def _unfit(error: ValueError) -> str:
    """Why the geometry tells no bonds."""
    from molgen.molecules.bonds import NO_FIT, UnknownElement

    return "unknown element" if isinstance(error, UnknownElement) else NO_FIT


def _agreement(molecule: Molecule) -> dict[str, bool | str]:
    """Same connections, charges and bond-order sums as the geometry tells, or at least the same SMILES with these connections.

    That is the same molecule up to its Kekulé form and up to which of two equivalent atoms has a charge.
    """
    from molgen.molecules.bonds import perceive
    from molgen.molecules.metrics.stability import bond_order_sums
    from molgen.molecules.metrics.validity import validity

    try:
        bonds, charges = perceive(molecule.atomic_numbers, molecule.positions, int(molecule.charges.sum()))
    except ValueError as error:
        return {"agreement": False, "agreement_reason": _unfit(error)}
    pairs = [sorted(map(tuple, rows[:, :2].tolist())) for rows in (molecule.bonds, bonds)]
    same_sums = np.array_equal(bond_order_sums(len(molecule), molecule.bonds), bond_order_sums(len(molecule), bonds))
    if pairs[0] != pairs[1]:
        reason = "other atoms are bonded"
    elif same_sums and np.array_equal(molecule.charges, charges):
        reason = ""
    else:
        told = validity(replace(molecule, bonds=bonds, charges=charges))["smiles"]
        reason = "" if told and told == validity(molecule)["smiles"] else "other bond orders or charges"
    return {"agreement": not reason, "agreement_reason": reason}


def _of_valid(scores: Scores, molecule: Molecule, mol: Any) -> None:
    """Descriptors and distributions, which only mean something for a valid molecule; `mol` is the one that RDKit sanitised."""
    from molgen.molecules.metrics import distributions as of
    from molgen.molecules.metrics.descriptors import descriptors, functional_groups, ring_sizes, scaffold

    scores.values |= descriptors(mol)
    scores.passed["no_alerts"] = scores.values["alerts"] == 0
    scores.labels["scaffold"] = scaffold(mol)
    scores.groups = functional_groups(mol)
    atoms = of.atom_kinds(molecule)
    lengths = of.bond_lengths(molecule)
    scores.kinds = {
        "bond_lengths": lengths,
        "bond_angles": of.bond_angles(molecule),
        "torsions": of.torsions(molecule),
        "valences": of.valences(molecule),
        "ring_sizes": {"": np.array(ring_sizes(mol), dtype=np.float64)},
        "atom_types": {kind: np.zeros(atoms.count(kind)) for kind in sorted(set(atoms))},
        "bond_types": {kind: np.zeros(len(values)) for kind, values in lengths.items()},
    }


def _physics(scores: Scores, molecule: Molecule, checks: Checks) -> None:
    """The slow checks that were asked for, and the slow properties that the sample was requested to have."""
    if checks.posebusters:
        from molgen.molecules.metrics.busted import posebusters

        _take(scores, posebusters(molecule))
    if checks.relax:
        from molgen.molecules.metrics.relaxation import relax_mmff

        _take(scores, relax_mmff(molecule))
    if checks.measure is None:
        measured = {name.removeprefix(REQUESTED) for name in molecule.properties if name.startswith(REQUESTED)}
    else:
        measured = set(checks.measure)
    if checks.xtb:
        from molgen.molecules.metrics.quantum import relax_xtb

        measured.add("gap_xtb")
        _take(scores, relax_xtb(molecule))
    if measured:
        from molgen.molecules.metrics.slow import slow_properties

        _take(scores, slow_properties(molecule, measured))


def _take(scores: Scores, *results: dict[str, Any]) -> None:
    """Sorts flat results into verdicts, numbers and reasons."""
    for result in results:
        for name, value in result.items():
            if name.endswith("_reason"):
                if value:
                    scores.reasons[name.removesuffix("_reason")] = str(value)
            elif isinstance(value, bool):
                scores.passed[name] = value
            elif not isinstance(value, str):
                scores.values[name] = float(value)


def _warm_up(checks: Checks) -> None:
    """Imports and initialises what the checks need, on methane."""
    corner = 0.63
    positions = corner * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=np.float64)
    bonds = np.array([[0, i, 1] for i in range(1, 5)])
    score(Molecule(np.array([6, 1, 1, 1, 1]), positions, np.zeros(5, dtype=np.int64), bonds), checks)
