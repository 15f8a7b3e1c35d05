"""Conformers of several molecules at once: each is what it is alone, also where a run goes on and where one of them cannot be made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

import molgen
from molgen.batch import mask_of
from molgen.conformation import conformers, groups
from molgen.errors import InputError
from molgen.molecules.fields import ANGSTROM_PER_UNIT
from molgen.molecules.stereo import Handedness, Led
from molgen.sample import Request, Tally, Vain

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "molgen/weights/qm9_small/model.safetensors").is_file(), reason="no weights in this tree")
SMILES = ("CCO", "C[C@H](O)N", r"C/C=C\C#N", "CC=C=CC", "c1ccoc1")
REQUEST = Request(steps=10, seed=3)


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return molgen.load("qm9_small", "cpu")


@pytest.fixture(scope="module")
def graphs():
    return [molgen.Conformers.from_smiles(smiles) for smiles in SMILES]


@pytest.fixture(scope="module")
def made(model, graphs):
    tally = Tally()
    return [[*found] for found in conformers(model, graphs, 3, request=REQUEST, tally=tally)], tally


def test_conformers_of_a_list_are_those_of_each_molecule(model, graphs, made):
    found, tally = made
    one = Tally()
    for graph, several in zip(graphs, found, strict=True):
        alone = [*model.stream(3, replace(REQUEST, constraint=graph), tally=one)]
        assert [m.properties for m in several] == [m.properties for m in alone]
        assert [m.properties["conformer_of"] for m in several] == [graph.source] * 3
        for a, b in zip(several, alone, strict=True):
            np.testing.assert_allclose(a.positions, b.positions, atol=1e-3)
    assert (tally.drawn, tally.kept, tally.failures) == (one.drawn, one.kept, one.failures)
    assert tally.drawn > 15  # some failed and were replaced


def test_a_run_that_goes_on_makes_what_is_missing(model, graphs, made):
    found, _ = made
    numbers = [[m.properties["index"] for m in several] for several in found]
    for cut in ([3, 3, 1, 0, 0], [3, 2, 0, 0, 0], [3, 3, 3, 3, 3]):
        done = [own[:k] for own, k in zip(numbers, cut, strict=True)]
        rest = conformers(model, graphs, 3, request=REQUEST, done=done)
        for several, missing, k in zip(found, rest, cut, strict=True):
            again = [*missing]
            assert [m.properties for m in again] == [m.properties for m in several[k:]]
            for a, b in zip(again, several[k:], strict=True):
                np.testing.assert_array_equal(a.positions, b.positions)


def test_a_molecule_that_cannot_be_made_costs_the_others_nothing(model, graphs, made, monkeypatch):
    monkeypatch.setattr("molgen.conformation.IMPATIENCE", 20)
    centre = graphs[1].handedness.centres[0]
    neither = replace(graphs[1], handedness=Handedness(centres=(centre, (*centre[:4], -centre[4]))))  # no geometry has both signs
    rows = conformers(model, [graphs[0], neither, graphs[2]], 3, request=REQUEST, tally=(tally := Tally()))
    first, nothing, last = rows
    with pytest.raises(Vain, match=r"^20 draws in a row failed the check \(most often: other stereo than given\)"):
        next(nothing)
    for several, k in ((first, 0), (last, 2)):
        for a, b in zip(several, made[0][k], strict=True):
            np.testing.assert_allclose(a.positions, b.positions, atol=1e-3)
    assert tally.kept == 6


def test_what_was_interrupted_is_walked_when_it_is_asked_for_again(model, graphs, made, monkeypatch):
    walked, calls, tally = model.window, [], Tally()

    def window(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return walked(*given)

    monkeypatch.setattr(model, "window", window)
    found = [*conformers(model, graphs, 3, request=REQUEST, tally=tally)]
    with pytest.raises(KeyboardInterrupt):
        list(found[0])
    assert (tally.drawn, tally.kept) == (0, 0)
    for several, again in zip(made[0][1:], found[1:], strict=True):
        assert [m.properties for m in again] == [m.properties for m in several]
    assert (tally.drawn, tally.kept, tally.failures) == (made[1].drawn, made[1].kept, made[1].failures)


def test_groups_fill_a_window_of_draws_or_of_work():
    assert [*groups([1] * 600, 1, 1)] == [range(256), range(256, 512), range(512, 600)]
    assert [*groups([1] * 30, 20, 1)] == [range(12), range(12, 24), range(24, 30)]
    assert [*groups([1] * 30, 20, 16)] == [range(30)]
    assert [*groups([10_000] * 5, 100, 1)] == [range(2), range(2, 4), range(4, 5)]
    assert [*groups([1_500_000, 1_500_000, 9_000_000, 2, 2], 2, 1)] == [range(1), range(1, 2), range(2, 3), range(3, 5)]
    assert [*groups([], 1, 1)] == []


def test_every_sample_of_a_batch_is_led_to_its_own_stereo():
    """The score of several samples, and of some of them, is that of each alone, to the gradient."""
    mols = [Chem.AddHs(Chem.MolFromSmiles(smiles)) for smiles in SMILES]
    assert [AllChem.EmbedMolecule(mol, randomSeed=1) for mol in mols] == [0] * len(mols)
    each, mask = [Handedness.of(mol) for mol in mols], mask_of([mol.GetNumAtoms() for mol in mols])
    wrong = torch.zeros(*mask.shape, 3, dtype=torch.float64)
    for k, mol in enumerate(mols):
        mirrored = torch.from_numpy(mol.GetConformer().GetPositions()) * torch.tensor([-1.0, 1.0, 1.0]) / ANGSTROM_PER_UNIT
        wrong[k, : len(mirrored)] = mirrored + 0.2 * torch.randn(mirrored.shape, generator=torch.Generator().manual_seed(k))

    def scored(led, rows, chosen):
        positions = wrong[chosen].requires_grad_()
        score = led({"pos": positions}, mask[chosen], rows)
        return score.detach(), torch.autograd.grad(score.sum(), positions)[0]

    alone = [scored(Led([own]), slice(None), [k]) for k, own in enumerate(each)]
    scores = torch.cat([score for score, _ in alone])
    assert scores[0] == scores[4] == 0
    assert (scores[1:4] < -0.01).all()
    for rows in (slice(None), torch.tensor([3, 1]), torch.tensor([4, 2, 0])):
        score, gradient = scored(Led(each), rows, torch.arange(5)[rows])
        torch.testing.assert_close(score, scores[rows])
        torch.testing.assert_close(gradient, torch.cat([g for _, g in alone])[rows])
    assert not Led([each[0], each[4]])


def test_what_the_model_lacks_and_what_does_not_fit_together_is_refused(model, graphs):
    with pytest.raises(InputError, match=r"^CCS: atom 3 is S"):
        conformers(model, [graphs[0], molgen.Conformers.from_smiles("CCS")], 1)
    with pytest.raises(InputError, match=r"^done: expected numbers for each of 5 molecules, got 1 list$"):
        conformers(model, graphs, 1, done=[[0]])
    for done in ([[3, 1]] * 5, [[0, 0]] * 5, [[-1]] * 5, [["a"]] * 5):
        with pytest.raises(InputError, match=r"^done: expected a list of ascending whole numbers for every molecule"):
            conformers(model, graphs, 1, done=done)
    with pytest.raises(InputError, match=r"^filters: unique lets one conformer of a molecule through"):
        conformers(model, graphs, 1, request=Request(filters=molgen.Filters(unique=True)))
    with pytest.raises(InputError, match=r"^graphs: expected one pull for all"):
        conformers(model, [graphs[0], replace(graphs[1], pull=0.5)], 1)
    with pytest.raises(InputError, match=r"^request: the graphs are its constraints"):
        conformers(model, graphs, 1, request=Request(constraint=graphs[0]))
