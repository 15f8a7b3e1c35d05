"""Fine-tuning of shapes: a mapped network is the same function of classes, words and numbers; a run from the weights that ship."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from molgen.batch import Batch, mask_of
from molgen.checkpoint import Checkpoint, build_denoiser, load_checkpoint
from molgen.cli import main
from molgen.config import build_experiment
from molgen.errors import InputError
from molgen.files import shipped
from molgen.finetune import fine_tuning
from molgen.heritage import inherit
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.latent_statistics import LatentStatistics
from molgen.shapes.text import TextStatistics
from molgen.statistics import Label
from molgen.tensors import read_tensors, write_tensors

ROOT = Path(__file__).parents[2]
CODEC = ROOT / "molgen/weights/shapes/autoencoder"
MODELS = {
    "point_unet": {"scalars": 16, "vectors": 8, "levels": [8], "layers": 1, "neighbours": 4, "context": 16, "frame": "full"},
    "point_transformer": {"scalars": 16, "vectors": 8, "layers": 2, "context": 16, "frame": "z"},
}
FIELDS = {"point_unet": {"kind": "shape"}, "point_transformer": {"kind": "shape_latent"}}
WORDS = 5  # numbers of a sentence


def label(name, mean, std, count=9):
    return Label(name, "", count, mean, std, mean - std, mean + std)


def moments(seed):
    drawn = torch.rand(2, WORDS, generator=torch.Generator().manual_seed(seed)).tolist()
    return TextStatistics(tuple(drawn[0]), tuple(drawn[1]), ("chair",))


def statistics(kind, categories, labels, text, coordinate_std):
    shape = ShapeStatistics(9, 64, categories, (3,) * len(categories), coordinate_std, labels=labels, captions=True, text=text)
    return shape if kind == "point_unet" else LatentStatistics(shape, 64, 9, 16, coordinate_std, 1.8, CODEC)


def old_statistics(kind):
    return statistics(kind, ("bed", "chair", "table"), (label("legs", 4.0, 1.0), label("lost", 0.0, 1.0)), moments(0), 0.3)


def new_statistics(kind):
    return statistics(kind, ("chair", "lamp", "table", "bed"), (label("legs", 3.0, 2.5), label("fresh", 1.0, 3.0)), moments(1), 0.5)


def experiment(kind, conditions, parts=0.0):
    sections = {
        "model": {"kind": kind, **MODELS[kind]},
        "fields": FIELDS[kind],
        "objective": {"parts": {"share": parts, "fields": ["pos"]}},
    }
    return build_experiment({**sections, "data": {"conditions": conditions}}, "test")


@pytest.fixture(params=MODELS)
def kind(request):
    return request.param


def source(kind):
    torch.manual_seed(0)
    what = experiment(kind, ["category", "text", "lost", "legs"])
    denoiser = build_denoiser(what, old_statistics(kind)).eval()
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Checkpoint("old", what, old_statistics(kind), denoiser)


def tuned(old, conditions=("legs", "fresh", "text", "category"), parts=0.0):
    what = experiment(old.experiment.model.kind, list(conditions), parts)
    weights, found = inherit(what, new_statistics(old.experiment.model.kind), old)
    denoiser = build_denoiser(what, found).eval()
    denoiser.load_state_dict(weights)
    return denoiser, found


def noisy(kind):
    generator, mask = torch.Generator().manual_seed(1), mask_of([16, 12])
    widths = {"pos": 3} if kind == "point_unet" else {"pos": 3, "feature": 9}
    fields = {name: torch.randn(2, 16, width, generator=generator) * mask.unsqueeze(-1) for name, width in widths.items()}
    return Batch(fields if kind == "point_unet" else {**fields, "shape": torch.randn(2, 16, generator=generator)}, mask)


SENTENCES = torch.linspace(-1, 2, 2 * WORDS).view(2, WORDS)
ASKED = {
    "nothing": lambda names: {},
    "class": lambda names: {"category": torch.tensor([float(names.index("table")), float(names.index("bed"))])},
    "words": lambda names: {"text": SENTENCES},
    "all": lambda names: {"text": SENTENCES, "legs": torch.tensor([3.0, 6.0]), "category": torch.full((2,), float(names.index("chair")))},
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("parts", [0.0, 0.5])
def test_mapped_network_is_the_same_function_of_what_the_old_one_knew(kind, asked, parts):
    old = source(kind)
    new, found = tuned(old, parts=parts)
    assert found.coordinate_std == old.statistics.coordinate_std
    batch, t = noisy(kind), torch.tensor([0.4, 0.7])
    before, after = (ASKED[asked](list(who.conditions["category"].classes)) for who in (old.denoiser, new))
    given = replace(batch, given=batch.mask & (torch.arange(16) < 3))
    first, second = old.denoiser(batch, t, before), new(given, t, after)
    if asked != "nothing":
        assert (first["pos"] - old.denoiser(batch, t, {})["pos"]).abs().max() > 1e-3  # the condition does matter
    for one, two in ((first, second), (old.denoiser(batch, t, before, first), new(batch, t, after, second))):
        assert list(one) == list(two) == list(batch.fields)
        for name in one:
            torch.testing.assert_close(two[name], one[name], atol=2e-5, rtol=1e-4)


def test_what_is_new_has_no_effect_and_what_is_left_out_is_null(kind):
    old = source(kind)
    batch, t = noisy(kind), torch.tensor([0.4, 0.7])
    new, _ = tuned(old)
    free = new(batch, t, {})
    lamp = new.conditions["category"].read("lamp")
    for asked in ({"category": torch.full((2,), lamp)}, {"fresh": torch.tensor([2.0, 7.0])}):
        torch.testing.assert_close(new(batch, t, asked), free)
    without, _ = tuned(old, ["category"])
    table = ASKED["class"](list(new.conditions["category"].classes))
    torch.testing.assert_close(without(batch, t, table), new(batch, t, table), atol=2e-5, rtol=1e-4)


def test_conditions_that_mean_another_kind_of_thing_are_refused():
    old = source("point_unet")
    shorter = replace(new_statistics("point_unet"), text=TextStatistics((0.0,) * 3, (1.0,) * 3, ("chair",)))
    with pytest.raises(InputError, match="text: 3 numbers in the data, 5 in the model"):
        inherit(experiment("point_unet", ["text"]), shorter, old)


def test_features_of_another_autoencoder_are_refused(tmp_path):
    here = new_statistics("point_transformer")
    for name, changed in (("same", "move.0.weight"), ("other", "see.0.weight")):
        shutil.copytree(CODEC, tmp_path / name)
        weights = read_tensors(CODEC / "model.safetensors")
        write_tensors(tmp_path / name / "model.safetensors", weights | {changed: weights[changed] + 1e-3})
    assert replace(here, folder=tmp_path / "same").inherit(here).coordinate_std == here.coordinate_std  # another decoder
    with pytest.raises(InputError, match="its features are not those that the model has learned"):
        replace(here, folder=tmp_path / "other").inherit(here)
    with pytest.raises(InputError, match=r"fields\.autoencoder is part of that model"):
        fine_tuning("shapes", [f"fields.autoencoder={tmp_path / 'other'}"])
    assert fine_tuning("shapes", []).fields.autoencoder == str(shipped("weights") / "shapes" / "autoencoder")


def test_data_in_which_another_axis_points_up_are_refused(kind):
    def standing(statistics, up):
        return replace(statistics, up=up) if kind == "point_unet" else replace(statistics, shape=replace(statistics.shape, up=up))

    here, old = new_statistics(kind), old_statistics(kind)
    for now, before in (("z", "z"), ("y", ""), ("", "z")):
        assert standing(here, now).inherit(standing(old, before)).coordinate_std == old.coordinate_std
    with pytest.raises(
        InputError, match="y points up in the data, z in the shapes that the model knows; prepare them anew with --up y --turn z"
    ):
        standing(here, "y").inherit(standing(old, "z"))


def test_a_model_of_another_kind_is_refused(kind):
    other = new_statistics("point_unet" if kind == "point_transformer" else "point_transformer")
    with pytest.raises(InputError, match="old: cannot be fine-tuned on these data; it was trained on another kind"):
        inherit(experiment(kind, ["legs"]), other, source(kind))


def invoke(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def stools(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "stools"
    words = ("--num", 40, "--kind", "stool,table", "--points", 1024, "--text", "--seed", 9, "--workers", 1)
    status, output = invoke("prepare", "procedural", "--out", out, *words)
    assert status == 0, output
    return out


pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def test_run_from_the_latent_model_goes_on_and_samples_without_it(stools, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(ROOT / "molgen/weights/shapes", copy)
    settings = [f"data.path={stools}", f"train.out={tmp_path / 'run'}", "train.pair_budget=16384", "train.accelerator=cpu"]
    settings += ["train.validate_every=1", "train.learning_rate=1e-30", "train.precision=32-true"]
    status, output = invoke("train", "--from", copy, *settings, "train.max_steps=1")
    assert status == 0, output
    run, old = load_checkpoint(tmp_path / "run"), load_checkpoint(copy)
    assert run.experiment.data.conditions == ("category", "text")
    assert run.statistics.shape.categories == ("stool", "table")
    assert run.statistics.coordinate_std == old.statistics.coordinate_std
    expected, _ = inherit(run.experiment, run.statistics, old)
    torch.testing.assert_close(dict(run.denoiser.state_dict()), expected)
    shutil.rmtree(copy)
    inside = f"fields.autoencoder={tmp_path / 'run/autoencoder'}"
    status, output = invoke("train", tmp_path / "run" / "config.yaml", inside, "train.max_steps=2")
    assert status == 0, output
    words = ("--class", "stool", "--text", "a stool with three legs", "--num", 1, "--points", 128, "--steps", 2)
    status, output = invoke("sample", tmp_path / "run", *words, "--out", tmp_path / "out")
    assert status == 0, output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stool_0000.ply"]


def test_run_from_a_model_of_points(stools, tmp_path):
    settings = [f"data.path={stools}", "train.pair_budget=5000000", "train.accelerator=cpu", "train.max_steps=1"]
    small = [f"model.{name}={value}" for name, value in MODELS["point_unet"].items()]
    first = (f"train.out={tmp_path / 'first'}", "objective.parts.share=0.3", *settings, *small)
    status, output = invoke("train", ROOT / "configs/shapes.yaml", *first)
    assert status == 0, output
    second = (f"train.out={tmp_path / 'second'}", "data.conditions=[legs]", "objective.parts.share=0", *settings)
    status, output = invoke("train", "--from", tmp_path / "first", *second)
    assert status == 0, output
    assert load_checkpoint(tmp_path / "second").denoiser.conditions.names == ["legs"]


def test_conditions_are_those_that_model_and_data_share(stools, tmp_path):
    assert fine_tuning("shapes", [f"data.path={stools}"]).data.conditions == ("category", "text")
    status, output = invoke("prepare", "procedural", "--num", 4, "--kind", "table", "--points", 1024, "--out", tmp_path / "mute")
    assert status == 0, output
    assert fine_tuning("shapes", [f"data.path={tmp_path / 'mute'}"]).data.conditions == ("category",)
