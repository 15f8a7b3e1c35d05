"""Statistics of packed molecules against closed forms."""

import numpy as np
import pytest
import torch

from molgen.batch import mask_of
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.space import Centered
from molgen.molecules.prepare.statistics import statistics


def packed(folder, sizes, positions):
    """The arrays of molecules of carbon without bonds and labels."""
    count = int(np.sum(sizes))
    np.save(folder / "atom_offsets.npy", np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    np.save(folder / "atoms.npy", np.zeros(count, np.uint8))
    np.save(folder / "charges.npy", np.zeros(count, np.int8))
    np.save(folder / "bonds.npy", np.zeros((0, 3), np.int32))
    np.save(folder / "positions.npy", positions.astype(np.float32))
    np.save(folder / "labels.npy", np.zeros((len(sizes), 0), np.float32))
    return statistics(folder, [6], [0], [], hydrogens=True)


def test_the_deviation_of_coordinates_is_that_of_the_noise_that_they_are_made_of(tmp_path):
    """Centred noise of standard deviation 1.3 of molecules as small as two atoms, whose mean square per component is half of 1.3^2."""
    sizes = [2, 3, 5] * 4000
    mask = mask_of(sizes)
    like = torch.zeros(len(sizes), 5, 3)
    noise = 1.3 * Centered().noise(like, mask, SharedNoise(torch.Generator().manual_seed(0)))
    found = packed(tmp_path, sizes, noise[mask].numpy())["coordinate_std"]
    # 3 (1 + 2 + 4) * 4,000 = 84,000 degrees of freedom: a relative error of 1 / sqrt(2 * 84,000) = 0.0024
    assert found == pytest.approx(1.3, rel=0.008)
    assert 3 * sum(size - 1 for size in sizes) == int(Centered().dimensions(mask).sum())


def test_two_atoms_at_a_distance(tmp_path):
    """Three degrees of freedom share the square of half of the distance, twice."""
    assert packed(tmp_path, [2], np.array([[0.6, 0, 0], [-0.6, 0, 0]]))["coordinate_std"] == pytest.approx((2 * 0.36 / 3) ** 0.5)


def test_single_atoms_have_no_deviation(tmp_path):
    assert packed(tmp_path, [1, 1], np.zeros((2, 3)))["coordinate_std"] == 0
