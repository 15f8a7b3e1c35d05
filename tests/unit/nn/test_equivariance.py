"""The assertion itself: it passes what is equivariant and names the symmetry that is broken."""

import pytest
import torch

from molgen.batch import mask_of
from molgen.geometry import center
from molgen.nn.equivariance import NODE, PAIR, POSITION, VECTOR, assert_equivariant, equivariance_errors

SIZES = [5, 1, 3]


def example(dtype=torch.float64):
    torch.manual_seed(0)
    return {"x": torch.randn(3, 5, 3, dtype=dtype), "mask": mask_of(SIZES)}


def centred(x, mask):
    return center(x, mask)


def lengths(x, mask):
    return x.norm(dim=-1)


def sees_padding(x, mask):
    return x - x.mean(1, keepdim=True)


def sees_the_batch(x, mask):
    return center(x, mask) / center(x, mask).norm(dim=-1).max()


def pseudovector(x, mask):
    """Turns with rotations but not with reflections: the sum of cross products, weighted by lengths."""
    y = center(x, mask)
    first, second = y * y.square().sum(-1, keepdim=True), y * y.norm(dim=-1, keepdim=True)
    return torch.linalg.cross(first.sum(1, keepdim=True).expand_as(y), second, dim=-1)


@pytest.mark.parametrize(
    ("function", "output", "broken"),
    [
        (centred, VECTOR, set()),
        (lambda x, mask: x, POSITION, set()),
        (lambda x, mask: torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist"), PAIR, set()),
        (lambda x, mask: x, VECTOR, {"translation"}),
        (lengths, NODE, {"translation"}),
        (lambda x, mask: center(x, mask)[..., 0], NODE, {"rotation", "reflection"}),
        (pseudovector, VECTOR, {"reflection"}),
        (lambda x, mask: center(x, mask) * torch.arange(1, x.shape[1] + 1)[:, None], VECTOR, {"permutation"}),
        (sees_padding, VECTOR, {"padding", "one by one"}),
        (sees_the_batch, VECTOR, {"one by one"}),
        (
            lambda x, mask: center(x, mask) * float("nan"),
            VECTOR,
            {"rotation", "reflection", "translation", "permutation", "padding", "one by one"},
        ),
    ],
)
def test_broken_symmetries_are_named(function, output, broken):
    errors = equivariance_errors(function, example(), {"x": POSITION}, [output])
    assert {name for name, (value,) in errors.items() if value > 1e-10} == broken
    if not broken:
        assert_equivariant(function, example(), {"x": POSITION}, [output])
        return
    with pytest.raises(AssertionError, match="relative errors above 1e-10") as caught:
        assert_equivariant(function, example(), {"x": POSITION}, [output])
    assert all(f"{name}: " in str(caught.value) for name in broken)


def test_single_precision_has_its_own_tolerance():
    assert_equivariant(centred, example(torch.float32), {"x": POSITION}, [VECTOR])
    with pytest.raises(AssertionError, match="above 1e-12"):
        assert_equivariant(centred, example(torch.float32), {"x": POSITION}, [VECTOR], tolerance=1e-12)


def test_wrong_roles_are_refused():
    with pytest.raises(ValueError, match=r"roles are needed for exactly the inputs \['mask', 'x'\]"):
        equivariance_errors(centred, example(), {"y": POSITION}, [VECTOR])
    with pytest.raises(ValueError, match="returned 1 tensors but 2 output roles"):
        equivariance_errors(centred, example(), {"x": POSITION}, [VECTOR, VECTOR])


def test_errors_are_relative_to_the_largest_output():
    def broken(scale):
        return lambda x, mask: scale * center(x, mask) * torch.arange(1, x.shape[1] + 1)[:, None]

    once, often = (equivariance_errors(broken(scale), example(), {"x": POSITION}, [VECTOR])["permutation"][0] for scale in (1, 1000))
    assert once == pytest.approx(often)
    assert 0.05 < once < 5
