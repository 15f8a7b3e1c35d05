"""The head that turns features into outputs."""

from torch import nn


def readout(width: int, out: int) -> nn.Sequential:
    """Layer norm and a network of one hidden layer, (..., width) -> (..., out).

    The last layer starts at zero, so that a new backbone answers zero.
    """
    head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out))
    for parameter in head[-1].parameters():
        nn.init.zeros_(parameter)
    return head
