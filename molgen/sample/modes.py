"""Samples are made without gradients but for those of guidance, and in their own precision, in whatever mode the caller is."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TypeVar

import torch

Thing = TypeVar("Thing")


def undisturbed(things: Iterator[Thing], device: str) -> Iterator[Thing]:
    """Hands things on; while they are made the modes are those of :func:`own_modes`, in between the caller's modes are his own again."""
    done = object()
    while True:
        with own_modes(device):
            thing = next(things, done)
        if thing is done:
            return
        yield thing  # type: ignore[misc]


def own_modes(device: str) -> ExitStack:
    """Gradients are off and guidance may turn them on, which ``torch.inference_mode`` forbids; ``torch.autocast`` does not reach in here.

    Nor does a default device of the caller: tensors are made on the CPU and moved.

    Args:
        device: type of the device.
    """
    stack = ExitStack()
    if torch.get_default_device().type != "cpu":  # only then, as it costs time in every operation
        stack.enter_context(torch.device("cpu"))
    for mode in (torch.inference_mode(False), torch.no_grad(), torch.autocast(device, enabled=False)):
        stack.enter_context(mode)
    return stack
