"""Weights on disk: tensors by name in one safetensors file, which cannot run code."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from molgen import __version__
from molgen.errors import InputError
from molgen.files import atomic_path
from molgen.types import Tensor

FORMAT = "1"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes the file, whole or not at all.

    Raises:
        InputError: if it cannot be written or the disk is full.
    """
    with atomic_path(path) as temporary:
        kept, places = dict[str, Tensor](), set[int]()
        for name, value in tensors.items():
            own = value.detach().cpu().contiguous()
            kept[name] = own.clone() if own.untyped_storage().data_ptr() in places else own  # of weights that are tied
            places.add(own.untyped_storage().data_ptr())
        save_file(kept, temporary, metadata={"format": FORMAT, "molgen": __version__})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``model.safetensors``.

    Raises:
        InputError: if the file is truncated, not safetensors or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            version = (file.metadata() or {}).get("format")
            if version != FORMAT:
                raise InputError(f"{path}: expected weights in format {FORMAT}, got {version}; use the molgen version that wrote them")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: unreadable ({error}); the file is truncated or not safetensors, copy or save it again") from None


def load_weights(network: nn.Module, path: Path) -> None:
    """Puts the weights of a file into a network, in single precision.

    Raises:
        InputError: if the file is damaged or belongs to another network, or weights are no numbers or not finite.
    """
    weights = read_tensors(path)
    for name, value in ((name, weights[name]) for name, _ in network.named_parameters() if name in weights):
        if not value.is_floating_point() or not value.isfinite().all():
            got = "values that are not finite" if value.is_floating_point() else str(value.dtype).removeprefix("torch.")
            raise InputError(f"{path}: {name!r}: expected finite floating-point numbers, got {got}; copy or save the file again")
    try:
        network.load_state_dict({name: value.to(torch.float32) for name, value in weights.items()})
    except RuntimeError as error:
        first = str(error).strip().splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(f"{path}: does not fit config.yaml ({first}); the folder mixes two models") from None
