"""From chunks of entries to blocks of arrays, in this process or in a pool, always in the order of the source."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice

from rdkit import Chem, rdBase

from molgen.errors import RunError
from molgen.molecules.prepare.block import Block
from molgen.molecules.prepare.labels import Labels
from molgen.molecules.prepare.records import (
    Chunk,
    Entry,
    Record,
    Rejected,
    Source,
    add_hydrogens,
    check_atoms,
    sanitize,
    strip_hydrogens,
    to_arrays,
)

AHEAD = 4  # chunks in flight for each worker: bounds memory, keeps workers busy while results are written


@dataclass(frozen=True)
class Converter:
    """All that a worker needs.

    Args:
        source: Where records come from.
        labels: Which labels they get.
        hydrogens: Keep hydrogens as atoms.
        complete: Place hydrogens that a record lacks.
    """

    source: Source
    labels: Labels
    hydrogens: bool = True
    complete: bool = False

    def __call__(self, chunk: Chunk) -> Block:
        """Convert a chunk; what cannot be used is listed with its reason."""
        records, rejected = [], []
        with rdBase.BlockLogs():
            for entry in chunk.entries:
                try:
                    records.append(self.record(entry))
                except Rejected as reason:
                    rejected.append((entry.index, entry.name, str(reason)))
        return Block.of(records, rejected, len(self.labels.all))

    def record(self, entry: Entry) -> Record:
        """Convert one entry.

        Raises:
            Rejected: With the reason.
        """
        mol, name, tags = self.source.parse(entry)
        check_atoms(mol)
        if self.complete:
            mol = add_hydrogens(mol)
        sanitize(mol, self.hydrogens)
        plain = strip_hydrogens(mol)
        labels = self.labels.of(plain, name, tags)
        smiles = Chem.MolToSmiles(plain, isomericSmiles=False)
        numbers, positions, charges, bonds = to_arrays(mol, self.hydrogens)
        return Record(entry.index, numbers, positions, charges, bonds, labels, smiles)


_converter: Converter


def _start(converter: Converter) -> None:
    global _converter
    _converter = converter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business


def _work(chunk: Chunk) -> Block:
    return _converter(chunk)


def convert(
    converter: Converter, workers: int, cached: Callable[[Chunk], Block | None] = lambda chunk: None
) -> Iterator[tuple[Chunk, Block, bool]]:
    """Yield every chunk of the source with its block, in order, and whether the block was computed now.

    Args:
        converter: What to do.
        workers: Processes; 1 works in this one.
        cached: Returns the block of a chunk that an earlier run finished, else None.

    Raises:
        RunError: A worker process died.
    """
    chunks = converter.source.chunks()
    head = list(islice(chunks, 2))
    chunks = chain(head, chunks)
    if workers == 1 or len(head) < 2:
        for chunk in chunks:
            block = cached(chunk)
            yield chunk, block or converter(chunk), block is None
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(converter,))
    pending: deque[tuple[Chunk, Block | Future[Block]]] = deque()

    def finished() -> tuple[Chunk, Block, bool]:
        chunk, result = pending.popleft()
        return (chunk, result, False) if isinstance(result, Block) else (chunk, result.result(), True)

    try:
        for chunk in chunks:
            pending.append((chunk, cached(chunk) or pool.submit(_work, chunk)))
            if len(pending) >= AHEAD * workers:
                yield finished()
        while pending:
            yield finished()
    except BrokenProcessPool as error:
        raise RunError("a worker process died (out of memory?); use fewer --workers and run the same command again") from error
    finally:
        pool.shutdown(cancel_futures=True)
