"""Sampling: determinism, sizes, requests, streaming. Uses a tiny untrained model on real statistics: what is tested is the machinery."""

import itertools
import math
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from rdkit import Chem

from molgen.checkpoint import Checkpoint, build_denoiser, load_checkpoint
from molgen.config import build_experiment
from molgen.diffusion.condition import Conditions
from molgen.diffusion.noise import PerSampleNoise
from molgen.diffusion.rounding import Rounded, multiplies_bfloat16
from molgen.diffusion.sampler import Ddim
from molgen.domain import Verdict
from molgen.errors import InputError
from molgen.guidance import Distance, Gradient, closed_shells
from molgen.known import Known, fingerprint
from molgen.molecules.constraints import Keep
from molgen.molecules.encode import encode
from molgen.molecules.export import read_molecules, write_sdf
from molgen.molecules.fields import Statistics
from molgen.molecules.filters import Filters
from molgen.molecules.measure import measure
from molgen.ranges import MOST_ATOMS, MOST_CANDIDATES, MOST_POINTS, MOST_STEPS
from molgen.sample import Draw, Model, Request, Tally, Vain, draw_seed, load, size_probabilities
from molgen.sample.modes import find_device, own_modes
from molgen.sample.parallel import LARGEST_WORK, affordable, cut, wanted
from molgen.sample.settling import settle
from molgen.sample.walker import Candidate, Restart, Walker

SAMPLE = Path(__file__).parents[2] / "data/qm9_sample/qm9_sample.sdf.gz"
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
    return [molecule for molecule, _ in itertools.islice(model.draws(request, window=lambda start: window), count)]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_draw_does_not_depend_on_the_window_or_the_start(model, guidance):
    request = Request(steps=6, seed=11, properties={"gap": 5.0}, guidance=guidance)
    one, many = first(model, 7, request, 1), first(model, 7, request, 64)
    later = [molecule for molecule, _ in itertools.islice(model.draws(request, first=4), 3)]
    for a, b in [*zip(one, many, strict=True), *zip(one[4:], later, strict=True)]:
        assert np.array_equal(a.atomic_numbers, b.atomic_numbers)
        assert np.array_equal(a.bonds, b.bonds)
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-3)
    assert not np.allclose(one[0].positions[:3], first(model, 1, Request(steps=6, seed=12), 1)[0].positions[:3])


def test_a_caller_without_gradients_gets_the_same_samples_and_keeps_his_mode(model):
    request = Request(steps=4, seed=3, guides=[Gradient(Distance(1, 2, 3.0, width=0.1))])
    (plain,) = first(model, 1, request, 1)
    with torch.inference_mode():
        (found,) = first(model, 1, request, 1)
    assert np.array_equal(found.positions, plain.positions)
    walk = model.trajectory(request)
    next(walk)
    assert torch.is_grad_enabled()
    walk.close()


def test_modes_are_those_of_the_caller_unless_they_are_entered_and_after_an_error():
    modes = own_modes("cpu")
    assert torch.is_grad_enabled()
    with torch.inference_mode(), torch.autocast("cpu"):
        with pytest.raises(InputError, match="lost"), modes:
            assert not any((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))
            raise InputError("lost")
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert torch.is_grad_enabled()


def test_guidance_in_bfloat16_has_gradients_where_the_caller_has_none(model):
    """The rounded copy of the network is made at the first request for it, in whatever mode the caller is then."""
    request = Request(steps=2, seed=3, precision="bf16", guides=[Gradient(Distance(1, 2, 3.0, width=0.1))])
    with torch.inference_mode():
        (found,) = first(Model(model.checkpoint, "cpu"), 1, request, 1)
    (plain,) = first(Model(model.checkpoint, "cpu"), 1, request, 1)
    assert np.array_equal(found.positions, plain.positions)


def test_a_default_device_of_the_caller_changes_nothing():
    (plain,) = load("qm9_small", "cpu").sample(1, steps=3, keep_invalid=True, properties={"logp": 1.0})
    lead = Keep.from_smiles("CC*")
    with torch.device("meta"):
        assert next(load("qm9_small", "cpu").trajectory(Request(steps=2, constraint=lead)))[0].batch.mask.device.type == "cpu"
        (found,) = load("qm9_small", "cpu").sample(1, steps=3, keep_invalid=True, properties={"logp": 1.0})
        assert torch.get_default_device().type == "meta"
    assert np.array_equal(found.positions, plain.positions)


def test_numbers_of_any_kind_are_one_request():
    """In a process of its own: here whole numbers are refused where the annotation says float."""
    code = """
import json
from fractions import Fraction
import numpy as np, torch, molgen
model = molgen.load("qm9_small")
def draw(value):
    return model.sample(1, properties={"logp": value}, steps=3, keep_invalid=True, candidates=1)[0].positions
usual = draw(1.0)
assert all(np.array_equal(draw(value), usual) for value in (1, np.int64(1), np.float32(1), Fraction(1)))
request = {"seed": np.int64(3), "steps": np.int32(3), "candidates": np.int64(2), "guidance": np.float64(2), "steering": np.float32(0.5)}
wishes = {"logp": np.float32(1.5), "gap_xtb": (np.int64(4), np.float64(5))}
(made,) = model.sample(1, keep_invalid=True, sizes=[np.int64(15)], properties=wishes, **request)
assert json.loads(json.dumps(made.properties)) == made.properties
assert {type(value) for value in made.properties.values()} <= {bool, int, float, str}, made.properties
assert molgen.Molecule.from_smiles("CCO", np.int64(3)) == molgen.Molecule.from_smiles("CCO", 3)
torch.set_default_dtype(torch.float64)
double = draw(1.1)
torch.set_default_dtype(torch.float32)
assert np.abs(double - draw(1.1)).max() < 1e-2
print("equal")
"""
    done = plain.python(code)
    assert done.stdout == "equal\n", done.stderr


def test_the_precision_is_that_of_the_request_whatever_the_caller_has(model):
    (plain,) = first(model, 1, Request(steps=4, seed=5), 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = first(model, 1, Request(steps=4, seed=5), 1)
    assert np.array_equal(found.positions, plain.positions)


def test_doubtful_requests_are_warned_of(model):
    with pytest.warns(UserWarning, match="gap=50 eV is outside the training range"):
        model.sample(1, properties={"gap": 50.0}, steps=1, candidates=1, keep_invalid=True)


def test_sizes_are_those_asked_for_and_follow_the_histogram(model):
    assert {len(m) for m in first(model, 10, Request(steps=1, sizes=[5]), 10)} == {5}
    sizes, probabilities = size_probabilities(STATISTICS, Request())
    assert sizes.tolist() == [4, 6]
    np.testing.assert_allclose(probabilities, [0.5, 0.5])
    sizes, probabilities = size_probabilities(replace(STATISTICS, sizes={4: 30, 6: 10}), Request(sizes=[6, 4, 4]))  # named twice
    assert sizes.tolist() == [4, 6]
    np.testing.assert_allclose(probabilities, [0.75, 0.25])


@pytest.mark.parametrize("odds", [1, 3])
def test_requested_value_chooses_the_size_that_has_it(odds):
    # shrunken spread: var = (50 * 0.25 + 10 * 1) / 60 = 0.375; the log odds of size 4 at gap 4 are (6 - 4)^2 / (2 var) and those before
    _, probabilities = size_probabilities(replace(STATISTICS, sizes={4: 50 * odds, 6: 50}), Request(properties={"gap": 4.0}))
    assert np.log(probabilities[0] / probabilities[1]) == pytest.approx(4 / (2 * 0.375) + np.log(odds))


def test_a_range_asks_every_draw_for_a_value_of_its_own(model):
    request = Request(steps=1, seed=3, properties={"gap": (4.0, 6.5)})
    one, many = first(model, 40, request, 1), first(model, 40, request, 64)
    values = [molecule.properties["requested_gap"] for molecule in many]
    assert values == [molecule.properties["requested_gap"] for molecule in one]
    assert values == [request.values(draw_seed(3, k))["gap"] for k in range(40)]
    assert 4 <= min(values) < 4.4
    assert 6.1 < max(values) <= 6.5
    assert np.mean(values) == pytest.approx(5.25, abs=4 * 2.5 / np.sqrt(12 * 40))  # uniform
    # the value of one property does not depend on what else is asked for
    assert request.values(9) == {
        name: v for name, v in Request(properties={"x": (0.0, 1.0), "gap": (4.0, 6.5)}).values(9).items() if name == "gap"
    }
    assert Request(properties={"gap": (1 / 3, 1 / 3)}).values(9) == {"gap": 1 / 3}
    low = [len(molecule) for molecule in first(model, 60, Request(steps=1, properties={"gap": (3.0, 3.5)}), 64)]
    assert np.mean(np.array(low) == 4) > 0.9  # molecules of 4 atoms have a gap of 4.0
    small = [Request(properties={"x": (2e-7, 4e-7)}).values(seed)["x"] for seed in range(200)]
    assert 2e-7 <= min(small) < 2.1e-7
    assert 3.9e-7 < max(small) <= 4e-7
    assert len(set(small)) == 200


def test_every_restart_has_noise_of_its_own(model):
    like, walker = model.domain.empty([5], STATISTICS), model.walker(Request(steps=2))
    one, other = (next(walker.walk([Draw(0, 5, 1)], Restart(like, 0.5, number))).batch["pos"] for number in (1, 2))
    assert not torch.allclose(one, other)


def test_the_value_of_a_draw_conditions_that_draw_alone(model):
    request = Request(steps=3, seed=3, properties={"gap": (2.0, 8.0)}, sizes=[6])
    draws = model.plan(request, range(3))
    for draw, molecule in zip(draws, model.run(draws, request), strict=True):
        (alone,) = model.run([draw], Request(steps=3, properties={"gap": request.values(draw.seed)["gap"]}))
        np.testing.assert_allclose(alone.positions, molecule.positions, atol=1e-3)


def test_draws_of_which_none_ever_passed_are_given_up_sooner(model, monkeypatch):
    monkeypatch.setattr("molgen.sample.model.PATIENCE", 40)
    monkeypatch.setattr("molgen.sample.kept.HOPELESS", 5)
    request = Request(steps=1, properties={"gap": 5.0}, guidance=3.0)  # an untrained model: nothing is valid
    with pytest.raises(Vain, match=r"^5 draws in a row failed .*; lower the guidance of 3 \(usual is 2\), take more steps, or ask"):
        list(model.stream(1, request))
    with pytest.raises(Vain, match=r"^40 draws in a row failed"):
        list(model.stream(2, request, done=[0]))
    with pytest.raises(Vain, match=r"^5 draws .*\); take more steps, or ask for other"):
        list(model.stream(1, replace(request, guidance=None)))


@pytest.mark.parametrize(("name", "size", "steps"), [("qm9_small", 5, 50), ("shapes", 64, 30)])
def test_the_usual_number_of_steps_is_that_of_the_domain_and_is_recorded(name, size, steps):
    (item,) = load(name, "cpu").sample(1, sizes=[size], keep_invalid=True)
    assert item.properties["steps"] == steps
    (other,) = load(name, "cpu").sample(1, sizes=[size], keep_invalid=True, steps=steps)
    np.testing.assert_array_equal(*(each.points if name == "shapes" else each.positions for each in (item, other)))


def test_what_is_ruled_out_is_counted_and_replaced(model, monkeypatch):
    monkeypatch.setattr("molgen.sample.model.PATIENCE", 20)
    # an untrained model: nothing is valid, so nothing has a weight
    request = Request(steps=1, keep_invalid=True, filters=Filters(where=["mw<500"]))
    with pytest.raises(InputError, match=r"20 draws in a row were ruled out \(most often: not mw<500\)"):
        list(model.stream(1, request))
    plain = first(model, 40, Request(steps=1, seed=5), 64)

    class Small:  # rules out molecules of 4 atoms
        def describe(self):
            return "small"

        def start(self, seen=(), trained=None, predicted=()):
            return lambda item: "too small" if len(item) == 4 else ""

    tally = Tally()
    found = list(model.stream(5, Request(steps=1, seed=5, keep_invalid=True, filters=Small()), tally=tally))
    expected = [m.properties["index"] for m in plain if len(m) == 6][:5]
    assert [m.properties["index"] for m in found] == expected
    assert tally.withheld == {"too small": expected[-1] + 1 - 5}
    assert tally.drawn == expected[-1] + 1
    assert {m.properties["filters"] for m in found} == {"small"}


def test_guides_act_on_the_samples(model):
    request = Request(
        steps=12, seed=1, sizes=[6], guides=[Gradient(Distance(1, 2, 3.0, width=0.05)), Gradient(Distance(3, 4, 1.0, width=0.05))]
    )
    draws = model.plan(request, range(16))
    lengths = {}
    for name, wish in (("free", Request(steps=12, seed=1, sizes=[6])), ("guided", request)):
        x = np.stack([molecule.positions for molecule in model.run(draws, wish)])
        lengths[name] = [np.linalg.norm(x[:, a] - x[:, b], axis=1) for a, b in ((0, 1), (2, 3))]
    assert np.abs(lengths["guided"][0] - 3).mean() < 0.1 * np.abs(lengths["free"][0] - 3).mean()
    assert np.abs(lengths["guided"][1] - 1).mean() < 0.1 * np.abs(lengths["free"][1] - 1).mean()
    tags = first(model, 1, request, 1)[0].properties
    assert tags["guides"] == "distance first=1 second=2 target=3.0 width=0.05; distance first=3 second=4 target=1.0 width=0.05"


def test_own_guides_are_those_of_the_fields_unless_the_request_says_otherwise(model):
    experiment = replace(model.checkpoint.experiment, fields=replace(model.checkpoint.experiment.fields, valence=3.0))
    guided = Model(replace(model.checkpoint, experiment=experiment), "cpu")
    draws = model.plan(Request(seed=2, sizes=[6]), range(16))

    def bonds(of, **more):
        return [molecule.bonds.tolist() for molecule in of.run(draws, Request(steps=12, **more))]

    free, own = bonds(model), bonds(guided)
    assert free != own
    assert own == bonds(model, guides=closed_shells(3.0))
    assert free == bonds(guided, own_guides=False)
    assert first(guided, 1, Request(steps=1, own_guides=False), 1)[0].properties["own_guides"] is False


@pytest.fixture
def three_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@dataclass
class Witness:
    """A guide that changes nothing, notes which threads called it, and fails at call number ``fails_at``."""

    threads: set = field(default_factory=set)
    calls: int = 0
    fails_at: float = math.inf

    def describe(self):
        return "witness"

    def guide(self, denoiser, process, statistics):
        def watched(batch, t, condition, previous=None):
            self.threads.add(threading.current_thread())
            self.calls += 1
            if self.calls == self.fails_at:
                raise ValueError("enough")
            assert torch.get_num_threads() == 1
            return denoiser(batch, t, condition, previous)

        return watched


def test_cores_take_batches_of_their_own_and_draw_the_same_molecules(model, three_cores):
    request = Request(steps=6, seed=3, keep_invalid=True)
    witness = Witness()
    shared = first(model, 24, replace(request, guides=[witness]), 24)
    assert len(witness.threads) > 1
    assert all(thread.name.startswith("batch") for thread in witness.threads)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)
    for one, other in zip(shared, first(model, 24, request, 24), strict=True):
        assert np.array_equal(one.bonds, other.bonds)
        assert np.allclose(one.positions, other.positions, atol=1e-4)


def test_an_error_on_one_core_ends_the_work_on_all(model, three_cores):
    witness = Witness(fails_at=5)
    with pytest.raises(ValueError, match="enough"):
        first(model, 24, Request(steps=2000, guides=[witness]), 24)
    assert not any(thread.is_alive() for thread in witness.threads)
    assert witness.calls < 1500  # each of the others had 2,000 to go
    assert torch.get_num_threads() == 3


def test_progress_is_told_after_every_batch_and_what_it_raises_ends_the_run(model, three_cores):
    told, request = [], Request(steps=2, seed=3, keep_invalid=True)
    made = list(model.stream(24, request, progress=lambda *numbers: told.append(numbers)))
    assert len(told) >= 3  # a batch for every core at least
    assert [drawn for drawn, _ in told] == sorted({drawn for drawn, _ in told})
    assert told[-1] == (24, 24)
    assert {planned for _, planned in told} == {24}
    assert model.sample(24, request) == made
    resumed = []
    list(model.stream(24, request, done=range(20), progress=lambda *numbers: resumed.append(numbers)))
    assert resumed[-1] == (24, 24)

    witness = Witness()

    def stop(drawn, planned):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(24, Request(steps=100, guides=[witness]), progress=stop)
    assert not any(thread.is_alive() for thread in witness.threads)
    assert witness.calls < 24 * 100


def test_progress_counts_draws_and_not_their_candidates_and_plans_anew():
    model, told = load("qm9_small", "cpu"), []
    model.sample(6, steps=3, properties={"logp": 1.0}, keep_invalid=True, progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (6, 6)
    told, tally = [], Tally()
    list(model.stream(12, Request(steps=10, seed=1), tally=tally, progress=lambda *numbers: told.append(numbers)))
    assert tally.drawn > 12  # some failed
    assert told[0][1] == 12
    assert told[-1][0] == told[-1][1] >= tally.drawn


def test_a_request_may_be_left_out_of_a_stream():
    model = load("qm9_small", "cpu")
    assert next(model.stream(1)) == next(model.stream(1, Request()))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (True, "device: expected a name such as 'cpu' or 'cuda:0', got True"),
        (1.5, "device: expected a name such as 'cpu' or 'cuda:0', got 1.5"),
        ("", "device : not usable here"),
        ("abacus", "device abacus: not usable here"),
        (1 + torch.cuda.device_count(), "device [0-9]+: not usable here"),
    ],
)
def test_what_is_no_device_is_refused(name, words):
    with pytest.raises(InputError, match=f"^{words}"):
        find_device(name)


def test_batches_cost_about_the_same():
    sizes = np.random.default_rng(0).integers(3, 29, 256).tolist()
    batches = cut(sizes, 10_000, 3)
    assert len(batches) % 3 == 0
    assert sorted(itertools.chain(*batches)) == list(range(256))
    cost = [sum(sizes[g] ** 2 for g in batch) for batch in batches]
    assert max(cost) < 10_000 + 28**2
    assert max(cost) - min(cost) < 2 * 28**2
    assert all(max(sizes[g] for g in a) <= min(sizes[g] for g in b) for a, b in itertools.pairwise(batches))
    assert cut([40], 100, 8) == [[0]]


def test_so_many_draws_are_made_together_as_the_work_allows():
    assert affordable([10] * 256, 10, 1) == 256
    sizes = np.random.default_rng(0).integers(60, 120, 256).tolist()
    for room, candidates in ((1, 1), (2, 1), (1, 2)):
        count = affordable(sizes, 10, room, candidates)
        work = np.cumsum(np.square(sizes)) * 10 * candidates
        assert 16 < count < 256
        assert work[count - 1] < room * LARGEST_WORK <= work[count]
    assert affordable([1000] * 256, 1000, 1) == 16  # never fewer, but for the candidates of a draw
    assert affordable([1000] * 256, 1000, 1, 4) == 4
    assert affordable([1000] * 256, 1000, 1, 64) == 1


# the rate of draws that pass: all before the first one, (5 + 1) / (9 + 1), never below 0.2
@pytest.mark.parametrize(("kept", "drawn", "further"), [(0, 0, 10), (5, 9, 9), (0, 99, 50)])
def test_so_many_draws_follow_as_those_before_say(kept, drawn, further):
    assert wanted(10, kept, drawn) == further


def test_rounded_products_hardly_add_to_the_error_of_predictions():
    model = load("qm9_small", "cpu")
    molecules = list(itertools.islice(read_molecules(SAMPLE), 2))
    for molecule, r in itertools.product(molecules, (0.03, 0.3, 3.0)):
        clean = encode(molecule, model.checkpoint.statistics, [len(molecule)] * 8)
        t = model.denoiser.process.clock.schedule.time(torch.full((8,), r))
        noisy = model.denoiser.process.corrupt(clean, t, PerSampleNoise(range(8)))
        with torch.no_grad():
            exact, rounded = model.denoiser(noisy, t, {}), Rounded(model.denoiser)(noisy, t, {})
            with torch.autocast("cpu", torch.bfloat16):
                mixed = model.denoiser(noisy, t, {})
        assert {value.dtype for value in rounded.values()} == {torch.float32}
        assert torch.equal(mixed["bond"], rounded["bond"])  # the evidence of the classes themselves is never rounded
        added = (rounded["pos"] - exact["pos"]).square().sum() / (exact["pos"] - clean["pos"]).square().sum()
        assert 0 < float(added) < 0.005
        assert float((rounded["bond"].softmax(-1) - exact["bond"].softmax(-1)).abs().mean()) < 0.005
    assert {parameter.dtype for parameter in model.denoiser.parameters()} == {torch.float32}


def test_the_precision_is_checked_and_recorded(model):
    request = Request(steps=1, precision="bf16", keep_invalid=True)
    tags, lines = first(model, 1, request, 1)[0].properties, model.warnings(request)
    if multiplies_bfloat16("cpu"):
        assert tags["precision"] == "bf16"
        assert lines == []
    else:
        assert "precision" not in tags
        assert [line for line in lines if line.startswith("precision=bf16 is many times slower than fp32 here")] == lines != []
    settled, lines = settle(model.checkpoint, request, torch.device("xla"))  # devices that nobody knows are believed
    assert (settled.precision, lines) == ("bf16", [])
    settled, lines = settle(model.checkpoint, Request(), torch.device("cpu"))
    assert (settled.precision, lines) == ("fp32", [])
    with pytest.raises(InputError, match="precision: expected fp32 or bf16, got 'fp16'"):
        model.sample(1, precision="fp16")


def test_candidates_are_ranked_in_units_of_each_deviation():
    asked, spread = {"logp": 1.0, "mw": 300.0}, {"logp": 2.0, "mw": 100.0}
    near = Candidate(0, None, Verdict(""), {"logp": 1.2}, {"mw": 330.0})  # misses by a tenth and by three tenths of a deviation
    far = Candidate(1, None, Verdict(""), {"logp": 4.0}, {"mw": 300.0, "other": 9.0})  # by one and a half
    unknown = Candidate(2, None, Verdict(""), {"logp": math.nan}, {"mw": 300.0})
    refused = Candidate(3, None, Verdict("no bonds"), {}, {})
    ranks = [candidate.rank(asked, spread) for candidate in (near, far, unknown, refused)]
    assert ranks == [(False, pytest.approx(0.1)), (False, pytest.approx(2.25)), (False, math.inf), (True, 0.0)]
    assert ranks == sorted(ranks)


def test_a_draw_is_the_nearest_of_its_candidates():
    model, asked = load("qm9_small", "cpu"), {"logp": 1.0, "qed": 0.5}
    request = model.settled(Request(properties=asked, sizes=[12], steps=8, seed=5, keep_invalid=True))
    assert (request.candidates, request.guidance) == (4, 1.0)
    found = list(model.stream(4, request))
    spread = {member.name: member.std for member in model.properties}
    passing = []
    for number, molecule in enumerate(found):
        candidates = model.run([Draw(number, 12, draw_seed(5, number), k) for k in range(4)], request)
        far = []
        for candidate in candidates:
            value = measure(candidate, list(asked))
            miss = sum(((value[name] - asked[name]) / spread[name]) ** 2 for name in asked)
            far.append(miss if model.domain.check(candidate).reason == "" else math.inf)
        best = int(np.argmin(far))
        passing.append(sum(np.isfinite(far)))
        assert np.array_equal(molecule.bonds, candidates[best].bonds)
        np.testing.assert_allclose(molecule.positions, candidates[best].positions, atol=1e-3)
        assert molecule.properties["passed"] == math.isfinite(min(far))
        if molecule.properties["passed"]:
            assert molecule.properties["measured_logp"] == pytest.approx(measure(molecule, ["logp"])["logp"], rel=1e-5)
    assert max(passing) > 1  # some draws had a choice
    # the first candidate is the draw of those who ask for one
    (draw,) = model.plan(request, [0])
    (alone,) = model.run([draw], replace(request, candidates=1, guidance=1.0))
    np.testing.assert_allclose(alone.positions, model.run([draw], request)[0].positions, atol=1e-3)


def test_the_trajectory_of_a_draw_is_that_of_its_nearest_candidate():
    model = load("qm9_small", "cpu")
    for seed in range(3):
        request = Request(properties={"logp": 1.0}, sizes=[9], steps=6, seed=seed, keep_invalid=True)
        (draw,) = model.stream(1, request)
        *_, (_, last) = model.trajectory(request)
        assert np.array_equal(last.bonds, draw.bonds)
        np.testing.assert_allclose(last.positions, draw.positions, atol=1e-3)


def test_candidates_need_something_to_compare(model):
    assert model.settled(Request(properties={"gap": 5.0})).candidates == 1  # a label of the user's own
    assert model.settled(Request(properties={"gap": 5.0})).guidance == 2.0
    assert model.settled(Request()).candidates == 1
    with pytest.raises(
        InputError,
        match="candidates: 3 of a draw cannot be compared, as gap cannot be measured on what is made, nor told by an estimator; expected 1",
    ):
        model.sample(1, properties={"gap": 5.0}, candidates=3)
    with pytest.raises(InputError, match="as no property is asked for"):
        model.sample(1, candidates=2)
    with pytest.raises(InputError, match="candidates: expected at least 1, got 0"):
        model.sample(1, properties={"gap": 5.0}, candidates=0)


def test_requests_are_checked(model):
    with pytest.raises(InputError, match="expected a number, got inf"):
        model.sample(1, properties={"gap": (4.0, np.inf)})
    assert model.warnings(Request(properties={"gap": (4.0, 9.0)})) == ["gap=9 eV is outside the training range 2 to 8"]
    with pytest.raises(InputError, match="unknown property 'homo'; it was trained with gap"):
        model.sample(1, properties={"homo": 1.0})
    assert model.warnings(Request(properties={"gap": 9.0})) == ["gap=9 eV is outside the training range 2 to 8"]
    assert model.warnings(Request(properties={"gap": 5.0}, sizes=[4])) == []
    assert model.warnings(Request(sizes=[40])) == ["size 40 never occurred in training (4 to 6 atoms)"]
    assert model.warnings(Request(sizes=range(4, 9))) == ["size 5 and 2 more never occurred in training (4 to 6 atoms)"]
    with pytest.raises(InputError, match="at least 1 atom"):
        model.sample(1, sizes=[0])
    with pytest.raises(InputError, match=r"gap: expected \(low, high\), got \(3.0, 1.0\)"):
        model.sample(1, properties={"gap": (3.0, 1.0)})
    with pytest.raises(InputError, match="num: expected a whole number of at least 0, got -1"):
        model.sample(-1)


def test_so_much_may_be_asked_for_as_on_the_command_line(model):
    for wish in ({"steps": MOST_STEPS}, {"sizes": [MOST_ATOMS]}):
        model.settled(Request(**wish))
    with pytest.raises(InputError, match="steps: expected at most 10000, got 10001"):
        model.settled(Request(steps=MOST_STEPS + 1))
    with pytest.raises(InputError, match="candidates: expected at most 1000, got 1001"):
        model.settled(Request(candidates=MOST_CANDIDATES + 1))
    with pytest.raises(InputError, match="sizes: expected at most 1000 atoms, got 1001"):
        model.settled(Request(sizes=[4, MOST_ATOMS + 1]))
    with pytest.raises(InputError, match="sizes: expected at most 100000 points, got 100001"):
        load("shapes", "cpu").settled(Request(sizes=[MOST_POINTS + 1]))


def test_what_is_usual_is_told_once_it_is_settled(model):
    request = Request(properties={"gap": 5.0})
    assert "guidance" not in request.tags("tiny", 0)
    assert model.settled(request).tags("tiny", 0)["guidance"] == model.domain.guidance == 2.0


@pytest.mark.parametrize(
    ("request_", "words"), [(Request(steps=0), "steps: expected at least 1"), (Request(properties={"gap": (4.0, np.inf)}), "got inf")]
)
def test_trajectories_of_requests_without_sense_are_refused(model, request_, words):
    with pytest.raises(InputError, match=words):
        next(model.trajectory(request_))


def test_hopeless_requests_stop_with_the_reason(model):
    earlier = Tally(failures=Counter({"of another request": 5000}))
    with pytest.raises(InputError, match=r"1000 draws in a row failed the check \(most often: (?!of another)"):
        list(model.stream(5, Request(steps=1, sizes=[6]), tally=earlier))
    with (
        pytest.raises(InputError, match=r"100 draws in a row failed the check .*take more steps"),
        pytest.warns(UserWarning, match="size 7 never occurred in training"),
    ):
        model.sample(5, steps=1, sizes=[7])


def test_a_model_of_heavy_atoms_is_judged_with_implicit_hydrogens(tmp_path):
    torch.manual_seed(0)
    size = {"kind": "equivariant_transformer", "scalars": 16, "vectors": 8, "pairs": 8, "layers": 1, "context": 16}
    experiment = build_experiment({"model": size}, "test")
    statistics = replace(STATISTICS, elements=(6, 7, 8), sizes={1: 5, 2: 5, 3: 5}, hydrogens=False, bond_marginal=(0.1, 0.8, 0.08, 0.02))
    model = Model(Checkpoint("heavy", experiment, statistics, build_denoiser(experiment, statistics).eval()), "cpu")
    tally = Tally()
    molecules = list(model.stream(40, Request(steps=2, seed=3), tally=tally))
    write_sdf(tmp_path / "a.sdf", molecules)
    for molecule, mol in zip(molecules, Chem.SDMolSupplier(str(tmp_path / "a.sdf")), strict=True):
        assert {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"C", "N", "O"}
        assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0
        assert Chem.MolToSmiles(mol, isomericSmiles=False) == molecule.properties["smiles"]
    assert {"C", "CO"} <= {molecule.properties["smiles"] for molecule in molecules}
    assert tally.unique == len({molecule.properties["smiles"] for molecule in molecules}) < 40


def test_different_and_novel_molecules_are_counted_once():
    tally = Tally()
    for tags in ({"smiles": "C"}, {"smiles": "C", "passed": True}, {"smiles": "N"}, {"smiles": "O", "passed": False}, {"index": 4}):
        tally.recall(tags)
    assert tally.unique == 2
    assert [tally.novel(Known.of(map(fingerprint, known))) for known in ("", "N", "O", "CN")] == [2, 1, 2, 0]


def test_stream_counts_what_it_draws(model):
    tally = Tally()
    molecules = list(model.stream(9, Request(steps=1, keep_invalid=True), tally=tally))
    assert [m.properties["index"] for m in molecules] == list(range(9))
    assert tally.kept == tally.drawn == 9
    assert sum(tally.failures.values()) == sum(not m.properties["passed"] for m in molecules)


def test_steering_brings_samples_nearer_to_what_is_asked_for():
    model, asked = load("qm9_small", "cpu"), 5.5

    def error(steering):
        request = {
            "properties": {"dipole_xtb": asked},
            "steering": steering,
            "sizes": [16, 17, 18],
            "steps": 12,
            "seed": 3,
            "candidates": 1,
        }
        found = [measure(molecule, ["dipole_xtb"])["dipole_xtb"] for molecule in model.sample(12, **request)]
        return np.abs(np.array(found) - asked).mean()

    assert error(1.0) < 0.75 * error(0.0)


def test_what_the_network_does_not_know_is_steered_to_twice_as_strongly():
    """Half the strength under a name that only the estimator knows moves a guess as the whole under one that the network knows too.

    Guidance of the network makes no second call for what it does not know.
    """
    checkpoint = load_checkpoint("qm9_small")
    network = checkpoint.denoiser
    own, estimator = "dipole_xtb", next(one for one in checkpoint.estimators if "dipole_xtb" in one.names)
    members = tuple(replace(member, name="other") if member.name == own else member for member in estimator.conditions.members)
    geometric = tuple(name.replace(own, "other") for name in estimator.geometric)
    renamed = replace(estimator, conditions=Conditions(members), geometric=geometric, names=frozenset({"other"}))
    told = {own: estimator, "other": renamed}

    called = []

    def deaf(batch, t, condition, previous=None):
        called.append(len(condition))
        return network(batch, t, {})

    def moved(name, steering, guidance=1.0):
        known = replace(checkpoint, estimators=(told[name],))
        request = Request(properties={name: 5.5}, sizes=[12], steering=steering, steps=1, guidance=guidance, candidates=1, own_guides=False)
        model = Model(known, torch.device("cpu"))
        walker = Walker(known, deaf, model.settled(request), model.device)
        batch = checkpoint.experiment.domain.empty([12, 12], checkpoint.statistics)
        noisy = network.process.corrupt(batch, torch.full((2,), 0.4), PerSampleNoise([1, 2]))
        with torch.no_grad():
            return walker.denoiser(noisy, torch.full((2,), 0.4), {name: torch.full((2,), 5.5)})

    plain, whole, half, full = moved(own, 0.0), moved(own, 1.0), moved("other", 0.5), moved("other", 1.0)
    for name, value in whole.items():
        torch.testing.assert_close(half[name], value)
    assert any(not torch.allclose(plain[name], whole[name], atol=1e-4) for name in plain)
    assert any(not torch.allclose(full[name], whole[name], atol=1e-4) for name in plain)
    assert len(called) == 4
    guided = moved("other", 1.0, guidance=3.0)
    assert len(called) == 5
    for name, value in full.items():
        torch.testing.assert_close(guided[name], value)


def test_arguments_of_other_types_give_one_line():
    """In a process of its own: here every call is checked before it is made."""
    code = """
import numpy as np
import molgen
from molgen.evaluate import evaluate
model = molgen.load("qm9_small")
carbon = molgen.Conformers.from_smiles("C").molecule
for call in (
    lambda: model.sample(2.5),
    lambda: model.sample(True),
    lambda: model.sample(4, {"logp": 1.0}),
    lambda: next(model.stream(1, {"logp": 1.0})),
    lambda: model.sample(1, properties={"logp": 1e200}),
    lambda: model.sample(1, properties={"logp": 10**400}),
    lambda: model.sample(1, properties={1: 2}),
    lambda: model.sample(1, guidance=10**400),
    lambda: model.sample(1, sizes=[10**30]),
    lambda: model.sample(1, sizes=[True]),
    lambda: model.sample(1, sizes=b"5"),
    lambda: model.sample(1, seed=True),
    lambda: model.sample(1, constraint=molgen.Keep),
    lambda: model.sample(1, filters=molgen.Filters),
    lambda: molgen.load("shapes").sample(1, filters=molgen.Filters(where="qed>0.3")),
    lambda: model.predict([molgen.Molecule([], [], [], [])]),
    lambda: molgen.Keep(molecule=carbon, smarts=5).fragment,
    lambda: molgen.Molecule.from_smiles("c1ccc"),
    lambda: molgen.Molecule.from_smiles("C", seed=1.5),
    lambda: molgen.load(None),
    lambda: molgen.load("qm9_small", estimators=None),
    lambda: molgen.load("qm9_small", estimators=[5]),
    lambda: molgen.search(model, "qed=max", keep=1.0),
    lambda: molgen.search(model, "qed=max", strength=2),
    lambda: molgen.search(model, "qed=max", request={}),
    lambda: model.sample(1, steps=2.5),
    lambda: model.sample(1, sizes=12),
    lambda: model.sample(1, sizes="12"),
    lambda: model.sample(1, sampler="ddim"),
    lambda: model.predict(carbon),
    lambda: model.sample(1, molgen.Request(), steps=20),
    lambda: molgen.Filters(novel=[3]),
    lambda: molgen.Filters(has=[3]),
    lambda: molgen.Filters(lacks=[None]),
    lambda: molgen.Filters(similar_to=[3]),
    lambda: model.sample(1, properties=["logp"]),
    lambda: model.sample(1, properties={"logp": True}),
    lambda: model.sample(1, properties={"logp": (1.0, 2.0, 3.0)}),
    lambda: model.sample(1, properties={"logp": [1.0, 2.0]}),
    lambda: model.sample(1, properties={"logp": (None, 2.0)}),
    lambda: model.sample(1, sizes=[18.5]),
    lambda: model.sample(1, guidance="2"),
    lambda: model.sample(1, properties={"logp": 1.0}, candidates="4"),
    lambda: model.sample(1, steering=None),
    lambda: model.sample(1, guides=["clash"]),
    lambda: model.sample(1, filters=["mw<300"]),
    lambda: model.sample(1, constraint="lead.sdf"),
    lambda: molgen.Molecule.from_rdkit(None),
    lambda: molgen.Molecule.from_smiles(None),
    lambda: evaluate(iter([carbon])),
    lambda: evaluate(carbon),
    lambda: molgen.Keep(molecule="lead.sdf", atoms=[1]),
    lambda: molgen.Around(molecule="lead.sdf"),
    lambda: molgen.Keep(molecule=carbon, atoms="1-3"),
    lambda: molgen.Keep(molecule=carbon, atoms=[1.5]),
    lambda: molgen.Keep(molecule=carbon, pull=-1.0),
    lambda: molgen.Around(molecule=carbon, strength="0.5"),
    lambda: molgen.search(model, 3, keep=1, pool=2, rounds=1),
    lambda: molgen.search(model, lambda molecule: None, keep=1, pool=2, rounds=1, request=molgen.sample.Request(steps=20)),
    lambda: molgen.search("qm9_small", "qed=max"),
    lambda: molgen.search(None, "qed=max"),
    lambda: molgen.conformers("qm9_small", [], 1),
    lambda: molgen.conformers(model, "CCO", 1),
    lambda: molgen.conformers(model, [carbon], 1),
    lambda: molgen.conformers(model, [], 0),
    lambda: model.predict("a.sdf"),
    lambda: model.predict(5),
    lambda: model.predict([carbon, "C"]),
    lambda: model.sample(1, progress=True),
    lambda: model.sample(1, properties=dict),
    lambda: model.sample(1, properties={"logp": np.zeros((2, 2))}),
    lambda: model.sample(1, sizes=np.zeros((2, 2), int)),
    lambda: model.sample(1, sizes=np.array(12)),
    lambda: model.sample(1, sizes=np.array([12.0])),
):
    try:
        call()
    except molgen.InputError as error:
        print(error)
"""
    found = plain.python(code).stdout.splitlines()
    assert [line.partition(" got ")[0] for line in found] == [
        "num: expected a whole number of at least 0,",
        "num: expected a whole number of at least 0,",
        "request: expected molgen.Request(properties={...}),",
        "request: expected molgen.Request(properties={...}),",
        "property logp: expected a number of at most 1e+38,",
        "property logp: expected a number of at most 1e+38,",
        "properties: expected values by name such as {'logp': 1.0},",
        "guidance: expected a number of at least 0,",
        "sizes: expected at most 1000 atoms,",
        "sizes: expected whole numbers,",
        "sizes: expected a list of numbers such as [18],",
        "seed: expected a whole number,",
        "constraint: expected molgen.Keep, Around or Conformers,",
        "filters: expected molgen.Filters(where=[...]),",
        "filters: Filters needs a model of molecules; shapes is one of shapes",
        "molecule 1: has no atoms",
        "smarts: expected a text such as 'c1ccccc1',",
        "c1ccc: no SMILES that RDKit can read",
        "seed: expected a whole number,",
        "source: expected the name of a model or a run folder,",
        "estimators: expected a list of run folders,",
        "estimators: expected a list of run folders,",
        "keep: expected a whole number,",
        "strength: expected a number from 0 to 1,",
        "request: expected molgen.Request(properties={...}),",
        "steps: expected a whole number,",
        "sizes: expected a list of numbers such as [18],",
        "sizes: expected a list of numbers such as [18],",
        "sampler: expected one of molgen.diffusion.sampler such as Ddim(),",
        "items: expected a list of molecules,",
        "request: give a Request or its arguments, not both; dataclasses.replace(request, ...) changes one",
        "novel: expected molecules, names of files, of data sets or of models, or SMILES,",
        "has: expected SMARTS patterns,",
        "lacks: expected SMARTS patterns or names of files of them,",
        "similar_to: expected molecules, names of files or SMILES,",
        "properties: expected values by name such as {'logp': 1.0},",
        "property logp: expected a number,",
        "logp: expected (low, high),",
        "logp: expected a number, a range (low, high) or the name of a class,",
        "logp: expected a number, a range (low, high) or the name of a class,",
        "sizes: expected whole numbers,",
        "guidance: expected a number,",
        "candidates: expected a whole number,",
        "steering: expected a number,",
        "guides: 'clash' is no guidance; a score has to be wrapped, molgen.guidance.Gradient(score)",
        "filters: expected molgen.Filters(where=[...]),",
        "constraint: expected molgen.Keep, Around or Conformers,",
        "expected a molecule of RDKit,",
        "smiles: expected a text such as 'CC(=O)NC',",
        "expected a list of molgen.Molecule objects or the name of a file,",
        "expected a list of molgen.Molecule objects or the name of a file,",
        "molecule: expected a molgen.Molecule,",
        "molecule: expected a molgen.Molecule,",
        "atoms: expected a list of whole numbers,",
        "atoms: expected a list of whole numbers,",
        "pull: expected a number of at least 0,",
        "strength: expected a number from 0 to 1,",
        "target: expected a function of a molecule or a text such as 'qed=max',",
        "target: the function has to give a number, NaN where it cannot,",
        "model: expected a loaded one,",
        "model: expected a loaded one,",
        "model: expected a loaded one,",
        *["graphs: expected a list of molgen.Conformers, such as [molgen.Conformers.from_smiles('CCO')]"] * 2,
        "num: expected a whole number of at least 1,",
        "items: expected a list of molecules,",
        "items: expected a list of molecules,",
        "items: expected molecules, number 2 is 'C'",
        "progress: expected a function of the draws made and planned,",
        "properties: expected values by name such as {'logp': 1.0},",
        "logp: expected a number, a range (low, high) or the name of a class,",
        "sizes: expected a list of numbers such as [18],",
        "sizes: expected a list of numbers such as [18],",
        "sizes: expected whole numbers,",
    ]


def test_another_sampler_walks_a_request():
    """A deterministic sampler of coordinates makes what its own steps make; the record tells which one it was."""
    model = load("qm9_small", "cpu")
    request = Request(sampler=Ddim(), steps=12, seed=3, keep_invalid=True, own_guides=False)
    (found,) = model.sample(1, request)
    (draw,) = model.plan(request, [0])
    like = model.domain.empty([draw.size], model.checkpoint.statistics)
    with torch.no_grad():
        *_, last = Ddim().walk(model.denoiser, model.denoiser.process, like, {}, PerSampleNoise([draw.seed]), 12)
    (expected,) = model.domain.decode(last.batch, model.checkpoint.statistics)
    assert np.allclose(found.positions, expected.positions, atol=1e-4)
    assert found.properties["sampler"].startswith("Ddim(")
    (usual,) = model.sample(1, steps=12, seed=3, keep_invalid=True, own_guides=False)
    assert "sampler" not in usual.properties
    assert not np.allclose(found.positions, usual.positions, atol=1e-2)


@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16])
def test_the_default_precision_of_torch_does_not_matter(precision):
    def made():
        molecules = load("qm9_small", "cpu").sample(2, steps=8, seed=1, properties={"logp": 1.0}, candidates=1, keep_invalid=True)
        return molecules, load("shapes", "cpu").sample(1, steps=3, sizes=[256], keep_invalid=True)

    plain = made()
    torch.set_default_dtype(precision)
    try:
        other = made()
    finally:
        torch.set_default_dtype(torch.float32)
    assert other == plain


def test_columns_of_tables_are_taken():
    """In a process of its own: here the types of arguments are checked."""
    pytest.importorskip("pandas")
    code = """
import molgen, numpy as np, pandas as pd
model = molgen.load("qm9_small")
molecules = model.sample(3, sizes=np.array([12, 13]), steps=8, keep_invalid=True)
assert {len(molecule) for molecule in molecules} <= {12, 13}, molecules
assert molecules[0].properties["size"] == "12-13"
wishes, sizes = pd.Series({"logp": 1.0}), pd.Series([12, 13], index=["a", "b"])
assert molgen.Request(properties=wishes, sizes=sizes) == molgen.Request(properties={"logp": 1.0}, sizes=[12, 13])
assert model.sample(3, sizes=sizes, steps=8, keep_invalid=True) == molecules
(wished,) = model.sample(1, properties=wishes, steps=4, keep_invalid=True)
assert wished.properties["requested_logp"] == 1.0
column = pd.Series(molecules)
for items in (column, column.to_numpy(), iter(molecules)):
    assert model.predict(items) == model.predict(molecules)
"""
    done = plain.python(code)
    assert done.returncode == 0, done.stderr


def test_a_model_says_in_a_line_what_it_is():
    assert repr(load("qm9_small", "cpu")) == ("Model('qm9_small', molecules, cpu, properties: homo_b3lyp, gap_xtb, dipole_xtb, logp, qed)")
