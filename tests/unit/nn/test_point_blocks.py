"""Blocks of networks on point clouds against their formulas, written out point by point."""

import pytest
import torch
from torch.nn import functional

from molgen.batch import mask_of
from molgen.nn.layers import modulate, normalize_vectors
from molgen.nn.point_blocks import Attention, Mix, Neighbours

C, U, HEADS = 8, 4, 2


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def filled(block):
    """A block without any weight at zero."""
    for name, parameter in block.double().named_parameters():
        if name != "log_width":
            torch.nn.init.normal_(parameter, std=0.4)
    return block


def length(v):
    """Of vectors (..., 3, u)."""
    return (v.square().sum(-2) + 1e-8).sqrt()


def test_attention_is_its_formula():
    """Logits ``q.k / sqrt(c) - |x_i - x_j|^2 / (2 w^2)`` over real sources; the mean of places less the own, in units of the width."""
    attention, (h, v), (h_source, v_source) = (
        filled(Attention(C, U, HEADS, 3)),
        (normal(2, 4, C), normal(2, 4, 3, U)),
        (
            normal(2, 5, C),
            normal(2, 5, 3, U),
        ),
    )
    places, real, context = (normal(2, 4, 3), normal(2, 5, 3)), mask_of([5, 3]), normal(2, 3)
    found, found_vectors = attention((h, v), (h_source, v_source), places, real, context)
    scale, shift, gain = attention.modulation(context).chunk(3, -1)
    query = attention.query(modulate(h, scale, shift))
    key, value = attention.key_value(functional.layer_norm(h_source, (C,))).chunk(2, -1)
    moved, width = attention.vectors(v_source), attention.log_width.exp()
    wide, narrow = C // HEADS, U // HEADS
    for b in range(2):
        there = int(real[b].sum())
        for i in range(4):
            seen, across, toward = [], [], []
            for head in range(HEADS):
                own = slice(wide * head, wide * (head + 1))
                gaps = (places[0][b, i] - places[1][b, :there]).square().sum(-1)
                logits = key[b, :there, own] @ query[b, i, own] / wide**0.5 - gaps / (2 * width[head] ** 2)
                weight = logits.softmax(-1)
                seen.append(weight @ value[b, :there, own])
                across.append(torch.einsum("j,jxu->xu", weight, moved[b, :there, :, narrow * head : narrow * (head + 1)]))
                toward.append((weight @ places[1][b, :there] - places[0][b, i]) / width[head])
            shifted = torch.stack(toward, -1)
            expected = h[b, i] + (1 + gain[b]) * attention.merge(torch.cat([*seen, length(shifted)]))
            torch.testing.assert_close(found[b, i], expected, atol=1e-8, rtol=1e-8)
            vectors = v[b, i] + attention.merge_vectors(torch.cat([*across, shifted], -1))
            torch.testing.assert_close(found_vectors[b, i], normalize_vectors(vectors[None, None])[0, 0], atol=1e-8, rtol=1e-8)


def test_neighbours_are_their_formula():
    """Means of messages over the neighbours that exist, with distances in units of their mean."""
    block, n, k = filled(Neighbours(C, U, 1, 3)), 5, 3
    h, v, x, context, frame = normal(1, n, C), normal(1, n, 3, U), normal(1, n, 3), normal(1, 3), torch.tensor([[0.0, 0.0, 1.0]]).double()
    index = torch.tensor([[[(i + step) % n for step in (1, 2, 3)] for i in range(n)]])
    exists = torch.ones(1, n, k, dtype=torch.bool)
    exists[0, 0, 2] = exists[0, 1, 1] = exists[0, 1, 2] = False
    found, found_vectors = block(h, v, x, index, exists, frame, context)
    scale, shift, gain = block.modulation(context).chunk(3, -1)
    own, other = block.ends(modulate(h, scale, shift))[0].chunk(2, -1)
    vector_own, vector_other = block.vector_ends(v)[0].chunk(2, -1)
    for i in range(n):
        near = [int(index[0, i, slot]) for slot in range(k) if exists[0, i, slot]]
        gaps = torch.stack([x[0, j] - x[0, i] for j in near])
        distance = (gaps.square().sum(-1) + 1e-8).sqrt()
        mean = distance.mean() + 1e-4
        total, pulled = torch.zeros(C).double(), torch.zeros(3, U).double()
        for j, gap, d in zip(near, gaps, distance, strict=True):
            unit, relative = gap / d, (d / mean)[None]
            along = [unit @ vector_own[i], unit @ vector_other[j], unit @ frame.T]
            message = functional.silu(own[i] + other[j] + block.edge(torch.cat([relative, 1 / (1 + relative), *along])))
            total, pulled = total + message / len(near), pulled + torch.outer(unit, block.gate(message)) / len(near)
        update = block.merge(torch.cat([total, length(pulled), mean.log()[None]]))
        torch.testing.assert_close(found[0, i], h[0, i] + (1 + gain[0]) * update, atol=1e-8, rtol=1e-8)
        vectors = v[0, i] + block.vectors(pulled)
        torch.testing.assert_close(found_vectors[0, i], normalize_vectors(vectors[None, None])[0, 0], atol=1e-8, rtol=1e-8)


def test_mixing_is_its_formula():
    """Inner products of mixed vectors feed scalars, which gate and keep the vectors."""
    mix, h, v, context = filled(Mix(C, U, 3)), normal(2, 4, C), normal(2, 4, 3, U), normal(2, 3)
    found, found_vectors = mix(h, v, context)
    scale, shift, gain = mix.modulation(context).chunk(3, -1)
    left, right = mix.ends(v).chunk(2, -1)
    inner = torch.cat([modulate(h, scale, shift), (left * right).sum(2)], -1)
    update, gate, keep = mix.contract(functional.silu(mix.expand(inner))).split([C, U, U], -1)
    torch.testing.assert_close(found, h + (1 + gain[:, None]) * update)
    torch.testing.assert_close(found_vectors, v * (1 + keep[:, :, None]) + mix.vectors(v) * gate[:, :, None])
