"""Reference directions and waves along them."""

import math

import pytest
import torch

from molgen.nn.frame import directions, waves


def test_waves_turn_half_once_and_twice_per_unit_length():
    along = [-0.7, 0.0, 0.25, 1.0]
    found = waves(torch.tensor(along, dtype=torch.float64).unsqueeze(-1))
    expected = [[a] + [wave(2 * math.pi * f * a) for f in (0.5, 1.0, 2.0) for wave in (math.sin, math.cos)] for a in along]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(("frame", "axes"), [("none", []), ("x", [0]), ("y", [1]), ("z", [2]), ("full", [0, 1, 2])])
def test_directions_are_the_axes_of_the_frame(frame, axes):
    assert directions(frame) == [torch.eye(3)[axis].tolist() for axis in axes]
