"""Fixtures that every test may use."""

import os
import signal
import subprocess
from pathlib import Path

import first_calls
import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: with pytest-xdist one thread a worker

# Shapes of tensors are checked in all modules that tell them; what has no other types than plain ones is mypy's affair, and checks of it
# made half of the time that a process of tests needs to start.
PACKAGE = Path(__file__).parents[1] / "molgen"
SHAPED = [path for path in sorted(PACKAGE.rglob("*.py")) if "from molgen.types import" in path.read_text()]
install_import_hook([".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in SHAPED], "first_calls.checked")

# a test run in the background of a shell inherits "ignore Ctrl-C" and would hand it to the commands that it starts and interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared" / "data"
SAMPLES = Path(__file__).parents[1] / "data"


@pytest.fixture(autouse=True)
def types_are_checked():
    """In the first calls of every function of a test, whatever tests before it have called."""
    first_calls.start_anew()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; skips the test where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def samples_of_qm9() -> Path:
    """200 molecules of QM9 with labels, which ship."""
    return SAMPLES / "qm9_sample" / "qm9_sample.sdf.gz"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)
