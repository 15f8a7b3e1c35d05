"""Where to compute."""

import torch

from molgen.errors import InputError


def find_device(name: str | torch.device | None) -> torch.device:
    """The torch device of this name; the GPU if there is one by default.

    Raises:
        InputError: if this machine or this installation of torch does not have it.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}: not usable here ({str(error).splitlines()[0]}); use cpu") from None
    return device
