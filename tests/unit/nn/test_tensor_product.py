"""The dense tensor product against e3nn's own, and against rotations of its features."""

import pytest
import torch
from e3nn import o3

from molgen.errors import InputError
from molgen.geometry import random_rotation
from molgen.nn.tensor_product import Coupling, TensorProduct, paths


def test_positions_need_vectors():
    with pytest.raises(InputError, match=r"model\.degree=0 must be at least 1"):
        TensorProduct(degree=0).build(4, 4, 4, 4, 0)


def test_paths_of_degree_one():
    assert paths(1) == [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    assert len(paths(2)) == 11


@pytest.mark.parametrize("path", paths(3))
def test_one_path_equals_the_tensor_product_of_e3nn(path):
    torch.manual_seed(0)
    u, b, n = 3, 2, 4
    a, y, out = (f"{count}x{degree}{'oe'[degree % 2 == 0]}" for count, degree in zip((u, 1, u), path, strict=True))
    oracle = o3.TensorProduct(a, y, out, [(0, 0, 0, "uvu", True)], shared_weights=False, internal_weights=False)
    coupling = Coupling(3)
    source = [torch.randn(b, n, u, 2 * degree + 1) for degree in range(4)]
    sphere = [torch.randn(b, n, n, 2 * degree + 1) for degree in range(4)]
    weight = torch.zeros(b, n, n, len(coupling.paths), u)
    weight[..., coupling.paths.index(path), :] = torch.randn(b, n, n, u)

    found = coupling.messages(source, sphere, weight)[path[2]]
    before = [other for other in coupling.paths if other[2] == path[2]].index(path)
    left = source[path[0]].flatten(2).unsqueeze(1).expand(-1, n, -1, -1)
    expected = oracle(left, sphere[path[1]], weight[..., coupling.paths.index(path), :]).sum(2)
    torch.testing.assert_close(found[:, :, before * u : (before + 1) * u].flatten(2), expected)
    elsewhere = torch.cat([found[:, :, : before * u], found[:, :, (before + 1) * u :]], 2)
    assert not elsewhere.any()


def test_node_products_turn_with_their_factors():
    torch.manual_seed(0)
    coupling = Coupling(2)
    turn = random_rotation(1, dtype=torch.float64)[0]
    mirror = -turn
    left, right = ([torch.randn(2, 3, 4, 2 * degree + 1, dtype=torch.float64) for degree in range(3)] for _ in range(2))
    for matrix in (turn, mirror):
        # e3nn builds its own matrices in single precision: those of degree l follow from harmonics of turned unit vectors
        points = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=-1)
        wigner = []
        for degree in range(3):
            here, there = (o3.spherical_harmonics(degree, p, normalize=True) for p in (points, points @ matrix.T))
            wigner.append(torch.linalg.lstsq(here, there).solution.T)
        turned = coupling(
            [x @ d.T for x, d in zip(left, wigner, strict=True)],
            [x @ d.T for x, d in zip(right, wigner, strict=True)],
        )
        for found, product, d in zip(turned, coupling(left, right), wigner, strict=True):
            torch.testing.assert_close(found, product @ d.T, atol=1e-10, rtol=1e-10)


def test_degree_zero_is_refused():
    with pytest.raises(ValueError, match=r"model\.degree=0 must be at least 1"):
        TensorProduct(degree=0).build(1, 1, 1, 1, 0)
