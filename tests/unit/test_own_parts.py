"""Parts that users bring: what they forget is said in one line, and what they ask for happens."""

import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from torch import nn

import molgen
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.grid import UniformGrid
from molgen.diffusion.sampler import Ancestral, Annealed, Ddim, Step
from molgen.diffusion.schedule import VarianceExploding
from molgen.diffusion.space import Centered
from molgen.errors import InputError
from molgen.guidance import Gradient
from molgen.molecules.data import PackedMolecules
from molgen.molecules.export import read_molecules
from molgen.molecules.prepare import open_source, prepare
from molgen.tags import called
from molgen.tensors import read_tensors, write_tensors
from molgen.train.checks import check_callbacks

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample" / "qm9_sample.sdf.gz"


@pytest.fixture(scope="module")
def model():
    return molgen.load("qm9_small", "cpu")


@pytest.fixture(scope="module")
def real():
    return [molecule for molecule in read_molecules(SAMPLE, limit=40) if (molecule.atomic_numbers == 6).sum() > 3]


class Counted:
    """A sampler without a text of its own that counts its steps, and may leave its last ones out."""

    def __init__(self, end: int | None = None):
        self.end, self.steps = end, 0

    def walk(self, *args):
        for step in list(Ancestral().walk(*args))[: self.end]:
            self.steps += 1
            yield step


@pytest.mark.parametrize("constraint", ["none", "keep", "around", "conformers"])
def test_an_own_sampler_walks_what_is_given_too(model, real, constraint):
    lead = real[0]
    given = {
        "none": None,
        "keep": molgen.Keep(molecule=lead, atoms=[1, 2, 3]),
        "around": molgen.Around(molecule=lead, strength=0.5),
        "conformers": molgen.Conformers.of(lead),
    }[constraint]
    sampler = Counted()
    (sample,) = model.sample(1, sampler=sampler, constraint=given, steps=8, keep_invalid=True)
    assert sampler.steps >= 4  # a variant begins in the middle
    assert sample.properties["sampler"] == "Counted"  # no address, which no second run would have
    if constraint == "keep":
        np.testing.assert_array_equal(sample.positions[:3], lead.positions[:3])


def test_every_restart_has_noise_of_its_own(model, real):
    """A draw that fails is walked again from its own end, up to the times that the constraint says; equal noise would repeat mistakes."""

    class Recorder:
        def __init__(self):
            self.walks = []

        def walk(self, denoiser, process, like, condition, noise, steps, start=1.0):
            self.walks.append((start, noise.normal(like.mask, 3, torch.float32)))
            yield Step(0, 0.0, like, {})  # all in one point, which fails

    sampler, keep = Recorder(), molgen.Keep(molecule=real[0], atoms=[1, 2, 3])
    draws = model.draws(molgen.Request(sampler=sampler, constraint=keep, steps=8), window=lambda start: 1)
    assert next(draws)[1]
    starts, numbers = zip(*sampler.walks, strict=True)
    assert [*starts] == [keep.start(model.denoiser.process), *keep.restarts(model.denoiser.process)]
    assert len(numbers) == 3
    assert not any(torch.equal(numbers[i], numbers[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(
    ("sampler", "words"), [(Counted(-1), r"sampler: Counted: its walk ends at time 0\.\d+"), (Counted(0), "ends at time 1;")]
)
def test_a_walk_that_does_not_end_clean_is_refused(model, sampler, words):
    with pytest.raises(InputError, match=words):
        model.sample(1, sampler=sampler, steps=4)


def test_a_walk_that_does_not_begin_where_it_should_is_refused(model, real):
    """Or variants would be free samples."""

    class Deaf:
        def walk(self, denoiser, process, like, condition, noise, steps, start):
            yield from Ancestral().walk(denoiser, process, like, condition, noise, steps)

    with pytest.raises(InputError, match=r"Deaf: goes from time 0\.\d+ to 0\.\d+; walk down, from `start` on"):
        model.sample(1, sampler=Deaf(), steps=8, constraint=molgen.Around(molecule=real[0], strength=0.1))


def test_a_walk_of_something_else_is_refused(model):
    class Batches:
        def walk(self, denoiser, process, like, *others):
            yield like

    with pytest.raises(InputError, match=r"Batches: expected molgen\.diffusion\.sampler\.Step after Step, got Batch"):
        model.sample(1, sampler=Batches(), steps=4)


class Times(UniformGrid):
    def times(self, steps, schedule):
        return self.__dict__["values"]


@pytest.mark.parametrize(
    "values",
    [
        torch.linspace(0, 1, 5),
        torch.linspace(1, 0, 4),
        torch.linspace(1, 0.01, 5),
        torch.tensor([1.0, 0.4, 0.6, 0.2, 0.0]),
        torch.tensor([1.0, 0.5, 0.5, 0.2, 0.0]),
        torch.linspace(0.5, 0, 5),
        [1.0, 0.75, 0.5, 0.25, 0.0],
    ],
    ids=["rising", "too few", "not clean", "back and forth", "twice", "from the middle", "list"],
)
def test_a_grid_is_checked(model, values):
    grid = Times()
    grid.__dict__["values"] = values
    with pytest.raises(InputError, match="Times: expected a tensor of 5 times that fall from 1 to 0, got"):
        model.sample(1, sampler=Ddim(grid=grid), steps=4)


class Schedule:
    def __init__(self, alpha, sigma, time):
        self.alpha, self.sigma, self.time = alpha, sigma, time


@pytest.mark.parametrize(
    ("alpha", "sigma", "time", "words"),
    [
        (lambda t: 1 - t, lambda t: t, lambda r: r / (1 + r), "finite noise-to-signal ratio"),
        (
            torch.ones_like,
            lambda t: 0.02 + 40 * t,
            lambda r: (r - 0.02) / 40,
            "sigma 0 at t = 0, clean data, got 1 and 0.02",
        ),
        (torch.ones_like, lambda t: 40 * t, lambda r: r, r"expected time\(ratio\) to be the time"),
        (torch.ones_like, lambda t: torch.sin(3 * t), lambda r: r, "ratio sigma / alpha that grows with t"),
    ],
)
def test_a_noise_schedule_keeps_its_laws(alpha, sigma, time, words):
    with pytest.raises(InputError, match=f"Schedule: .*{words}"):
        Gaussian(Schedule(alpha, sigma, time), Centered())
    Gaussian(Schedule(torch.ones_like, lambda t: 40 * t, lambda r: r / 40), Centered())
    Gaussian(VarianceExploding(), Centered())
    Gaussian(Schedule(lambda t: 1.0, lambda t: 40 * t.float(), lambda r: (r / 40).float()), Centered())  # a number, single precision


def test_a_noise_schedule_needs_all_its_methods():
    @dataclass(frozen=True, kw_only=True)
    class Half:
        kind: str = "half"

        def alpha(self, t):
            return torch.ones_like(t)

    with pytest.raises(ValueError, match="Half: a noise schedule needs the method `sigma` as well"):
        molgen.register(Half)


def far(guess):
    return -(guess.positions[:, None] - guess.positions[:, :, None]).square().sum(-1).sqrt().mean((1, 2))


@pytest.mark.parametrize(
    ("score", "what"),
    [
        (far, "far: its gradient by positions"),
        (lambda guess: (guess.atoms - guess.atoms.detach()).square().sum(-1).sqrt().sum(-1), "its gradient by atoms"),
        (lambda guess: (guess.bonds - guess.bonds.detach()).square().sum(-1).sqrt().sum((1, 2)), "its gradient by bonds"),
    ],
)
def test_a_gradient_that_is_not_finite_is_told(model, score, what):
    with pytest.warns(UserWarning, match=f"guides: .*{what} is not finite, and left out; is there a square root of 0"):
        model.sample(1, guides=[Gradient(score)], steps=2, keep_invalid=True)


def test_gradients_that_are_finite_where_they_are_used_are_not_told(model):
    def score(guess):
        diagonal = guess.bonds.diagonal(dim1=1, dim2=2)  # which no bond has
        return -guess.positions.square().sum((1, 2)) + (diagonal - diagonal.detach()).square().sum(1).sqrt().sum(-1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (made,) = model.sample(1, guides=[Gradient(score)], steps=2, keep_invalid=True)
    assert np.isfinite(made.positions).all()


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda guess: guess.positions.detach().sum((1, 2)), "has no gradient; compute it from the guess by operations of torch"),
        (lambda guess: torch.zeros(len(guess.mask)), "has no gradient"),
        (lambda guess: 1.0, r"expected a tensor of one value a molecule, shape \(\d+,\), got 1.0"),
        (lambda guess: guess.positions.sum(), r"expected a tensor of one value a molecule, shape \(\d+,\), got \(\)"),
    ],
)
def test_a_score_that_guides_nowhere_is_refused(model, score, words):
    with pytest.raises(InputError, match=words):
        model.sample(1, guides=[Gradient(score)], steps=2, keep_invalid=True)


@pytest.mark.parametrize(
    ("numbers", "words"), [({"scale": float("nan")}, "scale: expected a finite"), ({"below": -1.0}, "below: expected a noise")]
)
def test_numbers_of_a_gradient(numbers, words):
    with pytest.raises(InputError, match=words):
        Gradient(far, **numbers)


SHAPES = """
import molgen
from molgen.guidance import Clash, Gradient

try:
    list(molgen.load("shapes", "cpu").stream(1, molgen.Request(guides=[Gradient(Clash())], steps=2)))
except molgen.InputError as error:
    print(error)
"""


def test_a_gradient_is_for_molecules():
    assert plain.python(SHAPES).stdout == "guides: a Gradient is for models of molecules\n"


def test_an_own_filter_draws_anew_and_keeps_the_screen(real):
    def has_oxygen(molecule):
        return (molecule.atomic_numbers == 8).any()

    def broken(molecule):
        raise RuntimeError("no licence")

    oxygen = [bool((molecule.atomic_numbers == 8).any()) for molecule in real]
    assert 0 < sum(oxygen) < len(oxygen)
    screen = molgen.Filters(accept=has_oxygen).start()
    assert [not screen(molecule) for molecule in real] == oxygen
    assert screen(real[oxygen.index(False)]).startswith("not accepted by ")
    screen = molgen.Filters(accept=[broken]).start()
    assert [screen(real[0]).endswith("broken raised RuntimeError: no licence") for _ in range(19)] == [True] * 19
    with pytest.raises(InputError, match="broken raised RuntimeError: no licence, for each of the first 20 molecules"):
        screen(real[0])
    assert "flagged" in molgen.Filters(accept=[lambda molecule: True]).start()(molgen.Molecule.from_smiles("C#N"))
    assert molgen.Filters(where=["mw<900"], accept=[has_oxygen]).describe().endswith("has_oxygen; mw<900")
    with pytest.raises(InputError, match="accept: expected functions of a molecule, got"):
        molgen.Filters(accept="logp<3")


def test_an_own_filter_in_sampling_and_search(model):
    def large(molecule):
        return len(molecule) > 17

    samples = model.sample(3, filters=molgen.Filters(accept=large), steps=10)
    assert all(len(molecule) > 17 for molecule in samples)
    best = molgen.search(model, "qed=max", keep=1, pool=6, rounds=1, request=molgen.Request(steps=10, filters=molgen.Filters(accept=large)))
    assert len(best[0]) > 17


def test_names_in_records_are_the_same_in_every_run():
    assert called(partial(far, scale=2)) == "far(scale=2)"
    assert called(Counted()) == "Counted"
    assert called(Annealed()) == str(Annealed())
    assert "0x" not in Gradient(partial(far, scale=2)).describe()


def test_a_batch_in_the_vocabulary_of_a_model(model, real, tmp_path):
    """A data set has classes of its own: without translation ethanol would be read as other elements."""
    molgen.write_sdf(tmp_path / "ethanol.sdf", [molgen.Molecule.from_smiles("CCO")])
    prepare(open_source(str(tmp_path / "ethanol.sdf")), tmp_path / "data")
    data, (ethanol,) = PackedMolecules(tmp_path / "data"), molgen.read_sdf(tmp_path / "ethanol.sdf")
    elements = torch.tensor(model.checkpoint.statistics.elements)
    for batch in (model.encode([ethanol]), data.translated(model.checkpoint.statistics, "qm9_small").batch([0])):
        assert elements[batch["atom"][0]].tolist() == ethanol.atomic_numbers.tolist()
        assert (torch.tensor(model.checkpoint.statistics.charges)[batch["charge"][0]] == 0).all()
    prediction = model.denoiser(model.encode(real[:4]), torch.full((4,), 1e-3), {})
    there = model.encode(real[:4]).mask
    assert (prediction["atom"].argmax(-1) == model.encode(real[:4])["atom"])[there].all()


def test_molecules_without_bonds_get_them_before_a_model_reads_them(model, real):
    bare = [replace(molecule, bonds=molecule.bonds[:0]) for molecule in real[:4]]
    assert torch.equal(model.encode(bare)["bond"], model.encode(real[:4])["bond"])
    assert model.predict(bare)[0]["gap_xtb"].value == pytest.approx(model.predict(real[:4])[0]["gap_xtb"].value, abs=1e-4)
    with pytest.raises(InputError, match="molecule 2: has no bonds, and "):
        model.encode([real[0], replace(bare[1], positions=100 * bare[1].positions)])
    with pytest.raises(InputError, match="molecules: expected at least one"):
        model.encode([])


class Narrow(nn.Module):
    """A backbone that forgets the last feature of nodes."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, **given):
        displacement, nodes, pairs = self.backbone(**given)
        return displacement, nodes[..., :-1], pairs


def test_outputs_of_an_own_network_are_checked(real):
    own = molgen.load("qm9_small", "cpu")
    own.denoiser.backbone = Narrow(own.denoiser.backbone)
    n = len(real[0])
    with pytest.raises(InputError, match=rf"Narrow: expected displacement, .* \(1, {n}, \d+\), .* got \[\(1, {n}, 3\), "):
        own.denoiser(own.encode(real[:1]), torch.tensor([0.5]), {})


def test_weights_that_are_tied_are_kept(tmp_path):
    shared = nn.Linear(3, 3)
    network = nn.ModuleDict({"one": shared, "other": shared})
    write_tensors(tmp_path / "a.safetensors", network.state_dict())
    found = read_tensors(tmp_path / "a.safetensors")
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


def test_callbacks_are_objects():
    from lightning.pytorch.callbacks import Timer

    check_callbacks([Timer()])
    for wrong in (Timer, print):
        with pytest.raises(InputError, match=r"callbacks: expected objects of classes of lightning\.pytorch\.callbacks\.Callback, got"):
            check_callbacks([wrong])
