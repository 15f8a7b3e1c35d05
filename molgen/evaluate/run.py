"""Evaluation of a file: records -> scores (in worker processes) -> tally -> figures, with the real molecules beside them."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from molgen.errors import InputError, check_whole
from molgen.evaluate.baseline import Baseline
from molgen.evaluate.data import Item, Progress, Source, TrainingSet, open_source, read_training
from molgen.evaluate.notes import notes_of
from molgen.evaluate.pool import Lost, run
from molgen.evaluate.rows import opened
from molgen.evaluate.score import Checks, Scorer, Scores
from molgen.evaluate.stored import STORED, load
from molgen.evaluate.summary import RESAMPLES, Figure, Summary, set_figures, summarise
from molgen.evaluate.tally import ChemNet, Tally
from molgen.files import require_suffix
from molgen.known import Known, fingerprint
from molgen.molecules.metrics.packages import require_package
from molgen.molecules.molecule import Molecule
from molgen.workers import available_cores

TIMEOUT = 60.0
REFERENCE = 4000
_FIXES = {"timed out": "give a longer --timeout", "worker process died": "see why with --workers 0"}
_MEMORISED = 200  # memorised samples whose geometry is compared with the training molecule's


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to evaluate.

    Args:
        relax: relax under MMFF94.
        posebusters: run PoseBusters' checks.
        xtb: compute GFN2-xTB properties and relax under it.
        fcd: compute the Fréchet ChemNet distance to the reference.
        perceive: compare bonds with those perceived from the geometry.
        workers: processes; 0 computes in this one, without time limit.
        timeout: seconds for one molecule.
        limit: evaluate only the first so many records.
        asked: samples asked for, where the file holds only those that passed.
        reference_limit: real molecules to score at most.
        keep: molecules to keep for a gallery.
    """

    relax: bool = False
    posebusters: bool = False
    xtb: bool = False
    fcd: bool = False
    perceive: bool = True
    workers: int = field(default_factory=lambda: min(available_cores(), 16))
    timeout: float = TIMEOUT
    limit: int | None = None
    asked: int | None = None
    reference_limit: int = REFERENCE
    keep: int = 0

    def checks(self, format: str) -> Checks:
        """The checks of one record."""
        return Checks(format=format, relax=self.relax, posebusters=self.posebusters, xtb=self.xtb, perceive=self.perceive)


@dataclass
class Evaluation:
    """The outcome.

    Args:
        samples: figures of the file.
        real: figures of the reference by the same code, None without one.
        tally: sums and histograms behind `samples`.
        reference: those behind `real`.
    """

    samples: Summary
    real: Summary | None
    tally: Tally
    reference: Tally | None


def quiet(items: Iterable, label: str, total: int | None) -> Iterable:
    """Progress that shows nothing."""
    return items


@dataclass
class Yardstick:
    """What files are compared with: real molecules, training data and unconditional samples, scored once.

    Args:
        tally: of the real molecules, None without a reference.
        summary: their figures.
        training: None without training data.
        baseline: None without unconditional samples.
    """

    tally: Tally | None = None
    summary: Summary | None = None
    training: TrainingSet | None = None
    baseline: Baseline | None = None


def make_yardstick(
    reference: Path | str | Sequence[Molecule] | None,
    train: Path | str | Sequence[Molecule] | None,
    settings: Settings,
    progress: Progress = quiet,
    baseline: Path | str | Sequence[Molecule] | None = None,
) -> Yardstick:
    """Scores the real molecules with the code that scores samples and reads the training SMILES.

    Raises:
        InputError: a file or folder is missing or holds no molecules.
    """
    _require(settings)
    stored = isinstance(reference, str | Path) and str(reference) in STORED and not Path(reference).exists()
    if settings.fcd and (reference is None or stored):
        why = f"of {reference} figures ship and no molecules" if stored else "there are no real molecules to compare with"
        raise InputError(f"--fcd: {why}; give a file or a data set with --reference")
    unconditional = Baseline(open_source(baseline)) if baseline is not None else None
    training = read_training(train, settings.workers, progress) if train is not None else None
    known = training.known if training else None
    if reference is None:
        return Yardstick(training=training, baseline=unconditional)
    if stored and settings.reference_limit != REFERENCE:
        raise InputError(f"--reference-limit {settings.reference_limit}: the figures of {reference} are stored; give a file or a data set")
    if stored:
        tally, summary = load(str(reference))
        summary.figures |= set_figures(tally, known) if training else {}
        return Yardstick(tally, summary, training, unconditional)
    started = time.perf_counter()
    source = open_source(reference, "valid")
    items = source.sample(settings.reference_limit)
    tally = Tally(source.name, real=True)
    _score(tally, items, source.format, settings, progress, len(items))
    _check_read(tally, source.path)
    summary = summarise(tally, known, tally)
    summary.seconds = time.perf_counter() - started
    return Yardstick(tally, summary, training, unconditional)


def evaluate(
    path: Path | str | Sequence[Molecule],
    reference: Path | str | Sequence[Molecule] | None = None,
    train: Path | str | Sequence[Molecule] | None = None,
    settings: Settings | None = None,
    progress: Progress = quiet,
    baseline: Path | str | Sequence[Molecule] | None = None,
    table: Path | str | None = None,
) -> Evaluation:
    """Evaluates generated molecules.

    Worker processes are started afresh, so a script that calls this needs `if __name__ == "__main__":`, or `Settings(workers=0)`.

    Args:
        path: an SDF or XYZ file, a packed data set, or a list of molecules.
        reference: held-out real molecules to compare with: a list, a file, a packed data set (its `valid` part where it has one), or one
            of the words `qm9` and `leads` for those that ship.
        train: training molecules, for novelty and memorisation: a list, a file, a packed data set, or a model that says what it was
            trained on.
        settings: how.
        progress: wraps an iterable of results to show how far it is.
        baseline: samples of the same model without requests, for the error that requests have to beat.
        table: a .csv or .tsv file to write, with a row for each record.

    Raises:
        InputError: a file is missing, is of another format, or holds not one molecule in three dimensions.
    """
    settings, place = settings or Settings(), Path(table) if table is not None else None
    if place is not None:
        require_suffix("table", place, "it is CSV or TSV", ".csv", ".tsv")
    check_asked(open_source(path), settings)
    return evaluate_against(path, make_yardstick(reference, train, settings, progress, baseline), settings, progress, place)


def check_asked(source: Source, settings: Settings) -> None:
    """Refuses a number of samples asked for that cannot be meant, before anything is computed.

    Raises:
        InputError: fewer than the source has, or a part of it alone is scored.
    """
    if settings.asked is None:
        return
    if settings.limit is not None:
        raise InputError("--asked: counts what is missing from the whole file; leave --limit away")
    check_whole("asked", settings.asked, 1)
    held = source.count()
    held = sum(1 for _ in source.items()) if held is None else held
    if settings.asked < held:
        raise InputError(f"--asked {settings.asked}: expected at least the {held} records of {source.path}; count again")


def evaluate_against(
    path: Path | str | Sequence[Molecule], yardstick: Yardstick, settings: Settings, progress: Progress = quiet, table: Path | None = None
) -> Evaluation:
    """Evaluates a file against a yardstick that was made with the same settings; see `evaluate`."""
    started = time.perf_counter()
    source = open_source(path)
    tally = Tally(source.name, keep=settings.keep, reference=yardstick.tally)
    known = yardstick.training.known if yardstick.training else None
    total = min(filter(None, (source.count(), settings.limit)), default=None)
    drops = ("mmff_drop",) * settings.relax + ("xtb_drop",) * settings.xtb
    with opened(table, drops) as row:
        memorised = _score(tally, islice(source.items(), settings.limit), source.format, settings, progress, total, known, row)
        _check_read(tally, source.path)
    tally.ask(settings.asked or 0)
    unconditional = yardstick.baseline.measured(tally.requests, settings.workers, settings.timeout, progress) if yardstick.baseline else {}
    summary = summarise(tally, known, yardstick.tally, unconditional)
    if yardstick.training and memorised:
        summary.figures |= memorisation(memorised, yardstick.training)
    summary.notes = notes_of(tally, source.format, yardstick.training)
    summary.seconds = time.perf_counter() - started
    return Evaluation(summary, yardstick.summary, tally, yardstick.tally)


def _score(
    tally: Tally,
    items: Iterable[Item],
    format: str,
    settings: Settings,
    progress: Progress,
    total: int | None,
    known: Known | None = None,
    row: Callable[[Scores], None] = lambda scores: None,
) -> list[Scores]:
    """Streams items through the workers into the tally, and each to `row`; returns the first memorised samples."""
    memorised: list[Scores] = []
    tally.chemnet = ChemNet() if settings.fcd else None
    results = run(Scorer(settings.checks(format)), items, settings.workers, settings.timeout)
    for scores in progress(results, tally.name, total):
        if isinstance(scores, Lost):
            scores = Scores.broken(scores.reason)
        tally.add(scores)
        row(scores)
        smiles = scores.labels.get("smiles", "")
        if known is not None and smiles and len(memorised) < _MEMORISED and fingerprint(smiles) in known:
            memorised.append(scores)
    return memorised


def memorisation(samples: list[Scores], training: TrainingSet) -> dict[str, Figure]:
    """How close memorised samples are to the training geometry: is the graph known, or the conformer copied?

    Returns:
        `memorised_rmsd`: median over samples of the heavy-atom RMSD to the nearest training conformer of the same SMILES, Å.
    """
    from molgen.molecules.metrics.relaxation import nearest_rmsd

    wanted = defaultdict(list)
    for scores in samples:
        wanted[fingerprint(scores.labels["smiles"])].append(scores.molecule)
    conformers = defaultdict(list)
    for key, molecule in training.molecules(list(wanted)):
        conformers[key].append(molecule.to_rdkit())
    pairs = [(molecule, conformers[key]) for key, group in wanted.items() for molecule in group if molecule is not None]
    distances = [nearest_rmsd(molecule.to_rdkit(), others) for molecule, others in pairs]
    finite = np.array([distance for distance in distances if np.isfinite(distance)])
    if not len(finite):
        return {}
    if len(finite) == 1:
        return {"memorised_rmsd": Figure(float(finite[0]), blocks=1)}
    drawn = np.median(finite[np.random.default_rng(0).integers(0, len(finite), (RESAMPLES, len(finite)))], axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    return {"memorised_rmsd": Figure(float(np.median(finite)), low, high, blocks=len(finite))}


def _require(settings: Settings) -> None:
    """Fails before the work begins when an optional package is missing."""
    if settings.posebusters:
        require_package("posebusters", "PoseBusters")
    if settings.xtb:
        require_package("tblite", "GFN2-xTB")
    if settings.fcd:
        require_package("fcd", "Fréchet ChemNet distance")


def _check_read(tally: Tally, path: Path) -> None:
    if tally.records == 0:
        raise InputError(f"{path}: expected molecules, found no record; check the file")
    if tally.read == 0:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in tally.reasons["record"].most_common(3))
        first = next(iter(tally.reasons["record"]))
        fix = next((fix for start, fix in _FIXES.items() if first.startswith(start)), "")
        if tally.records == 1:
            what = f"the only record {'could not be scored' if fix else 'is no molecule in three dimensions'}"
        else:
            what = f"none of the {tally.records:,} records {'could be scored' if fix else 'is a molecule in three dimensions'}"
        raise InputError(f"{path}: {what} ({reasons}); {fix or 'write coordinates'}")
