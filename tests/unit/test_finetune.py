"""Fine-tuning: a mapped network is the same function of what the old one knew; runs on new elements, labels and sizes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from molgen.batch import Batch, mask_of
from molgen.checkpoint import Checkpoint, build_denoiser, load_checkpoint
from molgen.cli import main
from molgen.config import build_experiment, load_experiment
from molgen.errors import InputError
from molgen.finetune import fine_tuning, remember
from molgen.heritage import inherit
from molgen.known import FILE, Known, fingerprint
from molgen.molecules.data import PackedMolecules
from molgen.molecules.fields import Statistics
from molgen.statistics import Label
from molgen.train.stream import split_validation

ROOT = Path(__file__).parents[2]
MODELS = {
    "equivariant_transformer": {"scalars": 16, "vectors": 8, "pairs": 8, "layers": 2, "context": 16},
    "tensor_product": {"scalars": 8, "tensors": 4, "pairs": 8, "layers": 2, "context": 16},
}


def label(name, mean, std):
    return Label(name, "eV", 100, mean, std, mean - 3 * std, mean + 3 * std, {4: (100.0, mean, std)})


def statistics(elements, charges, labels, coordinate_std=1.2):
    return Statistics(
        num_molecules=100,
        elements=elements,
        charges=charges,
        sizes={4: 100},
        atom_marginal=tuple(1 / len(elements) for _ in elements),
        charge_marginal=tuple(1 / len(charges) for _ in charges),
        bond_marginal=(0.7, 0.2, 0.08, 0.02),
        coordinate_std=coordinate_std,
        labels=labels,
    )


OLD = statistics((1, 6, 8), (-1, 0), (label("gap", 5.0, 1.0), label("lost", 1.0, 2.0)))
NEW = statistics((1, 6, 7, 8, 9, 16), (-1, 0, 2), (label("fresh", 0.0, 1.0), label("gap", 8.0, 2.5)), coordinate_std=3.3)


def experiment(kind, conditions, noise="marginal", parts=0.0):
    fields, objective = {"kind": "molecule", "atom": {"kind": noise}}, {"parts": {"share": parts}}
    sections = {"model": {"kind": kind, **MODELS[kind]}, "fields": fields, "objective": objective, "data": {"conditions": conditions}}
    return build_experiment(sections, "test")


def source(kind, noise="marginal", conditions=("gap", "lost"), data=OLD):
    torch.manual_seed(0)
    what = experiment(kind, list(conditions), noise)
    denoiser = build_denoiser(what, data).eval()
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Checkpoint("old", what, data, denoiser)


def tuned(old, conditions=("fresh", "gap"), noise="marginal", data=NEW):
    what = experiment(old.experiment.model.kind, list(conditions), noise)
    weights, found = inherit(what, data, old)
    denoiser = build_denoiser(what, found).eval()
    denoiser.load_state_dict(weights)
    return denoiser, found


def noisy(atoms, charges, elements, formal):
    """The same molecules in the classes of a vocabulary."""
    torch.manual_seed(1)
    bond = torch.randint(4, (2, 5, 5)).triu(1)
    fields = {
        "pos": torch.randn(2, 5, 3),
        "atom": torch.tensor([[elements.index(z) for z in row] for row in atoms]),
        "charge": torch.tensor([[formal.index(q) for q in row] for row in charges]),
        "bond": bond + bond.transpose(1, 2),
    }
    mask = mask_of([5, 4])
    return Batch({"pos": fields["pos"] * mask.unsqueeze(-1), **{k: v for k, v in fields.items() if k != "pos"}}, mask)


ATOMS, CHARGES = [[1, 6, 8, 6, 1], [8, 8, 1, 6, 1]], [[0, 0, -1, 0, 0], [0, 0, 0, -1, 0]]


def own_logits(denoiser, batch, t, prediction, field):
    """What the network says beyond the evidence of the entry itself, which depends on the class frequencies."""
    return prediction[field] - denoiser.process[field].evidence(batch[field], t)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("noise", ["marginal", "masked"])
@pytest.mark.parametrize("gap", [None, 6.5])
def test_mapped_network_is_the_same_function_of_what_the_old_one_knew(kind, noise, gap):
    old = source(kind, noise)
    new, found = tuned(old, noise=noise)
    assert found.coordinate_std == OLD.coordinate_std  # the unit in which the network sees distances
    t = torch.tensor([0.4, 0.7])
    condition = {} if gap is None else {"gap": torch.full((2,), gap)}
    before, after = noisy(ATOMS, CHARGES, OLD.elements, OLD.charges), noisy(ATOMS, CHARGES, NEW.elements, NEW.charges)
    first = old.denoiser(before, t, condition)
    second = new(after, t, condition)
    kept = {
        "atom": [NEW.elements.index(z) for z in OLD.elements],
        "charge": [NEW.charges.index(q) for q in OLD.charges],
        "bond": [0, 1, 2, 3],
    }
    # self-conditioning: the new classes are given no probability
    previous = {"pos": first["pos"], "bond": first["bond"]}
    for field in ("atom", "charge"):
        previous[field] = torch.full_like(second[field], -1e9)
        previous[field][..., kept[field]] = first[field]
    for one, two in ((first, second), (old.denoiser(before, t, condition, first), new(after, t, condition, previous))):
        torch.testing.assert_close(two["pos"], one["pos"], atol=1e-5, rtol=1e-5)
        for field, columns in kept.items():
            mask = before.pair_mask if field == "bond" else before.mask
            a = own_logits(old.denoiser, before, t, one, field)[mask]
            b = own_logits(new, after, t, two, field)[..., columns][mask]
            torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_of_other_noise_it_is_the_same_function_of_classes_and_a_mask_starts_as_the_mean_of_them(kind):
    t, batch = torch.tensor([0.4, 0.7]), noisy(ATOMS, CHARGES, OLD.elements, OLD.charges)
    later = noisy(ATOMS, CHARGES, NEW.elements, NEW.charges)
    for before, now in (("marginal", "masked"), ("masked", "marginal")):
        old = source(kind, before)
        new, _ = tuned(old, noise=now)
        torch.testing.assert_close(new(later, t, {})["pos"], old.denoiser(batch, t, {})["pos"], atol=1e-5, rtol=1e-5)
    only = statistics((6,), (0,), ())  # the mean of one class is that class
    old = source(kind, conditions=(), data=only)
    new, _ = tuned(old, (), "masked", only)
    none = torch.zeros_like(batch["atom"])
    carbon = replace(batch, fields={**batch.fields, "atom": none, "charge": none})
    masked = replace(batch, fields={**batch.fields, "atom": none + 1, "charge": none})
    torch.testing.assert_close(new(masked, t, {})["pos"], old.denoiser(carbon, t, {})["pos"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_a_network_that_learns_to_complete_starts_as_the_same_function_whatever_is_given(kind):
    old = source(kind)
    what = experiment(kind, ["gap", "lost"], parts=0.5)
    weights, found = inherit(what, OLD, old)
    new = build_denoiser(what, found).eval()
    new.load_state_dict(weights)
    batch, t = noisy(ATOMS, CHARGES, OLD.elements, OLD.charges), torch.tensor([0.4, 0.7])
    given = replace(batch, given=batch.mask & (torch.arange(5) < 2))
    for field, expected in old.denoiser(batch, t, {}).items():
        torch.testing.assert_close(new(batch, t, {})[field], expected)
        torch.testing.assert_close(new(given, t, {})[field], expected)
    for parameter in new.parameters():  # once the input is learned, it is kept
        torch.nn.init.normal_(parameter, std=0.2)
    assert not torch.allclose(new(given, t, {})["pos"], new(batch, t, {})["pos"])
    again, _ = inherit(what, OLD, Checkpoint("new", what, OLD, new))
    assert all(torch.equal(again[name], value) for name, value in new.state_dict().items())


@pytest.mark.parametrize("kind", MODELS)
def test_new_classes_start_as_their_relatives(kind):
    old = source(kind)
    new, _ = tuned(old)
    t = torch.tensor([0.4, 0.7])
    batch = noisy(ATOMS, CHARGES, NEW.elements, NEW.charges)
    own = own_logits(new, batch, t, new(batch, t, {}), "atom")[batch.mask]
    place = {z: NEW.elements.index(z) for z in NEW.elements}
    torch.testing.assert_close(own[:, place[16]], own[:, place[8]])  # sulfur like oxygen
    torch.testing.assert_close(own[:, place[9]], own[:, place[1]])  # fluorine like hydrogen: one bond
    torch.testing.assert_close(own[:, place[7]], own[:, [place[z] for z in OLD.elements]].mean(1))  # no relative: the mean
    swapped = noisy([[1, 6, 16, 6, 1], [16, 16, 1, 6, 1]], CHARGES, NEW.elements, NEW.charges)
    torch.testing.assert_close(new(swapped, t, {})["pos"], new(batch, t, {})["pos"])
    torch.testing.assert_close(new(batch, t, {"fresh": torch.ones(2)})["pos"], new(batch, t, {})["pos"])  # not learned yet


def test_networks_of_other_sizes_and_data_of_other_hydrogens_are_refused():
    old = source("equivariant_transformer")
    with pytest.raises(InputError, match="network of other sizes"):
        inherit(experiment("tensor_product", ["gap"]), NEW, old)
    with pytest.raises(InputError, match="without hydrogens, the model was trained with"):
        inherit(experiment("equivariant_transformer", ["gap"]), replace(NEW, hydrogens=False), old)


def test_labels_in_other_units_are_refused():
    old = source("equivariant_transformer")

    def other(**changes):
        return replace(NEW, labels=(NEW.labels[0], replace(NEW.labels[1], **changes)))

    with pytest.raises(InputError, match="gap: in kcal/mol in the data, in eV in the model; prepare the data in eV"):
        inherit(experiment("equivariant_transformer", ["gap"]), other(unit="kcal/mol"), old)
    for mean in (500.0, -500.0):
        with pytest.raises(InputError, match=f"gap: {mean:.0f} ± 1 in the data, 5 ± 1 in the model"):
            inherit(experiment("equivariant_transformer", ["gap"]), other(unit="", mean=mean, std=1.0), old)


def invoke(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def ligands(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "ligands"
    status, output = invoke("prepare", ROOT / "data/ligands_sample/neutral.sdf.gz", "--out", out, "--compute", "logp,tpsa", "--workers", 1)
    assert status == 0, output
    return out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_run_from_a_model_starts_with_its_weights_and_goes_on_without_it(ligands, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(ROOT / "molgen/weights/qm9_small", copy)
    settings = [f"data.path={ligands}", f"train.out={tmp_path / 'run'}", "train.validate_every=1", "train.pair_budget=6000"]
    settings += ["train.accelerator=cpu", "data.conditions=[tpsa,logp]", "train.learning_rate=1e-30"]
    assert invoke("train", "--from", copy, *settings, "train.max_steps=1")[0] == 0
    run, old = load_checkpoint(tmp_path / "run"), load_checkpoint(copy)
    assert {9, 16, 17, 35} <= set(run.statistics.elements)
    assert max(run.statistics.sizes) > max(old.statistics.sizes)
    assert run.experiment.data.conditions == ("tpsa", "logp")
    expected, _ = inherit(run.experiment, load_checkpoint(tmp_path / "run").statistics, old)
    for name, value in run.denoiser.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert run.statistics.coordinate_std == old.statistics.coordinate_std
    lines = np.array((ligands / "smiles.txt").read_text().splitlines())
    held_out = split_validation(run.experiment, PackedMolecules(ligands))[2]
    hashes, trained = np.array([fingerprint(smiles) for smiles in lines], np.uint64), np.delete(lines, held_out)
    assert run.known.holds(hashes).tolist() == (np.isin(lines, trained) | old.known.holds(hashes)).tolist()
    assert not run.known.holds(hashes).all()  # what is held out was not trained on
    assert len(run.known) == len(old.known) + (~old.known.holds(np.unique(np.delete(hashes, held_out)))).sum()
    shutil.rmtree(copy)
    status, output = invoke("train", tmp_path / "run" / "config.yaml", "train.max_steps=3")  # needs the model no more
    assert status == 0, output
    assert invoke("train", "--from", tmp_path / "run", *settings, f"train.out={tmp_path / 'again'}", "train.max_steps=2")[0] == 0
    again = load_checkpoint(tmp_path / "again")
    assert again.statistics.coordinate_std == old.statistics.coordinate_std
    assert len(again.denoiser.state_dict()) == len(expected)
    assert np.array_equal(again.known.leading, run.known.leading)


@pytest.mark.parametrize("told", [True, False])
def test_a_model_from_one_that_does_not_say_what_it_learned_does_not_say_either(ligands, tmp_path, told):
    shutil.copytree(ROOT / "molgen/weights/qm9_small", tmp_path / "old", ignore=None if told else shutil.ignore_patterns(FILE))
    (tmp_path / "run").mkdir()
    remember(fine_tuning(str(tmp_path / "old"), [f"data.path={ligands}"]), PackedMolecules(ligands), np.arange(5), tmp_path / "run")
    assert (Known.load(tmp_path / "run") is not None) is told


@pytest.mark.parametrize("gpu", [False, True])
def test_batches_of_a_recipe_for_a_gpu_are_kept_where_there_is_one(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    run = fine_tuning("qm9", []).train  # the recipe is 2e-3 with 332,000 pairs
    assert (run.start, run.warmup_steps, run.max_steps) == ("qm9", 100, 2000)
    assert (run.learning_rate, run.pair_budget) == (5e-4, 332_000 if gpu else 32_000)
    again = fine_tuning("leads", []).train  # fine-tuned itself, at 1e-3 in batches of a GPU
    assert (again.learning_rate, again.pair_budget) == (5e-4, 332_000 if gpu else 32_000)


def test_conditions_are_those_that_model_and_data_share(ligands):
    assert fine_tuning("qm9", [f"data.path={ligands}"]).data.conditions == ("logp",)
    assert fine_tuning("qm9", [f"data.path={ligands}", "data.conditions=[tpsa]"]).data.conditions == ("tpsa",)
    own = load_experiment(ROOT / "molgen/weights/qm9/config.yaml").data.conditions
    assert fine_tuning("qm9", [f"data.path={ligands}", f"data.conditions=[{','.join(own)}]"]).data.conditions == own  # refused later


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--from", "qm9", "qm9", "train.out=x"), "takes the configuration of that model, not qm9"),
        (("--from", "qm8", "train.out=x"), "neither a folder nor a model that ships"),
        (("--from", "qm9", "model.layers=9", "train.out=x"), "leave out model"),
        (("--from", "qm9", "train.out=x", "data.path=nowhere"), "nowhere"),
        ((), "expected a configuration file"),
    ],
)
def test_bad_words_give_one_line(words, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, output = invoke("train", *words)
    assert status == 2
    assert line in output
    assert not list(tmp_path.iterdir())
