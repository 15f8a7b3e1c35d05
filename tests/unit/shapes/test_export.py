import pickle
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import plain
import pytest
import trimesh
from PIL import Image

from molgen.errors import InputError
from molgen.shapes.export import write_cloud, write_clouds, write_mesh, write_shape
from molgen.shapes.reading import read_shape
from molgen.shapes.shape import Shape

CLOUD = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32).astype(np.float64)


def values(path: Path) -> dict[str, str]:
    """The named values of a file, read without any code of the package."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: str(file[name][0]) for name in file.files if name != "points"}
    comments = re.findall(r"^comment (\S+) (.*)$", path.read_bytes().partition(b"end_header")[0].decode(), re.MULTILINE)
    return {name: value for name, value in comments if name != "written"}


@pytest.mark.parametrize("suffix", [".npy", ".xyz"])
def test_clouds_come_back_from_plain_numbers(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_cloud(path, CLOUD, {"seed": 7})
    assert np.array_equal(np.load(path) if suffix == ".npy" else np.loadtxt(path, np.float32), CLOUD)
    assert np.array_equal(read_shape(path, "")[0].astype(np.float32), CLOUD[None])


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_many_clouds_are_one_array(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    shapes = [Shape(CLOUD, {"seed": 1}, "z"), Shape(CLOUD + 1, {"seed": 2, "requested_category": "mug"}, "z")]
    write_clouds(path, shapes)
    assert np.array_equal(read_shape(path, "")[0], np.stack([CLOUD, CLOUD + 1]).astype(np.float32))
    if suffix == ".npz":
        with np.load(path) as file:
            assert (file["seed"].tolist(), file["requested_category"].tolist()) == ([1, 2], ["", "mug"])
    write_clouds(path, shapes, height=3.0)
    assert np.array_equal(read_shape(path, "")[0][..., 2].min(1), [0, 0])
    with pytest.raises(InputError, match=r"expected shapes of one number of points, got \[49, 50\]"):
        write_clouds(path, [Shape(CLOUD), Shape(CLOUD[1:])])
    with pytest.raises(InputError, match=r"many clouds are written as \.npz or \.npy"):
        write_clouds(tmp_path / "a.ply", shapes)


@pytest.mark.parametrize("suffix", [".ply", ".npz"])
def test_clouds_come_back_with_their_values(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_cloud(path, CLOUD, {"category": "low table", "seed": 7, "model": "shapes"})
    points, normals = read_shape(path, "")
    assert np.array_equal(points, CLOUD[None])
    assert normals is None
    assert values(path) == {"category": "low table", "seed": "7", "model": "shapes"}
    assert np.array_equal(trimesh.load(path).vertices, CLOUD) if suffix == ".ply" else True


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl", ".off"])
def test_meshes_come_back_in_every_format(tmp_path, suffix):
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.apply_translation((5, 0, 1))
    write_mesh(tmp_path / f"m{suffix}", mesh)
    back = trimesh.load_mesh(tmp_path / f"m{suffix}")
    assert back.volume == pytest.approx(6)
    assert back.bounds == pytest.approx(mesh.bounds)


@pytest.mark.parametrize(("up", "height"), [("z", 3), ("x", 1), ("y", 2), ("", 2)])
def test_in_a_glb_the_up_axis_is_y_and_nothing_is_mirrored(tmp_path, up, height):
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.apply_translation((10, 20, 30))
    write_mesh(tmp_path / "m.glb", mesh, up)
    back = trimesh.load_mesh(tmp_path / "m.glb")
    assert back.extents[1] == pytest.approx(height)
    assert back.bounds[:, 1] == pytest.approx(mesh.bounds[:, "xyz".index(up or "y")])  # not upside down
    assert back.volume == pytest.approx(6)  # a mirror image would be inside out


def test_shapes_become_clouds_or_watertight_meshes_by_suffix(tmp_path):
    ball = CLOUD / np.linalg.norm(CLOUD, axis=1, keepdims=True)
    shape = Shape(np.vstack([ball, -ball]), {"category": "ball"})
    write_shape(tmp_path / "a.ply", shape)
    assert values(tmp_path / "a.ply") == {"category": "ball"}
    write_shape(tmp_path / "a.stl", shape, vertices=400)
    write_shape(tmp_path / "b.ply", shape, mesh=True)
    for name in ("a.stl", "b.ply"):
        mesh = trimesh.load_mesh(tmp_path / name)
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.3)
    assert len(trimesh.load_mesh(tmp_path / "a.stl").vertices) <= 400
    with pytest.raises(InputError, match=r"unknown suffix '\.pdb'; expected one of ply, npz, npy, xyz, obj, glb, stl, off"):
        write_shape(tmp_path / "a.pdb", shape)


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"clouds are written as \.ply, \.npz, \.npy or \.xyz"):
        write_cloud(tmp_path / "a.stl", CLOUD)
    with pytest.raises(InputError, match=r"meshes are written as \.ply, \.obj"):
        write_mesh(tmp_path / "a.npz", trimesh.creation.box())
    with pytest.raises(InputError, match="may not be called 'points'"):
        write_cloud(tmp_path / "a.npz", CLOUD, {"points": 1})
    assert list(tmp_path.iterdir()) == []


PILLAR = np.random.default_rng(1).uniform(-0.5, 0.5, (800, 3)) * [1, 0.6, 2] + [0.2, 0, 0.3]  # z up


def spans(path: Path) -> np.ndarray:
    """Lowest and highest coordinates of a file, read without any code of the package."""
    points = np.load(path) if path.suffix == ".npy" else np.asarray(trimesh.load(path, force="mesh").vertices)
    return np.stack([points.min(0), points.max(0)])


@pytest.mark.parametrize(
    ("name", "up", "axis"), [("a.npy", "", 2), ("a.npy", "y", 1), ("a.npy", "x", 0), ("a.glb", "", 1), ("a.obj", "", 2)]
)
def test_a_shape_stands_on_the_axis_of_its_file_in_the_height_asked_for(tmp_path, name, up, axis):
    shape = Shape(PILLAR, up="z")
    shape.save(tmp_path / name, up=up)
    assert np.ptp(spans(tmp_path / name), axis=0).argmax() == axis
    shape.save(tmp_path / name, up=up, height=450.0)
    low, high = spans(tmp_path / name)
    assert (low[axis], high[axis]) == (pytest.approx(0, abs=1e-4), pytest.approx(450))
    assert np.sort(high - low)[1] == pytest.approx(225, rel=0.15)


def test_turning_mirrors_nothing(tmp_path):
    for own in ("x", "y", "z"):
        for up in ("x", "y", "z"):
            write_shape(tmp_path / "a.npy", Shape(np.vstack([np.eye(3), CLOUD]), up=own), up=up)
            turn = np.load(tmp_path / "a.npy")[:3]
            assert np.linalg.det(turn) == pytest.approx(1)
            assert turn["xyz".index(own), "xyz".index(up)] == 1


def test_the_default_of_a_shape_without_an_axis_leaves_it_as_it_is(tmp_path):
    write_shape(tmp_path / "a.glb", Shape(PILLAR))
    assert np.ptp(spans(tmp_path / "a.glb"), axis=0).argmax() == 2


REFUSED = """
import numpy as np
from molgen.errors import InputError
from molgen.shapes.export import write_mesh, write_shape
from molgen.shapes.part import Part
from molgen.shapes.shape import Shape

points = np.random.default_rng(0).normal(size=(99, 3))
known, unknown = Shape(points, up="z"), Shape(points)
for call in (
    lambda: write_shape("a.ply", known, up="w"),
    lambda: write_mesh("a.obj", known.to_mesh(), "w"),
    lambda: Shape(points, up="w"),
    lambda: write_shape("a.glb", known, up="z"),
    lambda: write_shape("a.ply", unknown, up="y"),
    lambda: write_shape("a.ply", unknown, height=3),
    lambda: write_shape("a.ply", known, height=0),
    lambda: write_shape("a.ply", known, height="tall"),
    lambda: write_shape("a.ply", Shape(points * [1, 1, 0], up="z"), height=3),
    lambda: known.to_mesh(vertices="a"),
    lambda: Shape("mug.ply"),
    lambda: Shape(None),
    lambda: Shape([[1, 2, 3], [4, 5]]),
    lambda: Shape(np.zeros((5, 2))),
    lambda: Shape(np.zeros((5, 3), bool)),
    lambda: Shape(known),
    lambda: Part("mug.ply"),
    lambda: Part(np.zeros((5, 2)), "half"),
):
    try:
        call()
    except InputError as error:
        print(error)
"""


def test_what_cannot_be_placed_is_refused_in_one_line(tmp_path):
    done = plain.python(REFUSED, cwd=tmp_path)  # without type checks
    begins = ["up: expected one of x", "up: expected one of x", "up: expected x, y, z", "up: in a .glb y points up", "up: it is not known"]
    begins += ["height: it is not known", "height: expected a number", "height: expected a number", "height: the shape has no extent"]
    begins += ["vertices: expected a whole number of at least 16, got 'a'"]
    begins += ["points: expected an array (n, 3) of numbers, got 'mug.ply'; molgen.shapes.given.read_points reads a file"]
    begins += [
        "points: expected an array (n, 3) of numbers, got None",
        "points: expected an array (n, 3) of numbers, got [[1, 2, 3], [4, 5]]",
    ]
    begins += ["points: expected an array (n, 3), got (5, 2)", "points: expected an array (n, 3) of numbers, got array([[False, "]
    begins += ["points: expected an array (n, 3) of numbers, got Shape(99 points)"]
    begins += ["part: expected an array (n, 3) of numbers, got 'mug.ply'", "half: expected an array (n, 3), got (5, 2)"]
    lines = done.stdout.splitlines()
    assert len(lines) == len(begins)
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins
    assert list(tmp_path.iterdir()) == []


def test_a_shape_is_told_in_one_line():
    asked = {"requested_category": "table", "requested_text": "a low table"}
    assert repr(Shape(CLOUD)) == "Shape(50 points)"
    assert repr(Shape(CLOUD, {"requested_category": "chair", "seed": 1})) == "Shape(50 points, chair)"
    assert repr(Shape(CLOUD, asked)) == "Shape(50 points, table, 'a low table')"


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_a_glb_is_read_as_it_was_written(tmp_path, up):
    """Neither turned nor upside down: the box lies off the origin along every axis."""
    box = trimesh.creation.box(bounds=[[0.1, 0.2, 0.3], [1.1, 2.2, 3.3]])
    write_mesh(tmp_path / "a.glb", box, up)
    np.testing.assert_allclose(read_shape(tmp_path / "a.glb", up).bounds, box.bounds, atol=1e-6)


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".stl"])
def test_a_mesh_comes_back_in_its_own_frame(tmp_path, suffix):
    box = trimesh.creation.box((1, 2, 3))
    for up in ("x", "z"):
        write_mesh(tmp_path / f"a{suffix}", box, up)
        np.testing.assert_allclose(read_shape(tmp_path / f"a{suffix}", up).extents, [1, 2, 3], atol=1e-6)
    assert read_shape(tmp_path / f"a{suffix}", "").extents.tolist() == pytest.approx([1, 3, 2] if suffix == ".glb" else [1, 2, 3])


@pytest.mark.parametrize("suffix", [".ply", ".npz", ".npy", ".xyz"])
@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((0, 3)), r"expected points \(n, 3\), got \(0, 3\)"),
        (np.full((4, 3), np.nan), "not finite"),
        (np.full((4, 3), 1e300), "not finite"),
    ],
)
def test_what_is_no_cloud_is_not_written(tmp_path, suffix, points, words):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError, match=rf"a\{suffix}: .*{words}"):
        Shape(points).save(path)
    if suffix in (".npz", ".npy"):
        with pytest.raises(InputError, match=words):
            write_clouds(path, [Shape(points)])
    assert not path.exists()


@pytest.mark.parametrize("suffix", [".ply", ".npz", ".npy", ".xyz"])
def test_an_array_that_is_no_cloud_is_not_written(tmp_path, suffix):
    with pytest.raises(InputError, match=rf"a\{suffix}: expected points \(n, 3\), got \(4, 2\)"):
        write_cloud(tmp_path / f"a{suffix}", np.zeros((4, 2)))
    assert list(tmp_path.iterdir()) == []


def test_a_shape_has_its_points_in_double_precision():
    """In a process of its own: here the types of arguments are checked."""
    code = """
import numpy as np, torch
from molgen.shapes.shape import Shape
points = np.arange(12.0).reshape(4, 3)
assert Shape(points).points is points
for other in (points.tolist(), points.astype(int), points.astype(np.float32), torch.tensor(points)):
    assert Shape(other) == Shape(points)
    assert Shape(other).points.dtype == np.float64
"""
    done = plain.python(code)
    assert done.returncode == 0, done.stderr


def test_a_notebook_shows_the_same_picture_whatever_axis_points_up():
    turned = {"z": PILLAR, "": PILLAR, "y": PILLAR[:, [0, 2, 1]] * [1, 1, -1], "x": PILLAR[:, [2, 0, 1]] * [1, -1, -1]}
    seen = [np.asarray(Image.open(BytesIO(Shape(points, up=up)._repr_png_()))) for up, points in turned.items()]
    assert seen[0].shape == (256, 256, 3)
    rows, columns = np.nonzero((seen[0] < 250).any(-1))
    assert np.ptp(rows) > 1.5 * np.ptp(columns)  # upright
    for other in seen[1:]:
        assert np.array_equal(seen[0], other)
    assert Shape(PILLAR[:0])._repr_png_() is None
    assert Shape(PILLAR * np.nan)._repr_png_() is None


def test_shapes_are_equal_where_everything_is():
    shape = Shape(CLOUD, {"seed": 1, "far": float("nan")}, "z")
    same = Shape(CLOUD.copy(), {"far": float("nan"), "seed": 1}, "z")
    assert shape == same
    assert hash(shape) == hash(same)
    assert pickle.loads(pickle.dumps(shape)) == shape
    assert Shape(np.array([[0.0, 1, np.nan]])) == Shape(np.array([[-0.0, 1, np.nan]]))
    assert hash(Shape(np.array([[0.0, 1, np.nan]]))) == hash(Shape(np.array([[-0.0, 1, np.nan]])))
    others = [Shape(CLOUD + 1, shape.properties, "z"), Shape(CLOUD, {"seed": 1}, "z"), Shape(CLOUD, shape.properties, "y"), "shape"]
    assert all(shape != other for other in others)
