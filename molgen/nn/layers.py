"""What the networks share: norms of scalars and of vectors, layers that start at zero, readouts."""

import torch
from torch import nn
from torch.nn import functional

from molgen.errors import InputError
from molgen.types import Float, Tensor


def vector_norm(v: Float[Tensor, "b n 3 u"]) -> Float[Tensor, "b n u"]:
    """Length of every vector channel, smooth at zero."""
    return (v.square().sum(-2) + 1e-8).sqrt()


def normalize_vectors(v: Float[Tensor, "b n 3 u"]) -> Float[Tensor, "b n 3 u"]:
    """Divides by the root mean squared length over channels: layer norm for vectors."""
    return v * torch.rsqrt(v.square().sum(-2, keepdim=True).mean(-1, keepdim=True) + 1e-4)


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Layer norm without own weights, then scale and shift per sample."""
    return torch.addcmul(shift.unsqueeze(1), functional.layer_norm(x, x.shape[-1:]), 1 + scale.unsqueeze(1))


def zero(linear: nn.Linear) -> nn.Linear:
    """Starts a linear layer at zero, so that a new block changes nothing."""
    for parameter in linear.parameters():
        nn.init.zeros_(parameter)
    return linear


def readout(width: int, out: int) -> nn.Sequential:
    """Layer norm and a network of one hidden layer, (..., width) -> (..., out); a new one answers zero."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), zero(nn.Linear(width, out)))


def check_heads(heads: int, scalars: int, vectors: int) -> None:
    """Checks that channels can be divided among attention heads.

    Raises:
        InputError: they cannot.
    """
    if scalars % heads or vectors % heads:
        raise InputError(f"model.heads={heads} must divide model.scalars={scalars} and model.vectors={vectors}")
