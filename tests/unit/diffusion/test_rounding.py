"""Networks in bfloat16: a copy is rounded, the network that it is made of stays."""

import platform
from pathlib import Path

import pytest
import torch
from torch import nn

from molgen.batch import Batch, mask_of
from molgen.diffusion.rounding import Rounded, multiplies_bfloat16

CPUINFO = Path("/proc/cpuinfo")


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3, bias=False)

    def forward(self, batch, t, condition, previous=None):
        return {"pos": self.linear(batch["pos"])}


def test_linear_maps_of_the_copy_are_rounded_and_predictions_are_not():
    torch.manual_seed(0)
    network = Plain()
    before = network.linear.weight.detach().clone()
    rounded, x = Rounded(network), torch.randn(2, 4, 3)
    assert rounded.denoiser.linear.weight.dtype == torch.bfloat16
    assert torch.equal(network.linear.weight, before)
    with torch.no_grad():
        found = rounded(Batch({"pos": x}, mask_of([4, 4])), torch.ones(2), {})["pos"]
    assert found.dtype == torch.float32
    expected = x.bfloat16().float() @ before.bfloat16().float().T
    torch.testing.assert_close(found, expected, rtol=2**-8, atol=1e-3)


@pytest.mark.skipif(platform.machine() != "x86_64" or not CPUINFO.is_file(), reason="the flags of Linux on x86 are asked")
def test_processors_multiply_bfloat16_where_the_system_lists_instructions_for_it():
    flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split()
    assert multiplies_bfloat16("cpu") == any(name in flags for name in ("avx512_bf16", "amx_tile"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would say what that GPU can")
def test_no_gpu_multiplies_nothing():
    assert not multiplies_bfloat16("cuda")
