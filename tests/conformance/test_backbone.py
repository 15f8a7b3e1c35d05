"""Every backbone: the symmetries of space, independence from padding and batch, finite gradients, in float32 and float64.

A new backbone is tested by being listed in BACKBONES.
"""

import pytest
import torch
from torch.nn import functional

from molgen.batch import mask_of
from molgen.geometry import center
from molgen.nn.equivariance import NODE, PAIR, POSITION, SAMPLE, VECTOR, assert_equivariant
from molgen.nn.equivariant import EquivariantTransformer, Layer
from molgen.nn.pairs import Pairs
from molgen.nn.tensor_product import TensorProduct

BACKBONES = {
    "equivariant_transformer": EquivariantTransformer(scalars=32, vectors=8, pairs=16, layers=3, heads=4, context=16),
    "equivariant_transformer, moving its input": EquivariantTransformer(
        scalars=32, vectors=8, pairs=16, layers=3, heads=4, context=16, moves="input"
    ),
    "tensor_product": TensorProduct(scalars=16, tensors=8, pairs=16, layers=2, context=16),
    "tensor_product, l=3": TensorProduct(scalars=16, tensors=4, pairs=8, degree=3, layers=2, context=16),
}
WIDTHS = {"nodes_in": 5, "pairs_in": 4, "nodes_out": 3, "pairs_out": 2, "conditions": 2}
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


@pytest.fixture(params=list(BACKBONES))
def config(request):
    return BACKBONES[request.param]


def build(config, dtype):
    """A backbone without any zero weight: as initialised its last layers are zero, which would satisfy every symmetry."""
    torch.manual_seed(0)
    model = config.build(**WIDTHS)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter.shape[-1] if parameter.dim() > 1 else 4
            parameter.normal_(0, 0.7 / fan_in**0.5)
    return model.to(dtype)


def inputs(dtype, sizes=(7, 1, 4, 2), seed=1):
    """Random inputs as a denoiser makes them: centred positions, symmetric pairs."""
    generator = torch.Generator().manual_seed(seed)
    b, n = len(sizes), max(sizes)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    mask = mask_of(sizes)
    pairs = normal(b, n, n, WIDTHS["pairs_in"])
    positions = torch.stack([center(normal(b, n, 3), mask), center(normal(b, n, 3), mask)], 2)
    return {
        "positions": positions,
        "estimate": 1.5 * positions[:, :, 0],
        "gain": torch.linspace(0.1, 1, b, dtype=torch.float64).to(dtype),
        "nodes": normal(b, n, WIDTHS["nodes_in"]),
        "pairs": (pairs + pairs.transpose(1, 2)) / 2,
        "mask": mask,
        "level": normal(b),
        "condition": normal(b, WIDTHS["conditions"]),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_symmetries_padding_and_batch(config, dtype):
    assert_equivariant(build(config, dtype).eval(), inputs(dtype), ROLES, OUTPUTS)


def test_outputs_depend_on_every_input(config):
    model, given = build(config, torch.float64), inputs(torch.float64)
    reference = model(**given)
    unread = {"mask", "gain"} | ({"estimate"} if getattr(config, "moves", "estimate") == "input" else set())
    for name, other in inputs(torch.float64, seed=2).items():
        if name in unread:
            continue
        changed = model(**{**given, name: other})
        assert all((a - b).abs().max() > 1e-6 for a, b in zip(reference, changed, strict=True)), name


def test_the_input_is_moved_by_all_of_the_displacement():
    """With the scaled input as the estimate and a gain of 1 both kinds of network are the same function."""
    moving = BACKBONES["equivariant_transformer, moving its input"]
    given = inputs(torch.float64)
    same = {**given, "estimate": given["positions"][:, :, 0], "gain": torch.ones_like(given["gain"])}
    expected = build(BACKBONES["equivariant_transformer"], torch.float64)(**same)
    for found, wanted in zip(build(moving, torch.float64)(**given), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_displacement_is_centred_and_pairs_are_symmetric(config):
    given = inputs(torch.float64)
    displacement, _, pairs = build(config, torch.float64)(**given)
    torch.testing.assert_close(displacement.sum(1), torch.zeros_like(displacement[:, 0]), atol=1e-12, rtol=0)
    assert not displacement[~given["mask"]].any()
    torch.testing.assert_close(pairs, pairs.transpose(1, 2), atol=1e-12, rtol=0)
    assert not pairs.diagonal(dim1=1, dim2=2).any()


@pytest.mark.parametrize("place", ["apart", "coincident", "all at the origin", "far away"])
def test_gradients_are_finite(config, place):
    model, given = build(config, torch.float32), inputs(torch.float32)
    positions = given["positions"]
    if place == "coincident":
        positions[:, 1] = positions[:, 0]
    elif place == "all at the origin":
        positions.zero_()
    elif place == "far away":
        positions.mul_(1e3)
    given["positions"] = positions.requires_grad_()
    given["estimate"] = 1.5 * positions[:, :, 0]
    outputs = model(**given)
    sum(y.square().mean() for y in outputs).backward()
    assert all(torch.isfinite(y).all() for y in outputs)
    assert torch.isfinite(positions.grad).all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_fresh_backbone_predicts_no_displacement(config):
    torch.manual_seed(0)
    outputs = config.build(**WIDTHS)(**inputs(torch.float32))
    assert not any(y.any() for y in outputs)


def test_the_state_holds_parameters_only(config):
    model = config.build(**WIDTHS)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_attention_between_scalars_is_that_of_torch():
    torch.manual_seed(0)
    layer = Layer(EquivariantTransformer(scalars=8, vectors=2, pairs=4, heads=2, radial=4, context=4))
    with torch.no_grad():
        layer.from_pairs.bias.zero_()  # pairs say nothing
        layer.merge.weight[:, :8] = torch.eye(8)
    h, real = torch.randn(1, 3, 8), torch.ones(1, 3, dtype=torch.bool)
    found, _ = layer.attend(h, torch.zeros(1, 3, 3, 2), torch.zeros(1, 3, 4), torch.zeros(1, 3, 3, 3), Pairs(3, h), real)
    q, k, value = (x.view(1, 3, 2, 4).transpose(1, 2) for x in layer.query_key_value(h).chunk(3, -1))
    torch.testing.assert_close(found, functional.scaled_dot_product_attention(q, k, value).transpose(1, 2).flatten(2))
