"""Decisions of the host by the generator of a device."""

import random

import torch


def coin(generator: torch.Generator | None) -> float:
    """A uniform number for a decision of the host, which does not wait for a GPU whose generator it depends on."""
    if generator is None or generator.device.type == "cpu":
        return float(torch.rand((), generator=generator))
    return random.Random(f"{generator.initial_seed()} {generator.get_offset()}").random()
