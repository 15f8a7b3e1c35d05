"""Training runs of seconds on real molecules: exact resume, interruption, broken numbers, bad settings."""

import csv
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import lightning
import numpy as np
import plain
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from safetensors.torch import load_file, save_file

from molgen.buckets import Buckets, divide
from molgen.checkpoint import build_network, load_checkpoint
from molgen.config import load_experiment
from molgen.errors import InputError, RunError
from molgen.finetune import fine_tuning
from molgen.known import Known
from molgen.molecules.data import PackedMolecules
from molgen.molecules.export import write_sdf
from molgen.molecules.fields import Statistics
from molgen.molecules.prepare import Labels, open_source, prepare
from molgen.packing import by_fraction
from molgen.sample import load
from molgen.train import DataModule, Module, fit, split_validation
from molgen.train.checkpointing import LARGEST, Checkpointing, narrow
from molgen.train.divergence import PATIENCE, SETTLED, DivergenceMonitor
from molgen.train.log import MetricsLog
from molgen.train.progress import Bar, Clock
from molgen.train.run import build_trainer, first_process, own_rank
from molgen.train.schedule import average_decay, learning_rate, parse_time
from molgen.train.state import StateFiles, find_state
from molgen.train.stream import Stream, training_buckets

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "qm9"
    prepare(open_source(str(ROOT / "data/qm9_sample/qm9_sample.sdf.gz")), out, Labels(computed=("logp",)))
    return out


def experiment(packed, out, *more):
    settings = [f"data.path={packed}", f"train.out={out}", "data.conditions=[logp]", "train.max_steps=8", "train.validate_every=4", *more]
    return load_experiment(ROOT / "configs/debug_molecule.yaml", settings)


def losses(folder):
    rows = (folder / "losses.txt").read_text().split()
    return [float(x) for x in rows]


def validation(folder):
    """Validation loss by step, from the log of a run."""
    with (folder / "metrics.csv").open(newline="") as file:
        return {int(row["step"]): row["valid_loss"] for row in csv.DictReader(file) if row["valid_loss"]}


@pytest.fixture(autouse=True)
def _record_losses(monkeypatch):
    """Writes the loss of every step beside the run, to full precision."""
    plain = Module.training_step

    def recorded(self, batch, batch_idx):
        total = plain(self, batch, batch_idx)
        with (Path(self.experiment.train.out) / "losses.txt").open("a") as file:
            file.write(f"{float(total.detach())!r}\n")
        return total

    monkeypatch.setattr(Module, "training_step", recorded)


def test_resumed_run_has_the_losses_and_weights_of_an_uninterrupted_one(packed, tmp_path):
    # the learning rate depends on max_steps: hold it, so that a short run is a true beginning of the long one
    constant = "train.decay_from=1.0"
    fit(experiment(packed, tmp_path / "a", constant))
    fit(experiment(packed, tmp_path / "b", constant, "train.max_steps=5"))
    assert len(losses(tmp_path / "b")) == 5
    fit(experiment(packed, tmp_path / "b", constant))
    assert losses(tmp_path / "b") == losses(tmp_path / "a")
    assert validation(tmp_path / "b") == validation(tmp_path / "a")  # after 4 steps, before the interruption, and after 8
    items = [StateFiles().load_checkpoint(find_state(tmp_path / name))["molgen"]["items"] for name in "ab"]
    assert items[0] == items[1] > 0
    first, second = (load_checkpoint(tmp_path / name).denoiser.state_dict() for name in "ab")
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)


def kept(folder):
    """The card of a run and its weights."""
    return (folder / "card.yaml").read_text().replace("\n ", ""), load_file(folder / "model.safetensors")


@pytest.mark.parametrize("last", [7, 12], ids=["killed", "done"])
def test_with_patience_a_run_knows_the_last_validation_whenever_it_saves(packed, tmp_path, last):
    """Also where both come at one step, and where it goes on from a save of such a step after it was killed."""

    class Killed(Callback):
        def on_train_batch_start(self, trainer, module, *_):
            if trainer.global_step == last:
                raise SystemError("killed")

    settings = ("train.max_steps=12", "train.decay_from=1", "train.learning_rate=1e-2", "train.warmup_steps=0", "train.ema=0.5")
    settings += ("train.patience=9", "data.valid_fraction=0.3")
    fit(experiment(packed, tmp_path / "a", *settings, "train.checkpoint_every=100"))
    often = experiment(packed, tmp_path / "b", *settings, "train.checkpoint_every=4")
    with pytest.raises(SystemError, match="killed") if last < 12 else nullcontext():
        fit(often, callbacks=[Killed()])
    fit(often)
    (card, weights), (other, same) = (kept(tmp_path / name) for name in "ab")
    assert validation(tmp_path / "a") == validation(tmp_path / "b")
    assert len(validation(tmp_path / "a")) == 3
    least = min(validation(tmp_path / "a").values(), key=float)
    assert f"validation loss {float(least):.4g}" in card
    assert card == other
    assert all(torch.equal(value, same[name]) for name, value in weights.items())


def test_with_patience_a_run_that_ends_by_time_knows_its_last_validation(packed, tmp_path):
    class Late(Callback):
        def on_train_batch_start(self, trainer, module, *_):
            module.spent += 100.0 * (trainer.global_step == 5)

    what = experiment(packed, tmp_path / "run", "train.patience=9", "train.max_time=00:00:01:30", "data.valid_fraction=0.3")
    fit(what, callbacks=[Late()])
    steps = [int(step) for step in validation(tmp_path / "run")]
    assert steps == [3, 5]  # counted from 0: the regular one, and that of the end
    card, _ = kept(tmp_path / "run")
    losses = list(map(float, validation(tmp_path / "run").values()))
    assert f"the weights of step {1 + steps[int(np.argmin(losses))]}, validation loss {min(losses):.4g}" in card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"elements": [1, 6, 7, 9]}, r"holds a run on other data \(elements in statistics.json differ\)"),
        ({"coordinate_std": 2.5}, "coordinate_std in statistics.json"),
        (["fields.bond.kind=uniform"], "holds a run with other fields"),
        (["data.conditions=[]"], "holds a run with other data.conditions"),
        (["model.layers=1"], "holds a run with other model"),
        (["train.optimizer=muon"], "belongs to a run with another train.optimizer"),
        (["objective.parts={share: 0.2}"], "holds a run with other objective.parts"),
    ],
)
def test_a_run_goes_on_with_what_it_has_learned_alone(packed, tmp_path, change, words):
    fit(experiment(packed, tmp_path / "run", "train.max_steps=1"))
    weights = (tmp_path / "run/model.safetensors").read_bytes()
    other = packed
    if isinstance(change, dict):
        other = shutil.copytree(packed, tmp_path / "other")
        path = other / "statistics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=words):
        fit(experiment(other, tmp_path / "run", *(change if isinstance(change, list) else ())))
    assert (tmp_path / "run/model.safetensors").read_bytes() == weights


def test_gradients_that_stay_large_stop_the_run_and_single_ones_do_not(packed, tmp_path):
    what = experiment(packed, tmp_path / "run")
    module = Module(what, what.domain.open(packed, ["logp"]).statistics)
    first, optimizer = next(module.denoiser.parameters()), module.configure_optimizers()

    def step(norm):
        first.grad = torch.full_like(first, norm / first.numel() ** 0.5)
        module.configure_gradient_clipping(optimizer)

    for norm in [*np.linspace(0.5, 1.5, 200), 1e6, 1.0, *[1e6] * (PATIENCE - 1), 1.0]:  # single ones, and nine in a row
        step(norm)
    assert module.divergence.usual == pytest.approx(1.0, abs=0.1)
    for _ in range(PATIENCE - 1):
        step(150.0)
    assert module.divergence.large == PATIENCE - 1  # nothing is saved now
    with pytest.raises(RunError, match=r"gradients explode at step 0: 1.5e\+02, usually 1"):
        step(150.0)


def test_what_may_be_ruined_replaces_nothing_and_a_run_that_goes_on_knows_what_is_usual(packed, tmp_path):
    fit(experiment(packed, tmp_path / "run", "train.max_steps=2"))
    weights, saved = (tmp_path / "run/model.safetensors").read_bytes(), find_state(tmp_path / "run")

    class Shaken(Module):
        def finish_step(self):
            super().finish_step()
            self.divergence.large, self.trainer.should_stop = 3, True

    what = experiment(packed, tmp_path / "run", "train.max_steps=9")
    module = Shaken(what, what.domain.open(packed, ["logp"]).statistics)
    checkpointing = Checkpointing(tmp_path / "run", 1)
    trainer = build_trainer(what.train, checkpointing, "molecules")
    data = PackedMolecules(packed, ["logp"])
    chosen = np.arange(len(data))
    stream = Stream(data, chosen, training_buckets(data, chosen, what.train), what.train.validate_every, lambda: (0, 0, 1))
    trainer.fit(module, stream, ckpt_path=saved, weights_only=True)
    assert trainer.global_step == 3
    assert checkpointing.saved == 2
    assert find_state(tmp_path / "run") == saved
    assert (tmp_path / "run/model.safetensors").read_bytes() == weights
    assert module.divergence.steps == 3  # two of them from before


def test_a_run_whose_end_may_be_ruined_does_not_end_as_if_nothing_had_happened(packed, tmp_path):
    class Calm(Callback):
        def on_train_batch_start(self, trainer, module, *_):
            if trainer.global_step == 4:
                module.divergence = DivergenceMonitor(usual=1e-9, steps=SETTLED)  # the last two gradients are large beside it

    out, what = tmp_path / "run", experiment(packed, tmp_path / "run", "train.max_steps=6", "train.checkpoint_every=2")
    with pytest.raises(RunError, match=r"run: keeps 4 of 6 steps, as gradients at the end .* lower train\.learning_rate"):
        fit(what, callbacks=[Calm()])
    assert StateFiles().load_checkpoint(find_state(out))["global_step"] == 4
    assert "trained for 4 steps" in (out / "card.yaml").read_text()
    fit(what)
    assert StateFiles().load_checkpoint(find_state(out))["global_step"] == 6
    fit(what)  # there is nothing left to do


@pytest.mark.parametrize(("number", "strategy", "first"), [("0", "ddp", True), ("1", "ddp", False), ("1", "auto", True)])
def test_only_the_first_process_of_a_run_speaks(monkeypatch, tmp_path, number, strategy, first):
    monkeypatch.setattr(rank_zero_only, "rank", int(number))  # as at the import in that process
    monkeypatch.setenv("LOCAL_RANK", number)
    devices = 2 if strategy == "ddp" else 1
    config = replace(load_experiment("debug_molecule").train, devices=devices, strategy=strategy, accelerator="cpu")
    assert first_process(config) == first
    trainer = build_trainer(config, Checkpointing(tmp_path, 1), "molecules")
    before = rank_zero_only.rank
    with own_rank(trainer):
        assert (rank_zero_only.rank == 0) == first
    assert rank_zero_only.rank == before


def test_runs_of_one_process_that_a_launcher_has_numbered_are_whole(packed, tmp_path):
    settings = [f"data.path={packed}", f"train.out={tmp_path / 'run'}", "train.max_steps=2", "train.validate_every=2"]
    numbers = dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "RANK", "LOCAL_RANK"), "3")
    launched = {**os.environ, **numbers, "SLURM_NTASKS": "4", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "four"}
    done = plain.molgen("train", "debug_molecule", *settings, env=launched)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "run: saved" in done.stdout
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)][-1] == "1"  # counted from 0
    assert StateFiles().load_checkpoint(find_state(tmp_path / "run"))["global_step"] == 2


def test_log_goes_on_and_takes_new_columns(tmp_path):
    def log(*rows):
        metrics = MetricsLog(tmp_path)
        for step, values in rows:
            metrics.log_metrics(values, step)

    log((19, {"loss": 3.0}), (29, {"valid": 2.5}), (39, {"loss": 2.0}), (59, {"loss": 1.0}))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1")  # a row that a full disk cut off
    # what came after the checkpoint is done again
    log((39, {"loss": 1.75}), (49, {"loss": 1.5}), (59, {"loss": 1.25, "rate": 7.0}))
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = [[row["step"], row["loss"], row["rate"], row["valid"]] for row in csv.DictReader(file)]
    assert rows == [
        ["19", "3.0", "", ""],
        ["29", "", "", "2.5"],
        ["39", "1.75", "", ""],
        ["49", "1.5", "", ""],
        ["59", "1.25", "7.0", ""],
    ]


def test_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(packed, tmp_path):
    out = tmp_path / "run"
    fit(experiment(packed, out, "train.max_steps=2"))
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="not finite at step"):
        fit(experiment(packed, out, "train.learning_rate=1e30", "train.gradient_clip=0", "train.warmup_steps=0", "train.max_steps=50"))
    assert (out / "model.safetensors").read_bytes() == before
    assert not list(out.glob(".*"))  # no lock either


def test_a_run_that_breaks_off_goes_on_from_its_last_checkpoint_as_if_nothing_had_happened(packed, tmp_path, monkeypatch):
    settings = ("train.decay_from=1.0", "train.checkpoint_every=3")
    fit(experiment(packed, tmp_path / "whole", *settings))
    plain = Module.training_step

    def breaking(self, batch, batch_idx):
        if self.global_step == 5:
            raise RuntimeError("the power fails")
        return plain(self, batch, batch_idx)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power"):
        patch.setattr(Module, "training_step", breaking)
        fit(experiment(packed, tmp_path / "broken", *settings))
    assert "trained for 3 steps" in (tmp_path / "broken" / "card.yaml").read_text()
    fit(experiment(packed, tmp_path / "broken", *settings))
    whole, broken = losses(tmp_path / "whole"), losses(tmp_path / "broken")
    assert broken == [*whole[:5], *whole[3:]]
    first, second = (load_checkpoint(tmp_path / name).denoiser.state_dict() for name in ("whole", "broken"))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)


def test_a_run_saves_once_where_it_ends(packed, tmp_path, monkeypatch):
    saved = []
    plain = Checkpointing.save
    monkeypatch.setattr(
        Checkpointing, "save", lambda self, trainer, module: (saved.append(trainer.global_step), plain(self, trainer, module))
    )
    fit(experiment(packed, tmp_path / "run", "train.max_steps=4", "train.checkpoint_every=2"))
    assert saved == [2, 4]
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if "state" in path.name) == ["state-2"]


@pytest.mark.parametrize("count", [1, 12])
def test_data_of_one_molecule_and_of_one_size_train_and_sample(packed, tmp_path, count):
    data = PackedMolecules(packed)
    size = int(np.bincount(data.sizes).argmax())
    write_sdf(tmp_path / "few.sdf", [data.molecule(index) for index in np.flatnonzero(data.sizes == size)[:count].tolist()])
    prepare(open_source(str(tmp_path / "few.sdf")), tmp_path / "few", Labels(computed=("logp",)))
    fit(experiment(tmp_path / "few", tmp_path / "run", "train.max_steps=2", "train.validate_every=1", "model.layers=1"))
    assert [(tmp_path / "run" / name).is_file() for name in ("model.safetensors", "state-1/1-of-1.ckpt")] == [True, True]
    molecules = load(tmp_path / "run", "cpu").sample(2, steps=2, keep_invalid=True, properties={"logp": 1.0})
    assert [len(molecule) for molecule in molecules] == [size, size]
    assert all(np.isfinite(molecule.positions).all() for molecule in molecules)


def test_a_full_disk_stops_a_run_with_one_line_and_nothing_half_written(packed, small_disk):
    out = small_disk / "run"
    with pytest.raises(InputError, match=r"state-1: no space left on the disk; nothing was written, make room"):
        fit(experiment(packed, out, "train.max_steps=1", "train.validate_every=1"))
    assert not [path.name for path in out.iterdir() if "state" in path.name or path.suffix == ".safetensors"]


def test_two_processes_take_the_steps_of_their_mean_gradient_and_both_find_the_weights(packed, tmp_path):
    settings = [f"data.path={packed}", f"train.out={tmp_path / 'run'}", "train.max_steps=3", "train.validate_every=3", "train.devices=2"]
    settings += ["train.strategy=ddp", "train.pair_budget=2000", "train.gradient_clip=0", "model.layers=1", "train.decay_from=1.0"]
    script = tmp_path / "twice.py"
    script.write_text(
        "import os, time\nimport molgen\nfrom molgen.cli import main\nfrom molgen.train import checkpointing\n"
        "plain = checkpointing.write_tensors\n"
        "def slow(*given):\n    time.sleep(2)\n    plain(*given)\n"
        "checkpointing.write_tensors = slow  # as on a busy disk\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"folder = {str(tmp_path / 'run')!r}\n"
        "line = 'loaded ' + molgen.load(folder, 'cpu').checkpoint.name + ' by ' + os.environ.get('LOCAL_RANK', '0') + '\\n'\n"
        "os.write(1, line.encode())  # whole: both processes write\n"
    )
    words = [sys.executable, script, "train", "debug_molecule", *settings]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("run: saved") == 1
    assert "Initializing distributed" not in done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("loaded")) == ["loaded run by 0", "loaded run by 1"]
    found = StateFiles().load_checkpoint(find_state(tmp_path / "run"))["state_dict"]

    setup = load_experiment(ROOT / "configs/debug_molecule.yaml", settings)
    data = PackedMolecules(packed, [])
    torch.manual_seed(setup.train.seed)
    module = Module(setup, data.statistics)
    chosen, _, _ = split_validation(setup, data)
    batches = Buckets(data.sizes[chosen], 2000, setup.train.seed).stream(0)
    optimizer = module.configure_optimizers()
    for step in range(3):
        optimizer.param_groups[0]["lr"] = learning_rate(setup.train, step, step / 3)
        for rank in range(2):
            total, _ = setup.objective(module.denoiser, data.batch(chosen[next(batches)]), module._generator(step, rank))
            (total / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, value in module.denoiser.state_dict().items():
        torch.testing.assert_close(found[f"denoiser.{name}"], value, rtol=1e-4, atol=1e-6)


def test_conformers_of_held_out_molecules_are_not_trained_on(packed, tmp_path):
    """Records of a molecule side by side, in a set whose molecules all come three times."""
    shutil.copytree(packed, tmp_path / "data")
    lines = (tmp_path / "data" / "smiles.txt").read_text().splitlines()
    third = -(-len(lines) // 3)
    (tmp_path / "data" / "smiles.txt").write_text("".join(f"{lines[k % third]}\n" for k in range(len(lines))))
    data = PackedMolecules(tmp_path / "data", [])
    chosen, _, held_out = split_validation(experiment(tmp_path / "data", "x", "data.valid_fraction=0.1"), data)
    assert sorted([*chosen, *held_out]) == [*range(len(data))]
    assert not {k % third for k in chosen} & {k % third for k in held_out}
    assert abs(len(held_out) - 0.1 * len(data)) <= 2


def test_seeds_steps_and_ranks_draw_numbers_of_their_own(packed):
    statistics = PackedMolecules(packed, ["logp"]).statistics
    modules = [Module(experiment(packed, "x", f"train.seed={seed}"), statistics) for seed in range(4)]
    seeds = {module._generator(step, rank).initial_seed() for module in modules for step in range(10) for rank in range(4)}
    assert len(seeds) == 4 * 10 * 4


def test_time_limit_ends_the_run_and_saves(packed, tmp_path):
    fit(experiment(packed, tmp_path / "run", "train.max_time=00:00:00:03", "train.max_steps=100000"))
    assert 1 < len(losses(tmp_path / "run")) < 5000
    assert load_checkpoint(tmp_path / "run").name == "run"


@pytest.mark.parametrize(
    ("stop", "more"),
    [
        (signal.SIGTERM, []),
        (signal.SIGHUP, []),
        (signal.SIGTERM, ["train.devices=2", "train.strategy=ddp", "train.validate_every=5"]),
    ],
)
def test_a_signal_saves_a_state_from_which_the_run_goes_on(packed, tmp_path, stop, more):
    out = tmp_path / "run"
    settings = [f"data.path={packed}", f"train.out={out}", "train.max_steps=100000", "train.checkpoint_every=100000", *more]
    words = ["train", "debug_molecule", *settings]
    if more:  # which starts the second process by the words of the first
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-m", "molgen", *words], **options)
    else:  # a test run under nohup hands SIGHUP on as ignored
        process = plain.Started(f"import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n{plain.MOLGEN}", words)
    deadline = time.monotonic() + 120
    while not (out / "metrics.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(stop)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(rf"molgen: interrupted: {out} keeps \d+ of 100000 steps; the same command goes on\n$", error)
    assert find_state(out) == out / "state-1"
    assert load_checkpoint(out).statistics.elements == (1, 6, 7, 8)


def test_training_needs_neither_rdkit_nor_trimesh(packed, tmp_path):
    block = "import sys\nfor name in ('rdkit', 'trimesh'): sys.modules[name] = None\n"
    settings = [
        f"data.path={packed}",
        f"train.out={tmp_path / 'run'}",
        "train.max_steps=2",
        "train.validate_every=2",
        "train.sample_every=1",
    ]
    run = "from molgen.config import load_experiment\nfrom molgen.train import fit\n"
    run += f"fit(load_experiment({str(ROOT / 'configs/debug_molecule.yaml')!r}, {settings!r}))\n"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", block + run], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.max_stepps=3", "train.max_stepps.*did you mean 'train.max_steps'"),
        ("train.max_steps=many", "train.max_steps.*integer.*many"),
        ("fields.atom.kind=gumbel", "fields.atom"),
        ("train.max_time=2h", "DD:HH:MM:SS"),
        ("train.max_time=30", "train.max_time: expected DD:HH:MM:SS such as 00:02:00:00, got '30'"),
        ("train.max_time=00:00:00:00", "no time is left"),
        ("train.precision=64-true", "train.precision"),
        ("objective.parts.fields=[pos,foo]", "objective.parts.fields: no field 'foo'; there are pos, atom, charge, bond"),
        ("objective.parts.fields=[atom,charge]", "objective.parts.fields: 'pos' is missing"),
        ("data.valid_fraction=0.999", "leaves none of the .* samples to train on"),
        ("sampler.grid={kind: karras, rho: 0}", "rho"),
        ("sampler.grid={kind: arcsine, rho: 5}", "rho"),
        ("data.conditions=[homo]", "unknown property 'homo'; known: logp"),
        ("data.path=nowhere", "nowhere/statistics.json.*molgen prepare"),
        ("train.foo=3", "^train.foo=3: unknown key 'train.foo'"),
        ("fields.pos.sigma_min=9", "^fields.pos.sigma_min=9: fields.pos: expected the key 'kind'.*; give fields.pos.kind as well"),
        ("data.conditions=[logp,logp]", "data.conditions: logp is named twice"),
        ("data.conditions=logp", r"data.conditions: expected a list such as \[a,b\], got 'logp'"),
        ("model.heads=7", "must divide"),
    ],
)
def test_bad_settings_give_one_line(packed, tmp_path, override, words):
    with pytest.raises(ValueError, match=words) as caught:
        fit(experiment(packed, tmp_path / "run", override))
    assert "\n" not in str(caught.value)


def test_learning_rate_warms_up_holds_and_ends_at_zero():
    config = experiment("x", "y", "train.warmup_steps=10", "train.learning_rate=2.0", "train.decay_from=0.5").train
    assert learning_rate(config, 4, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 50, 0.5) == pytest.approx(2.0)
    assert learning_rate(config, 50, 0.75) == pytest.approx(1.0)
    assert learning_rate(config, 50, 1.0) == pytest.approx(0.0)
    assert parse_time("01:02:03:04") == 93784


def test_buckets_cover_every_molecule_once_and_keep_the_budget():
    sizes = np.random.default_rng(0).integers(3, 30, 3000)
    buckets = Buckets(sizes, 8000, seed=3)
    batches = buckets.epoch(1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(3000))
    assert all(len(batch) * sizes[batch].max() ** 2 <= 8000 for batch in batches)
    assert sizes.sum() > 0.9 * sum(len(batch) * buckets.nodes(batch) for batch in batches)  # little is padding
    qm9 = Statistics.load(ROOT / "molgen/weights/qm9/statistics.json").sizes
    real = Buckets(np.repeat(list(qm9), [count // 10 for count in qm9.values()]), 32_000)
    pairs = sum(len(batch) * int(real.sizes[batch].max()) ** 2 for batch in real.epoch(0))
    assert 1 - np.square(real.sizes).sum() / pairs < 0.05
    # ranks see together what one sees alone, from any step and over the ends of epochs
    for step, world in ((5, 2), (0, 3)):
        alone, ranks = buckets.stream(step * world), [buckets.stream(step, rank, world) for rank in range(world)]
        for number in range(2 * len(batches)):
            assert np.array_equal(next(alone), next(ranks[number % world]))


@pytest.mark.parametrize(("step", "left"), [(0, 10), (13, 7), (19, 1), (20, 10)])
def test_a_stream_ends_at_the_next_validation(packed, step, left):
    data = PackedMolecules(packed)
    stream = Stream(data, np.arange(len(data)), Buckets(data.sizes, 32_000), 10, lambda: (step, 0, 1))
    assert len(list(stream)) == left


def test_batches_of_few_shapes_cover_every_molecule_once_and_pad_least():
    sizes = np.random.default_rng(0).integers(3, 30, 3000)
    buckets = Buckets(sizes, 8000, seed=3, shapes=5)
    batches = buckets.epoch(1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(3000))
    shapes = [(len(batch), buckets.nodes(batch)) for batch in batches]
    assert sum(shape not in buckets.shapes for shape in shapes) <= 1  # what is left at the end of an epoch
    assert all(count * n**2 <= 8000 for count, n in shapes)
    assert all(sizes[batch].max() <= buckets.nodes(batch) for batch in batches)
    # no other five sizes pad to fewer pairs: all choices among few values
    few = np.repeat([3, 5, 6, 9, 12, 13], [7, 1, 9, 4, 2, 8])

    def pairs(chosen):
        return sum(min(n for n in chosen if n >= size) ** 2 for size in few)

    best = min(pairs((*chosen, 13)) for chosen in combinations([3, 5, 6, 9, 12], 2))
    assert pairs(divide(few, 3)) == best
    assert divide(few, 9) == [3, 5, 6, 9, 12, 13]


def test_a_widened_batch_has_the_same_samples(packed):
    batch = PackedMolecules(packed).batch([5, 17, 3])
    wide = batch.widen(batch.mask.shape[1] + 3)
    assert wide.mask.shape[1] == batch.mask.shape[1] + 3
    for before, after in zip(batch.split(), wide.split(), strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(int(wide[name].abs().sum()) == int(batch[name].abs().sum()) for name in ("atom", "charge", "bond"))


def test_packed_batch_round_trip(packed):
    from molgen.molecules.decode import decode

    data = PackedMolecules(packed)
    batch = data.batch([5, 17, 3])
    for index, molecule in zip([5, 17, 3], decode(batch, data.statistics), strict=True):
        original = data.molecule(index)
        assert np.array_equal(molecule.atomic_numbers, original.atomic_numbers)
        assert np.array_equal(molecule.charges, original.charges)
        assert {tuple(row) for row in molecule.bonds.tolist()} == {tuple(row) for row in original.bonds.tolist()}
        np.testing.assert_allclose(molecule.positions, original.positions, atol=1e-5)


def test_truncated_weights_and_pickles_are_refused(packed, tmp_path):
    out = tmp_path / "run"
    fit(experiment(packed, out, "train.max_steps=1"))
    weights = out / "model.safetensors"
    other = tmp_path / "other"
    shutil.copytree(out, other)
    save_file(load_file(weights), other / "model.safetensors", metadata={"format": "2"})
    with pytest.raises(InputError, match="expected weights in format 1, got 2; use the molgen version that wrote them"):
        load_checkpoint(other)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model.safetensors: unreadable"):
        load_checkpoint(out)
    config = other / "config.yaml"
    config.write_text(re.sub(r"heads: \d+", "heads: 7", config.read_text()))
    with pytest.raises(InputError, match=rf"{other}: model\.heads=7 must divide"):
        load_checkpoint(other)
    with pytest.raises(InputError, match="pickle"):
        load_checkpoint(out / "state-1" / "1-of-1.ckpt")
    with pytest.raises(InputError, match="neither a folder nor a model that ships"):
        load_checkpoint("no-such-model")


def test_large_weights_are_kept_in_half_the_bytes():
    small = {"a": torch.randn(1000, generator=torch.Generator().manual_seed(0)), "count": torch.tensor(3)}
    assert all(torch.equal(narrow(small)[name], value) for name, value in small.items())
    large = {**small, "b": torch.zeros(LARGEST // 4)}
    kept = narrow(large)
    assert sum(value.nbytes for value in kept.values()) < 0.51 * sum(value.nbytes for value in large.values())
    assert kept["count"].dtype == torch.int64
    torch.testing.assert_close(kept["a"].float(), small["a"], rtol=2**-8, atol=0)


def test_the_moving_average_is_that_of_its_decays(packed):
    module = Module(experiment(packed, "x", "train.ema=0.28"), PackedMolecules(packed, ["logp"]).statistics)
    start = [parameter.clone() for parameter in module.average.parameters()]
    with torch.no_grad():
        for parameter in module.denoiser.parameters():
            parameter.add_(1)
    for step in (1, 2, 3):
        module.average_weights(step)
    left = (2 / 11) * (3 / 12) * 0.28  # (1 + n) / (10 + n), and no more than ema
    for average, first in zip(module.average.parameters(), start, strict=True):
        torch.testing.assert_close(average, first + 1 - left)


class Averages(Callback):
    """Averages the weights as they are after every step."""

    def on_train_start(self, trainer, module):
        self.weights = {name: value.detach().clone() for name, value in module.denoiser.named_parameters()}

    def on_train_batch_end(self, trainer, module, *_):
        for name, value in module.denoiser.named_parameters():
            self.weights[name].lerp_(value.detach(), 1 - average_decay(module.experiment.train, trainer.global_step))


def test_weights_are_averaged_once_a_step_by_fit_and_in_a_trainer_of_ones_own(packed, tmp_path):
    own, averages = experiment(packed, tmp_path / "own", "train.max_steps=4", "train.ema=0.5"), [Averages(), Averages()]
    fit(replace(own, train=replace(own.train, out=str(tmp_path / "fit"))), averages[:1])
    found = [load_file(tmp_path / "fit" / "model.safetensors")]

    batches = DataModule(own)
    module = Module.start(own, batches.data.statistics)
    more = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=4, max_epochs=-1, gradient_clip_val=own.train.gradient_clip, callbacks=averages[1], **more
    )
    (tmp_path / "own").mkdir()
    trainer.fit(module, batches)
    found.append(module.average.state_dict())
    for seen, weights in zip(averages, found, strict=True):
        for name, value in seen.weights.items():
            torch.testing.assert_close(weights[name], value, rtol=0, atol=0)
            # but for the last bits, which differ where operations are counted
            torch.testing.assert_close(value, averages[0].weights[name], rtol=1e-4, atol=1e-6)
    assert float(trainer.callback_metrics["valid_loss"]) == pytest.approx(float(validation(tmp_path / "fit")[3]), rel=1e-5)


def own_trainer(**more):
    options = {"accelerator": "cpu", "max_epochs": -1, "logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    return lightning.Trainer(**options | {"max_steps": 4, "enable_progress_bar": False} | more)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accumulate_grad_batches": 4}, "accumulate_grad_batches: batches are made by train.pair_budget"),
        ({"callbacks": [GradientAccumulationScheduler({0: 2})]}, "accumulate_grad_batches: batches are made"),
        ({"callbacks": [EMAWeightAveraging(decay=0.9)]}, "EMAWeightAveraging: molgen averages the weights itself, see train.ema"),
        (
            {"callbacks": [StochasticWeightAveraging(1e-2, swa_epoch_start=1)]},
            "StochasticWeightAveraging: molgen averages the weights itself",
        ),
        ({"overfit_batches": 1}, "overfit_batches: every step has a batch of its own"),
        (
            {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
            "gradient_clip_algorithm=value: gradients are clipped by their norm",
        ),
        ({"precision": "bf16-true"}, "precision=bf16-true: expected 32-true or bf16-mixed"),
    ],
)
def test_a_trainer_of_ones_own_is_refused_what_it_would_do_in_silence(packed, tmp_path, options, words):
    (tmp_path / "run").mkdir()
    own = experiment(packed, tmp_path / "run", "train.max_steps=4")
    batches = DataModule(own)
    module = Module.start(own, batches.data.statistics)
    trainer = own_trainer(**options)
    with pytest.raises(InputError, match=words):
        trainer.fit(module, batches)
    assert trainer.global_step == 0


def test_a_search_for_a_learning_rate_is_refused(packed, tmp_path):
    (tmp_path / "run").mkdir()
    own = experiment(packed, tmp_path / "run", "train.max_steps=4")
    batches, trainer = DataModule(own), own_trainer(default_root_dir=tmp_path)
    module = Module.start(own, batches.data.statistics)
    module.lr = 1e-3
    with pytest.raises(InputError, match=r"the learning rate is that of train\.learning_rate; leave schedulers and searches"):
        Tuner(trainer).lr_find(module, batches, num_training=3, attr_name="lr")


def test_a_trainer_of_ones_own_ends_with_the_learning_rate(packed, tmp_path):
    (tmp_path / "run").mkdir()
    own = experiment(packed, tmp_path / "run", "train.max_steps=4")
    batches, trainer = DataModule(own), own_trainer(max_steps=9)
    trainer.fit(Module.start(own, batches.data.statistics), batches)
    assert trainer.global_step == 4
    with pytest.warns(
        UserWarning, match=r"Trainer\(max_steps=2\) ends before the learning rate has fallen, which follows train.max_steps=4"
    ):
        own_trainer(max_steps=2).fit(Module.start(own, batches.data.statistics), batches)


def test_a_trainer_of_ones_own_begins_with_the_weights_of_the_start(packed, tmp_path):
    (tmp_path / "run").mkdir()
    own = fine_tuning("qm9_small", [f"data.path={packed}", f"train.out={tmp_path / 'run'}", "train.max_steps=1", "data.conditions=[logp]"])
    batches = DataModule(own)
    module = Module.start(own, batches.data.statistics)
    first = own_trainer(max_steps=1).validate(module, batches, verbose=False)[0]["valid_loss"]
    with pytest.raises(InputError, match=r"train.start=qm9_small: the module has random weights; make it by Module.start"):
        own_trainer(max_steps=1).fit(Module(own, batches.data.statistics), batches)
    scratch = replace(own, train=replace(own.train, start=""))
    assert first < 0.8 < own_trainer().validate(Module.start(scratch, batches.data.statistics), batches, verbose=False)[0]["valid_loss"]


def test_a_weight_of_no_field_is_refused_wherever_a_module_is_made(packed, tmp_path):
    own = experiment(packed, tmp_path / "run", "objective.weights={bonds: 40}")
    with pytest.raises(InputError, match=r"objective.weights: no field 'bonds'; there are pos, atom, charge, bond"):
        Module.start(own, DataModule(own).data.statistics)


def test_the_trainer_of_ones_own_that_is_printed_runs(packed, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/training.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "lightning.Trainer(" in block)
    shutil.copytree(packed, tmp_path / "data")
    (tmp_path / "losses.txt").touch()
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    exec(compile(block, "docs/training.md", "exec"), names)
    saved = load_file(tmp_path / "mine" / "model.safetensors")
    assert any(not torch.equal(value, saved[name]) for name, value in names["module"].denoiser.state_dict().items())


def test_what_is_saved_to_sample_from_are_the_averages(packed, tmp_path):
    fit(experiment(packed, tmp_path / "run", "train.max_steps=4", "train.ema=0.9"))
    state = StateFiles().load_checkpoint(find_state(tmp_path / "run"))["state_dict"]
    saved = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(value, state[f"average.{name}"]) for name, value in saved.items())
    assert any(not torch.equal(value, state[f"denoiser.{name}"]) for name, value in saved.items())


def test_gradients_are_clipped(packed, tmp_path):
    what = experiment(packed, tmp_path / "run", "train.max_steps=1", "train.gradient_clip=1e-12", "train.warmup_steps=0")
    fit(what)
    state = StateFiles().load_checkpoint(find_state(tmp_path / "run"))["state_dict"]
    torch.manual_seed(what.train.seed)
    fresh = build_network(what, PackedMolecules(packed, ["logp"]).statistics)
    moved = max((state[f"denoiser.{name}"] - value).abs().max() for name, value in fresh.state_dict().items())
    # AdamW steps by rate * g / (|g| + 1e-8): by the whole rate unless gradients are tiny
    assert 0 < moved < 1e-3 * what.train.learning_rate


def test_the_norm_is_that_before_clipping(packed, tmp_path):
    what = experiment(packed, tmp_path / "run")
    module = Module(what, what.domain.open(packed, ["logp"]).statistics)
    optimizer = module.configure_optimizers()
    for parameter in module.denoiser.parameters():
        parameter.grad = torch.ones_like(parameter)
    size = sum(parameter.numel() for parameter in module.denoiser.parameters())
    for clip, left in ((None, size**0.5), (2.0, 2.0)):
        module.configure_gradient_clipping(optimizer, clip)
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in module.denoiser.parameters()])
        assert float(norm) == pytest.approx(left, rel=1e-4)
        assert module.divergence.usual == pytest.approx(size**0.5, rel=1e-4)


def test_progress_is_that_of_the_budget_that_ends_first(packed):
    module = Module(experiment(packed, "x", "train.max_time=00:00:01:00"), PackedMolecules(packed, ["logp"]).statistics)
    module.spent = 45.0
    assert module.progress == 0.75  # at step 0


def test_a_run_does_not_start_from_its_own_folder(packed, tmp_path):
    out = fit(experiment(packed, tmp_path / "run", "train.max_steps=2"))
    before = (out / "model.safetensors").read_bytes()
    for start in (out, out / "model.safetensors", out / ".." / out.name):
        with pytest.raises(InputError, match="run: is the model that the run starts from; give the run a folder of its own"):
            fit(experiment(packed, out, f"train.start={start}", "train.max_steps=4"))
    assert (out / "model.safetensors").read_bytes() == before


def test_a_model_without_its_state_is_not_written_over(packed, tmp_path):
    out = tmp_path / "model"
    shutil.copytree(ROOT / "molgen/weights/qm9_small", out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(InputError, match="holds a model without the state to go on with"):
        fit(experiment(packed, out))
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_without_a_terminal_a_line_tells_how_far_a_run_is(packed, tmp_path, capsys):
    fit(experiment(packed, tmp_path / "run", "train.max_steps=9"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", ")[0] for line in lines] == ["step 4 of 9", "step 8 of 9", "step 9 of 9"]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        losses = [float(row["valid_loss"]) for row in csv.DictReader(file) if row.get("valid_loss")]
    told = [float(line.rpartition("valid loss ")[2]) for line in lines]
    assert told[:2] == [pytest.approx(loss, rel=1e-3) for loss in losses[:2]]
    assert all(re.search(r"^step \d of 9, 0:00:\d\d: loss \S+, molecules/s \S+, valid loss \S+$", line) for line in lines), lines


def test_the_bar_counts_the_steps_of_the_round_where_a_run_goes_on_within_it(packed, tmp_path, monkeypatch):
    shown, update = [], Bar._update

    def watched(bar, task, current, visible=True):
        if task is not None and task == bar.train_progress_bar_id:
            shown.append((bar.progress.tasks[task].description.strip(), current, bar.progress.tasks[task].total))
        return update(bar, task, current, visible)

    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setattr(Bar, "_update", watched)
    for last, rounds in ((3, [("Round 1", 3)]), (9, [("Round 1", 4), ("Round 2", 4), ("Round 3", 1)])):
        shown.clear()
        fit(experiment(packed, tmp_path / "run", f"train.max_steps={last}"))
        assert all(current <= total for _, current, total in shown)
        assert list(dict(zip([name for name, *_ in shown], [current for _, current, _ in shown], strict=True)).items()) == rounds


def test_the_bar_counts_down_to_the_end_of_the_time_where_that_comes_first(packed, tmp_path, monkeypatch):
    left, update = [], Bar._update

    def watched(bar, task, current, visible=True):
        update(bar, task, current, visible)
        if task is not None and task == bar.train_progress_bar_id:
            (clock,) = (column for column in bar.progress.columns if isinstance(column, Clock))
            left.append(clock.render(bar.progress.tasks[task]).plain.partition(" • ")[2])

    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setattr(Bar, "_update", watched)
    fit(experiment(packed, tmp_path / "b", "train.max_steps=4"))
    assert left[-1] == "0:00:00"
    assert "-:--:--" in left  # nothing is known before the second step
    left.clear()
    endless = ("train.max_steps=100000", "train.validate_every=100000", "train.pair_budget=500")  # small steps: several in the time
    fit(experiment(packed, tmp_path / "a", *endless, "train.max_time=00:00:00:03"))
    assert len(left) > 3
    assert left == sorted(left, reverse=True)
    assert left[-1] == "0:00:00"
    assert set(left) <= {"0:00:00", "0:00:01", "0:00:02", "0:00:03"}


def test_an_average_knows_what_any_of_its_runs_was_trained_on(packed, tmp_path, monkeypatch):
    runs = [tmp_path / name for name in "ab"]
    for number, run in enumerate(runs):
        fit(experiment(packed, run, "train.max_steps=1"))
        Known.of(np.arange(number, number + 3, dtype=np.uint64) + 1 << np.uint64(40)).save(run)
    script = str(ROOT / "benchmarks/average_weights.py")
    monkeypatch.setattr(sys, "argv", ["average_weights.py", *map(str, (tmp_path / "all", *runs))])
    runpy.run_path(script, run_name="__main__")
    known = load_checkpoint(tmp_path / "all").known
    assert [value << 40 in known for value in range(7)] == [False, True, True, True, True, False, False]
    (runs[0] / "training.npy").unlink()
    monkeypatch.setattr(sys, "argv", ["average_weights.py", *map(str, (tmp_path / "some", *runs))])
    runpy.run_path(script, run_name="__main__")
    assert load_checkpoint(tmp_path / "some").known is None


def test_the_valid_part_beside_a_train_part_validates(tmp_path):
    prepare(
        open_source(str(ROOT / "data/qm9_sample/qm9_sample.sdf.gz")),
        tmp_path / "data",
        Labels((), ("logp",)),
        split=by_fraction("0.9,0.1", 0),
    )
    what = experiment(tmp_path / "data", "x")
    data = what.domain.open(what.data.path, what.data.conditions)
    chosen, valid, held_out = split_validation(what, data)
    assert (len(chosen), len(held_out), valid.path.name) == (180, 20, "valid")
    assert chosen.tolist() == list(range(180))


def test_further_callbacks_and_loggers_see_the_run(packed, tmp_path):
    class Losses(Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.seen.append((trainer.global_step, float(outputs["loss"])))

    losses = Losses()
    fit(experiment(packed, tmp_path / "run", "train.max_steps=21"), [losses], [CSVLogger(tmp_path, "mine", "1")])
    assert [step for step, _ in losses.seen] == list(range(1, 22))
    (own,) = [row for row in csv.DictReader((tmp_path / "mine/1/metrics.csv").open()) if row["step"] == "19" and row["loss"]]
    assert float(own["loss"]) == pytest.approx(losses.seen[19][1], rel=1e-5)
    assert (tmp_path / "run/model.safetensors").is_file()


def test_signals_are_the_callers_again_after_a_run(packed, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    fit(experiment(packed, tmp_path / "run", "train.max_steps=2"))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


class Keeps(Callback):
    """A callback with a state."""

    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"best": self.value}


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ([GradientAccumulationScheduler({0: 2})], "accumulate_grad_batches: batches are made by train.pair_budget"),
        ([ModelCheckpoint()], "ModelCheckpoint: molgen keeps the state"),
        ([EMAWeightAveraging(decay=0.9)], "EMAWeightAveraging: molgen averages the weights itself"),
        ([Keeps(np.float64(3.0))], "callback Keeps: its state_dict holds more than numbers"),
        ([Keeps(Path("x"))], "callback Keeps: its state_dict holds more than numbers"),
    ],
)
def test_callbacks_that_a_run_cannot_have_are_refused(packed, tmp_path, callbacks, words):
    with pytest.raises(InputError, match=words):
        fit(experiment(packed, tmp_path / "run", "train.max_steps=2"), callbacks)
    assert find_state(tmp_path / "run") is None


def test_the_state_of_a_callback_is_resumed(packed, tmp_path):
    kept = {"rows": [1, 2.5], "weights": torch.ones(2), "name": None}
    fit(experiment(packed, tmp_path / "run", "train.max_steps=2"), [Keeps(kept)])
    state = StateFiles().load_checkpoint(find_state(tmp_path / "run"))
    (found,) = (value["best"] for name, value in state["callbacks"].items() if name.startswith("Keeps"))
    assert found["rows"] == kept["rows"]


def test_samples_above_the_budget_are_told_of(packed, tmp_path, capsys):
    fit(experiment(packed, tmp_path / "run", "train.max_steps=1", "train.pair_budget=300"))
    data = PackedMolecules(packed)
    told = capsys.readouterr().err
    batches = DataModule(experiment(packed, tmp_path / "run", "train.pair_budget=300"))
    sizes = data.sizes[batches.chosen].astype(int)
    share = 100 * (sizes**2 > 300).sum() / len(list(batches.buckets.epoch(0)))
    assert f"{(sizes**2 > 300).sum()} of {len(sizes)} samples have more pairs, up to {sizes.max() ** 2}; each is a batch of its own" in told
    assert f"{share:.0f} % of the steps" in told


def test_molecules_far_above_the_budget_are_refused(packed, tmp_path):
    largest = int(PackedMolecules(packed).sizes.max())
    with pytest.raises(
        InputError, match=rf"train.pair_budget=10: \d+ molecules .* the largest of {largest} atoms {largest**2}; leave them out"
    ):
        fit(experiment(packed, tmp_path / "run", "train.pair_budget=10"))


def test_accumulation_by_a_callback_is_refused(packed, tmp_path):
    class Accumulates(Callback):
        def on_train_start(self, trainer, pl_module):
            trainer.accumulate_grad_batches = 2

    with pytest.raises(InputError, match=r"accumulate_grad_batches: batches are made by train\.pair_budget"):
        fit(experiment(packed, tmp_path / "run"), [Accumulates()])


def test_what_lightning_refuses_is_told_as_it_is(packed, tmp_path):
    with pytest.raises(InputError, match="enable_progress_bar=False") as caught:
        fit(experiment(packed, tmp_path / "run"), [TQDMProgressBar()])
    assert "train.devices" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_that_cannot_be_read_is_told_without_colours(packed, tmp_path):
    fit(experiment(packed, tmp_path / "run", "train.max_steps=1"))
    torch.save({"best": Path("x")}, tmp_path / "run/state-1/1-of-1.ckpt")
    with pytest.raises(InputError, match="holds more than numbers, texts and tensors") as caught:
        fit(experiment(packed, tmp_path / "run"))
    assert "\x1b" not in str(caught.value)


def test_a_value_that_is_not_allowed_is_told_before_the_run(packed, tmp_path):
    what = experiment(packed, tmp_path / "run")
    with pytest.raises(InputError, match=r"^Training.learning_rate: expected above 0 and below inf, got -1"):
        fit(replace(what, train=replace(what.train, learning_rate=-1.0)))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (["train.max_steps=12", "train.validate_every=1000"], [11]),
        (["train.max_steps=6"], [3, 5]),
        (["train.max_steps=27", "train.validate_every=25"], [19, 24, 26]),
    ],
)
def test_losses_of_short_runs_and_last_steps_are_logged(packed, tmp_path, settings, steps):
    fit(experiment(packed, tmp_path / "run", *settings))
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file) if row["loss"]] == steps


def test_a_run_from_python_tells_no_more_than_the_command(packed, tmp_path):
    settings = [f"data.path={packed}", f"train.out={tmp_path / 'run'}", "train.max_steps=4", "train.validate_every=2"]
    script = (
        "import logging, warnings\nfrom molgen.config import load_experiment\nfrom molgen.train import fit\n"
        f"before = list(warnings.filters), logging.getLogger('lightning.pytorch').level\n"
        f"fit(load_experiment('debug_molecule', {settings!r}))\n"
        "assert before == (list(warnings.filters), logging.getLogger('lightning.pytorch').level)\n"
        "from lightning.pytorch.callbacks import Callback\n"
        f"try:\n    fit(load_experiment('debug_molecule', {settings!r}), Callback())\n"
        "except ValueError as error:\n    print('refused:', error)\n"
    )
    done = plain.python(script)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.partition(", ")[0] for line in done.stderr.splitlines()] == ["step 2 of 4", "step 4 of 4"]
    assert "refused: callbacks: expected a list, got Callback; write [callback]" in done.stdout


def test_the_first_process_decides_whether_and_where_all_save(packed, tmp_path):
    settings = [f"data.path={packed}", "train.out=run", "train.max_steps=4", "train.checkpoint_every=2", "train.devices=2"]
    script = tmp_path / "apart.py"
    script.write_text(
        "import os\nfrom lightning.pytorch.callbacks import Callback\nfrom molgen.config import load_experiment\n"
        "from molgen.errors import RunError\nfrom molgen.train import fit\nfrom molgen.train.divergence import SETTLED, DivergenceMonitor\n"
        "rank = os.environ.get('LOCAL_RANK', '0')\n"
        "if rank == '1':\n    os.mkdir('apart')\n    os.chdir('apart')  # nothing that the first process writes is seen here\n"
        "class Shaken(Callback):\n    def on_train_batch_start(self, trainer, module, *_):\n        if trainer.global_step == 2:\n"
        "            module.divergence = DivergenceMonitor(usual=1e-9, steps=SETTLED)  # the last two gradients are large beside it\n"
        f"try:\n    fit(load_experiment('debug_molecule', {[*settings, 'train.strategy=ddp']!r}), [Shaken()])\n"
        "except RunError as error:\n"
        "    line = rank + ' ' + str(error).partition(',')[0] + '\\n'\n    os.write(1, line.encode())  # whole: both processes write\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Initializing distributed" not in done.stderr
    told = sorted(line for line in done.stdout.splitlines() if "keeps" in line)
    assert told == ["0 run: keeps 2 of 4 steps", "1 run: keeps 2 of 4 steps"]
    assert [path.name for path in tmp_path.glob("**/state-*")] == ["state-1"]
