"""Sampling: determinism, sizes, requests, streaming. Uses a tiny untrained model on real statistics: what is tested is the machinery."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from rdkit import Chem

from molgen.checkpoint import Checkpoint, build_denoiser
from molgen.config import build_experiment
from molgen.errors import InputError
from molgen.molecules.export import write_sdf
from molgen.molecules.fields import Statistics
from molgen.sample import Model, Request, Tally, size_probabilities

LABEL = {
    "name": "gap",
    "unit": "eV",
    "count": 100,
    "mean": 5.0,
    "std": 1.0,
    "min": 2.0,
    "max": 8.0,
    "by_size": {"4": [50, 4.0, 0.5], "6": [50, 6.0, 0.5]},
}
STATISTICS = Statistics.from_dict(
    {
        "num_molecules": 100,
        "elements": [1, 6, 8],
        "charges": [-1, 0],
        "sizes": {"4": 50, "6": 50},
        "atom_marginal": [0.5, 0.3, 0.2],
        "charge_marginal": [0.01, 0.99],
        "bond_marginal": [0.7, 0.2, 0.08, 0.02],
        "coordinate_std": 1.2,
        "labels": [LABEL],
        "hydrogens": True,
    }
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    size = {"kind": "equivariant_transformer", "scalars": 16, "vectors": 8, "pairs": 8, "layers": 1, "context": 16}
    experiment = build_experiment({"model": size, "data": {"conditions": ["gap"]}}, "test")
    denoiser = build_denoiser(experiment, STATISTICS).eval()
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Model(Checkpoint("tiny", experiment, STATISTICS, denoiser), "cpu")


def first(model, count, request, window):
    return [molecule for molecule, _ in itertools.islice(model.draws(request, window=lambda: window), count)]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_draw_does_not_depend_on_the_window_or_the_start(model, guidance):
    request = Request(steps=6, seed=11, properties={"gap": 5.0}, guidance=guidance)
    one, many = first(model, 7, request, 1), first(model, 7, request, 64)
    later = [molecule for molecule, _ in itertools.islice(model.draws(request, start=4), 3)]
    for a, b in [*zip(one, many, strict=True), *zip(one[4:], later, strict=True)]:
        assert np.array_equal(a.atomic_numbers, b.atomic_numbers)
        assert np.array_equal(a.bonds, b.bonds)
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-3)
    assert not np.allclose(one[0].positions[:3], first(model, 1, Request(steps=6, seed=12), 1)[0].positions[:3])


def test_sizes_are_those_asked_for_and_follow_the_histogram(model):
    assert {len(m) for m in first(model, 10, Request(steps=1, sizes=[5]), 10)} == {5}
    sizes, probabilities = size_probabilities(STATISTICS, Request())
    assert sizes.tolist() == [4, 6]
    np.testing.assert_allclose(probabilities, [0.5, 0.5])


def test_requested_value_chooses_the_size_that_has_it():
    # shrunken spread: var = (50 * 0.25 + 10 * 1) / 60 = 0.375; the log odds of size 4 at gap 4 are (6 - 4)^2 / (2 var)
    _, probabilities = size_probabilities(STATISTICS, Request(properties={"gap": 4.0}))
    assert np.log(probabilities[0] / probabilities[1]) == pytest.approx(4 / (2 * 0.375))


def test_requests_are_checked(model):
    with pytest.raises(InputError, match="unknown property 'homo'; it was trained with gap"):
        model.sample(1, properties={"homo": 1.0})
    assert model.warnings(Request(properties={"gap": 9.0})) == ["gap=9 eV is outside the training range 2 to 8"]
    assert model.warnings(Request(properties={"gap": 5.0}, sizes=[4])) == []
    assert "never occurred" in model.warnings(Request(sizes=[40]))[0]
    with pytest.raises(InputError, match="at least 1 atom"):
        model.sample(1, sizes=[0])


def test_hopeless_requests_stop_with_the_reason(model):
    with pytest.raises(InputError, match="1000 draws in a row failed the check"):
        model.sample(5, steps=1, sizes=[6])


def test_a_model_of_heavy_atoms_is_judged_with_implicit_hydrogens(tmp_path):
    torch.manual_seed(0)
    size = {"kind": "equivariant_transformer", "scalars": 16, "vectors": 8, "pairs": 8, "layers": 1, "context": 16}
    experiment = build_experiment({"model": size}, "test")
    statistics = replace(STATISTICS, elements=(6, 7, 8), sizes={1: 5, 2: 5, 3: 5}, hydrogens=False, bond_marginal=(0.1, 0.8, 0.08, 0.02))
    model = Model(Checkpoint("heavy", experiment, statistics, build_denoiser(experiment, statistics).eval()), "cpu")
    tally = Tally()
    molecules = list(model.stream(40, Request(steps=2, seed=1), tally=tally))
    write_sdf(tmp_path / "a.sdf", molecules)
    for molecule, mol in zip(molecules, Chem.SDMolSupplier(str(tmp_path / "a.sdf")), strict=True):
        assert {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"C", "N", "O"}
        assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0
        assert Chem.MolToSmiles(mol, isomericSmiles=False) == molecule.properties["smiles"]
    assert {"C", "CO"} <= {molecule.properties["smiles"] for molecule in molecules}
    assert tally.unique == len({molecule.properties["smiles"] for molecule in molecules}) < 40


def test_stream_counts_what_it_draws(model):
    tally = Tally()
    molecules = list(model.stream(9, Request(steps=1, keep_invalid=True), tally=tally))
    assert [m.properties["index"] for m in molecules] == list(range(9))
    assert tally.kept == tally.drawn == 9
    assert sum(tally.failures.values()) == sum(not m.properties["passed"] for m in molecules)
