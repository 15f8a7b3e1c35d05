"""Where and how to compute: the device, and the modes of torch, whatever mode the caller is in."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import torch

from molgen.errors import InputError

Thing = TypeVar("Thing")


def find_device(name: str | int | torch.device | None) -> torch.device:
    """The torch device of this name, or the GPU of this number; the GPU if there is one by default.

    Raises:
        InputError: if this is no device, or this machine or this installation of torch does not have it.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not isinstance(name, str | int | torch.device) or isinstance(name, bool):
        raise InputError(f"device: expected a name such as 'cpu' or 'cuda:0', got {name!r}")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}: not usable here ({str(error).splitlines()[0]}); use cpu") from None
    return device


def undisturbed(things: Iterator[Thing], device: str) -> Iterator[Thing]:
    """Hands things on; while they are made the modes are those of :func:`own_modes`, in between the caller's modes are his own again."""
    done = object()
    while True:
        with own_modes(device):
            thing = next(things, done)
        if thing is done:
            return
        yield thing  # type: ignore[misc]


@contextmanager
def own_modes(device: str) -> Iterator[None]:
    """Gradients are off and guidance may turn them on, which ``torch.inference_mode`` forbids; ``torch.autocast`` does not reach in here.

    Nor does a default device of the caller: tensors are made on the CPU and moved.

    Args:
        device: type of the device.
    """
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":  # only then, as it costs time in every operation
            stack.enter_context(torch.device("cpu"))
        for mode in (torch.inference_mode(False), torch.no_grad(), torch.autocast(device, enabled=False)):
            stack.enter_context(mode)
        yield
