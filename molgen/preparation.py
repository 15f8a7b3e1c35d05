"""What the preparations of molecules and of shapes share: rejected records, blocks of the others, the summary and the card.

A source is cut into numbered chunks of records, a worker makes one block of each, and finished blocks are kept until the data set is
complete, so that it can be written in two passes and an interrupted `molgen prepare` goes on. They belong to one command on one source: the
same command goes on where it was interrupted; another command, or another source, starts afresh.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from molgen import __version__
from molgen.errors import InputError, OutputError
from molgen.files import Claim, atomic_path, name_errors, sha256
from molgen.trees import yaml_text
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
        """Writes one .npz, whole or not at all; the store says what is left where it cannot."""
        rejected = np.array([tuple(map(str, one)) for one in self.rejected], dtype=np.str_).reshape(-1, 1 + self.words)
        with atomic_path(path, left="") as temporary, temporary.open("wb") as stream:
            np.savez(stream, rejected=rejected, **self.arrays)

    @classmethod
    def load(cls: type[BlockType], path: Path) -> BlockType:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        rejected = tuple((int(number), *map(str, words)) for number, *words in arrays.pop("rejected"))
        return cls(**arrays, rejected=rejected)


class Store(Generic[BlockType]):
    """Blocks of a data set until it is complete, in the order of their chunks, in OUT.partial beside it.

    A context manager: the folder is gone after a run that ended well or met input that cannot be used; after any other exception it stays,
    and a `KeyboardInterrupt` and an `OutputError` say so.

    Args:
        out: folder of the data set. That of the blocks is made here, or emptied if it belongs to another command.
        command: everything that the blocks depend on besides the version, as JSON.
        kind: class of the blocks; those of another make-up, of an earlier version, are made anew.

    Raises:
        InputError: the folder of the blocks holds something else, another command works there, or it cannot be written.

    Attributes:
        count: blocks so far in this run.
        records: records that these stand for.
    """

    def __init__(self, out: Path, command: Mapping[str, Any], kind: type[BlockType]) -> None:
        self.folder, self.load, self.count, self.records = out.with_name(f"{out.name}.partial"), kind.load, 0, 0
        made_of = [*(each.name for each in fields(kind)), kind.words]
        with ExitStack() as stack:
            stack.enter_context(Claim(self.folder, f"{self.folder}: another command works there; wait for it, or give another --out"))
            self._begin(json.dumps({**command, "molgen": __version__, "block": made_of}, sort_keys=True, default=str))
            self._claim = stack.pop_all()

    def _begin(self, command: str) -> None:
        """Empties the folder unless it holds blocks of the same command."""
        key = self.folder / "command.json"
        if key.is_file() and key.read_text(encoding="utf-8") == command:
            return
        if self.folder.is_dir() and any(self.folder.iterdir()) and not key.is_file():
            raise InputError(f"{self.folder}: holds something else, finished work is kept there; move it away, or give another --out")
        self.remove()
        try:
            with name_errors(self.folder):
                self.folder.mkdir()
                key.write_text(command, encoding="utf-8")
        except BaseException:
            self.remove()
            raise

    def get(self, number: int) -> BlockType | None:
        """The block of a chunk if it is already there."""
        path = self._path(number)
        return self.load(path) if path.is_file() else None

    def put(self, block: BlockType, new: bool) -> None:
        """Keeps the block of the next chunk."""
        if new:
            block.save(self._path(self.count))
        self.count += 1
        self.records += block.records

    def __iter__(self) -> Iterator[BlockType]:
        for number in range(self.count):
            yield self.load(self._path(number))

    def remove(self) -> None:
        """Forgets everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Store[BlockType]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._claim:
            self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if isinstance(error, OutputError):
            raise OutputError(f"{error}; {self._left(', which are not made again with the same --out')}") from error
        if error is None or isinstance(error, InputError):
            self.remove()
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(self._left("; the same command goes on from there")) from None

    def _left(self, then: str) -> str:
        """What a run that ended early says; blocks of an earlier one that this one has not yet come to count as well."""
        ahead = [path for path in self.folder.glob("[0-9]*.npz") if int(path.stem) >= self.count]
        finished = self.records + sum(self.load(path).records for path in ahead)
        if not finished:
            self.remove()
            return "nothing was kept"
        return f"{self.folder} keeps {finished} finished records{then}"

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


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


def facts_of(path: Path) -> dict[str, Any]:
    """Name, size and checksum of a file, for the card."""
    return {"source": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


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
    (folder / part / "card.yaml").write_text(yaml_text(card), encoding="utf-8")
