import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

from molgen.errors import InputError
from molgen.shapes.export import write_cloud, write_mesh, write_shape
from molgen.shapes.reading import read_mesh, read_shape
from molgen.shapes.shape import Shape

CLOUD = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32).astype(np.float64)


def values(path: Path) -> dict[str, str]:
    """The named values of a file, read without any code of the package."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: str(file[name][0]) for name in file.files if name != "points"}
    comments = re.findall(r"^comment (\S+) (.*)$", path.read_bytes().partition(b"end_header")[0].decode(), re.MULTILINE)
    return {name: value for name, value in comments if name != "written"}


@pytest.mark.parametrize("suffix", [".ply", ".npz"])
def test_clouds_come_back_with_their_values(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_cloud(path, CLOUD, {"category": "low table", "seed": 7, "model": "shapes"})
    points, normals = read_shape(path, "")
    assert np.array_equal(points, CLOUD[None])
    assert normals is None
    assert values(path) == {"category": "low table", "seed": "7", "model": "shapes"}
    assert np.array_equal(trimesh.load(path).vertices, CLOUD) if suffix == ".ply" else True


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl"])
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
    write_mesh(tmp_path / "m.glb", mesh, up)
    back = trimesh.load_mesh(tmp_path / "m.glb")
    assert back.extents[1] == pytest.approx(height)
    assert back.volume == pytest.approx(6)  # a mirror image would be inside out


def test_shapes_become_clouds_or_watertight_meshes_by_suffix(tmp_path):
    ball = CLOUD / np.linalg.norm(CLOUD, axis=1, keepdims=True)
    shape = Shape(np.vstack([ball, -ball]), {"category": "ball"})
    write_shape(tmp_path / "a.ply", shape)
    assert values(tmp_path / "a.ply") == {"category": "ball"}
    write_shape(tmp_path / "a.stl", shape, vertices=300)
    write_shape(tmp_path / "b.ply", shape, mesh=True)
    for name in ("a.stl", "b.ply"):
        mesh = trimesh.load_mesh(tmp_path / name)
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.3)
    assert len(trimesh.load_mesh(tmp_path / "a.stl").vertices) <= 300
    with pytest.raises(InputError, match=r"unknown suffix '\.xyz'; expected one of ply, npz, obj, glb, stl"):
        write_shape(tmp_path / "a.xyz", shape)


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"clouds are written as \.ply or \.npz"):
        write_cloud(tmp_path / "a.stl", CLOUD)
    with pytest.raises(InputError, match=r"meshes are written as \.ply, \.obj"):
        write_mesh(tmp_path / "a.npz", trimesh.creation.box())
    with pytest.raises(InputError, match="may not be called 'points'"):
        write_cloud(tmp_path / "a.npz", CLOUD, {"points": 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".stl"])
def test_a_mesh_comes_back_in_its_own_frame(tmp_path, suffix):
    box = trimesh.creation.box((1, 2, 3))
    for up in ("x", "z"):
        write_mesh(tmp_path / f"a{suffix}", box, up)
        np.testing.assert_allclose(read_mesh(tmp_path / f"a{suffix}", up).extents, [1, 2, 3], atol=1e-6)
    assert read_mesh(tmp_path / f"a{suffix}", "").extents.tolist() == pytest.approx([1, 3, 2] if suffix == ".glb" else [1, 2, 3])
