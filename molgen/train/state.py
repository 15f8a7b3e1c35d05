"""The state that a run resumes from: weights, averages, optimiser and clocks, in parts that any file store takes.

A state is a folder ``state-N`` with the files ``1-of-K.ckpt`` to ``K-of-K.ckpt``, pieces of one archive, in order and of at most 15 MiB.
Each save writes a new folder beside the one before, gives it its name when all of it is on the disk, and only then removes the older one:
whenever a save is interrupted, the newest folder with that name is whole.
"""

import pickle
import re
import shutil
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from molgen.errors import InputError
from molgen.files import atomic_folder

PART = 15 * 2**20
"""Largest part, bytes."""
NEEDED = ("state_dict", "optimizer_states", "loops", "global_step")
"""Names in a state that Lightning cannot do without."""


def find_state(run: Path) -> Path | None:
    """The newest state of a run, None where there is none."""
    states = _states(run)
    return states[max(states)] if states else None


def next_state(run: Path) -> Path:
    """Where the next state of a run is written."""
    return run / f"state-{max(_states(run), default=0) + 1}"


def _states(run: Path) -> dict[int, Path]:
    return {int(path.name.removeprefix("state-")): path for path in run.glob("state-*") if re.fullmatch(r"state-\d+", path.name)}


def check_readable(name: str, state: Any) -> None:
    """Refuses the state of a callback that a run could not be resumed with, as reading it would run code.

    Raises:
        InputError: it holds other things than plain values and tensors.
    """
    archive = BytesIO()
    try:
        torch.save(state, archive)
        archive.seek(0)
        torch.load(archive, weights_only=True)
    except (pickle.PicklingError, pickle.UnpicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"callback {name.partition('{')[0]}: its state_dict holds more than numbers, texts, lists, dicts and tensors; "
            "turn arrays and numbers of numpy, paths and objects into these"
        ) from error


class StateFiles(CheckpointIO):
    """Reads and writes states for Lightning; a path is ``RUN/state-N``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a state whole or not at all and removes those that it replaces.

        Raises:
            InputError: the folder cannot be written, the disk is full, or a callback keeps what could not be read again.
        """
        for name, state in checkpoint.get("callbacks", {}).items():
            check_readable(str(name), state)
        path = Path(path)
        archive = BytesIO()
        torch.save(checkpoint, archive)
        content = archive.getbuffer()
        count = -(-len(content) // PART)
        with atomic_folder(path) as folder:
            for number in range(count):
                (folder / f"{number + 1}-of-{count}.ckpt").write_bytes(content[number * PART : (number + 1) * PART])
        for other in _states(path.parent).values():
            if other != path:
                shutil.rmtree(other)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a state; only tensors and plain values, so that no code runs.

        Raises:
            InputError: a part is missing or cut off, or the state is none of a run.
        """
        path = Path(path)
        names = {int(file.name.partition("-")[0]): file for file in path.glob("*-of-*.ckpt")}
        count = max((int(file.stem.rpartition("-")[2]) for file in names.values()), default=0)
        missing = [number for number in range(1, count + 1) if number not in names]
        if missing or not count:
            raise InputError(f"{path}: part {missing[0] if missing else 1} of {count or 1} is missing; copy the whole folder again")
        content = b"".join(names[number].read_bytes() for number in range(1, count + 1))
        archive = BytesIO(content)
        if not zipfile.is_zipfile(archive):
            raise InputError(f"{path}: unreadable; a part is cut off, copy the folder again or start in another folder")
        archive.seek(0)
        try:
            found = torch.load(archive, map_location=map_location or "cpu", weights_only=True)
        except pickle.UnpicklingError:  # whose text advises to run what is in there
            raise InputError(
                f"{path}: holds more than numbers, texts and tensors, or is damaged, and is not read, as that could run code; "
                "copy the folder again or start in another folder"
            ) from None
        except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = re.sub(r"\x1b\[[0-9;]*m", "", (str(error).splitlines() or [type(error).__name__])[0])  # torch writes in colours
            raise InputError(
                f"{path}: unreadable ({reason}); a part is damaged, copy the folder again or start in another folder"
            ) from None
        if lacking := [name for name in NEEDED if not isinstance(found, dict) or name not in found]:
            raise InputError(f"{path}: no state of a run, as it lacks {lacking[0]!r}; copy the folder again or start in another folder")
        return found

    def remove_checkpoint(self, path: str | Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
