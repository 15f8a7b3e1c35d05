"""The dense tensor product against e3nn's own, and against rotations of its features."""

import pytest
import torch
from e3nn import o3

from molgen.batch import mask_of
from molgen.errors import InputError
from molgen.geometry import random_rotation
from molgen.nn.embed import RadialBasis
from molgen.nn.equivariant import modulate
from molgen.nn.tensor_product import Coupling, Layer, TensorProduct, normalize, paths


def test_positions_need_vectors():
    with pytest.raises(InputError, match=r"TensorProduct\.degree: expected above 0, got 0"):
        TensorProduct(degree=0)


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


def test_pairs_see_inner_products_of_every_degree():
    """``sum_m x_lm(i) x_lm(j)`` of each degree, the distance and its radial functions, and the sum of what each end sends."""
    torch.manual_seed(0)
    config = TensorProduct(scalars=6, tensors=3, pairs=4, degree=2, layers=1, radial=5, context=4)
    layer, basis, n = Layer(config, Coupling(2), 1).double(), RadialBasis(5), 3
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    x = [torch.randn(2, n, 6 if degree == 0 else 3, 2 * degree + 1, dtype=torch.float64) for degree in range(3)]
    e, scale, shift = (torch.randn(2, *shape, dtype=torch.float64) for shape in ((n, n, 4), (4,), (4,)))
    distance = torch.rand(2, n, n, dtype=torch.float64)
    found = layer.update_pairs(x, e, distance, basis, scale, shift)
    mixed = layer.invariants(x)
    for i in range(n):
        for j in range(n):
            inner = [(part[:, i] * part[:, j]).sum(-1) for part in mixed]
            own = modulate(e[:, i : i + 1, j], scale, shift)[:, 0]
            seen = torch.cat([own, basis(distance[:, i, j]), torch.log1p(distance[:, i, j]).unsqueeze(-1), *inner], -1)
            ends = layer.pair_ends(x[0][:, i, :, 0] + x[0][:, j, :, 0])
            expected = e[:, i, j] + layer.pair_out(torch.nn.functional.silu(layer.pair_in(seen) + ends))
            torch.testing.assert_close(found[:, i, j], expected)


def test_messages_come_along_unit_differences_over_the_root_of_the_number_of_nodes():
    """Of real other nodes, with weights from pairs; the fresh pair update, modulation and node products say nothing."""
    torch.manual_seed(0)
    config, n = TensorProduct(scalars=6, tensors=3, pairs=4, degree=2, layers=1, radial=5, context=4), 4
    coupling = Coupling(2)
    layer = Layer(config, coupling, 2).double()
    for part in layer.square.maps:
        torch.nn.init.zeros_(part.weight)
        if part.bias is not None:
            torch.nn.init.zeros_(part.bias)
    x = [torch.randn(1, n, 6 if degree == 0 else 3, 2 * degree + 1, dtype=torch.float64) for degree in range(3)]
    e, y, mask = torch.randn(1, n, n, 4, dtype=torch.float64), torch.randn(1, n, 3, dtype=torch.float64), mask_of([3], n)
    found, *_ = layer(x, e, torch.zeros_like(y), y, torch.zeros(1, 4, dtype=torch.float64), RadialBasis(5), mask)
    source = layer.source(normalize(x, torch.zeros(1, 6).double(), torch.zeros(1, 6).double()))
    weight = layer.weights(torch.nn.functional.silu(e)).unflatten(-1, (len(coupling.paths), 3))
    for i in range(3):
        joined = [torch.zeros(0, 2 * degree + 1, dtype=torch.float64) for degree in range(3)]
        for number, (first, second, last) in enumerate(coupling.paths):
            total = torch.zeros(3, 2 * last + 1, dtype=torch.float64)
            for j in {0, 1, 2} - {i}:
                sphere = o3.spherical_harmonics(second, y[0, j] - y[0, i], normalize=True, normalization="component")
                coefficients = (2 * last + 1) ** 0.5 * o3.wigner_3j(first, second, last, dtype=torch.float64)
                product = torch.einsum("um,q,mqk->uk", source[first][0, j], sphere, coefficients)
                total = total + weight[0, i, j, number].unsqueeze(-1) * product / 3**0.5
            joined[last] = torch.cat([joined[last], total])
        for degree, part in enumerate(layer.collect([value[None, None] for value in joined])):
            torch.testing.assert_close(found[degree][0, i], x[degree][0, i] + part[0, 0], atol=1e-6, rtol=1e-6)


def test_features_are_normed_over_channels():
    x = [torch.randn(2, 3, 4, 2 * degree + 1, dtype=torch.float64) for degree in range(3)]
    scale, shift = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    scalars, *higher = normalize(x, scale, shift)
    torch.testing.assert_close(scalars.squeeze(-1), modulate(x[0].squeeze(-1), scale, shift))
    for found, part in zip(higher, x[1:], strict=True):
        lengths = part.square().sum(-1).mean(-1)  # squared, of all channels of a node
        torch.testing.assert_close(found, part / (lengths + 1e-4).sqrt()[..., None, None])
