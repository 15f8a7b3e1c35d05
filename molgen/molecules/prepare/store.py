"""Blocks of finished chunks on the disk, so that an interrupted run goes on and a data set can be written in two passes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molgen.molecules.prepare.block import Block
from molgen.molecules.prepare.records import Chunk


class Store:
    """Blocks of finished chunks in a folder that belongs to one command on one source."""

    def __init__(self, folder: Path, command: dict[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(command, sort_keys=True, default=str)
        key = folder / "command.json"
        if not (key.is_file() and key.read_text() == text):
            self.remove()
            folder.mkdir()
            key.write_text(text)
        self.count = 0

    def get(self, chunk: Chunk) -> Block | None:
        """The block of a chunk that is already there."""
        path = self._path(chunk.number)
        return Block.load(path) if path.is_file() else None

    def put(self, chunk: Chunk, block: Block, new: bool) -> None:
        """Keep the block of the next chunk."""
        if new:
            block.save(self._path(chunk.number))
        self.count = chunk.number + 1

    def __iter__(self) -> Iterator[Block]:
        for number in range(self.count):
            yield Block.load(self._path(number))

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"
