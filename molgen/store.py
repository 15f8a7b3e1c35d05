"""Blocks of finished records on the disk, so that an interrupted `molgen prepare` goes on and a data set can be written in two passes.

A source is cut into numbered chunks; a block is what became of one. Blocks lie in a folder that belongs to one command on one source. The
same command goes on where it was interrupted; another command, or another source, starts afresh.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from molgen.errors import InputError, OutputError
from molgen.files import Claim, name_errors


@runtime_checkable
class Stored(Protocol):
    """What became of the records of a chunk."""

    @property
    def records(self) -> int:
        """Records that were read, used or not."""
        ...

    def save(self, path: Path) -> None:
        """Writes one file, whole or not at all."""
        ...


Block = TypeVar("Block", bound=Stored)


class Store(Generic[Block]):
    """Blocks in a folder, in the order of their chunks.

    A context manager: the folder is gone after a run that ended well or met input that cannot be used; after any other exception it stays,
    and a `KeyboardInterrupt` and an `OutputError` say so.

    Args:
        folder: of the blocks; made here, emptied if it belongs to another command.
        command: everything that the blocks depend on, as JSON.
        load: reads what the `save` of a block wrote.

    Raises:
        InputError: the folder holds something that is not of a `Store`, another command works there, or it cannot be written.

    Attributes:
        count: blocks so far in this run.
        records: records that these stand for.
    """

    def __init__(self, folder: Path, command: dict[str, Any], load: Callable[[Path], Block]) -> None:
        self.folder, self.load, self.count, self.records = folder, load, 0, 0
        with ExitStack() as stack:
            stack.enter_context(Claim(folder, f"{folder}: another command works there; wait for it, or give another --out"))
            self._begin(json.dumps(command, sort_keys=True, default=str))
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

    def get(self, number: int) -> Block | None:
        """The block of a chunk if it is already there."""
        path = self._path(number)
        return self.load(path) if path.is_file() else None

    def put(self, block: Block, new: bool) -> None:
        """Keeps the block of the next chunk."""
        if new:
            block.save(self._path(self.count))
        self.count += 1
        self.records += block.records

    def __iter__(self) -> Iterator[Block]:
        for number in range(self.count):
            yield self.load(self._path(number))

    def remove(self) -> None:
        """Forgets everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Store[Block]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._claim:
            self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if isinstance(error, OutputError):
            raise OutputError(f"{error}; {self._left(', which are not made again')}") from error
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
