"""The point autoencoder: symmetries, allotment of points to cells, losses against closed forms, learning."""

import math

import numpy as np
import pytest
import torch

from molgen.batch import Batch, mask_of
from molgen.errors import InputError
from molgen.geometry import center
from molgen.nn.equivariance import POSITION, Role, equivariance_errors
from molgen.nn.point_autoencoder import PointAutoencoder, spacing
from molgen.nn.reconstruction import Reconstruction, chamfer, sliced
from molgen.shapes.metrics import chamfer as exact_chamfer

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


def around(network):
    """Decoder after encoder, 40 points."""

    def function(x, mask):
        return network(network.encode(center(x, mask), mask), 40)

    return function


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_without_a_frame_decoder_after_encoder_is_equivariant_whatever_the_order_and_the_padding(dtype, tolerance):
    mask = mask_of([30, 4, 23])  # one cloud has fewer points than there are latent points
    x = torch.randn(3, 30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype) * mask.unsqueeze(-1)
    errors = equivariance_errors(around(build(dtype)), {"x": x, "mask": mask}, {"x": POSITION}, [Role(0, vector=True)])
    assert max(max(values) for values in errors.values()) < tolerance, errors


def test_a_frame_breaks_rotations_and_nothing_else():
    mask = mask_of([30, 23])
    x = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors = equivariance_errors(around(build(frame="full")), {"x": x, "mask": mask}, {"x": POSITION}, [Role(0, vector=True)])
    assert errors.pop("rotation")[0] > 1e-3
    assert errors.pop("reflection")[0] > 1e-3
    assert max(max(values) for values in errors.values()) < 1e-10, errors


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
    owner, codes = network.layout(features, exists, count)
    assert owner.shape == (2, count)
    for row, share in enumerate((mass[0, :4], mass[1])):
        counts = owner[row].bincount(minlength=len(share))
        assert (counts[: len(share)] - count * share).abs().max() < 1
        assert counts.sum() == count
    assert codes.abs().max() <= 1
    if count == 5000:  # codes of a cell fill the square evenly: moments of the uniform distribution
        one = codes[0][owner[0] == 0]
        assert one.mean(0).abs().max() < 0.01
        assert (one.T @ one / len(one) - torch.eye(2) / 3).abs().max() < 0.01


def test_chamfer_is_that_of_the_metrics_and_ignores_padding():
    x, y = (torch.randn(2, n, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (40, 30))
    masks = mask_of([40, 25]), mask_of([22, 30])
    found = chamfer(x, masks[0], y, masks[1])
    for row in range(2):
        a, b = x[row][masks[0][row]].numpy(), y[row][masks[1][row]].numpy()
        assert float(found[row]) == pytest.approx(exact_chamfer(a, b), rel=1e-9)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = chamfer(x.float(), masks[0], y.float(), masks[1])
    torch.testing.assert_close(mixed, found.float(), rtol=1e-5, atol=0)


def test_sliced_distance_of_single_points_is_their_squared_distance_and_of_permuted_cells_zero():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(1, 4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    owner = torch.arange(4)[None]
    found = sliced(x, y, owner, 20000, generator)
    assert float(found) == pytest.approx(float((x - y).square().sum(-1).mean()), rel=0.05)
    cells = torch.tensor([[0, 0, 1, 1]])
    assert float(sliced(x, x[:, [1, 0, 3, 2]], cells, 5, generator)) == pytest.approx(0, abs=1e-20)
    assert float(sliced(x, x[:, [2, 3, 0, 1]], cells, 5, generator)) > 0.1  # cells do not mix


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
    for _ in range(60):
        loss, parts = objective(network, None, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(parts["chamfer"].detach()))
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    with torch.autocast("cpu", torch.bfloat16):
        loss, parts = objective(network, None, batch, generator)
    assert float(parts["chamfer"].detach()) == pytest.approx(np.mean(losses[-5:]), rel=0.3)
    before = network.eval().mean.clone()
    objective(network, None, batch, generator)
    assert torch.equal(network.mean, before)  # evaluation leaves the moments alone
    raw = network.describe(clouds, batch.mask, *network.cells(clouds, batch.mask))
    assert (raw.mean((0, 1)) - before).abs().max() < 1.0  # they follow with a delay of 50 batches
    assert math.isfinite(float(network.std.max()))
    assert network.std.min() > 0


def test_heads_must_divide_the_channels():
    with pytest.raises(InputError, match=r"model\.heads=3"):
        PointAutoencoder(heads=3).build()
