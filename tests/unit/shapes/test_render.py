import numpy as np
import pytest
import trimesh
from PIL import Image

from molgen.shapes.render import COLOUR, camera, mesh_picture, picture, save_png, sheet


def inked(image):
    """Where a picture is not white."""
    return (image < 250).any(-1)


def test_the_camera_is_a_rotation_that_looks_from_the_front():
    view = camera(0.0, 0.0)
    assert view == pytest.approx(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]))
    assert np.linalg.det(camera(33.0, 20.0)) == pytest.approx(1)


def test_a_ball_is_a_disc_of_its_size_brighter_towards_the_lamp():
    image = mesh_picture(trimesh.creation.icosphere(4), size=120)
    area = inked(image).sum()
    assert area == pytest.approx(np.pi * (0.95 * 60) ** 2, rel=0.06)
    rows, columns = np.nonzero(inked(image))
    assert (rows.mean(), columns.mean()) == pytest.approx((59.5, 59.5), abs=1.5)
    assert image[30:60, 30:60].mean() > image[60:90, 60:90].mean() + 10


def test_a_compact_mesh_has_no_holes_and_none_of_its_back_shows():
    ball = trimesh.creation.icosphere(5)
    image = mesh_picture(ball, size=240).astype(float)
    v, u = np.indices((240, 240)) - 119.5
    right, up = u / (0.95 * 120), -v / (0.95 * 120)
    inside = right**2 + up**2 < 0.97**2
    towards = np.sqrt(np.clip(1 - right**2 - up**2, 0, 1))
    shade = 0.35 + 0.6 * np.clip(-0.35 * right + 0.55 * up + 0.76 * towards, 0, 1) + 0.05 * (towards + 1) / 2
    assert np.abs(image - COLOUR * shade[..., None])[inside].max() < 0.05 * 255


def test_a_square_fills_its_pixels_whatever_its_triangles():
    view = camera(0.0, 0.0)
    corners = np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1], [0, 0, 0]])
    two, four = [[0, 1, 2], [0, 2, 3]], [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    first, last = (mesh_picture(trimesh.Trimesh(corners, faces, process=False), view=view, size=200) for faces in (two, four))
    assert np.array_equal(first, last)
    assert inked(first).sum() == pytest.approx((0.95 * 200 / np.sqrt(2)) ** 2, rel=0.02)
    rows, columns = np.nonzero(inked(first))
    assert inked(first)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_the_nearer_of_two_triangles_hides_the_other():
    upright, leaning = [[-1.0, -1, -1], [1, -1, -1], [0, -1, 1]], [[-1.0, 1, -1], [1, 1, -1], [0, 0, 1]]
    corners = np.array(upright + leaning)
    meshes = [trimesh.Trimesh(corners, faces, process=False) for faces in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]])]
    first, last = (mesh_picture(mesh, view=camera(0.0, 0.0), size=64) for mesh in meshes)
    assert np.array_equal(first, last)
    near = 0.5 / np.sqrt(1 + 1 + 1)  # the middle of the box lies at y = 0, the near triangle one unit before it
    assert first[32, 32] == pytest.approx(COLOUR * (0.35 + 0.6 * 0.76 + 0.05 * (0.5 + near)), abs=1.5)


def test_the_nearer_surface_hides_the_farther_one():
    wall = np.stack(np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)), -1).reshape(-1, 2)
    near, far = np.c_[wall[:, 0], np.full(3600, -1.0), wall[:, 1]], np.c_[wall[:, 0], np.full(3600, 1.0), wall[:, 1]]
    first, last = (picture(np.vstack(walls), view=camera(0.0, 0.0), size=64) for walls in ((far, near), (near, far)))
    assert np.array_equal(first, last)
    assert first[32, 32].mean() < 150  # dark: near points are drawn in full colour, far ones pale


def test_sheets_and_files(tmp_path):
    one = picture(np.random.default_rng(0).normal(size=(50, 3)), size=32)
    whole = sheet([one] * 5, 3)
    assert whole.shape == (64, 96, 3)
    assert np.array_equal(whole[32:, :32], one)
    assert (whole[32:, 64:] == 255).all()
    save_png(tmp_path / "a.png", whole)
    with Image.open(tmp_path / "a.png") as read:
        assert np.array_equal(np.asarray(read), whole)
