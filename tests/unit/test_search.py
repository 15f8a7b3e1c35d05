"""Search with the weights that ship: what survives is the best that was seen, and variation finds better molecules than luck."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import molgen
from molgen.errors import InputError
from molgen.evolution import _Varied, _varied, resized, search
from molgen.molecules.constraints import Around, Keep
from molgen.molecules.filters import Filters
from molgen.molecules.measure import Target, measure
from molgen.molecules.molecule import Molecule
from molgen.sample import Request, Tally
from molgen.shapes.whole import Whole

WEIGHTS = Path(molgen.__file__).parent / "weights"
pytestmark = pytest.mark.skipif(not (WEIGHTS / "qm9_small/model.safetensors").is_file(), reason="no weights in this tree")
REQUEST = Request(steps=20, seed=4)


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return molgen.load("qm9_small", "cpu")


def scores(molecules):
    return [molecule.properties["score"] for molecule in molecules]


def logp(molecule):
    return measure(molecule, ["logp"])["logp"]


def test_variants_of_the_best_are_better_than_as_many_draws(model):
    seen, tally = [], Tally()

    def progress(molecules):
        for molecule in molecules:
            seen.append(molecule)
            yield molecule

    found = search(model, logp, keep=3, pool=37, rounds=4, request=REQUEST, tally=tally, progress=progress)
    plain = search(model, logp, keep=3, pool=37, rounds=1, request=REQUEST)
    assert np.mean(scores(found)) > np.mean(scores(plain)) + 0.3
    assert scores(found) == sorted(scores(found), reverse=True) == sorted(map(logp, seen), reverse=True)[:3]  # nothing better was lost
    assert len({molecule.properties["smiles"] for molecule in seen}) == len(seen) == tally.kept == 37
    assert {molecule.properties["round"] for molecule in plain} == {1}
    parents = {molecule.properties["smiles"]: len(molecule) for molecule in seen}
    late = [molecule for molecule in found if molecule.properties["round"] > 1]
    assert late
    assert all(abs(len(molecule) - parents[molecule.properties["around"]]) <= 2 for molecule in late)
    one, other = (search(model, logp, keep=2, pool=8, rounds=2, request=REQUEST) for _ in range(2))
    assert [m.properties["smiles"] for m in one] == [m.properties["smiles"] for m in other]


def test_targets_filters_and_a_given_molecule_hold_in_every_round(model):
    (lead,) = model.sample(1, steps=20, seed=9)
    request = Request(steps=20, seed=1, constraint=Around(molecule=lead, strength=0.6), filters=Filters(where=["logp<=0.5"]))
    found = search(model, Target("qed", math.inf), keep=3, pool=12, rounds=3, request=request)
    values = [molecule.properties["measured_qed"] for molecule in found]
    assert values == sorted(values, reverse=True)
    assert values == pytest.approx([measure(molecule, ["qed"])["qed"] for molecule in found])
    assert all(logp(molecule) <= 0.5 for molecule in found)
    assert {len(molecule) for molecule in found if molecule.properties["round"] == 1} <= {len(lead)}


def test_parents_without_new_variants_survive(model):
    """At strength 0 every variant is its parent, which has been seen."""
    tally = Tally()
    found = search(model, logp, keep=2, pool=6, rounds=2, strength=0.0, request=REQUEST, tally=tally)
    assert scores(found) == sorted(map(logp, itertools.islice(model.stream(3, REQUEST), 3)), reverse=True)[:2]
    assert tally.drawn - tally.valid + tally.withheld["not unique"] == 100  # with other hydrogens it fails the check


def test_known_molecules_are_read_once(model, tmp_path):
    known = tmp_path / "known.smi"
    known.write_text("C\n")

    def progress(molecules):
        for molecule in molecules:
            known.unlink(missing_ok=True)
            yield molecule

    request = Request(steps=20, seed=4, filters=Filters(novel=str(known)))
    found = search(model, logp, keep=2, pool=6, rounds=2, request=request, progress=progress)
    assert [molecule.properties["filters"] for molecule in found] == [f"novel against {known}; unique"] * 2


def test_molecules_lose_and_gain_hydrogens(model):
    (lead,) = model.sample(1, steps=20, seed=9)
    count, rng = int((lead.atomic_numbers == 1).sum()), np.random.default_rng(0)
    assert resized(lead, 0, rng) is resized(lead, -count - 1, rng) is lead
    for change in (-2, -1, 1, 2):
        other = resized(lead, change, rng)
        assert (other.atomic_numbers == 1).sum() == count + change
        assert len(other) == len(lead) + change == len(other.positions) == len(other.charges)
        assert len(other.bonds) == len(lead.bonds) + change  # one bond a hydrogen
        i, j = other.bonds[other.atomic_numbers[other.bonds[:, :2]].min(1) == 1, :2].T
        assert np.linalg.norm(other.positions[i] - other.positions[j], axis=1) == pytest.approx(1.1, abs=0.15)
        heavy = [m.positions[m.atomic_numbers > 1] for m in (lead, other)]
        assert np.array_equal(*heavy)


@pytest.mark.parametrize("sizes", [[9], [8, 9, 10]])
def test_variants_begin_at_a_size_that_is_asked_for(model, sizes):
    parents = [Molecule.from_smiles("CCO")] * 60  # of 9 atoms; a third would lose or gain one or two
    varied = _varied(model, Request(sizes=sizes), parents, 90, 0.6)
    assert {len(varied.for_draw(number).molecule) for number in range(90)} == set(sizes)
    parents = [replace(parents[0], properties={"smiles": name}) for name in ("a", "b", "c")]
    varied = _varied(model, Request(), parents, 2, 0.6)
    assert [varied.for_draw(number).source for number in range(5)] == ["a", "b", "c", "a", "b"]


def test_draws_around_several_molecules_are_those_around_each_alone(model):
    molecules = [Molecule.from_smiles(smiles) for smiles in ("CCO", "OC1CCCC1", "C#CC(=O)N")]
    molecules = [replace(m, positions=m.positions + 10 * place) for place, m in enumerate(molecules)]
    alone = [Around(molecule=molecule, strength=0.4, source=str(place)) for place, molecule in enumerate(molecules)]
    together = _Varied(molecule=molecules[0], strength=0.4, variants=tuple(alone))

    def drawn(constraint):
        request = Request(steps=20, seed=3, constraint=constraint)
        return [item for item, _ in itertools.islice(model.draws(request, window=lambda start: 6), 6)]

    found = drawn(together)
    for place, constraint in enumerate(alone):
        others = drawn(constraint)
        for number in (place, place + 3):
            other = others[number]
            assert found[number].atomic_numbers.tolist() == other.atomic_numbers.tolist()
            assert found[number].bonds.tolist() == other.bonds.tolist()
            np.testing.assert_allclose(found[number].positions, other.positions, atol=1e-3)
            tags = ("around", "strength", "given", "index")
            assert [found[number].properties[tag] for tag in tags] == [other.properties[tag] for tag in tags]
            assert np.abs(found[number].positions.mean(0) - 10 * place).max() < 3


def test_hydrogens_are_added_outwards():
    places = np.array([[-2.0, 0, 0], [2.0, 0, 0], [0, 0, 0]])
    pair = Molecule(np.array([6, 6, 1]), places, np.zeros(3, np.int64), np.zeros((0, 3), np.int64))
    far = [np.linalg.norm(resized(pair, 1, np.random.default_rng(seed)).positions[-1]) for seed in range(100)]
    assert np.mean(far) > 2.3


def test_rounds_draw_afresh_while_nothing_could_be_scored(model):
    seen = []

    def score(molecule):  # as a docking program that fails at first
        seen.append(molecule.properties["smiles"])
        return math.nan if len(seen) <= 4 else float(len(seen))

    found = search(model, score, keep=2, pool=12, rounds=3, request=REQUEST)
    assert len(set(seen)) == len(seen) == 12
    assert len(found) == 2
    assert all(molecule.properties["round"] > 1 for molecule in found)


def test_what_the_function_fails_for_is_dropped_and_told(model):
    seen = []

    def score(molecule):
        seen.append(molecule.properties["smiles"])
        if len(seen) % 2:
            raise RuntimeError("no pose")
        return float(len(seen))

    with pytest.warns(UserWarning, match=r"failed for 3 of 6 molecules, which were dropped; most often with RuntimeError: no pose"):
        found = search(model, score, keep=6, pool=6, rounds=1, request=REQUEST)
    assert scores(found) == [6, 4, 2]
    seen.clear()

    def broken(molecule):
        seen.append(molecule)
        return molecule.docked

    with pytest.raises(InputError, match=r"fails for each of the first 20 molecules \(AttributeError: .*docked"):
        search(model, broken, keep=1, pool=24, rounds=1, request=REQUEST)
    assert len(seen) == 20
    with pytest.raises(InputError, match=r"none of 2 molecules could be scored; it fails with AttributeError"):
        search(model, broken, keep=1, pool=2, rounds=1, request=REQUEST)


def test_what_makes_no_sense_is_refused(model):
    with pytest.raises(molgen.InputError, match="keep_invalid: what fails the check cannot be varied"):
        search(model, logp, keep=1, pool=2, rounds=2, request=Request(keep_invalid=True))
    (lead,) = model.sample(1, steps=20, seed=9)
    with pytest.raises(molgen.InputError, match="got 5 of 4 in 2 rounds"):
        search(model, logp, keep=5, pool=4, rounds=2)
    with pytest.raises(molgen.InputError, match="a part cannot be kept; ask for one round"):
        search(model, logp, keep=1, pool=4, rounds=2, request=Request(constraint=Keep(molecule=lead, atoms=[1])))
    with pytest.raises(InputError, match=r"unknown property 'pIC50'; choose from logp, .*or predicted_NAME, which needs an estimator"):
        search(model, "pIC50=max", keep=1, pool=2, rounds=1)
    with pytest.raises(InputError, match="none of 1 molecule could be scored"):
        search(model, lambda molecule: math.nan, keep=1, pool=1, rounds=1, request=REQUEST)
    with pytest.raises(InputError, match=r"filters: expected molgen.Filters\(where=\[...\]\), got Whole\(mesh=False"):
        search(model, logp, keep=1, pool=1, request=Request(filters=Whole()), rounds=1)
    by_name, by_function = (search(model, what, keep=2, pool=6, rounds=1, request=REQUEST) for what in ("logp=max", logp))
    assert [m.properties["measured_logp"] for m in by_name] == scores(by_function)


@pytest.mark.skipif(not (WEIGHTS / "shapes").is_dir(), reason="no weights in this tree")
def test_models_of_shapes_are_refused():
    with pytest.raises(InputError, match=r"^search needs a model of molecules; shapes is one of shapes$"):
        search(molgen.load("shapes", "cpu"), logp, keep=1, pool=1, rounds=1)


def test_the_public_name_stays_a_function():
    import molgen.evolution

    assert molgen.search is molgen.search is molgen.evolution.search
