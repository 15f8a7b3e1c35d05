"""A block holds the shapes of one chunk of a source: what workers send back and what resuming reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from molgen import preparation
from molgen.preparation import Rejected
from molgen.shapes.fields import Axis, turning
from molgen.shapes.points import Record
from molgen.shapes.prepare.records import Entry, Source

CHUNK = 32


@dataclass(frozen=True)
class Chunk:
    """Numbered records that one worker reads at once."""

    number: int
    entries: Sequence[tuple[int, Entry]]


def chunks(entries: Sequence[Entry]) -> Iterator[Chunk]:
    """Cuts the records of a source into chunks, in order."""
    numbered = list(enumerate(entries))
    for number, start in enumerate(range(0, len(numbered), CHUNK)):
        yield Chunk(number, numbered[start : start + CHUNK])


@dataclass(frozen=True)
class Block(preparation.Block):
    """M shapes of P points with L labels, and the records that were rejected: number and reason."""

    words: ClassVar[int] = 1
    points: np.ndarray  # (M, P, 3) float32, about the centre, in units of the radius
    normals: np.ndarray  # (M, P, 3) int8, unit normals times 127
    centre: np.ndarray  # (M, 3) float64, in units of the source
    radius: np.ndarray  # (M,) float64
    labels: np.ndarray  # (M, L) float32
    captions: np.ndarray  # (M,) str

    @classmethod
    def of(cls, found: Sequence[tuple[int, Record]], rejected: Sequence[tuple[int, str]], points: int, names: Sequence[str]) -> "Block":
        """Puts records of ``points`` points with labels of these names together."""
        records, count = [record for _, record in found], len(found)
        directions = [np.zeros((points, 3)) if record.normals is None else record.normals for record in records]
        return cls(
            index=np.array([number for number, _ in found], dtype=np.int64),
            points=np.array([(r.points - r.centre) / r.radius for r in records], dtype=np.float32).reshape(count, points, 3),
            normals=np.rint(127 * np.array(directions).reshape(count, points, 3).clip(-1, 1)).astype(np.int8),
            centre=np.array([record.centre for record in records], dtype=np.float64).reshape(count, 3),
            radius=np.array([record.radius for record in records], dtype=np.float64),
            labels=np.array([[r.labels.get(name, np.nan) for name in names] for r in records], np.float32).reshape(count, len(names)),
            captions=np.array([" ".join(record.caption.split()) for record in records], dtype=np.str_),
            rejected=tuple(rejected),
        )


@dataclass(frozen=True)
class Reader:
    """All that a worker needs: where records come from, how many points to draw, the seed, and the axis that is to point up."""

    source: Source
    points: int
    seed: int
    turn: Axis = ""

    def __call__(self, chunk: Chunk) -> Block:
        """Reads a chunk; what cannot be used is listed with its reason."""
        found, rejected = [], []
        rotation = turning(self.source.up, self.turn) if self.turn not in ("", self.source.up) else None
        for number, entry in chunk.entries:
            try:
                record = self.source.read(entry, self.points, np.random.default_rng([self.seed, number, 1]))
                found.append((number, record if rotation is None else record.turned(rotation)))
            except Rejected as reason:
                rejected.append((number, str(reason)))
        return Block.of(found, rejected, self.points, self.source.label_names)
