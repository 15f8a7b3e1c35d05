"""The point autoencoder: symmetries, allotment of points to cells, order of the flow, the loss against a closed form, learning."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.errors import InputError
from molgen.geometry import center, spacing
from molgen.nn.equivariance import POSITION, Role, equivariance_errors
from molgen.nn.point_autoencoder import PointAutoencoder, Scene
from molgen.nn.point_blocks import gather
from molgen.nn.reconstruction import Reconstruction, moments, standardised

SIZES = {"latents": 6, "features": 3, "shape": 4, "hidden": 16, "scalars": 16, "vectors": 8, "layers": 2, "heads": 4}


def build(dtype=torch.float64, frame="none", **sizes):
    """An autoencoder without any zero weight."""
    torch.manual_seed(0)
    network = PointAutoencoder(**{**SIZES, **sizes}, frame=frame).build().to(dtype).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.endswith("log_width"):
                parameter.normal_(0, 0.7 / (parameter.shape[-1] if parameter.dim() > 1 else 4) ** 0.5)
    return network


def still(network):
    """The network with no velocity anywhere."""
    with torch.no_grad():
        network.move[-1].weight.zero_()
        network.move[-1].bias.zero_()
    return network


def around(network):
    """Decoder after encoder, 40 points that start where ``start`` says."""

    def function(x, mask, start):
        latent = network.encode(center(x, mask), mask)
        return network.decode(latent, network.layout(latent.features, latent.exists, 40)[0], start)

    return function


def symmetries(network, sizes):
    """Largest relative error of decoder after encoder under each symmetry; starts turn with the cloud."""
    dtype, generator = network.mean.dtype, torch.Generator().manual_seed(1)
    mask = mask_of(sizes)
    x, start = (torch.randn(len(sizes), n, 3, generator=generator, dtype=torch.float64).to(dtype) for n in (mask.shape[1], 40))
    inputs, vectors = {"x": x * mask.unsqueeze(-1), "mask": mask, "start": start}, Role(0, vector=True)
    errors = equivariance_errors(around(network), inputs, {"x": POSITION, "start": vectors}, [vectors])
    return {name: max(values) for name, values in errors.items()}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_without_a_frame_decoder_after_encoder_is_equivariant_whatever_the_order_and_the_padding(dtype, tolerance):
    errors = symmetries(build(dtype), [30, 4, 23])  # one cloud has fewer points than there are latent points
    assert max(errors.values()) < tolerance, errors


def test_a_frame_breaks_rotations_and_nothing_else():
    errors = symmetries(build(frame="full"), [30, 23])
    assert errors.pop("rotation") > 1e-3
    assert errors.pop("reflection") > 1e-3
    assert max(errors.values()) < 1e-10, errors


@pytest.mark.parametrize("code", [lambda latent: latent.features.sum(1), lambda latent: latent.shape])
def test_codes_without_a_frame_are_invariant(code):
    network, mask = build(), mask_of([30, 23])
    x = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors = equivariance_errors(
        lambda x, mask: code(network.encode(center(x, mask), mask)), {"x": x, "mask": mask}, {"x": POSITION}, [Role(0)]
    )
    assert max(max(values) for values in errors.values()) < 1e-10, errors


def test_the_shape_latent_reaches_every_point_and_hardly_depends_on_which_points_were_drawn():
    network = build(frame="full")
    generator = torch.Generator().manual_seed(3)
    ball = torch.nn.functional.normalize(torch.randn(2, 4000, 3, generator=generator, dtype=torch.float64), dim=-1)
    clouds = torch.stack([ball[0], ball[1], ball[0] * torch.tensor([1.0, 0.5, 0.2])])
    mask = torch.ones(3, 4000, dtype=torch.bool)
    latent = network.encode(clouds, mask)
    same, other = ((latent.shape[0] - latent.shape[k]).norm() for k in (1, 2))
    assert same < 0.1 * other
    changed = latent._replace(shape=latent.shape + 1)
    assert (network(latent, 40) - network(changed, 40)).norm(dim=-1).min() > 1e-3


def test_latent_points_are_the_means_of_their_cells_and_masses_their_shares():
    network, mask = build(rounds=60), mask_of([50])
    x = center(torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64), mask)
    points, owner, exists = network.cells(x, mask)
    for k in range(6):  # after many rounds Lloyd's algorithm is at rest
        assert (points[0, k] - x[0, owner[0] == k].mean(0)).abs().max() < 1e-12
    mass = network.describe(x, mask, points, owner, exists)[0, :, -1].exp()
    assert (50 * mass).tolist() == pytest.approx(owner[0].bincount(minlength=6).tolist())


@pytest.mark.parametrize("count", [1, 7, 40, 5000])
def test_cells_get_points_in_proportion_to_their_mass(count):
    network = build()
    mass = torch.tensor([[0.5, 0.25, 0.15, 0.1, 0.3, 0.3], [0.1, 0.1, 0.1, 0.2, 0.25, 0.25]], dtype=torch.float64)
    exists = mask_of([4, 6])
    features = torch.cat([torch.zeros(2, 6, 3, dtype=torch.float64), mass.log().unsqueeze(-1)], -1)
    owner, start = network.layout(features, exists, count)
    assert owner.shape == (2, count)
    for row, share in enumerate((mass[0, :4], mass[1])):
        counts = owner[row].bincount(minlength=len(share))
        assert (counts[: len(share)] - count * share).abs().max() < 1
        assert counts.sum() == count
    if count == 5000:  # starts of a cell have the moments of the normal distribution, more exactly than as many drawn ones would
        one = start[0][owner[0] == 0]
        assert one.mean(0).abs().max() < 0.01
        assert (one.T @ one / len(one) - torch.eye(3)).abs().max() < 0.02


def test_points_that_are_left_over_go_to_the_cells_that_lack_most():
    """Shares of 5 points by masses 27, 12 and 11 are 2.7, 1.2 and 1.1."""
    network = PointAutoencoder(latents=3).build()
    features = torch.zeros(1, 3, len(network.mean))
    features[0, :, -1] = torch.tensor([12.0, 27.0, 11.0]).div(50).log()
    owner, _ = network.layout(features, torch.ones(1, 3, dtype=torch.bool), 5)
    assert owner.tolist() == [[0, 1, 1, 1, 2]]


def test_velocities_are_means_over_latent_points_that_fall_with_their_distance():
    """Shares ``exp(-2 d^2)``, d in spacings, where the network trusts all alike."""
    network, generator = build(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in (network.trust.weight, network.trust.bias, network.move[-1].weight):
            parameter.zero_()
    shapes = (3, 3), (5, 3), (3, 16), (3, 3, 8)
    points, x, known, axes = (torch.randn(1, *shape, generator=generator, dtype=torch.float64) for shape in shapes)
    scene = Scene(points, torch.tensor([[True, True, False]]), torch.tensor([0.7], dtype=torch.float64), known, axes)
    found = network.velocity(x, torch.full((1, 5), 0.4, dtype=torch.float64), scene)
    near = (-2 * ((x[0, :, None] - points[0, :2]) / 0.7).square().sum(-1)).exp()
    expected = torch.einsum("nk,kxu,u->nx", near / near.sum(1, keepdim=True), axes[0, :2], network.move[-1].bias)
    torch.testing.assert_close(found[0], expected)


def test_points_follow_the_flow_with_second_order_and_stop_where_there_is_none():
    network, mask = build(frame="full", neighbours=6), mask_of([60])  # all: smooth, no point changes its neighbours
    with torch.no_grad():
        network.move[-1].weight *= 0.3
    x = center(torch.randn(1, 60, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64), mask)
    latent = network.encode(x, mask)
    owner, start = network.layout(latent.features, latent.exists, 40)

    def decoded(steps):
        network.config = replace(network.config, steps=steps)
        with torch.no_grad():
            return network.decode(latent, owner, start)

    exact = decoded(512)
    errors = [float((decoded(steps) - exact).square().mean().sqrt()) for steps in (16, 32, 64)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(orders) == pytest.approx(2, abs=0.4), errors
    still(network)
    here = gather(latent.points, owner) + network.config.spread * spacing(latent.points, latent.exists)[:, None, None] * start
    torch.testing.assert_close(decoded(4), here)


def test_a_still_decoder_loses_what_the_ways_are_long():
    """With velocity 0 and one latent point, a mean at rest, the loss is ``(var x + 3 spread^2 d^2) / d^2`` with d = 1."""
    network = still(build(latents=1, feature_noise=0.0, position_noise=0.0))
    mask = mask_of([4000])
    x = center(torch.randn(1, 4000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64), mask) * torch.tensor(
        [1.0, 0.5, 2.0]
    )
    objective = Reconstruction(points=(4000, 4000), targets=4000)
    loss, parts = objective(network, Batch({"pos": x}, mask), torch.Generator().manual_seed(0))
    expected = float(x.square().sum(-1).mean()) + 3 * network.config.spread**2
    assert float(loss.detach()) == pytest.approx(expected, rel=0.03)
    assert parts.keys() == {"flow"}


def test_the_decoder_is_told_how_much_it_may_believe():
    network, mask = build(), mask_of([30])
    x = center(torch.randn(1, 30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64), mask)
    latent = network.encode(x, mask)
    points = network(latent, 40)
    network.config = replace(network.config, doubt=0.0)
    assert (network(latent, 40) - points).norm(dim=-1).min() > 1e-3


def test_spacing_of_a_grid_is_its_width_and_one_point_is_no_trouble():
    grid = 0.3 * torch.cartesian_prod(*[torch.arange(3.0)] * 3)[None]
    assert float(spacing(grid, mask_of([27]))) == pytest.approx(0.3)
    assert float(spacing(grid, mask_of([1], 27))) == pytest.approx(1.0)


def test_it_learns_and_measures_moments():
    torch.manual_seed(0)
    network = PointAutoencoder(**{**SIZES, "latents": 12}, frame="full").build()
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(8, 256, 3))
    clouds = torch.from_numpy(0.8 * ball / np.linalg.norm(ball, axis=-1, keepdims=True)).float()
    batch = Batch({"pos": clouds}, torch.ones(8, 256, dtype=torch.bool))
    objective = Reconstruction(points=(128, 256), targets=128)
    optimizer, generator, losses = torch.optim.Adam(network.parameters(), 5e-3), torch.Generator().manual_seed(0), []

    def off():
        """Root mean squared distance of decoded points to the sphere."""
        with torch.no_grad():
            made = network(network.encode(clouds, batch.mask), 256)
        return float((made.norm(dim=-1) - 0.8).square().mean().sqrt())

    before = off()
    for _ in range(150):
        loss, parts = objective(network, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(parts["flow"].detach()))
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])
    assert off() < 0.5 * before
    with torch.autocast("cpu", torch.bfloat16):
        loss, parts = objective(network, batch, generator)
    assert float(parts["flow"].detach()) == pytest.approx(np.mean(losses[-5:]), rel=0.1)
    moment = network.eval().mean.clone()
    objective(network, batch, generator)
    assert torch.equal(network.mean, moment)  # evaluation leaves the moments alone
    raw = network.describe(clouds, batch.mask, *network.cells(clouds, batch.mask))
    assert (raw.mean((0, 1)) - moment).abs().max() < 1.0  # they follow with a delay of 50 batches
    assert math.isfinite(float(network.std.max()))
    assert network.std.min() > 0


def test_moments_begin_as_those_of_the_first_batch_and_then_follow_slowly():
    torch.manual_seed(0)
    network = PointAutoencoder(**{**SIZES, "latents": 12}, frame="full").build()
    first, second = (10 + 3 * torch.randn(4, 12, len(network.mean)) for _ in range(2))
    whole, exists = torch.randn(4, len(network.shape_mean)), torch.ones(4, 12, dtype=torch.bool)
    standardised(network, first, whole, exists)
    mean, std = moments(first, exists)
    assert torch.equal(network.mean, mean)
    assert torch.equal(network.std, std)
    standardised(network, second, whole, exists)
    torch.testing.assert_close(network.mean, mean + 0.02 * (moments(second, exists)[0] - mean))


def test_heads_must_divide_the_channels():
    with pytest.raises(InputError, match=r"model\.heads=3"):
        PointAutoencoder(heads=3).build()
