import re

import numpy as np
import pytest
import trimesh

from molgen.errors import InputError
from molgen.shapes.metrics import mesh_checks, points_to_surface
from molgen.shapes.points import sample
from molgen.shapes.procedural import generate
from molgen.shapes.shape import Shape
from molgen.shapes.surface import _bodies, _simplified, reconstruct, spacing
from molgen.shapes.whole import Whole

RNG = np.random.default_rng


def cloud(mesh: trimesh.Trimesh, count: int = 2048) -> np.ndarray:
    return sample(mesh, count, RNG(0)).points


def test_a_sphere_comes_back_closed_and_of_its_volume():
    mesh = reconstruct(cloud(trimesh.creation.icosphere(4)), resolution=64)
    checks = mesh_checks(mesh)
    assert (checks["watertight"], checks["euler"], checks["bodies"]) == (True, 2, 1)
    assert checks["volume"] == pytest.approx(4 / 3 * np.pi, rel=0.03)
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(1, abs=0.04)


def test_a_ring_keeps_its_hole():
    mesh = reconstruct(cloud(trimesh.creation.torus(1.0, 0.35)), resolution=64)
    assert (mesh.is_watertight, mesh.euler_number) == (True, 0)


def test_units_and_place_do_not_matter():
    points = np.rint(1024 * cloud(trimesh.creation.capsule(1.0, 0.4), 1000)) / 1024  # exact in binary
    plain, moved = reconstruct(points, resolution=48), reconstruct(points / 64 + 4, resolution=48)
    assert moved.volume * 64**3 == pytest.approx(plain.volume, rel=1e-3)
    assert moved.bounds == pytest.approx(plain.bounds / 64 + 4, abs=1e-3)


@pytest.mark.parametrize("kind", ["table", "bottle", "mug"])
def test_procedural_shapes_come_back_closed_near_their_points(kind):
    points = cloud(generate(kind, RNG(1)).mesh)
    scale = np.linalg.norm(points - points.mean(0), axis=1).max()
    mesh = reconstruct(points / scale, resolution=64)
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert np.percentile(points_to_surface(points / scale, mesh), 95) < 0.05


def test_a_target_for_the_number_of_vertices_is_kept_and_the_mesh_stays_closed():
    points = cloud(trimesh.creation.torus(1.0, 0.35))
    full, small = reconstruct(points, resolution=64), reconstruct(points, resolution=64, vertices=600)
    assert len(full.vertices) > 4000
    assert 300 < len(small.vertices) <= 600
    assert (small.is_watertight, small.euler_number) == (True, 0)
    assert small.volume == pytest.approx(full.volume, rel=0.05)


def test_a_simplified_mesh_is_closed_as_other_programs_load_it(tmp_path):
    mesh = reconstruct(cloud(generate("chair", RNG(1)).mesh), vertices=5000)
    for suffix in ("obj", "stl", "ply"):
        mesh.export(tmp_path / f"a.{suffix}")
        loaded = trimesh.load(tmp_path / f"a.{suffix}")
        assert len(loaded.vertices) <= 5000
        assert loaded.is_watertight


def test_a_limit_above_what_there_is_changes_nothing():
    ball = trimesh.creation.icosphere(3)
    assert _simplified(ball, len(ball.vertices)) is ball


def test_a_limit_too_small_is_refused_with_the_least_that_is_kept():
    points = cloud(trimesh.creation.torus(1.0, 0.35))
    with pytest.raises(InputError, match=r"^vertices: expected at least \d+, got 16; with fewer") as refused:
        reconstruct(points, resolution=64, vertices=16)
    least = int(re.search(r"least (\d+)", str(refused.value))[1])
    full, small = reconstruct(points, resolution=64), reconstruct(points, resolution=64, vertices=least)
    assert len(small.vertices) <= least < 1000
    assert (small.is_watertight, small.euler_number) == (True, 0)
    assert small.volume == pytest.approx(full.volume, rel=0.05)


def test_slivers_that_touch_a_body_along_an_edge_are_left_out():
    cube = trimesh.creation.box()
    a, b = cube.vertices[cube.faces[0, :2]]
    sliver = trimesh.Trimesh(
        np.array([a, b, (a + b) / 2 + 1e-9, (a + b) / 2 - 1e-9]), [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], process=False
    )
    both = trimesh.util.concatenate([cube, sliver])
    assert not trimesh.Trimesh(both.vertices, both.faces).is_watertight
    assert _bodies(both).volume == pytest.approx(1)
    assert len(_bodies(both).faces) == 12


def test_the_walls_of_a_cavity_are_left_out():
    cavity = trimesh.creation.box((0.5, 0.5, 0.5))
    cavity.invert()
    both = trimesh.util.concatenate([trimesh.creation.box(), cavity])
    assert both.volume == pytest.approx(1 - 0.5**3)
    assert _bodies(both).volume == pytest.approx(1)


def test_spacing_of_independent_points_is_one_over_the_root_of_their_density():
    flat = np.c_[RNG(0).uniform(size=(4000, 2)), np.zeros(4000)]
    assert spacing(flat) == pytest.approx(1 / np.sqrt(4000), rel=0.06)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((10, 3)), {}, "at least 32 points"),
        (np.full((40, 3), np.nan), {}, "finite coordinates"),
        (np.ones((40, 3)), {}, "do not all lie in one plane"),
        (np.c_[RNG(0).normal(size=(40, 2)), np.zeros(40)], {}, "do not all lie in one plane"),
        (RNG(0).normal(size=(40, 3)), {"resolution": 4}, "expected 32 to 512 voxels, got 4"),
        (RNG(0).normal(size=(40, 3)), {"vertices": 3}, "vertices: expected a whole number of at least 16, got 3"),
    ],
)
def test_unusable_requests_are_refused(points, options, message):
    with pytest.raises(InputError, match=message):
        reconstruct(points, **options)


def test_bumps_as_wide_as_the_gaps_of_fewer_points_go_where_the_detail_says_so():
    """A ball with waves 0.26 long, of points 0.06 apart; 500 would be 0.16 apart."""
    points = RNG(0).normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    wavy = points * (1 + 0.03 * np.sin(14 * points).prod(1, keepdims=True))
    roughness = []
    for detail in (0, 4000, 500):
        mesh = reconstruct(wavy, resolution=64, detail=detail)
        roughness.append(np.linalg.norm(mesh.vertices, axis=1).std())
    assert roughness[0] == roughness[1]
    assert roughness[2] < 0.7 * roughness[0]


def test_a_shape_in_one_piece_may_have_a_mesh_in_two_and_its_mesh_is_its_own():
    """Two balls on a pole of points in a row, which the cloud hangs together by and no triangle bridges."""
    balls = RNG(0).normal(size=(2, 1000, 3))
    balls /= np.linalg.norm(balls, axis=-1, keepdims=True)
    shape = Shape(np.concatenate([balls[0], np.linspace([1, 0, 0], [3, 0, 0], 11), balls[1] + [4, 0, 0]]))
    assert [Whole(mesh).start()(shape) for mesh in (False, True)] == ["", "mesh not in one piece"]
    assert Whole(mesh=True).start()(Shape(balls[0] * [0.4, 0.4, 1])) == ""
    mesh = shape.to_mesh()
    mesh.vertices += 1
    assert np.abs(shape.to_mesh().vertices - mesh.vertices).min() == pytest.approx(1)


def test_points_off_a_surface_make_no_spikes_where_the_detail_is_coarser():
    points = RNG(0).normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    spiky, even = (reconstruct(np.vstack([points, 1.12 * np.eye(3)]), resolution=64, detail=detail) for detail in (0, 2000))
    assert np.linalg.norm(spiky.vertices, axis=1).max() > 1.05
    assert np.linalg.norm(even.vertices, axis=1).max() < 1.02
