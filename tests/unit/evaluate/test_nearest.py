"""The nearest of many clouds: copies are found wherever they are, distances are exact, and clouds are read once."""

import numpy as np
import pytest

from molgen.evaluate.nearest import BLOCK, nearest
from molgen.shapes.metrics import CHAMFER, distance_matrix


def ellipsoids(rng: np.random.Generator, count: int, points: int) -> list[np.ndarray]:
    """Surfaces with half-axes between 0.3 and 1."""
    balls = rng.normal(size=(count, points, 3))
    return list(balls / np.linalg.norm(balls, axis=-1, keepdims=True) * rng.uniform(0.3, 1, (count, 1, 3)))


def test_copies_are_at_zero_in_any_block_and_any_order_of_their_points():
    rng = np.random.default_rng(0)
    others = ellipsoids(rng, 2 * BLOCK + 9, 512)
    copied = [0, BLOCK - 1, BLOCK, len(others) - 1]
    distances, found = nearest([rng.permutation(others[k]) for k in copied], iter(others))
    assert distances.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(found, [others[k].astype(np.float32) for k in copied])


def test_distances_are_those_of_all_pairs():
    rng = np.random.default_rng(1)
    others, clouds = ellipsoids(rng, 200, 256), ellipsoids(rng, 20, 256)
    expected = distance_matrix(CHAMFER, clouds, others)
    for threads in (1, 2):
        distances, found = nearest(clouds, others, threads)
        np.testing.assert_allclose(distances, expected.min(1), rtol=1e-5)
        np.testing.assert_array_equal(found, [others[k].astype(np.float32) for k in expected.argmin(1)])


def test_fewer_clouds_and_points_than_are_looked_for():
    one, other = np.array([[0.0, 0, 0], [1, 0, 0]]), np.array([[0.0, 1, 0], [1, 1, 0]])
    distances, found = nearest([one], [other])
    assert distances == pytest.approx([2.0])
    np.testing.assert_array_equal(found, [other])
