"""Parts of the equivariant transformer against their formulas, written out pair by pair."""

import pytest
import torch
from torch.nn import functional

from molgen.batch import mask_of
from molgen.nn.embed import RadialBasis
from molgen.nn.equivariant import EquivariantTransformer, Layer
from molgen.nn.layers import modulate, normalize_vectors, vector_norm
from molgen.nn.pairs import Pairs

CONFIG = EquivariantTransformer(scalars=8, vectors=4, pairs=6, heads=2, radial=5, context=4)
B, N = 2, 5


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = Layer(CONFIG).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return layer


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return normal(B, N, 8), normal(B, N, 3, 4), normal(B, N * (N - 1) // 2, 6)


def test_pairs_see_inner_products_of_their_ends(layer, state):
    """Scalars and vectors of both ends by their products ``s_i s_j`` and ``v_i . v_j``, and the sum of what each end sends."""
    h, v, e = state
    i, j = torch.triu_indices(N, N, 1)
    distance = torch.rand(B, len(i), 1, dtype=torch.float64)
    mods = torch.randn(8, B, 6, dtype=torch.float64).unbind()
    radial = torch.rand(B, len(i), 5, dtype=torch.float64)
    found = layer.update_pairs(h, v, e, distance, mods, radial, Pairs(N, h))
    scalar, vector = layer.pair_scalars(h), v @ layer.pair_vectors.weight.T
    inner = (vector[:, i] * vector[:, j]).sum(-2)
    seen = torch.cat([modulate(e, mods[6], mods[7]), radial, distance, inner, scalar[:, i] * scalar[:, j]], -1)
    ends = layer.pair_ends(h)
    expected = e + layer.pair_out(functional.silu(layer.pair_in(seen) + ends[:, i] + ends[:, j]))
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


def test_attention_is_its_formula(layer, state):
    """Logits ``q_i . k_j / sqrt(d) + b_ij`` over real nodes; vectors come along unit differences and from other vectors."""
    h, v, e = state
    mask = mask_of([5, 3])
    unit = torch.randn(B, N, N, 3, dtype=torch.float64) * mask[:, None, :, None]
    found, found_vectors = layer.attend(h, v, e, unit, Pairs(N, h), mask)
    pairs = torch.zeros(B, N, N, layer.from_pairs.out_features, dtype=torch.float64)
    upper = torch.triu_indices(N, N, 1)
    pairs[:, upper[0], upper[1]] = pairs[:, upper[1], upper[0]] = layer.from_pairs(e)
    bias, pair_value, gate = pairs.split([2, 3, 4], -1)
    query, key, value = layer.query_key_value(h).chunk(3, -1)
    moved = v @ layer.values_vector.weight.T
    for b in range(B):
        real = int(mask[b].sum())
        for i in range(real):
            from_nodes, from_pairs, across = [], [], []
            for head in range(2):
                own = slice(4 * head, 4 * head + 4)
                logits = torch.stack([query[b, i, own] @ key[b, j, own] / 4**0.5 + bias[b, i, j, head] for j in range(real)])
                weight = logits.exp() / logits.exp().sum()
                from_nodes.append(weight @ value[b, :real, own])
                from_pairs.append(weight @ pair_value[b, i, :real])
                across.append(torch.einsum("j,jxu->xu", weight, moved[b, :real, :, 2 * head : 2 * head + 2]))
            along = torch.einsum("jx,ju->xu", unit[b, i], gate[b, i])
            message = layer.merge(torch.cat([*from_nodes, *from_pairs, (along.square().sum(0) + 1e-8).sqrt()]))
            torch.testing.assert_close(found[b, i], message, atol=1e-8, rtol=1e-8)
            vectors = layer.merge_vector(torch.cat([along, *across], -1))
            torch.testing.assert_close(found_vectors[b, i], vectors, atol=1e-8, rtol=1e-8)


def test_a_layer_points_from_a_node_to_the_others():
    """With equal gates a node's vector is the sum of unit vectors to the others, over the root of the number of nodes."""
    layer = Layer(CONFIG).double()  # modulation and feed-forward begin at zero
    with torch.no_grad():
        layer.from_pairs.weight.zero_()
        layer.from_pairs.bias.copy_(torch.tensor([0.0] * 5 + [1.0] * 4))
        layer.merge.weight[:4, -4:] = torch.eye(4)  # scalars are the lengths of the sum
        layer.merge_vector.weight.copy_(torch.cat([torch.eye(4), torch.zeros(4, 4)], 1))
    y = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0, 3, 0], [9, 9, 9]]], dtype=torch.float64)
    h, v, e = (torch.zeros(1, *shape, dtype=torch.float64) for shape in ((4, 8), (4, 3, 4), (6, 6)))
    context, mask = torch.zeros(1, 4, dtype=torch.float64), mask_of([3], 4)
    lengths, vectors, *_ = layer(h, v, e, torch.zeros_like(y), y, context, RadialBasis(5), Pairs(4, h), mask)
    torch.testing.assert_close(lengths[0, 0, :4], torch.full((4,), (2 / 3) ** 0.5, dtype=torch.float64))
    direction = vectors[0, 0, :, 0] / vectors[0, 0, :, 0].norm()
    torch.testing.assert_close(direction, torch.tensor([0.5**0.5, 0.5**0.5, 0.0], dtype=torch.float64))
    x, y, _ = vectors[0, 1, :, 0].tolist()  # of the node at (2, 0, 0), whose others are at the origin and at (0, 3, 0)
    assert x < 0 < y


def test_vectors_are_normed_over_channels():
    v = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    length = v.square().sum(-2)
    torch.testing.assert_close(vector_norm(v), (length + 1e-8).sqrt())
    torch.testing.assert_close(normalize_vectors(v), v / (length.mean(-1)[..., None, None] + 1e-4).sqrt())
    torch.testing.assert_close(vector_norm(normalize_vectors(100 * v)).square().mean(-1), torch.ones(2, 3, dtype=torch.float64))


def test_scale_and_shift_follow_the_norm():
    x, scale, shift = torch.randn(2, 3, 4), torch.randn(2, 4), torch.randn(2, 4)
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(modulate(x, scale, shift), (1 + scale)[:, None] * normed + shift[:, None])
