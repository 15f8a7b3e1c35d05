import numpy as np
import pytest
import trimesh

from molgen.shapes.points import sample
from molgen.shapes.smoothing import smoothed
from molgen.shapes.surface import reconstruct

RNG = np.random.default_rng


def noisy(mesh: trimesh.Trimesh, count: int, noise: float) -> np.ndarray:
    """Points near a surface."""
    return sample(mesh, count, RNG(0)).points + noise * RNG(1).normal(size=(count, 3))


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_a_ball_loses_its_bumps_and_keeps_its_radius(noise):
    points = noisy(trimesh.creation.icosphere(4), 2048, noise)
    bumpy, smooth = (reconstruct(points, resolution=64, smooth=wanted) for wanted in (False, True))
    assert np.array_equal(smooth.faces, bumpy.faces)
    assert smooth.is_watertight
    tilts, gaps = [], []
    for mesh in (bumpy, smooth):
        outwards = mesh.triangles_center / np.linalg.norm(mesh.triangles_center, axis=1, keepdims=True)
        tilts.append(np.degrees(np.median(np.arccos((mesh.face_normals * outwards).sum(1).clip(-1, 1)))))
        gaps.append(np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1).mean())
    assert tilts[1] < 0.5 * tilts[0]
    assert gaps[1] < 0.5 * gaps[0]
    assert smooth.volume == pytest.approx(4 / 3 * np.pi, rel=0.005)


def test_noise_does_not_thicken_a_plate():
    plate = trimesh.creation.box((2, 2, 0.6))
    mesh = reconstruct(noisy(plate, 2048, 0.015), resolution=96)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(plate.volume, rel=0.02)
    assert mesh.bounds == pytest.approx(plate.bounds, abs=0.04)


def test_thin_parts_stay_as_thick_and_as_long_as_they_were():
    pole = trimesh.creation.cylinder(0.01, 1.6)
    pole.apply_translation((0, 0, 0.8))
    lamp = trimesh.util.concatenate([trimesh.creation.box((1, 1, 0.3)), pole])
    points = np.vstack([noisy(lamp, 2000, 0.005), noisy(pole, 300, 0.005)])
    rough, smooth = (reconstruct(points, smooth=wanted) for wanted in (False, True))
    assert (smooth.is_watertight, smooth.body_count) == (True, 1)
    assert smooth.bounds[1, 2] == pytest.approx(rough.bounds[1, 2], abs=0.02)
    for low in np.linspace(0.4, 1.4, 6):
        rings = [mesh.vertices[(mesh.vertices[:, 2] > low) & (mesh.vertices[:, 2] < low + 0.1)] for mesh in (rough, smooth)]
        before, after = (np.linalg.norm((ring - ring.mean(0))[:, :2], axis=1).mean() for ring in rings)
        assert after > 0.85 * before


@pytest.mark.parametrize("spacing", [1.0, 10.0, 20.0])
def test_points_above_a_ball_pull_against_the_square_of_their_spacing(spacing):
    """With a point one voxel above each vertex the radius minimises ``(r - 11)^2 + 4 s^2 (c r)^2``, c the part of it that L leaves."""
    ball = trimesh.creation.icosphere(3, 10.0)
    around = [ball.vertices[near].mean(0) for near in ball.vertex_neighbors]
    apart = 1 - (around * ball.vertices).sum(1) / 100
    radii = np.linalg.norm(smoothed(ball, 1.1 * ball.vertices, spacing).vertices, axis=1)
    assert radii.mean() == pytest.approx(11 / (1 + 4 * spacing**2 * np.square(apart).mean()), rel=0.01)
