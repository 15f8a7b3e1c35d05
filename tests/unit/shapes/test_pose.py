"""The axis that points up, as models believe, of shapes that are turned: what is found turns with them."""

import numpy as np
import pytest
import torch
import trimesh

from molgen.checkpoint import Checkpoint, build_denoiser
from molgen.config import build_experiment
from molgen.errors import InputError
from molgen.models import shipped
from molgen.sample import Model, load
from molgen.sample.pose import likeliest_up, poses
from molgen.shapes.fields import ShapeStatistics, turning
from molgen.shapes.points import sample, unit_sphere
from molgen.shapes.procedural import generate

AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1)}


@pytest.fixture(scope="module")
def shapes():
    if not (shipped("weights") / "shapes" / "model.safetensors").is_file():
        pytest.skip("no weights in this tree")
    return load("shapes", "cpu")


def drawn(kind, seed=3):
    """2,048 points of a shape that the weights were not trained on, z up."""
    rng = np.random.default_rng([seed, 99])
    return unit_sphere(sample(generate(kind, rng).mesh, 2048, rng).points)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_the_poses_are_all_rotations_that_turn_axes_to_axes(up):
    found = poses(up)
    every = [turn for fronts in found.values() for turn in fronts]
    assert len({tuple(np.round(turn).astype(int).ravel()) for turn in every}) == 24
    for axis, fronts in found.items():
        for turn in fronts:
            np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(turn) == pytest.approx(1)
            np.testing.assert_allclose(turn @ AXES[axis], AXES[up], atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "axis", "front"),
    [("chair", "y", 0), ("chair", "-x", 1), ("chair", "-z", 2), ("mug", "x", 3), ("car", "-y", 1)],
)
def test_shapes_that_lie_are_told_by_the_axis_that_points_up(shapes, kind, axis, front):
    lying = drawn(kind) @ poses("z")[axis][front]  # the inverse rotation, of rows
    assert likeliest_up(shapes, lying) == axis


def test_files_of_blender_are_told_in_any_order_and_mode_of_torch(shapes):
    lying = drawn("chair") @ turning("z", "y").T
    with torch.inference_mode():
        assert likeliest_up(shapes, lying[::-1]) == "y"


def test_models_that_know_no_pose_tell_none():
    statistics = ShapeStatistics(num_shapes=1, num_points=64, categories=("all",), category_counts=(1,), coordinate_std=0.25, up="y")
    network = {"kind": "point_unet", "scalars": 8, "vectors": 8, "levels": [8], "layers": 1, "neighbours": 4, "context": 8}
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": network}, "test")
    torch.manual_seed(0)
    fresh = Model(Checkpoint("fresh", experiment, statistics, build_denoiser(experiment, statistics).eval()), "cpu")
    assert likeliest_up(fresh, drawn("chair")) == "y"  # the exact denoiser of a ball, which looks the same from everywhere
    blind = Model(Checkpoint("blind", experiment, ShapeStatistics(**{**vars(statistics), "up": ""}), fresh.denoiser), "cpu")
    with pytest.raises(InputError, match=r"^blind: does not say which axis points up in shapes$"):
        likeliest_up(blind, drawn("chair"))


def test_spheres_fit_in_every_pose(shapes):
    ball = trimesh.creation.icosphere(4)
    points = unit_sphere(sample(ball, 2048, np.random.default_rng(0)).points)
    assert likeliest_up(shapes, points) == "z"
