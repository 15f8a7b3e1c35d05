"""What a command does about the memory of its process."""

import subprocess
import sys

import pytest

TENSORS = """
import resource, torch
from molgen.cli.memory import keep_freed_memory
if {keeps}: keep_freed_memory()
for _ in range(10): [torch.zeros(2_000_000).add_(1) for _ in range(8)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): [torch.zeros(2_000_000).add_(1) for _ in range(8)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have another allocator")
def test_freed_blocks_are_used_again_without_page_faults():
    faults = {}
    for keeps in (False, True):
        found = subprocess.run([sys.executable, "-c", TENSORS.format(keeps=keeps)], capture_output=True, text=True, check=True)
        faults[keeps] = int(found.stdout)
    if faults[False] < 1_000:
        pytest.skip("this allocator keeps freed blocks by itself")
    assert faults[True] < 0.1 * faults[False]
