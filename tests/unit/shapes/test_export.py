import numpy as np
import pytest
import trimesh

from molgen.errors import InputError
from molgen.shapes.export import read_cloud, write_cloud, write_mesh, write_shape
from molgen.shapes.prepare.meshes import load_mesh
from molgen.shapes.shape import Shape

CLOUD = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("suffix", [".ply", ".npz"])
def test_clouds_come_back_with_their_values(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_cloud(path, CLOUD, {"category": "low table", "seed": 7, "model": "shapes"})
    points, values = read_cloud(path)
    assert np.array_equal(points, CLOUD)
    assert values == {"category": "low table", "seed": "7", "model": "shapes"}
    assert np.array_equal(trimesh.load(path).vertices, CLOUD) if suffix == ".ply" else True


def test_normals_travel_with_a_ply(tmp_path):
    normals = CLOUD / np.linalg.norm(CLOUD, axis=1, keepdims=True)
    write_cloud(tmp_path / "a.ply", CLOUD, normals=normals)
    assert len((tmp_path / "a.ply").read_bytes().partition(b"end_header\n")[2]) == 50 * 6 * 4
    assert np.array_equal(read_cloud(tmp_path / "a.ply")[0], CLOUD)


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
    assert read_cloud(tmp_path / "a.ply")[1] == {"category": "ball"}
    write_shape(tmp_path / "a.stl", shape, vertices=300)
    write_shape(tmp_path / "b.ply", shape, mesh=True)
    for name in ("a.stl", "b.ply"):
        mesh = trimesh.load_mesh(tmp_path / name)
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.3)
    assert len(trimesh.load_mesh(tmp_path / "a.stl").vertices) <= 300
    with pytest.raises(InputError, match=r"unknown suffix '\.xyz'; expected one of ply, npz, obj, glb, stl"):
        write_shape(tmp_path / "a.xyz", shape)


def test_other_formats_and_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"clouds are written as \.ply or \.npz"):
        write_cloud(tmp_path / "a.stl", CLOUD)
    with pytest.raises(InputError, match=r"meshes are written as \.ply, \.obj"):
        write_mesh(tmp_path / "a.npz", trimesh.creation.box())
    with pytest.raises(InputError, match="may not be called 'points'"):
        write_cloud(tmp_path / "a.npz", CLOUD, {"points": 1})
    (tmp_path / "bad.ply").write_text("nothing")
    with pytest.raises(InputError, match="not a readable cloud"):
        read_cloud(tmp_path / "bad.ply")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ply"]


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".stl"])
def test_a_mesh_comes_back_in_its_own_frame(tmp_path, suffix):
    box = trimesh.creation.box((1, 2, 3))
    for up in ("x", "z"):
        write_mesh(tmp_path / f"a{suffix}", box, up)
        np.testing.assert_allclose(load_mesh(tmp_path / f"a{suffix}", up).extents, [1, 2, 3], atol=1e-6)
    assert load_mesh(tmp_path / f"a{suffix}", "").extents.tolist() == pytest.approx([1, 3, 2] if suffix == ".glb" else [1, 2, 3])
