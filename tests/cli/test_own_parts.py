"""A noise schedule and a grid of times of one's own: registered by `--import`, trained with and sampled by in processes of their own."""

from pathlib import Path

import plain
import pytest
import yaml

from molgen.molecules.export import read_molecules

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "qm9_sample" / "qm9_sample.sdf.gz"
IMPORTS = """
from dataclasses import dataclass
from typing import Literal

import torch

import molgen

"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the command in a folder that holds the parts of the page and a small data set."""
    folder = tmp_path_factory.mktemp("own")
    page = (ROOT / "docs" / "extending.md").read_text()
    parts = page[page.index("@molgen.register", page.index("A noise schedule and a grid of times")) :].partition("```")[0]
    (folder / "my_schedule.py").write_text(IMPORTS + parts)

    def call(*arguments):
        return folder, plain.molgen(*arguments, cwd=folder)

    _, done = call("prepare", SAMPLE, "--out", "data", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return call


def test_a_schedule_and_a_grid_are_trained_with_and_sampled_by(run):
    given = ["fields.pos.kind=power", "fields.pos.exponent=2", "sampler.kind=ddim", "sampler.grid.kind=crowded"]
    folder, done = run(
        "--import", "my_schedule.py", "train", "debug_molecule", *given, "data.path=data", "train.out=run", "train.max_steps=1"
    )
    assert done.returncode == 0, done.stderr
    saved = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert saved["fields"]["pos"] == {"kind": "power", "exponent": 2.0, "largest": 40.0}
    assert saved["sampler"]["grid"] == {"kind": "crowded"}

    _, done = run("--import", "my_schedule.py", "sample", "run", "--num", 2, "--steps", 3, "--keep-invalid", "--out", "a.sdf")
    assert done.returncode == 0, done.stderr
    assert len(list(read_molecules(folder / "a.sdf"))) == 2

    own = ["--sampler", "kind=ddim", "--sampler", "grid.kind=crowded"]  # of any model
    _, done = run("--import", "my_schedule.py", "sample", "qm9_small", "--num", 1, "--steps", 3, "--keep-invalid", *own, "--out", "c.sdf")
    assert done.returncode == 0, done.stderr
    (molecule,) = read_molecules(folder / "c.sdf")
    assert molecule.properties["sampler"].startswith("Ddim(kind='ddim', grid=Crowded(")

    _, done = run("sample", "run", "--num", 2, "--out", "b.sdf")
    assert done.returncode == 2
    assert "run/config.yaml: fields.pos.kind: expected one of variance_exploding, " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("fields.pos.exponents=2", "unknown key 'fields.pos.exponents'"),
        ("fields.pos.exponent=steep", "fields.pos.exponent: input should be a valid number"),
    ],
)
def test_their_settings_are_checked(run, setting, words):
    _, done = run(
        "--import", "my_schedule.py", "train", "debug_molecule", "fields.pos.kind=power", setting, "data.path=data", "train.out=b"
    )
    assert done.returncode == 2
    assert words in done.stderr


def test_registered_parts_join_every_field_that_takes_those_that_ship(run):
    """Schedules of all domains, grids of all samplers, also of a sampler that was registered before the grid."""
    folder, _ = run("info")
    script = """
import sys
from dataclasses import dataclass
from typing import Literal

import molgen
from molgen.config import build_experiment
from molgen.diffusion.grid import Grid, UniformGrid
from molgen.diffusion.sampler import Ancestral


@molgen.register
@dataclass(frozen=True, kw_only=True)
class Early(Ancestral):
    kind: Literal["early"] = "early"
    grid: Grid = UniformGrid()


import my_schedule

for kind in ("ancestral", "ddim", "heun", "dpm_solver", "annealed", "early"):
    built = build_experiment({"sampler": {"kind": kind, "grid": {"kind": "crowded"}}}, "test").sampler
    assert type(built.grid) is my_schedule.Crowded, built
    built = build_experiment({"sampler": {"kind": kind, "grid": {"kind": "karras"}}}, "test").sampler
    assert built.grid.kind == "karras", built
names = {"molecule": ["pos"], "shape": ["pos"], "shape_latent": ["pos", "feature", "shape"]}
for kind, fields in names.items():
    built = build_experiment({"fields": {"kind": kind, **{name: {"kind": "power"} for name in fields}}}, "test").fields
    assert all(type(getattr(built, name)) is my_schedule.Power for name in fields), built
print("all", len(names))
"""
    done = plain.python(script, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "all 3\n"), done.stderr


def test_the_schedule_of_the_page_is_one(run):
    folder, _ = run("info")
    script = """
import torch, my_schedule
from molgen.diffusion.schedule import ratio

schedule, t = my_schedule.Power(), torch.linspace(0, 1, 201, dtype=torch.float64)
assert (schedule.alpha(t)[0], schedule.sigma(t)[0]) == (1, 0)
assert (ratio(schedule, t).diff() > 0).all()
torch.testing.assert_close(schedule.time(ratio(schedule, t)), t)
"""
    done = plain.python(script, cwd=folder)
    assert done.returncode == 0, done.stderr
