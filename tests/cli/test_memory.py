"""What a command does about the memory of its process."""

import ctypes
import subprocess
import sys

import pytest

BYTES = 8 * 30_000_000  # of the tensors below
HAS_MALLINFO = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")

TENSORS = """
import ctypes, torch
from molgen.cli.memory import keep_freed_memory
class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo
if {keeps}: keep_freed_memory()
before = mallinfo().hblkhd
tensors = [torch.zeros(7_500_000) for _ in range(8)]
mapped = mallinfo().hblkhd - before
del tensors
print(mapped, mallinfo().fordblks)
"""


def mapped_and_free(keeps: bool) -> tuple[int, int]:
    """Bytes that tensors got as mappings of their own, and bytes that stay free for the next ones when the tensors are gone."""
    found = subprocess.run([sys.executable, "-c", TENSORS.format(keeps=keeps)], capture_output=True, text=True, check=True)
    mapped, free = found.stdout.split()
    return int(mapped), int(free)


@pytest.mark.skipif(not HAS_MALLINFO, reason="another C library than glibc 2.33 or newer")
def test_freed_tensors_stay_with_the_process_for_the_next_ones():
    mapped, free = mapped_and_free(keeps=False)
    assert mapped >= BYTES
    assert free < 0.5 * BYTES
    mapped, free = mapped_and_free(keeps=True)
    assert mapped == 0
    assert free > 0.99 * BYTES
