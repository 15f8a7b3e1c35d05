"""Muon against its closed forms, PyTorch's own and Adam."""

import pytest
import torch

from molgen.nn.equivariant import EquivariantTransformer
from molgen.train.muon import Muon, orthogonalize, split_parameters


@pytest.mark.parametrize("shape", [(5, 24, 40), (5, 40, 24), (3, 16, 16)])
def test_singular_vectors_stay_and_values_come_near_one(shape):
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(shape, generator=generator, dtype=torch.float64)
    u, s, vt = torch.linalg.svd(matrices, full_matrices=False)
    core = u.mT @ orthogonalize(matrices) @ vt.mT  # diagonal in the basis of the singular vectors
    values = core.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(core, torch.diag_embed(values), atol=1e-9, rtol=0)
    large = s > 0.1 * s.amax(-1, keepdim=True)
    assert large.any()
    assert values[large].min() > 0.6
    assert values.max() < 1.25


def test_single_precision_comes_near_double():
    matrices = torch.randn(5, 24, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = orthogonalize(matrices)
    found = orthogonalize(matrices.float())
    assert found.dtype == torch.float32
    assert (found - exact).norm() < 0.03 * exact.norm()


def gradients(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def parameters():
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((12, 20), (12, 20), (20, 12), (30,), (3, 7))]


def test_the_others_take_the_steps_of_adamw():
    ours, theirs = parameters(), parameters()
    first = Muon([], ours, 1e-2, weight_decay=0.1)
    second = torch.optim.AdamW(theirs, 1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    for step in range(5):
        for optimizer, chosen in ((first, ours), (second, theirs)):
            gradients(chosen, step)
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_matrices_take_the_steps_of_pytorchs_muon():
    ours, theirs = parameters()[:3], parameters()[:3]
    before = parameters()[:3]
    first = Muon(ours, [], 1e-2, weight_decay=0.1)
    second = torch.optim.Muon(theirs, 1e-2, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        for optimizer, chosen in ((first, ours), (second, theirs)):
            gradients(chosen, step)
            optimizer.step()
    for a, b, start in zip(ours, theirs, before, strict=True):  # theirs iterates in bfloat16
        assert (a - b).norm() < 0.02 * (a - start).norm()


def test_matrices_of_the_layers_go_to_muon_and_all_else_to_adam():
    network = EquivariantTransformer(scalars=16, vectors=8, pairs=8, layers=2, heads=4, context=8).build(5, 4, 5, 4, 0)
    matrices, others = split_parameters(network)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert len(matrices) + len(others) == len(names)
    assert all(names[id(p)].startswith("layers.") and p.dim() == 2 for p in matrices)
    rest = {names[id(p)] for p in others}
    assert {"nodes_in.weight", "pairs_in.weight", "layers.0.displace.weight", "layers.1.merge.bias"} <= rest
    assert not any(name.endswith("query_key_value.weight") for name in rest)


def test_parameters_without_a_gradient_stay_and_the_others_take_their_own_steps():
    """Of three matrices of one shape the first has none; the steps of the other two are those that they take alone."""
    for kind in ("matrices", "others"):
        every, alone = ([torch.nn.Parameter(p.detach().clone()) for p in (parameters()[k] for k in (0, 1, 1))] for _ in range(2))
        for first, chosen in ((every, every[1:]), (alone[1:], alone[1:])):
            optimizer = Muon(*((first, []) if kind == "matrices" else ([], first)), 1e-2, weight_decay=0.1)
            for step in range(3):
                gradients(chosen, step)
                optimizer.step()
        assert torch.equal(every[0], alone[0])
        assert torch.equal(every[1], alone[1])
        assert torch.equal(every[2], alone[2])
        assert not torch.equal(every[1], every[2])
