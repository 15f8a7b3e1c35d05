"""Denoisers whose matrix products are made in bfloat16.

Rounding has a relative error of 2^-9 in products whose sums stay in float32, the readouts among them: displacements and class logits of one
call come out with that error; noisy positions, distances and the steps of the sampler are never rounded. Networks trained with
``train.precision: bf16-mixed`` learned under the same rounding.
"""

import copy

import torch
from torch import nn

from molgen.batch import Batch
from molgen.types import PerSample, Prediction, Tensor


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
