"""What a reader of the figures should know about a file, in one line each."""

import statistics

from molgen.counting import counted
from molgen.evaluate.data import TrainingSet
from molgen.evaluate.tally import Tally
from molgen.molecules.properties import PROPERTIES, Method

_CHARGE = {"xyz": "charge= in the comment", "sdf": "the tag charge"}
"""What tells the total charge of a record, by format."""


def notes_of(tally: Tally, format: str, training: TrainingSet | None) -> list[str]:
    """The notes.

    Args:
        tally: of the file.
        format: of its records, "" for molecules that are none.
        training: what novelty was measured against.
    """
    from molgen.molecules.bonds import IN_ANGSTROM, NO_FIT
    from molgen.molecules.metrics.quantum import available
    from molgen.molecules.metrics.validity import FEW_HYDROGENS

    notes = []
    if training is not None and training.source is not None and (unread := int((training.fingerprints == 0).sum())):
        count = len(training.fingerprints)
        notes.append(f"{training.source.name}: {unread} of {count} records cannot be read and are left out, of which novelty says nothing")
    perceived = tally.ratios.get("perceived")
    if perceived is not None and perceived[0].any():
        notes.append(f"{counted(int(perceived[0].sum()), 'record')} came without bonds; theirs were perceived from the geometry")
    odd = [length for length in tally.lengths if length is not None]
    other_unit = 2 * len(odd) > len(tally.lengths)
    if other_unit:
        which = "the only molecule has" if tally.read == 1 else f"{len(odd)} of the first {len(tally.lengths)} molecules have"
        notes.append(f"{which} bonds of {statistics.median(odd):.2g} times their usual length, so that most checks fail; {IN_ANGSTROM}")
    unfit = tally.reasons["perception"][NO_FIT]
    if unfit and not other_unit:
        told = _CHARGE.get(format, "the property charge")
        notes.append(
            f"{unfit} of {counted(tally.records, 'record')}: {NO_FIT}; {'it counts' if unfit == 1 else 'they count'} as failed "
            f"(all hydrogens have to be atoms; a total charge other than 0 is told by {told})"
        )
    bare = tally.reasons["valid"][FEW_HYDROGENS]
    if bare:
        notes.append(
            f"{bare} of {counted(tally.records, 'record')} {'has' if bare == 1 else 'have'} more open valences than hydrogen atoms, and "
            f"{'counts as a radical' if bare == 1 else 'count as radicals'}: evaluate a file with all hydrogens, or a data set to which "
            f"`molgen prepare {tally.name} --out DIR --add-hydrogens` adds them"
        )
    if tally.highest_index >= tally.asked:
        lost = counted(tally.highest_index + 1 - tally.asked, "sample")
        notes.append(
            f"the records are numbered up to {tally.highest_index}: the file lacks {lost}; "
            f"where they failed rather than being ruled out by filters, `molgen evaluate --asked {tally.highest_index + 1}` counts them"
        )
    notes += tally.clipped()
    notes += [f"{tally.reference.name}: {note}" for note in tally.reference.clipped()] if tally.reference is not None else []
    unknown = sorted(set(tally.requests) - set(PROPERTIES))
    if unknown:
        why = f"requested, but there is no way to compute it; known are {', '.join(sorted(PROPERTIES))}"
        notes.append(f"{', '.join(unknown)}: {why}; what the records say is predicted, by the estimator that chose them, stands for it")
    methods = {PROPERTIES[name].method for name in tally.requests if name in PROPERTIES}
    if Method.XTB in methods and not available():
        notes.append("requested GFN2-xTB properties are not measured: the package tblite is not installed; pip install tblite")
    if Method.NETWORK in methods:
        from molgen.molecules.metrics.regressor import facts

        error, halves = float(facts()["mean_absolute_error"]), f"{int(facts()['trained_on']):,} molecules"
        notes.append(f"homo_b3lyp is estimated by a network trained on {halves}; mean error on as many others {error:.3f} eV")
    return notes
