"""Every configuration that ships loads, builds, and makes one step of training and of sampling. A new file is tested by being there."""

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_type_hints

import pytest
import torch
import yaml
from click.testing import CliRunner

import molgen
from molgen.alternatives import choices
from molgen.checkpoint import Checkpoint, build_denoiser, build_network, save_checkpoint
from molgen.cli import main
from molgen.config import build_experiment, dump_experiment, load_experiment
from molgen.errors import InputError
from molgen.experiment import Experiment
from molgen.molecules.fields import Statistics
from molgen.nn.equivariant import EquivariantTransformer
from molgen.nn.tensor_product import TensorProduct
from molgen.sample import Draw, Model, Request
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.latent_statistics import LatentStatistics, load_autoencoder
from molgen.shapes.text import WIDTH, TextStatistics
from molgen.statistics import Label
from molgen.train import fit

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
MOMENTS = {"unit": "eV", "count": 10, "mean": 0.0, "std": 1.0, "min": -2.0, "max": 2.0}


def statistics(experiment, folder):
    """Of a small data set of the experiment's domain, with every label that it is conditioned on."""
    names = [name for name in experiment.data.conditions if name not in ("category", "text")]
    if experiment.domain.items == "shapes":
        labels = tuple(Label(name=name, **MOMENTS) for name in names)
        text = TextStatistics((0.0,) * WIDTH, (1.0,) * WIDTH, ("chair", "mug"))
        shapes = ShapeStatistics(
            num_shapes=10, num_points=600, categories=("chair", "mug"), category_counts=(5, 5), coordinate_std=0.3, labels=labels, text=text
        )
        return latent(shapes, folder) if experiment.fields.kind == "shape_latent" else shapes
    return Statistics(
        num_molecules=10,
        elements=(1, 6, 8),
        charges=(-1, 0, 1),
        sizes={5: 6, 7: 4},
        atom_marginal=(0.5, 0.3, 0.2),
        charge_marginal=(0.01, 0.98, 0.01),
        bond_marginal=(0.7, 0.2, 0.08, 0.02),
        coordinate_std=1.2,
        labels=tuple(Label(name=name, **MOMENTS) for name in names),
    )


def latent(shapes, folder):
    """Statistics of latent clouds of a small untrained autoencoder in the folder."""
    raw = {"fields": {"kind": "shape"}, "model": {"kind": "point_autoencoder", "latents": 12, "features": 4, "shape": 6}}
    codec = build_experiment({**raw, "objective": {"kind": "reconstruction"}}, "test")
    save_checkpoint(folder, codec, shapes, build_network(codec, shapes).state_dict(), {"description": "test"})
    return LatentStatistics(shapes, latents=12, features=5, outline=6, coordinate_std=0.3, reach=1.8, folder=folder)


def taught(experiment, found, folder):
    """The objective of an estimator of the guesses of a small untrained model in the folder."""
    from molgen.train.teacher import Taught

    size = {"kind": "equivariant_transformer", "scalars": 16, "vectors": 8, "pairs": 8, "layers": 1, "context": 16}
    model = build_experiment({"model": size, "data": {"conditions": list(experiment.data.conditions)}}, "test")
    save_checkpoint(folder, model, found, build_network(model, found).state_dict(), {"description": "test"})
    return Taught(replace(experiment, objective=replace(experiment.objective, denoiser=str(folder))), found)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def experiment(request):
    return load_experiment(request.param)


def test_dumped_experiments_are_read_back_as_they_were(experiment):
    assert build_experiment(yaml.safe_load(dump_experiment(experiment)), "dump") == experiment


def test_paths_may_begin_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "own.yaml"
    file.write_text("data: {path: ~/data}\nfields: {kind: shape_latent, autoencoder: ~/run}\nmodel: {kind: point_transformer}\n")
    experiment = load_experiment(file, ["train.out=~/runs/a", "train.start=./~/b", "data.valid=~"])
    assert (experiment.data.path, experiment.fields.autoencoder) == (f"{tmp_path}/data", f"{tmp_path}/run")
    assert (experiment.train.out, experiment.train.start, experiment.data.valid) == (f"{tmp_path}/runs/a", "./~/b", str(tmp_path))


@pytest.mark.parametrize("text", ["2024", "1e3", "on", "null", "a: b", "[a]", "a #1", "02:00:00:00"])
def test_texts_are_taken_as_they_are_written(text, tmp_path):
    experiment = load_experiment(CONFIGS[0], [f"{name}={text}" for name in ("train.out", "train.start", "train.max_time", "data.path")])
    assert {experiment.train.out, experiment.train.start, experiment.train.max_time, experiment.data.path} == {text}
    (tmp_path / "config.yaml").write_text(dump_experiment(experiment))
    assert load_experiment(tmp_path / "config.yaml") == experiment
    assert load_experiment(CONFIGS[0], ["train.learning_rate=2e-3", "train.compile=on"]).train.learning_rate == 0.002


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["train.max=3", "train.max_steps=-4"], "train.max_steps=-4: train.max_steps: input should be greater than or equal to 1, got -4"),
        (["train.max_steps=9", "train.max_steps=-4"], "train.max_steps=-4: train.max_steps: input should be greater than or equal"),
        (["model.layers=2", "model.kind=foo"], "model.kind=foo: model.kind: expected one of equivariant_transformer, "),
        (["sampler.below=1", "sampler={kind: annealed, gamma: -3}"], "sampler={kind: annealed, gamma: -3}: sampler.gamma: input should be"),
        (["objective.drop_all=0.6", "objective.keep_one=0.5"], "objective.keep_one=0.5: objective: expected drop_all + keep_one of at"),
        (["data.conditions=[1]", "data.path=x"], "data.conditions=[1]: data.conditions.0: input should be a valid string, got 1"),
        (["train.out=x"], "own.yaml: train.ema: input should be less than 1, got 2"),
        (["model.layers=1000000000"], "model.layers=1000000000: model.layers: input should be less than or equal to 1000, got 1000000000"),
        (["model.scalars=10000000"], "model.scalars=10000000: model.scalars: input should be less than or equal to 4096, got 10000000"),
        (["train.seed=2001-99-99"], "train.seed=2001-99-99: train.seed: input should be a valid integer"),
    ],
)
def test_what_is_to_blame_is_named(tmp_path, monkeypatch, overrides, line):
    """The override of the setting that is wrong, whatever others are called; the file where it is none of them."""
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("train: {ema: 2}\n")
    with pytest.raises(InputError, match=f"^{re.escape(line)}"):
        load_experiment("own.yaml" if line.startswith("own") else "qm9", overrides)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", r"ComposerError: \*a stands for another value; write that out, line 2"),
        (b"data: &x\n  path: *x\n", r"ComposerError: \*x stands for another value; write that out, line 2"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        ("train: {out: é}".encode("latin-1"), "not UTF-8 text"),
        ("train: {out: a}".encode("utf-16"), "not UTF-8 text"),
        (b"model: {scalars: 2001-99-99}", r"ValueError: month must be in 1\.\.12"),
        (b"train: {seed: " + b"9" * 5000 + b"}", "ValueError: Exceeds the limit"),
        (b"a: !!timestamp x", "AttributeError: "),
    ],
)
def test_yaml_that_makes_no_tree_of_plain_values_is_refused_in_one_line(tmp_path, content, reason):
    """By whatever reads a file of a model's folder."""
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    readers = (
        (load_experiment, path, "not YAML that can be read"),
        (load_autoencoder, tmp_path, "not the configuration of a run"),
    )
    for read, place, what in readers:
        with pytest.raises(InputError, match=rf"config\.yaml: {what} \({reason}") as refused:
            read(place)
        assert "\n" not in str(refused.value)
    found = CliRunner().invoke(main, ["info", str(tmp_path)])
    assert found.exit_code == 2
    assert re.search(rf"^molgen: error: .*config\.yaml: cannot be read \({reason}.*\); make it again\n$", found.output)


def sections(part, around=lambda section: section):
    """Every dataclass that a configuration may hold, and what puts keys of it where they belong."""
    for name, hint in get_type_hints(part, include_extras=True).items():
        for inner in choices(hint):
            own = {"kind": inner.kind} if hasattr(inner, "kind") else {}
            place = partial(lambda around, name, own, keys: around({name: own | keys}), around, name, own)
            yield pytest.param(place, id=inner.__name__)
            yield from sections(inner, place)


@pytest.mark.parametrize("place", [*sections(Experiment)])
def test_unknown_keys_are_errors_in_every_section(place):
    with pytest.raises(InputError, match=r"^test: unknown key '[a-z._]+\.strange'"):
        build_experiment(place({"strange": 1}), "test")


def test_numbers_have_exponents_and_quotes_make_texts():
    named = load_experiment("qm9", ["data.conditions=['1e5', \"2e-1\", 1e]", "train.learning_rate=2e-3", "train.weight_decay=.5E-1"])
    assert named.data.conditions == ("1e5", "2e-1", "1e")
    assert (named.train.learning_rate, named.train.weight_decay) == (0.002, 0.05)
    assert build_experiment(yaml.safe_load(dump_experiment(named)), "dump") == named


def test_a_text_that_looks_like_a_number_is_taken_as_it_is_written(tmp_path):
    plain = dump_experiment(load_experiment("debug_molecule"))
    (tmp_path / "a.yaml").write_text(plain.replace("\n  out: ", "\n  out: 1e3  # ", 1))
    found = load_experiment(tmp_path / "a.yaml", ["data={path: 7e3}", "sampler={kind: ddim}"])
    assert (found.train.out, found.data.path) == ("1e3", "7e3")
    assert type(found.train.learning_rate) is float


def test_one_step_of_training_and_of_sampling(experiment, tmp_path):
    found = statistics(experiment, tmp_path)
    torch.manual_seed(0)
    denoiser = build_network(experiment, found)
    generator = torch.Generator().manual_seed(0)
    size = max(found.sizes)
    clean = experiment.domain.empty([size, size - 1], found)
    told = experiment.objective.kind == "estimation"
    objective = taught(experiment, found, tmp_path / "model") if told else experiment.objective
    members = objective.conditions.members if told else denoiser.conditions.members if denoiser.process else ()
    labels = {m.name: torch.tensor([0.0, 1.0]).view(2, *(1,) * len(m.shape)).expand(2, *m.shape) for m in members}
    noise = torch.randn(*clean["pos"].shape, generator=generator) * clean.mask.unsqueeze(-1)
    clean = experiment.domain.view(replace(clean.replace({"pos": noise}), labels=labels), generator)
    total, losses = objective(denoiser, clean, generator)
    total.backward()
    assert set(losses) == set(experiment.objective.terms(denoiser.process))
    assert torch.isfinite(total)
    gradients = {name: p.grad for name, p in denoiser.named_parameters() if p.grad is not None}
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert any(gradient.any() for gradient in gradients.values())
    if denoiser.process is None:
        with pytest.raises(InputError, match="nothing to sample"):
            build_denoiser(experiment, found)
        return
    model = Model(Checkpoint("fresh", experiment, found, denoiser.eval()), "cpu")
    items = model.run([Draw(k, min(size, 40), k + 1) for k in range(2)], Request(steps=1))
    assert [len(item) for item in items] == [min(size, 40)] * 2


ESTIMATOR = "model.kind=property_estimator and objective.kind=estimation go together; set both"
AUTOENCODER = "model.kind=point_autoencoder, objective.kind=reconstruction and fields.kind=shape go together; set all three"


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("estimator", "model.kind=equivariant_transformer", ESTIMATOR),
        ("estimator", "model.kind=point_autoencoder", ESTIMATOR),
        ("estimator", "objective.kind=diffusion", ESTIMATOR),
        ("shape_autoencoder", "model.kind=property_estimator", AUTOENCODER),
        ("shape_autoencoder", "model.kind=point_transformer", AUTOENCODER),
        ("shape_autoencoder", "objective.kind=diffusion", AUTOENCODER),
        ("shape_autoencoder", "fields.kind=molecule", AUTOENCODER),
    ],
)
def test_network_objective_and_fields_that_do_not_go_together_are_refused(name, setting, words):
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        load_experiment(name, [setting]).check_kinds()


def test_a_section_begins_anew_when_its_kind_changes(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("sampler: {kind: annealed, gamma: 0.3}\nmodel: {kind: equivariant_transformer, scalars: 48}\n")
    changed = load_experiment(path, ["model.layers=2", "sampler.kind=ddim", "fields.pos.kind=cosine", "model.kind=tensor_product"])
    assert changed.sampler == type(changed.sampler)()
    assert (changed.sampler.kind, changed.fields.pos.kind) == ("ddim", "cosine")
    assert changed.model == replace(type(changed.model)(), layers=2)
    assert load_experiment(path, ["sampler.kind=annealed"]).sampler.gamma == 0.3  # the same kind keeps what the file says
    with pytest.raises(InputError, match=r"unknown key 'sampler.gamma'; known are kind, grid, settle$"):
        load_experiment(path, ["sampler.kind=ddim", "sampler.gamma=0.1"])
    with pytest.raises(InputError, match=r"unknown key 'model.tensros'; did you mean 'model.tensors'\?$"):
        load_experiment(path, ["model.kind=tensor_product", "model.tensros=3"])


def test_a_registered_part_is_an_alternative_like_those_that_ship():
    @molgen.register
    @dataclass(frozen=True, kw_only=True)
    class Sparse(TensorProduct):
        kind: Literal["sparse"] = "sparse"
        name: str = "a"

    raw = {"model": {"kind": "sparse", "scalars": "24"}}
    built = build_experiment(raw, "test").model
    assert (type(built), built) == (Sparse, Sparse(scalars=24))
    assert build_experiment({"model": {"kind": "tensor_product"}}, "test").model == TensorProduct()  # what ships stays
    assert yaml.safe_load(dump_experiment(build_experiment(raw, "test")))["model"]["kind"] == "sparse"
    assert load_experiment(CONFIGS[0], ["model.kind=sparse", "model.name=1e3"]).model.name == "1e3"  # a text as it is written
    with pytest.raises(InputError, match=r"unknown key 'model.scalar'"):
        build_experiment({"model": {"kind": "sparse", "scalar": 24}}, "test")

    @molgen.register  # as when the cell of a notebook runs again
    @dataclass(frozen=True, kw_only=True)
    class Sparse(TensorProduct):
        kind: Literal["sparse"] = "sparse"

    assert type(build_experiment(raw, "test").model) is Sparse


def test_what_is_no_part_is_not_registered():
    @dataclass(frozen=True)
    class Taken(TensorProduct):
        pass

    @dataclass(frozen=True)
    class Nameless:
        kind: str = "nameless"

        def build(self):
            """Makes nothing."""

    for part, line in (
        (Taken, "the kind 'tensor_product' is taken"),
        (Nameless, "expected a field such as kind: Literal"),
        (int, "dataclass"),
    ):
        with pytest.raises(ValueError, match=f"{part.__name__}: .*{line}"):
            molgen.register(part)


def test_what_a_configuration_cannot_name_is_refused(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Mine(EquivariantTransformer):
        pass

    experiment = build_experiment({"train": {"out": str(tmp_path / "run")}, "data": {"path": "nowhere"}}, "test")
    with pytest.raises(InputError, match=r"model: Mine cannot be written into config.yaml"):
        fit(replace(experiment, model=Mine()))
    assert not (tmp_path / "run").exists()


def test_configurations_that_ship_are_found_by_name(tmp_path):
    named = load_experiment("qm9_small", ["train.max_steps=7"])
    assert named == load_experiment(CONFIGS[0].parent / "qm9_small.yaml", ["train.max_steps=7"])
    with pytest.raises(InputError, match=r"qm9_smal: no such configuration file, nor one that ships \(.*qm9_small"):
        load_experiment("qm9_smal")
    with pytest.raises(InputError, match="no such configuration file"):
        load_experiment(tmp_path / "qm9_small.yaml")
