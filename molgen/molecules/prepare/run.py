"""Prepare: source -> chunks -> blocks -> one packed data set, or one for each part of a split.

Finished blocks are kept in OUT.partial until the data set is complete. The same command on the same source goes on
where it was interrupted; another command, or another source, starts afresh. OUT appears whole or not at all.
"""

import json
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from molgen import preparation
from molgen.counting import counted
from molgen.errors import InputError
from molgen.files import atomic_folder, require_new_folder
from molgen.known import fingerprint
from molgen.molecules.prepare.block import Block
from molgen.molecules.prepare.convert import Converter
from molgen.molecules.prepare.fit import Fit
from molgen.molecules.prepare.labels import Labels, instead, missing
from molgen.molecules.prepare.pack import Writer
from molgen.molecules.prepare.records import FIXES, Entry, Source
from molgen.molecules.prepare.statistics import disagreement, statistics
from molgen.molecules.text import shown
from molgen.packing import Split, whole
from molgen.preparation import Progress, Store, collect, refuse_empty, write_card

FILL_IN = "fill it in, or give --allow-missing"


@dataclass
class Summary(preparation.Summary):
    """What happened: counts, and the statistics of every part."""

    fixes: dict[str, str] = field(default_factory=dict)  # what to do against each reason, "" where that is not known
    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)
    different: dict[str, int] = field(default_factory=dict)  # molecules of every part, by their SMILES without stereo
    isotopes: int = 0  # molecules kept whose isotope labels are not
    ions: int = 0  # molecules kept whose total charge is not 0
    conflicts: dict[str, tuple[int, float]] = field(default_factory=dict)  # by label that is read, see `disagreement`
    replaced: Counter[str] = field(default_factory=Counter)  # records whose own label gave way to that of the table, by label
    shared: dict[str, int] = field(default_factory=dict)  # records of every part whose molecule the first part holds as well


def prepare(
    source: Source,
    out: Path,
    labels: Labels | None = None,
    *,
    hydrogens: bool = True,
    complete: bool = False,
    largest: bool = False,
    fit: Fit | None = None,
    require_labels: bool = False,
    split: Split = whole,
    split_name: str = "none",
    licence: str = "",
    workers: int = 1,
    progress: Progress = lambda position, size, kept: None,
) -> Summary:
    """Write the packed data set `out`.

    Args:
        source: Where records come from.
        out: Folder to write; must not exist or be empty.
        labels: Which labels and from where.
        hydrogens: Keep hydrogens as atoms.
        complete: Place hydrogens that a record lacks at idealised positions.
        largest: Keep the largest fragment of a record alone, without salts and solvents.
        fit: Reject what a model cannot represent.
        require_labels: Stop at the first record whose label is missing instead of dropping it.
        split: Assigns the kept records to parts.
        split_name: The split in words, for the card.
        licence: Licence of the data, for the card.
        workers: Processes.
        progress: Called after every chunk.

    Raises:
        InputError: The source cannot be used, has no such label or lacks a required one, no record survives, or the model and the data
            differ in whether hydrogens are atoms.
    """
    start = time.perf_counter()
    labels = labels or Labels()
    if fit is not None and fit.vocabulary.hydrogens != hydrogens:
        fix = "give --no-hydrogens" if hydrogens else "leave out --no-hydrogens"
        raise InputError(f"--for {fit.name}: hydrogens are {'no ' if hydrogens else ''}atoms to this model; {fix}")
    require_new_folder(out)
    converter = Converter(source, labels, hydrogens, complete, largest, fit)
    origin, labelled = source.describe(), labels.describe()  # which read both files for their checksums
    if (known := source.columns()) is not None:
        labels.check(known, str(origin["source"]))
    options = {
        "labels": list(labels.names),
        "computed": list(labels.computed),
        "units": dict(labels.units),
        "hydrogens": hydrogens,
        "add_hydrogens": complete,
        "largest_fragment": largest,
        "allow_missing": labels.allow_missing,
        **({"for": fit.describe()} if fit is not None else {}),
    }
    command = {"source": origin, **labelled, "options": options, "table": labels.table.rows if labels.table is not None else {}}
    with Store(out, command, Block) as store:
        summary = _collect(converter, str(origin["source"]), store, require_labels, workers, progress)
        with atomic_folder(out, left="") as folder:
            index, alike = (np.concatenate(parts) for parts in zip(*((block.index, _alike(block)) for block in store), strict=True))
            parts = split(index, alike)
            elements, charges = _write(folder, store, parts, len(labels.all))
            first = np.zeros(0, np.uint64)
            molecules, values = [], []
            for part in parts:
                fingerprints = alike[parts[part]]
                molecules.append(fingerprints)
                values.append(np.load(folder / part / "labels.npy"))
                summary.shared[part] = int(np.isin(fingerprints, first).sum())
                summary.different[part] = len(np.unique(fingerprints))
                first = first if len(first) else fingerprints
                found = statistics(folder / part, elements, charges, labels.columns_with_units, hydrogens)
                summary.statistics[part] = found
                (folder / part / "statistics.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                facts = {**origin, **labelled, "licence": licence or "unknown", "options": {**options, "split": split_name}}
                write_card(folder, part, facts, {"molecules": found["num_molecules"]}, summary)
            columns = zip(labels.names, np.concatenate(values).T, strict=False)  # computed labels come behind those that are read
            fingerprints = np.concatenate(molecules)
            summary.conflicts = {name: disagreement(fingerprints, column) for name, column in columns}
    summary.seconds = time.perf_counter() - start
    return summary


def _collect(converter: Converter, source: str, store: Store[Block], require_labels: bool, workers: int, progress: Progress) -> Summary:
    """Puts the blocks of a source, by its name in messages, into the store."""
    summary, lacked = Summary(), set[str]()
    for chunk, block in collect(converter, converter.source.chunks(), store, workers, summary):
        for index, name, label, reason in block.rejected:
            where = summary.reject(index, shown(name), reason)
            lacked |= {reason} if reason == missing(label) else set()
            if reason not in summary.fixes:
                summary.fixes[reason] = _fix(converter, next(entry for entry in chunk.entries if entry.index == index), label, reason)
            if require_labels and label:
                fix = summary.fixes[reason]
                hint = f"{fix} Else " if fix.endswith("?") else ""
                raise InputError(f"{source}: {where}; {hint}add the label, or drop such records by leaving out --require-labels")
        summary.isotopes += int(block.isotopes.sum())
        summary.ions += int(np.count_nonzero(block.total_charges))
        summary.replaced.update(dict(zip(converter.labels.all, block.replaced.sum(axis=0).tolist(), strict=True)))
        progress(chunk.position, converter.source.size, summary.kept)
    if not summary.kept:
        fix = next(iter(summary.fixes.values())) or "see molgen prepare --help"
        raise InputError(f"{source}: none of {counted(summary.read, 'record')} can be used; first: {summary.first}; fix: {fix}")
    summary.fixes |= dict.fromkeys(lacked, FILL_IN)  # those that are kept have the label
    return summary


def _alike(block: Block) -> np.ndarray:
    """Numbers that are the same for conformers of a molecule, one for each record."""
    return np.array([fingerprint(smiles) for smiles in block.smiles.tolist()], np.uint64)


def _fix(converter: Converter, entry: Entry, label: str, reason: str) -> str:
    """What to do against the reason why an entry cannot be used, its label where that is to blame; "" where that is not known."""
    if reason in FIXES or not label:
        return FIXES.get(reason, "")
    if reason != missing(label):
        return "write it as a number such as 6.5, or leave it empty"
    known = converter.names(entry)
    return FILL_IN if label in known else instead(label, known, converter.labels.names)


def _write(folder: Path, store: Store[Block], parts: dict[str, np.ndarray], num_labels: int) -> tuple[list[int], list[int]]:
    """Write the arrays of all parts; return the elements and charges of all of them, so that types mean the same in each."""
    refuse_empty(parts, "molecule")
    for part in parts:
        (folder / part).mkdir(exist_ok=True)
    with ExitStack() as stack:
        writers = {part: stack.enter_context(Writer(folder / part, num_labels)) for part in parts}
        start = 0
        for block in store:
            for part, mask in parts.items():
                writers[part].append(block.take(mask[start : start + len(block.index)]))
            start += len(block.index)
    elements = sorted(set().union(*(writer.elements for writer in writers.values())))
    charges = sorted(set().union(*(writer.charges for writer in writers.values())))
    for writer in writers.values():
        writer.finish(elements)
    return elements, charges
