"""Samples are made without gradients but for those of guidance, in whatever mode the caller is."""

from collections.abc import Iterator
from typing import TypeVar

import torch

Thing = TypeVar("Thing")


def without_gradients(things: Iterator[Thing]) -> Iterator[Thing]:
    """Hands things on; while they are made gradients are off and guidance may turn them on, which ``torch.inference_mode`` forbids.

    In between the caller's modes are his own again.
    """
    done = object()
    while True:
        with torch.inference_mode(False), torch.no_grad():
            thing = next(things, done)
        if thing is done:
            return
        yield thing  # type: ignore[misc]
