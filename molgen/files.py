"""Files that are either complete or not there.

Output is written to a temporary sibling of its destination, flushed to the disk and renamed. A rename within one folder is
atomic on POSIX, so a reader sees the old file or the new one, never a half; after an exception, Ctrl-C or a full disk the
destination is untouched and the temporary sibling is gone. Links are followed and stay links; permissions stay as they are.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from molgen.errors import InputError, OutputError

_REFUSALS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "disk quota exceeded",
    errno.EFBIG: "file too large for the file system",
    errno.EROFS: "read-only file system",
}
NOTHING = "nothing was written"
_FULL_BELOW = 4096  # bytes; below this a short write without an error number counts as a full disk


@contextmanager
def atomic_path(path: Path | str, left: str = NOTHING) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`; what is written there becomes `path` when the block ends well.

    The temporary name ends with the name of `path`, so writers that choose a format by suffix see the right one. An existing
    file, of a link the one that it leads to, is replaced and its permissions are kept. On any exception, `KeyboardInterrupt`
    included, the temporary file is removed and `path` keeps its content.

    Args:
        path: destination file; its folder must exist.
        left: what a full disk leaves behind, for the error.

    Raises:
        InputError: the folder is missing or cannot be written, `path` is a folder or no regular file, or the disk is full.
    """
    path = Path(path)
    place = destination(path)
    temporary = sibling(place, path.name)
    try:
        with name_errors(place, left):
            temporary.open("xb").close()
            keep_mode(temporary, place)
            mode = temporary.stat().st_mode
            temporary.chmod(mode | stat.S_IRUSR | stat.S_IWUSR)
            yield temporary
            flush(temporary)
            temporary.chmod(mode)  # some writers, safetensors among them, put a file of their own there that only its owner may read
            temporary.replace(place)
            flush(place.parent)
    finally:
        with suppress(OSError):  # of a read-only file system, also where there is nothing to remove
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str, left: str = NOTHING) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it becomes `path` when the block ends well.

    Args:
        path: destination folder, or a link to it: must not exist, or be empty; its parent must exist.
        left: what a full disk leaves behind, for the error.

    Raises:
        InputError: `path` is a file or a folder with content, its parent is missing or cannot be written, or the disk is full.
    """
    path = Path(path)
    require_new_folder(path)
    place = _followed(path)
    temporary = sibling(place, place.name)
    try:
        with name_errors(place, left):
            temporary.mkdir()
            keep_mode(temporary, place)
            mode = temporary.stat().st_mode
            temporary.chmod(mode | stat.S_IRWXU)
            yield temporary
            for child in temporary.rglob("*"):
                flush(child)
            flush(temporary)
            temporary.chmod(mode)
            temporary.replace(place)
            flush(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_new_folder(path: Path) -> None:
    """Tells before the work that a folder cannot be written.

    Raises:
        InputError: `path` is a file or a folder with content, or its parent is missing or cannot be written.
    """
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{path}: folder exists and is not empty; give a new one or remove it")
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; give the name of a new folder")
    _require_parent(_followed(path))


def destination(path: Path) -> Path:
    """Where a file is written: `path` itself, or what it links to, which may be not there yet.

    Raises:
        InputError: it is a folder, or a device, a pipe or a socket, which writing would replace, or its folder is missing or cannot be
            written.
    """
    require_regular(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    place = _followed(path)
    _require_parent(place)
    return place


def require_regular(path: Path) -> None:
    """Refuses a device, a pipe or a socket, itself or by a link.

    Raises:
        InputError: it is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is no regular file; give the name of a file")


def exists(path: Path | str) -> bool:
    """Whether there is a file or folder; of a text too long for a name, which may be a SMILES, there is none."""
    with suppress(OSError):
        return Path(path).exists()
    return False


def encodable(text: str) -> str:
    """The text with a sign for each byte of a file name that is not UTF-8, which Python keeps as a code that no file can hold."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def keep_mode(temporary: Path, place: Path) -> None:
    """Gives a file or folder the permissions of the one that it will replace, if there is one."""
    if place.exists():
        temporary.chmod(stat.S_IMODE(place.stat().st_mode))


class Claim:
    """Keeps other commands from a file or folder; the lock file beside it is gone when the claim is given up.

    A context manager, which gives it up where the block ends.

    Args:
        path: what is claimed.
        taken: the error where another command has claimed it.

    Raises:
        InputError: another command has, or nothing can be written beside the path.
    """

    def __init__(self, path: Path, taken: str) -> None:
        from filelock import FileLock, Timeout  # 16 ms, which commands that write nothing need not wait for

        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0, thread_local=False)
        try:
            with name_errors(path):
                self._lock.acquire()
        except Timeout:
            raise InputError(taken) from None

    def give_up(self) -> None:
        """Lets others have it; a second time does nothing."""
        with suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)  # while it is held, so that nobody else's is removed
        self._lock.release()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()


def require_place(path: Path | None) -> None:
    """Tells before the work that a file cannot be written.

    Raises:
        InputError: `path` is a folder or no regular file, or its parent is missing or cannot be written.
    """
    if path is not None:
        destination(path)


def require_suffix(option: str, path: Path, what: str, *suffixes: str) -> None:
    """Refuses to write into a file of another kind by its name, which may be one of data by a slip.

    Raises:
        InputError: the name ends otherwise, ``what`` says what would be written; or it is no regular file.
    """
    require_regular(path)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path}: {what}, expected a name that ends in {' or '.join(suffixes)}")


def sha256(path: Path | str) -> str:
    """Computes the SHA-256 checksum of a file, as 64 hexadecimal digits, in constant memory."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped(folder: str) -> Path:
    """Finds a folder that ships with molgen: ``weights`` or ``configs``.

    In a wheel both lie inside the package (``importlib.resources.files("molgen") / folder``); in a source tree with an editable
    installation ``configs`` lies beside it.

    Args:
        folder: name of the folder.

    Raises:
        InputError: this installation does not have it.
    """
    package = Path(str(files("molgen")))
    for candidate in (package / folder, package.parent / folder):
        if candidate.is_dir():
            return candidate
    raise InputError(f"{package / folder}: this installation of molgen lacks its {folder}; install it again")


def sibling(path: Path, name: str) -> Path:
    """Chooses a name, which ends with `name` and nobody can foresee, for the temporary file or folder beside `path`."""
    return path.parent / f".{os.urandom(4).hex()}.{name}"


def _followed(path: Path) -> Path:
    """What a link leads to, or else the path as it is."""
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if place.is_symlink():
        raise InputError(f"{path}: is a link that leads in a circle; remove it, or give another name")
    return place


def _require_parent(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        file = next((place for place in path.parents if place.is_file()), None)
        what = f"{file} is a file, not a folder; choose another place" if file else f"folder {folder} does not exist; create it first"
        raise InputError(f"{path}: {what}")
    if not os.access(folder, os.W_OK):
        fixed = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
        reason = _REFUSALS[errno.EROFS] if fixed else f"no permission to write in folder {folder}"
        raise OutputError(f"{path}: {reason}; choose another place")


def flush(path: Path) -> None:
    """Forces a file or folder to the disk, which also reports a disk that filled up while writes were buffered."""
    windows = os.name == "nt"  # which flushes what may be written, and no folders
    if windows and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def name_errors(path: Path, left: str = NOTHING) -> Iterator[None]:
    """Turns the operating system's errors about writing `path` into an `OutputError` that names it.

    Args:
        path: file or folder that is written in the block.
        left: what a full disk leaves behind; "" where the caller says it.

    Raises:
        OutputError: no permission, a full disk, a quota or a read-only file system.
    """
    try:
        yield
    except PermissionError as error:
        if error.filename is None or Path(error.filename).resolve().parent != path.resolve().parent:
            raise
        raise OutputError(f"{path}: no permission to write in folder {path.parent}; choose another place") from error
    except OSError as error:
        short = error.errno is None and shutil.disk_usage(path.parent).free < _FULL_BELOW  # numpy gives a short write no number
        reason = _REFUSALS[errno.ENOSPC] if short else _REFUSALS.get(error.errno or 0)
        if reason is None:
            raise
        told = f"{left}, " if left else ""
        raise OutputError(f"{path}: {reason}; {told}make room or choose another place") from error
