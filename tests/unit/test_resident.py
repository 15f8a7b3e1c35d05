"""Data in a GPU's memory and steps as CUDA graphs."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.checkpoint import build_network
from molgen.config import load_experiment
from molgen.molecules.data import PackedMolecules
from molgen.molecules.prepare import Labels, open_source, prepare
from molgen.train.graphs import Graphs
from molgen.train.resident import Resident, place

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "qm9"
    prepare(open_source(str(ROOT / "data/qm9_sample/qm9_sample.sdf.gz")), out, Labels((), ("logp",)))
    return PackedMolecules(out, ["logp"])


def test_batches_are_those_of_the_data_set(data):
    resident = Resident(data, torch.device("cpu"), chunk=23)
    assert len(resident) == len(data)
    rng = np.random.default_rng(0)
    for count in (1, 2, 40):
        rows = rng.choice(len(data), count, replace=False)
        expected, found = data.batch(rows), resident.batch(rows)
        assert found.fields.keys() == expected.fields.keys()
        for name, value in expected.fields.items():
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value)
        assert torch.equal(found.mask, expected.mask)
        assert torch.equal(found.labels["logp"], expected.labels["logp"])


def test_molecules_are_counted_as_in_a_sequence(data):
    last = len(data) - 1
    assert data.molecule(-1) == data.molecule(last) != data.molecule(0)
    mask = np.zeros(len(data), bool)
    mask[[3, last]] = True
    expected = data.batch([3, last])
    for other in (data.batch([3, -1]), data.batch(mask), data.batch(np.array([3, last]))):
        assert all(torch.equal(other[name], expected[name]) for name in expected.fields)
        assert torch.equal(other.labels["logp"], expected.labels["logp"])
    for strange in ([len(data)], [-len(data) - 1], [], mask[:-1], [1.5], [[0, 1]]):
        with pytest.raises(IndexError, match=f"expected numbers of its {len(data)} molecules"):
            data.batch(np.array(strange))


def test_data_stay_where_they_are_without_a_gpu(data):
    assert place(data, torch.device("cpu")) is data


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("again", [False, True])
def test_a_replayed_step_has_the_loss_and_the_gradients_of_a_plain_one(data, again):
    experiment = load_experiment(ROOT / "configs/debug_molecule.yaml", ["data.conditions=[logp]"])
    network = build_network(experiment, data.statistics).cuda()
    twin = copy.deepcopy(network)

    def loss(of):
        return lambda batch, first: experiment.objective(of, batch, again=first)

    size = int(np.bincount(data.sizes).argmax())
    graphs, plain = Graphs(loss(network), list(network.parameters()), [(8, size)]), Graphs(loss(twin), list(twin.parameters()), [])
    batch = data.batch(np.flatnonzero(data.sizes == size)[:8]).to("cuda")
    for seed in range(4):
        total, _ = graphs.step(batch, seed, again)
        expected, _ = plain.step(batch, seed, again)
        torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
        for a, b in zip(network.parameters(), twin.parameters(), strict=True):
            if b.grad is not None:
                torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5)
    assert len(graphs.captured) == 1
    assert not plain.captured
