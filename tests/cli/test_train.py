"""`molgen train` as a user calls it: a run of seconds on real molecules that `molgen sample` reads, and one line on bad input."""

import csv
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import molgen
from molgen.cli import main
from molgen.cli.train import what_next
from molgen.config import load_experiment
from molgen.diffusion.rounding import multiplies_bfloat16
from molgen.experiment import Experiment
from molgen.known import Known, fingerprint
from molgen.molecules.export import read_molecules

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample" / "qm9_sample.sdf.gz"


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error; nothing is raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "qm9"
    status, _, error = invoke("prepare", SAMPLE, "--out", out, "--compute", "logp,qed", "--workers", 1)
    assert status == 0, error
    return out


def refused(folder: Path, *arguments: object) -> str:
    """The one line of an error; checks status 2 and that no run folder was made."""
    status, _, error = invoke("train", *arguments)
    assert status == 2, error
    assert error.count("\n") == 1
    assert error.startswith("molgen: error: ")
    assert not (folder / "run").exists()
    return error


def test_a_data_set_is_not_written_over(packed, tmp_path):
    before = {path.name: path.read_bytes() for path in Path(packed).iterdir() if path.is_file()}
    status, _, error = invoke("train", "debug_molecule", f"data.path={packed}", f"train.out={packed}", "train.max_steps=1")
    assert status == 2
    assert "holds a data set, which the run would write over; give the run a folder of its own" in error
    assert before == {path.name: path.read_bytes() for path in Path(packed).iterdir() if path.is_file()}


MINE = """
from dataclasses import dataclass
from typing import Literal

import torch

import molgen
from molgen.diffusion.sampler import Ancestral


@molgen.register
@dataclass(frozen=True, kw_only=True)
class Patient:
    kind: Literal["patient"] = "patient"
    times: int = 2

    def walk(self, denoiser, process, like, condition, noise, steps, start=1.0):
        yield from Ancestral().walk(denoiser, process, like, condition, noise, self.times * steps, start)


"""


def test_parts_of_ones_own(packed, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
    (network,) = (block.partition("```")[0] for block in page.split("```python\n")[1:] if "class Plain(" in block)
    (tmp_path / "mine_of_a_user.py").write_text(MINE + network)

    def run(*arguments):
        return plain.molgen(*arguments, cwd=tmp_path)

    parts = ["model.kind=plain", "model.width=32", "sampler.kind=patient", "sampler.times=3"]
    settings = [*parts, f"data.path={packed}", "train.out=run", "train.max_steps=2"]
    done = run("--import", "mine_of_a_user.py", "train", "debug_molecule", *settings)
    assert done.returncode == 0, done.stderr
    done = run("--import", "mine_of_a_user.py", "sample", "run", "--num", 2, "--steps", 2, "--keep-invalid", "--out", "a.sdf")
    assert done.returncode == 0, done.stderr
    assert len(list(read_molecules(tmp_path / "a.sdf"))) == 2
    assert "sampler:\n  kind: patient\n  times: 3\n" in (tmp_path / "run" / "config.yaml").read_text()
    done = run("sample", "run", "--num", 2, "--out", "b.sdf")
    assert done.returncode == 2
    assert "run/config.yaml: model.kind: expected one of equivariant_transformer, " in done.stderr
    assert done.stderr.endswith("got 'plain'; one of your own is registered by `molgen --import FILE COMMAND ...` or molgen.register\n")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("missing.py", None, "no such file"),
        ("json.py", "", "another module is called json; rename the file"),
        ("broken_part.py", "def f(:\n", "line 1: SyntaxError: invalid syntax (broken_part.py, line 1)"),
        ("no_part.py", "import molgen\nmolgen.register(int)\n", "ValueError: int: expected a dataclass with a method `build`"),
        ("no.such.module", None, "ModuleNotFoundError: No module named 'no'"),
    ],
)
def test_an_import_that_fails_is_one_line(name, text, line, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text)
    status, _, error = invoke("--import", name, "info")
    assert status == 2
    assert error.startswith(f"molgen: error: --import {name}")
    assert line in error
    assert error.count("\n") == 1


def test_a_run_folder_is_a_model(packed, tmp_path):
    settings = [f"data.path={packed}", "data.conditions=[logp]", "train.out=run", "train.max_steps=4", "train.validate_every=2"]
    done = plain.molgen("train", "debug_molecule", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run: saved; sample from it with `molgen sample run --num 64 --out molecules.sdf`" in done.stdout
    assert "Traceback" not in done.stderr
    assert {"model.safetensors", "config.yaml", "statistics.json", "card.yaml", "state-1", "metrics.csv"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
    out, listed = tmp_path / "a.sdf", (packed / "smiles.txt").read_text().splitlines()
    trained, share = Known.load(tmp_path / "run"), load_experiment(tmp_path / "run" / "config.yaml").data.valid_fraction
    assert len(set(listed)) == len(listed)
    assert trained.holds(np.array([fingerprint(smiles) for smiles in listed], np.uint64)).sum() == len(trained)
    assert len(trained) == round((1 - share) * len(listed))
    for model in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        options = ("--num", 2, "--steps", 3, "--keep-invalid", "--property", "logp=1", "--out", out)
        status, _, error = invoke("sample", model, *options)
        assert (status, error) == (0, "")
        assert [molecule.properties["model"] for molecule in read_molecules(out)] == ["run", "run"]
    status, _, error = invoke("sample", tmp_path / "run" / "state-1" / "1-of-1.ckpt", "--out", out)
    assert status == 2
    assert "a pickle may run code" in error


def test_an_estimator_in_the_folder_of_its_model_steers_requests(packed, tmp_path):
    run, out = tmp_path / "run", tmp_path / "a.sdf"
    settings = [f"data.path={packed}", "data.conditions=[logp]", "train.max_steps=4"]
    assert invoke("train", "debug_molecule", *settings, f"train.out={run}")[0] == 0

    def positions(*options):
        more = ("--num", 2, "--steps", 3, "--keep-invalid", "--property", "logp=1", "--out", out)
        assert invoke("sample", run, *more, *options)[::2] == (0, "")
        return np.concatenate([molecule.positions for molecule in read_molecules(out)])

    before = positions()
    own = (f"objective.denoiser={run}", "objective.geometric=[logp]", f"train.out={run / 'estimator'}")
    status, told, error = invoke("train", "estimator", *settings, *own)
    assert (status, f"request by `molgen sample {run} --property`" in told) == (0, True), error
    assert not np.allclose(positions(), before, atol=1e-3)
    assert np.array_equal(positions("--steering", 0), before)
    assert "steering: expected a number of at least 0" in invoke("sample", run, "--steering", -1, "--property", "logp=1", "--out", out)[2]
    for name, words in (("estimator", "an estimator has nothing to sample"), ("estimator/model.safetensors", "an estimator has nothing")):
        assert words in invoke("sample", run / name, "--out", out)[2]
    config = run / "estimator" / "config.yaml"
    config.write_text(config.read_text().replace("[logp]", "[]").replace("- logp", ""))
    assert "data.conditions: " in invoke("sample", run, "--out", out)[2]


def test_an_estimator_goes_on_from_an_earlier_one(packed, tmp_path):
    model, first, second = tmp_path / "model", tmp_path / "first", tmp_path / "second"
    data = (f"data.path={packed}", "data.conditions=[logp]")
    assert invoke("train", "debug_molecule", *data, "train.max_steps=2", f"train.out={model}")[0] == 0
    settings = ("estimator", f"objective.denoiser={model}", *data)
    assert invoke("train", *settings, "train.max_steps=3", f"train.out={first}")[0] == 0
    still = ("train.max_steps=1", "train.learning_rate=1e-12", "train.weight_decay=0")
    assert invoke("train", *settings, *still, f"train.start={first}", f"train.out={second}")[0] == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert all(torch.allclose(after[name], value, atol=1e-6) for name, value in before.items())
    shipped = Path(molgen.__file__).parent / "weights/qm9_small/estimator"
    for start, more, words in (
        (shipped, (), "elements or charges differ from those of the model that it is for"),
        (first, ("model.width=32",), f"{first}: has a network of other sizes"),
        (first, ("data.conditions=[]",), "data.conditions: expected the names of the numbers to estimate"),
        ("nowhere", (), "nowhere: neither a folder nor a model"),
    ):
        assert words in refused(tmp_path, *settings, f"train.start={start}", f"train.out={tmp_path / 'run'}", *more)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ((), "objective.denoiser is empty"),
        (("objective.denoiser=nowhere",), "nowhere: neither a folder nor a model that ships"),
        (("objective.denoiser=shapes",), "objective.denoiser=shapes: elements or charges of that model differ"),
        (("objective.denoiser=qm9", "data.conditions=[]"), "data.conditions: expected the names of the numbers to estimate"),
        (("objective.denoiser=qm9", "objective.geometric=[dipole]"), "objective.geometric: 'dipole' is not among data.conditions (logp)"),
        (("objective.denoiser=qm9", "train.sample_every=1"), "an estimator has nothing to sample"),
        (("objective.denoiser=qm9", "model.kind=equivariant_transformer"), "go together; set both"),
    ],
)
def test_an_estimator_without_its_model_gives_one_line(packed, tmp_path, overrides, words):
    settings = (f"data.path={packed}", "data.conditions=[logp]", f"train.out={tmp_path / 'run'}")
    assert words in refused(tmp_path, "estimator", *settings, *overrides)


@pytest.mark.parametrize(
    ("setting", "warning"),
    [
        (
            "train.compile=true",
            "on a CPU compiling takes minutes and the compiled steps are slower than plain ones; it is meant for GPUs",
        ),
        (
            "train.cuda_graphs=true",
            "a recipe for a GPU; on a CPU a small one such as qm9_small, or at least a small train.pair_budget, is needed",
        ),
    ],
)
def test_settings_for_gpus_warn_on_a_cpu_and_the_run_goes_on(packed, tmp_path, setting, warning):
    # the first steps are counted and run as they are: nothing is compiled here, see tests/unit/test_compile.py
    settings = (f"data.path={packed}", f"train.out={tmp_path / 'run'}", "train.max_steps=2", "data.valid_fraction=0")
    status, _, error = invoke("train", "debug_molecule", *settings, "train.accelerator=cpu", setting)
    assert status == 0
    told, *progress = error.splitlines()
    assert told == f"molgen: warning: {setting}: {warning}"
    assert all(line.startswith("step ") for line in progress)


def test_bfloat16_is_left_where_a_cpu_has_no_instructions_for_it(packed, tmp_path):
    settings = (f"data.path={packed}", "train.max_steps=2", "data.valid_fraction=0", "train.accelerator=cpu")
    status, _, plain = invoke("train", "debug_molecule", *settings, f"train.out={tmp_path / 'plain'}", "train.precision=32-true")
    assert status == 0
    status, _, error = invoke("train", "debug_molecule", *settings, f"train.out={tmp_path / 'mixed'}", "train.precision=bf16-mixed")
    assert status == 0
    warned = [line for line in error.splitlines() if line.startswith("molgen: warning: train.precision=bf16-mixed is many times slower")]
    assert len(warned) == (not multiplies_bfloat16("cpu"))
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("plain", "mixed")]
    same = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert same != multiplies_bfloat16("cpu")
    assert "precision" not in plain


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("train.max_stepps=3",), "unknown key 'train.max_stepps'; did you mean 'train.max_steps'?"),
        (("trian.max_steps=3",), "unknown key 'trian'"),
        (("train.max_steps=many",), "train.max_steps: "),
        (("train.max_steps=0",), "train.max_steps: input should be greater than or equal to 1, got 0"),
        (("train.checkpoint_every=0",), "train.checkpoint_every: input should be greater"),
        (("objective.weights.position=1",), "objective.weights: no field 'position'; there are pos, atom, charge, bond"),
        (
            ("objective.weights={pos: 0, atom: 0, charge: 0, bond: 0}",),
            "objective.weights: all are 0, with which nothing is learned; give pos",
        ),
        (("objective.weights.pos=-1",), "objective.weights.pos: input should be greater than or equal to 0, got -1"),
        (("train.learning_rate=inf",), "train.learning_rate: input should be less than inf, got 'inf'"),
        (("fields={kind: molecule, pos: {kind: variance_exploding, sigma_min: -1}}",), "fields.pos.sigma_min: input should be greater"),
        (("fields={kind: molecule, atom: {kind: uniform, exponent: 0}}",), "fields.atom.exponent: input should be greater than 0, got 0"),
        (("model.heads=7",), "must divide"),
        (("train.ema=1.5",), "train.ema: input should be less than 1"),
        (("model.heads=0",), "model.heads: input should be greater than 0"),
        (("objective.drop_all=0.5", "objective.keep_one=0.6"), "expected drop_all + keep_one of at most 1, got 0.5 + 0.6"),
        (("objective.drop_all=2",), "objective.drop_all: input should be less than or equal to 1"),
        (("sampler={kind: annealed, gamma: -3}",), "sampler.gamma: input should be greater than or equal to 0"),
        (("train.learning_rate=nan",), "train.learning_rate: input should be less than inf"),
        (("train.precision=bf17",), "train.precision: input should be '32-true'"),
        (("train.strategy=magic",), "train.strategy: input should be 'auto' or 'ddp', got 'magic'"),
        (("data.valid_fraction=1",), "data.valid_fraction: input should be less than 1"),
        (("model.layers=2.5",), ": model.layers: input should be a valid integer"),
        (("model.layer=2",), "unknown key 'model.layer'; did you mean 'model.layers'?"),
        (("model.kind=transformer",), "model"),
        (("train.max_steps",), "expected an override KEY=VALUE"),
        (("train.max_steps.a=1",), "is a value, not a section"),
        (("train.max_time=2h",), "DD:HH:MM:SS"),
        (("train.compile=true", "model={kind: tensor_product, layers: 1}"), "only model.kind=equivariant_transformer can be compiled"),
        (("data.path=nowhere",), "nowhere/statistics.json: not found"),
        (("data.path=",), "data.path is empty"),
        (("data.conditions=[homo]",), "unknown property 'homo'; known: logp"),
    ],
)
def test_bad_settings_give_one_line(packed, tmp_path, overrides, words):
    settings = (f"data.path={packed}", f"train.out={tmp_path / 'run'}", "train.max_steps=1")
    assert words in refused(tmp_path, "debug_molecule", *settings, *overrides)


def test_run_without_a_folder_is_refused(packed, tmp_path):
    assert "train.out is empty" in refused(tmp_path, "debug_molecule", f"data.path={packed}")


def test_bad_configuration_files_give_one_line(tmp_path):
    assert (
        "nor one that ships (debug_molecule, debug_shape, estimator, leads, qm9, qm9_small, shape_autoencoder, shapes, shapes_latent)"
        in refused(tmp_path, "qm8")
    )
    path = tmp_path / "a.yaml"
    for text, words in (
        ("", "expected a mapping"),
        ("[1", "not YAML"),
        ("model: {layer: 3}", "model: expected the key 'kind'"),
        ("train: 3", "train"),
    ):
        path.write_text(text)
        assert words in refused(tmp_path, path)


def test_damaged_data_gives_one_line(packed, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(packed, copy)
    settings = ("debug_molecule", f"data.path={copy}", f"train.out={tmp_path / 'run'}", "train.max_steps=1")
    positions = (copy / "positions.npy").read_bytes()
    (copy / "positions.npy").write_bytes(positions[:-1000])
    assert "positions.npy" in refused(tmp_path, *settings)
    (copy / "positions.npy").unlink()
    assert "positions.npy" in refused(tmp_path, *settings)
    (copy / "positions.npy").write_bytes(positions)
    (copy / "statistics.json").write_text("{")
    assert "not a statistics file" in refused(tmp_path, *settings)


def test_the_command_to_give_next_takes_a_folder_for_no_option():
    assert "`molgen sample ./-d --num 64" in what_next(Experiment(), Path("-d"))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_two_runs_do_not_share_a_folder(packed, tmp_path):
    settings = [f"data.path={packed}", "data.conditions=[logp]", "train.out=run", "train.max_steps=100000", "train.checkpoint_every=100000"]
    first = plain.Started(plain.MOLGEN, ["train", "debug_molecule", *settings], tmp_path)
    while not (tmp_path / "run" / "metrics.csv").is_file():
        time.sleep(0.2)
        assert first.poll() is None
    second = plain.molgen("train", "debug_molecule", *settings, cwd=tmp_path)
    assert second.returncode == 2
    assert "molgen: error: train.out=run: another command trains there; wait for it, or give another folder" in second.stderr
    first.send_signal(signal.SIGTERM)
    first.communicate()
    settings[3] = "train.max_steps=1"
    third = plain.molgen("train", "debug_molecule", *settings, cwd=tmp_path)
    assert third.returncode == 0, third.stderr  # the state of the first one is there, and nobody holds the folder
    assert not list((tmp_path / "run").glob(".*"))  # and it holds no lock


def test_with_patience_the_weights_of_the_least_validation_loss_are_kept(packed, tmp_path):
    settings = ("estimator", "objective.denoiser=qm9_small", "objective.truth=1", f"data.path={packed}", "data.conditions=[logp]")
    settings += ("data.valid_fraction=0.3", "train.validate_every=4", "train.decay_from=1", "train.learning_rate=2e-2", "train.ema=0.5")
    patient, until, free = (tmp_path / name for name in ("patient", "until", "free"))
    status, _, error = invoke("train", *settings, "train.warmup_steps=0", "train.patience=2", "train.max_steps=60", f"train.out={patient}")
    assert status == 0, error
    with (patient / "metrics.csv").open() as file:
        losses = {int(row["step"]) + 1: float(row["valid_loss"]) for row in csv.DictReader(file) if row["valid_loss"]}
    best = min(losses, key=losses.get)
    assert max(losses) == min(60, best + 8) < 60  # two validations without a lower loss
    assert f"the weights of step {best}, validation loss {losses[best]:.4g}" in (patient / "card.yaml").read_text().replace("\n ", "")
    more = ("train.warmup_steps=0", "train.patience=0")
    assert invoke("train", *settings, *more, f"train.max_steps={best}", f"train.out={until}")[0] == 0
    assert invoke("train", *settings, *more, f"train.max_steps={max(losses)}", f"train.out={free}")[0] == 0
    kept, same, last = (load_file(folder / "model.safetensors") for folder in (patient, until, free))
    assert all(torch.equal(kept[name], same[name]) for name in kept)
    assert any(not torch.equal(kept[name], last[name]) for name in kept)
