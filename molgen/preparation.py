"""What the preparations of molecules and of shapes share: rejected records, blocks of the others, the summary and the card.

A source is cut into chunks of records, a worker makes one block of each, and finished blocks are kept until the data set is complete (see
:mod:`molgen.store`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import yaml

from molgen import __version__
from molgen.errors import OutputError
from molgen.files import atomic_path, sha256
from molgen.store import Store
from molgen.workers import in_order

Progress = Callable[[int, int, int], None]
"""Called with what is done, its total, and the number of records kept."""


class Rejected(Exception):
    """Why one record cannot be used, in a few words that are the same for all records of its kind."""


@runtime_checkable
class Numbered(Protocol):
    """A chunk of a source."""

    @property
    def number(self) -> int:
        """Of the chunk, from 0."""
        ...


ChunkType = TypeVar("ChunkType", bound=Numbered)
BlockType = TypeVar("BlockType", bound="Block")


@dataclass(frozen=True)
class Block:
    """The records of one chunk as arrays, which subclasses add as further fields, and those that were rejected.

    Args:
        index: (M,) int64, numbers of the records in their source.
        rejected: the number in the source and words, the last of which are the reason.
    """

    index: np.ndarray
    rejected: tuple[tuple[Any, ...], ...]

    words: ClassVar[int]
    """Words of a rejected record."""

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "rejected"}

    @property
    def records(self) -> int:
        """Records that were read, used or not."""
        return len(self.index) + len(self.rejected)

    def save(self, path: Path) -> None:
        """Writes one .npz, whole or not at all."""
        rejected = np.array([tuple(map(str, one)) for one in self.rejected], dtype=np.str_).reshape(-1, 1 + self.words)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, rejected=rejected, **self.arrays)

    @classmethod
    def load(cls: type[BlockType], path: Path) -> BlockType:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        rejected = tuple((int(number), *map(str, words)) for number, *words in arrays.pop("rejected"))
        return cls(**arrays, rejected=rejected)


@dataclass
class Summary:
    """What happened to the records of a source; first is the first rejected one, resumed are those that an interrupted run had finished."""

    read: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first: str = ""
    resumed: int = 0
    seconds: float = 0.0

    def count(self, block: Block, new: bool) -> None:
        """Counts the records of a block, made now or taken over."""
        self.read += block.records
        self.kept += len(block.index)
        self.resumed += 0 if new else block.records

    def reject(self, number: int, name: str, reason: str) -> str:
        """Counts a rejected record; returns which it is and why."""
        told = f"record {number + 1} ({name}): {reason}" if name else f"record {number + 1}: {reason}"
        self.rejected[reason] += 1
        self.first = self.first or told
        return told


def open_store(out: Path, command: Mapping[str, Any], load: Callable[[Path], BlockType]) -> Store[BlockType]:
    """Where the blocks of a data set are kept until it is complete, beside its folder; see :class:`molgen.store.Store`."""
    return Store(out.with_name(f"{out.name}.partial"), {**command, "molgen": __version__}, load)


def collect(
    work: Callable[[ChunkType], BlockType], chunks: Iterable[ChunkType], store: Store[BlockType], workers: int, summary: Summary
) -> Iterator[tuple[ChunkType, BlockType]]:
    """Puts the block of every chunk into the store, counts its records and yields both.

    Raises:
        RunError: a worker process died.
    """
    for chunk, block, new in in_order(work, chunks, workers, lambda chunk: store.get(chunk.number)):
        store.put(block, new)
        summary.count(block, new)
        yield chunk, block


def refuse_empty(parts: Mapping[str, np.ndarray], thing: str) -> None:
    """Refuses a division into parts (masks of the records kept) that leaves one of them empty.

    Raises:
        OutputError: naming the first of them.
    """
    empty = [part for part, mask in parts.items() if not mask.any()]
    if empty:
        raise OutputError(f"split: part {empty[0]!r} gets no {thing}; prepare more {thing}s or give it a larger share")


def write_card(folder: Path, part: str, facts: Mapping[str, Any], count: Mapping[str, int], summary: Summary) -> None:
    """Writes card.yaml of one part, with the checksums of its arrays.

    Args:
        folder: of the data set; the part lies in it, the part "" is the data set itself.
        part: its name.
        facts: where the data come from and how they were prepared.
        count: what the part holds.
        summary: of the whole source.
    """
    own = {"part": part, **count} if part else {}
    card = {**facts, **own, "records": summary.read, "kept": summary.kept, "rejected": dict(summary.rejected.most_common())}
    card["arrays_sha256"] = {path.name: sha256(path) for path in sorted((folder / part).glob("*.npy"))}
    card["molgen"] = __version__
    (folder / part / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True), encoding="utf-8")
