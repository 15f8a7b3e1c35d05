"""Denoisers whose matrix products are made in bfloat16.

Rounding has a relative error of 2^-9 in products whose sums stay in float32, the readouts among them: displacements and class logits of one
call come out with that error; noisy positions, distances and the steps of the sampler are never rounded. Networks trained with
``train.precision: bf16-mixed`` learned under the same rounding.
"""

import copy
import platform

import torch
from torch import nn

from molgen.batch import Batch
from molgen.types import PerSample, Prediction, Tensor


def multiplies_bfloat16(device: torch.device | str) -> bool:
    """Whether a device multiplies bfloat16 faster than single precision.

    Where it has no instructions for it, torch emulates them: on x86 processors without AVX512-BF16 and AMX products of matrices take ten to
    forty times as long as in single precision.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return True
    if platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Rounded:
    """A copy of a network with linear maps in bfloat16: faster where the processor multiplies bfloat16 (AVX512-BF16, AMX, GPUs).

    Args:
        denoiser: the network; it stays as it is.
    """

    def __init__(self, denoiser: nn.Module):
        self.denoiser = copy.deepcopy(denoiser)
        for module in self.denoiser.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)

    def __call__(self, batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
        with torch.autocast(batch.mask.device.type, torch.bfloat16):
            prediction: Prediction = self.denoiser(batch, t, condition, previous)
        return {name: value.float() for name, value in prediction.items()}
