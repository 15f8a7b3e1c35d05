"""Python and the command as users run them, without the checks of types, in processes of their own.

They are forked from a server that has imported what takes long: torch, lightning and rdkit need ten seconds on a slow machine. What a
process imports is told by none of them (`test_imports.py` starts bare ones), and nothing registered with `atexit` is called.
"""

import atexit
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["molgen.cli.train", "molgen.sample", "molgen.train", "molgen.molecules.domain"])


class Started:
    """A process that runs a text of Python; used as one of :class:`subprocess.Popen`."""

    def __init__(self, code: str, arguments: Iterable[object] = (), cwd: Path | None = None, env: Mapping[str, str] | None = None):
        self._folder = Path(tempfile.mkdtemp())
        self._streams = [self._folder / name for name in ("stdout", "stderr")]
        given = code, ["-c", *map(str, arguments)], str(cwd or Path.cwd()), dict(env or os.environ), self._streams
        self._process = _SERVER.Process(target=_run, args=given)
        self._process.start()
        atexit.register(self._process.kill)  # or Python would wait at its end for what a failed test has left

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Standard output and error after the end; a process that takes longer is killed."""
        self._process.join(timeout)
        if self.returncode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired("python -c", timeout or 0)
        output, error = (stream.read_text() for stream in self._streams)
        shutil.rmtree(self._folder)
        return output, error


def python(code: str, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess:
    """`python -c CODE ARGUMENTS`, to its end."""
    process = Started(code, arguments, cwd, env)
    output, error = process.communicate()
    return subprocess.CompletedProcess(["python", "-c", code, *arguments], process.returncode, output, error)


MOLGEN = "from molgen.cli import main; main()"


def molgen(*arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess:
    """`molgen ARGUMENTS`, to its end."""
    return python(MOLGEN, *arguments, cwd=cwd, env=env)


def _run(code: str, words: list[str], cwd: str, env: dict[str, str], streams: list[Path]) -> None:
    for number, stream in enumerate(streams, 1):
        file = os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv, sys.path[0:0] = words, [""]
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
