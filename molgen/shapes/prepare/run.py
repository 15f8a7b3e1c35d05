"""Prepare: source -> records (in worker processes) -> blocks -> one packed data set, or one for each part of a split.

Shape k of a source gets its points from a random generator of (seed, k) alone, whatever the number of processes and interruptions.
Finished blocks are kept in OUT.partial until the data set is complete (see :mod:`molgen.preparation`); the frame of every shape is settled
when they are read again, when the global scale is known. OUT appears whole or not at all; ``rejected.tsv`` in it names every record that
was rejected, with the reason.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molgen import preparation
from molgen.counting import counted
from molgen.errors import InputError
from molgen.files import atomic_folder, require_new_folder
from molgen.packing import Split, whole
from molgen.preparation import Progress, Store, collect, refuse_empty, write_card
from molgen.shapes.fields import Axis, Normalisation, ShapeStatistics
from molgen.shapes.prepare.block import Block, Reader, chunks
from molgen.shapes.prepare.pack import Table, write_part
from molgen.shapes.prepare.records import Entry, Source
from molgen.shapes.text import embed

REJECTED = "rejected.tsv"
"""File of a data set that names the rejected records."""


@dataclass
class Summary(preparation.Summary):
    """What happened: counts, the rejected records by name with the reason, and the statistics of every part."""

    left_out: list[tuple[str, str]] = field(default_factory=list)
    statistics: dict[str, ShapeStatistics] = field(default_factory=dict)


def prepare(
    source: Source,
    out: Path,
    *,
    points: int = 2048,
    normalisation: Normalisation = "shape",
    split: Split | None = whole,
    split_name: str = "none",
    seed: int = 0,
    licence: str = "",
    text: bool = False,
    turn: Axis = "",
    workers: int = 1,
    progress: Progress = lambda done, size, kept: None,
) -> Summary:
    """Writes the packed data set `out`.

    Args:
        source: where shapes come from.
        out: folder to write; must not exist or be empty.
        points: to draw from every surface.
        normalisation: "shape" scales every shape to the unit sphere, "global" all of them by one factor.
        split: divides the kept records into parts; None for the parts that the source names.
        split_name: the split in words, for the card.
        seed: of the points.
        licence: of the data, for the card.
        text: store the vectors of the captions as well.
        turn: axis that points up in the data set, to which shapes are turned; "" leaves them as they are.
        workers: processes.
        progress: called after every chunk.

    Raises:
        InputError: the source cannot be used, or no record survives.
        RunError: a worker process died.
    """
    start = time.perf_counter()
    if points < 1:
        raise InputError(f"--points {points}: expected at least 1")
    if text:
        if not source.captioned():
            raise InputError("--text: the source has no captions")
        embed(["a shape"])  # tells before the work that the encoder is missing
    if turn and not source.up:
        raise InputError(f"--turn {turn}: it is not known which axis of the shapes points up; say it with --up")
    require_new_folder(out)
    entries = list(source.entries())
    origin = source.describe()
    settings = {"points": points, "normalisation": normalisation, "seed": seed}
    command = {"source": origin, "entries": len(entries), **settings, "up": source.up, "text": text, **({"turn": turn} if turn else {})}
    with Store(out, command, Block) as store:
        summary, table = _read(Reader(source, points, seed, turn), entries, store, workers, progress)
        parts = (split or _official(table.kept))(np.arange(summary.kept), np.arange(summary.kept))
        refuse_empty(parts, "shape")
        with atomic_folder(out, left="") as folder:
            for part, mask in parts.items():
                found = write_part(folder / part, store, mask, table, source, points, normalisation, text, turn or source.up)
                summary.statistics[part] = found
                facts = {**origin, "licence": licence or "unknown", **settings, "split": split_name}
                write_card(folder, part, facts, {"shapes": found.num_shapes}, summary)
            if summary.left_out:
                lines = ("\t".join(" ".join(words.split()) for words in row) for row in summary.left_out)
                (folder / REJECTED).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    summary.seconds = time.perf_counter() - start
    return summary


def _read(reader: Reader, entries: list[Entry], store: Store[Block], workers: int, progress: Progress) -> tuple[Summary, Table]:
    """Reads all records that the store does not hold yet."""
    summary, table = Summary(), Table()
    for _, block in collect(reader, chunks(entries), store, workers, summary):
        for number, reason in block.rejected:
            summary.reject(number, entries[number].name, reason)
            earlier = entries[number].repeats
            summary.left_out.append((entries[number].name, f"{reason}: {earlier}" if earlier else reason))
        table.append(block, entries)
        progress(summary.read, len(entries), summary.kept)
    if not summary.kept:
        name, several = reader.source.describe()["source"], len(summary.rejected) > 1
        reasons = f" ({', '.join(f'{count} {reason}' for reason, count in summary.rejected.most_common())})" * several
        raise InputError(f"{name}: none of {counted(summary.read, 'record')} can be used{reasons}; first: {summary.first}")
    return summary, table


def _official(kept: list[Entry]) -> Split:
    """The parts that the source names."""
    parts = [entry.part for entry in kept]
    if not all(parts):
        lost = kept[parts.index("")].name
        raise InputError(f"--split official: {lost} lies in no folder 'train', 'valid' or 'test'; give fractions such as 0.8,0.1,0.1")
    return lambda index, alike: {part: np.array([parts[k] == part for k in index]) for part in dict.fromkeys(parts)}
