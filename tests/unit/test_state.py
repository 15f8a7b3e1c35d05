"""The state of a run on the disk: parts, interruptions, damage; and the line that tells its speed."""

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import lightning
import pytest
import torch
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

import molgen
from molgen.errors import InputError
from molgen.molecules.encode import encode_all
from molgen.molecules.export import read_molecules
from molgen.train import speed
from molgen.train.speed import Speed, describe
from molgen.train.state import PART, StateFiles, find_state


def state(seed: int, count: int = 50_000) -> dict:
    generator = torch.Generator().manual_seed(seed)
    weights = {"weight": torch.randn(count, generator=generator)}
    return {"state_dict": weights, "global_step": seed, "optimizer_states": [], "loops": {}, "names": ["a", "b"]}


def saved(run: Path, number: int, **sizes) -> Path:
    StateFiles().save_checkpoint(state(number, **sizes), run / f"state-{number}")
    return run / f"state-{number}"


def test_a_large_state_comes_back_from_parts_of_at_most_15_mib(tmp_path):
    folder = saved(tmp_path, 1, count=5_000_000)
    sizes = [file.stat().st_size for file in sorted(folder.iterdir())]
    assert [file.name for file in sorted(folder.iterdir())] == ["1-of-2.ckpt", "2-of-2.ckpt"]
    assert sizes[0] == PART == 15 * 2**20
    assert sum(sizes) > 20_000_000
    found = StateFiles().load_checkpoint(folder)
    assert torch.equal(found["state_dict"]["weight"], state(1, 5_000_000)["state_dict"]["weight"])
    assert (found["global_step"], found["names"]) == (1, ["a", "b"])


def test_an_interrupted_save_leaves_the_state_before(tmp_path, monkeypatch):
    saved(tmp_path, 1)
    monkeypatch.setattr("molgen.train.state.PART", 50_000)
    plain = Path.write_bytes

    def interrupted(self, content):
        if self.name.startswith("3-of"):
            raise KeyboardInterrupt
        return plain(self, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", interrupted)
        saved(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["state-1"]
    found = StateFiles().load_checkpoint(find_state(tmp_path))
    assert torch.equal(found["state_dict"]["weight"], state(1)["state_dict"]["weight"])
    assert find_state(tmp_path) == tmp_path / "state-1"
    saved(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["state-2"]
    # a process that is killed between the new name and the removal leaves both: the newer one counts, also beyond nine
    shutil.copytree(tmp_path / "state-2", tmp_path / "state-10")
    assert find_state(tmp_path) == tmp_path / "state-10"


def test_a_damaged_state_gives_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("molgen.train.state.PART", 50_000)
    folder = saved(tmp_path, 1)
    last = folder / "5-of-5.ckpt"
    content = last.read_bytes()
    last.write_bytes(content[:-500])
    with pytest.raises(InputError, match="state-1: unreadable; a part is cut off"):
        StateFiles().load_checkpoint(folder)
    first, whole = folder / "1-of-5.ckpt", (folder / "1-of-5.ckpt").read_bytes()
    first.write_bytes(b"")
    with pytest.raises(InputError, match=r"state-1: unreadable"):
        StateFiles().load_checkpoint(folder)
    first.write_bytes(whole)
    last.unlink()
    with pytest.raises(InputError, match=r"state-1: part 5 of 5 is missing"):
        StateFiles().load_checkpoint(folder)


class Order:
    def __reduce__(self):
        return os.mkdir, ("made",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": Order()}, "state-1: holds more than numbers, texts and tensors, or is damaged, and is not read"),
        ({"optimizer_states": [], "loops": {}, "global_step": 1}, "state-1: no state of a run, as it lacks 'state_dict'; copy"),
        ([1], "state-1: no state of a run, as it lacks 'state_dict'; copy"),
    ],
)
def test_what_is_no_state_is_refused_and_not_run(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "state-1"
    folder.mkdir()
    torch.save(content, folder / "1-of-1.ckpt")
    with pytest.raises(InputError, match=message) as refused:
        StateFiles().load_checkpoint(folder)
    assert "\n" not in str(refused.value)
    assert "weights_only" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["state-1"]


class Line(lightning.LightningModule):
    """One linear map (64 -> 32) of ten rows a step."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 32)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()


def fit_line(callback, steps, folder):
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(Line(), DataLoader(torch.randn(1000, 64), batch_size=10))


@pytest.mark.filterwarnings("ignore")
def test_operations_are_those_of_the_matrix_products(tmp_path, capsys):
    told = Speed("rows", seconds=0.0)
    fit_line(told, speed.COUNTED + speed.TIMED + 5, tmp_path)
    assert told.operations == [2 * 2 * 10 * 64 * 32] * speed.COUNTED  # forwards, and backwards to the weights alone
    assert len(told.times) == speed.TIMED
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("speed:")]
    assert line.endswith("TFLOP/s")
    rate, operations = (float(word.split()[0].replace(",", "")) for word in line.removeprefix("speed: ").split(" rows/s, ")[0:2])
    assert operations * 1e12 / rate == pytest.approx(4 * 64 * 32, rel=0.02)


def test_a_counted_step_has_the_bits_of_one_that_is_not_and_the_operations_that_torch_counts(samples_of_qm9):
    model = molgen.load("qm9_small", "cpu")
    network, objective = model.denoiser.requires_grad_(True), model.checkpoint.experiment.objective
    clean = encode_all(list(read_molecules(samples_of_qm9, limit=3)), model.checkpoint.statistics)

    def step(counter):
        network.zero_grad()
        with counter:
            total, _ = objective(network, clean, torch.Generator().manual_seed(0), again=True)
            total.backward()
        return [total.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]

    plain = step(nullcontext())
    counted = step(counter := speed.Operations())
    assert all(torch.equal(one, other) for one, other in zip(plain, counted, strict=True))
    step(other := FlopCounterMode(display=False))
    assert counter.total == other.get_total_flops() > 1e8


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_goes_on_is_timed_from_its_own_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "COUNTED", 0)  # as where a run goes on, no step is counted
    told = Speed("rows", seconds=1e9)
    fit_line(told, 3, tmp_path)
    assert len(told.times) == 2  # from the end of the first step
    assert max(told.times) < 60


def test_the_share_of_the_peak_is_told_for_cards_that_are_known():
    line = describe("molecules", 20_134.4, 98.9e12, "NVIDIA H200")
    assert line == "speed: 20,134 molecules/s, 98.9 TFLOP/s, 10.0 % of the bf16 peak of NVIDIA H200 (989 TFLOP/s)"
    assert describe("molecules", 250.0, 31.2e12, "NVIDIA A100-SXM4-80GB").endswith(
        "10.0 % of the bf16 peak of NVIDIA A100-SXM4-80GB (312 TFLOP/s)"
    )
    assert describe("molecules", 3.14159, 31.2e9, "") == "speed: 3.14 molecules/s, 0.0312 TFLOP/s"
    assert "peak" not in describe("molecules", 250.0, 1e12, "Some Card 9000")
    assert [speed.peak(name) for name in ("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe")] == [989.0, 756.0]
