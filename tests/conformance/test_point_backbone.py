"""The backbones of point clouds: symmetries with and without a reference frame, padding, batch, gradients, other numbers of points."""

import math

import pytest
import torch

from molgen.batch import mask_of
from molgen.errors import InputError
from molgen.geometry import center, farthest_points, nearest_neighbours
from molgen.nn.equivariance import NODE, PAIR, POSITION, SAMPLE, VECTOR, assert_equivariant, equivariance_errors
from molgen.nn.point_blocks import Attention
from molgen.nn.point_transformer import PointTransformer
from molgen.nn.point_unet import PointUNet

SIZES = {"scalars": 16, "vectors": 8, "neighbours": 4, "levels": (6, 3), "layers": 1, "heads": 4, "context": 16}
SMALL = {PointUNet: SIZES, PointTransformer: {"scalars": 16, "vectors": 8, "layers": 2, "heads": 4, "context": 16}}
KINDS = pytest.mark.parametrize("kind", list(SMALL), ids=lambda kind: kind.__name__)
ROLES = {
    "positions": VECTOR,
    "estimate": POSITION,
    "gain": SAMPLE,
    "nodes": NODE,
    "pairs": PAIR,
    "level": SAMPLE,
    "condition": SAMPLE,
}
OUTPUTS = (VECTOR, NODE, PAIR)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def build(dtype, frame="none", kind=PointUNet):
    """A backbone without any zero weight."""
    torch.manual_seed(0)
    model = kind(**SMALL[kind], frame=frame).build(3, 0, 2, 0, 2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("log_width"):
                parameter.normal_(0, 0.7 / (parameter.shape[-1] if parameter.dim() > 1 else 4) ** 0.5)
    return model.to(dtype)


def inputs(dtype, sizes=(13, 1, 9, 2), seed=1):
    generator = torch.Generator().manual_seed(seed)
    b, n = len(sizes), max(sizes)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    mask = mask_of(sizes)
    positions = torch.stack([center(normal(b, n, 3), mask), center(normal(b, n, 3), mask)], 2)
    return {
        "positions": positions,
        "estimate": 1.5 * positions[:, :, 0],
        "gain": torch.linspace(0.1, 1, b, dtype=torch.float64).to(dtype),
        "nodes": normal(b, n, 3),
        "pairs": normal(b, n, n, 0),
        "mask": mask,
        "level": normal(b),
        "condition": normal(b, 2),
    }


@KINDS
@DTYPES
def test_symmetries_padding_and_batch(dtype, kind):
    assert_equivariant(build(dtype, kind=kind).eval(), inputs(dtype), ROLES, OUTPUTS)


def turned(given, matrix):
    return {name: value @ matrix.T if name in ("positions", "estimate") else value for name, value in given.items()}


def error(model, given, matrix):
    """Relative difference between moving the input and moving the output."""
    with torch.no_grad():
        found, expected = model(**turned(given, matrix))[0], model(**given)[0] @ matrix.T
    return float((found - expected).abs().max() / expected.abs().max())


@KINDS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_up_axis_keeps_exactly_the_symmetries_about_it(axis, kind):
    model, given = build(torch.float64, "xyz"[axis], kind), inputs(torch.float64)
    a, b = [other for other in range(3) if other != axis]
    spin, mirror, tilt = (torch.eye(3, dtype=torch.float64) for _ in range(3))
    c, s = math.cos(0.7), math.sin(0.7)
    spin[a, a], spin[a, b], spin[b, a], spin[b, b] = c, -s, s, c
    mirror[a, a] = -1
    tilt[a, a], tilt[a, axis], tilt[axis, a], tilt[axis, axis] = c, -s, s, c
    flip = torch.eye(3, dtype=torch.float64)
    flip[axis, axis] = -1
    assert error(model, given, spin) < 1e-10
    assert error(model, given, mirror) < 1e-10
    assert error(model, given, tilt) > 1e-3
    assert error(model, given, flip) > 1e-3


@KINDS
def test_full_frame_keeps_no_rotation_but_order_padding_and_place(kind):
    model, given = build(torch.float64, "full", kind), inputs(torch.float64)
    errors = equivariance_errors(model, given, ROLES, OUTPUTS)
    assert all(max(errors[name]) < 1e-10 for name in ("translation", "permutation", "padding", "one by one"))
    assert all(errors[name][0] > 1e-3 for name in ("rotation", "reflection"))


@KINDS
def test_outputs_depend_on_every_input(kind):
    model, given = build(torch.float64, kind=kind), inputs(torch.float64)
    reference = model(**given)[:2]
    for name, other in inputs(torch.float64, seed=2).items():
        if name in ("mask", "gain", "pairs"):
            continue
        assert all((a - b).abs().max() > 1e-6 for a, b in zip(reference, model(**{**given, name: other})[:2], strict=True)), name


@KINDS
@pytest.mark.parametrize("place", ["apart", "coincident", "all at the origin", "far away"])
def test_gradients_are_finite(place, kind):
    model, given = build(torch.float32, kind=kind), inputs(torch.float32)
    positions = given["positions"]
    if place == "coincident":
        positions[:, 1:4] = positions[:, :1]
    elif place == "all at the origin":
        positions.zero_()
    elif place == "far away":
        positions.mul_(1e3)
    given["positions"] = positions.requires_grad_()
    given["estimate"] = 1.5 * positions[:, :, 0]
    displacement, features, _ = model(**given)
    (displacement.square().mean() + features.square().mean()).backward()
    assert torch.isfinite(displacement).all()
    assert torch.isfinite(positions.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@KINDS
def test_a_fresh_backbone_predicts_no_displacement(kind):
    outputs = kind(**SMALL[kind], frame="full").build(3, 0, 2, 0, 2)(**inputs(torch.float32))
    assert not any(y.any() for y in outputs)


def test_pair_features_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="no pair features"):
        PointUNet().build(3, 4, 2, 2, 0)
    with pytest.raises(InputError, match="no pair features"):
        PointTransformer().build(3, 4, 2, 2, 0)
    for kind in SMALL:
        with pytest.raises(InputError, match="must divide"):
            kind(heads=7).build(0, 0, 0, 0, 0)
    with pytest.raises(InputError, match=r"model\.levels: expected at least one number"):
        PointUNet(levels=()).build(0, 0, 0, 0, 0)


def test_nearest_neighbours_are_those_of_all_distances():
    generator = torch.Generator().manual_seed(0)
    x, mask = torch.randn(3, 40, 3, generator=generator), mask_of([40, 1, 5])
    index, exists = nearest_neighbours(x, mask, 6)
    assert exists.sum((1, 2)).tolist() == [240, 0, 20]
    gaps = torch.cdist(x, x) + torch.where(mask, 0.0, torch.inf)[:, None] + torch.diag(torch.full((40,), torch.inf))
    for row, kept in ((0, 6), (2, 4)):
        real = mask[row]
        expected = gaps[row].topk(kept, largest=False).indices[real].sort(-1).values
        assert torch.equal(index[row, real, :kept].sort(-1).values, expected)


def test_neighbours_of_coincident_points_are_others():
    index, exists = nearest_neighbours(torch.zeros(1, 9, 3), torch.ones(1, 9, dtype=torch.bool), 4)
    assert exists.all()
    assert (index[0] != torch.arange(9)[:, None]).all()
    assert all(len(set(row)) == 4 for row in index[0].tolist())


def test_coincident_points_are_chosen_once_each():
    index, _ = farthest_points(torch.zeros(1, 4, 3), torch.ones(1, 4, dtype=torch.bool), 4)
    assert sorted(index[0].tolist()) == [0, 1, 2, 3]


def test_farthest_points_spread_over_clusters():
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]])
    x = (corners[:, None] + 0.1 * torch.randn(4, 8, 3, generator=generator)).reshape(1, 32, 3)
    index, exists = farthest_points(x, torch.ones(1, 32, dtype=torch.bool), 4)
    assert exists.all()
    assert sorted((index[0] // 8).tolist()) == [0, 1, 2, 3]
    index, exists = farthest_points(x.expand(2, -1, -1), mask_of([32, 3], 32), 40)
    assert exists.sum(-1).tolist() == [32, 3]
    assert sorted(index[1, :3].tolist()) == [0, 1, 2]


def test_a_sample_that_diverged_does_not_stop_the_others():
    x, mask = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0)), mask_of([20, 12])
    alone, _ = nearest_neighbours(x[1:], mask[1:], 4)
    x[0, 3], x[0, 5] = torch.nan, torch.inf
    index, exists = nearest_neighbours(x, mask, 4)
    assert torch.equal(index[1], alone[0])
    assert exists[0].all()


def test_attention_sees_places_in_units_of_its_widths():
    torch.manual_seed(0)
    attention = Attention(8, 4, 2, 4)
    torch.nn.init.normal_(attention.merge.weight)
    state, x = (torch.randn(1, 3, 8), torch.randn(1, 3, 3, 4)), torch.randn(1, 3, 3)
    real, context = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 4)
    with torch.no_grad():
        expected = attention(state, state, (x, x), real, context)
        attention.log_width += math.log(3)
        found = attention(state, state, (3 * x, 3 * x), real, context)
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value, wanted, atol=1e-4, rtol=1e-4)
