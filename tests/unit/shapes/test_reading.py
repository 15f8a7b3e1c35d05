import numpy as np
import pytest
import trimesh

from molgen.errors import InputError
from molgen.preparation import Rejected
from molgen.shapes.export import write_cloud
from molgen.shapes.reading import described, read_clouds, read_named, read_shape
from molgen.shapes.recognise import holds_shapes

CLOUD = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LINES = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
LINES += "element edge 1\nproperty int vertex1\nproperty int vertex2\nend_header\n0 0 0\n1 2 3\n0 1\n"


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_arrays_hold_one_cloud_or_several(tmp_path, suffix, several):
    points = np.stack([CLOUD, CLOUD + 1]) if several else CLOUD
    path = tmp_path / f"a{suffix}"
    np.save(path, points) if suffix == ".npy" else np.savez(path, points=points, normals=-points, names=np.array(["a", "b"]))
    found, normals = read_clouds(path)
    assert np.array_equal(found, points.reshape(-1, 40, 3))
    assert normals is None if suffix == ".npy" else np.array_equal(normals, -found)
    assert np.array_equal(read_named(path, ""), found)


def test_normals_of_another_shape_are_no_normals(tmp_path):
    np.savez(tmp_path / "a.npz", points=CLOUD, normals=CLOUD[1:])
    assert read_clouds(tmp_path / "a.npz")[1] is None


def test_a_ply_is_a_cloud_unless_it_has_faces(tmp_path):
    write_cloud(tmp_path / "cloud.ply", CLOUD)
    (tmp_path / "lines.ply").write_text(LINES)
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "box.ply")
    assert np.array_equal(read_shape(tmp_path / "cloud.ply", "z")[0], CLOUD[None])
    assert np.array_equal(read_named(tmp_path / "lines.ply", "z"), [[[0, 0, 0], [1, 2, 3]]])
    assert read_named(tmp_path / "box.ply", "z").volume == pytest.approx(6)


@pytest.mark.parametrize(
    ("name", "content", "reason", "told"),
    [
        ("a.npz", b"PK\x03\x04 and no more", "not readable as npz", r"cannot be read \(File is not a zip file\); write it again"),
        ("a.npy", np.array([{}], dtype=object), "not readable as npy", "cannot be read .Object arrays cannot be loaded"),
        ("a.ply", b"no cloud", "not readable as ply", r"cannot be read \(Not a ply file!\); write it again"),
        ("a.ply", b"", "empty file", "empty file; give a mesh with faces, or a cloud as .ply, .npz or .npy"),
        ("a.off", b"OFF\n1 0 0\n0 0 0\n", "no faces", "no faces; give a mesh with faces"),
        ("a.xyz", b"2\nwater\nO 0 0 0\nH 0 0 1\n", "not readable as xyz", "rows of 3 or 6 numbers expected, one has 1 cells"),
        ("a.csv", b"1,2,3\n1,2\n", "not readable as csv", "rows of 3 or 6 numbers expected, one has 2 cells"),
        ("a.csv", b"x,y,z\n", "no points (n, 3)", r"expected points \(n, 3\) or .*, got \(0,\)"),
        ("a.npz", np.zeros((4, 2)), "no points (n, 3)", r"expected points \(n, 3\) or \(s, n, 3\) with finite coordinates, got \(4, 2\)"),
        ("a.npy", np.zeros((0, 4, 3)), "no points (n, 3)", r"got \(0, 4, 3\)$"),
        ("a.npy", np.full((4, 3), "x"), "no points (n, 3)", r"got \(4, 3\) of <U1$"),
    ],
)
def test_what_is_no_shape_is_rejected_and_told_of_a_file_that_was_named(tmp_path, name, content, reason, told):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        np.savez(path, points=content)
    with pytest.raises(Rejected) as rejected:
        read_shape(path, "z")
    assert str(rejected.value) == reason
    with pytest.raises(InputError, match=told) as error:
        read_named(path, "z")
    assert str(error.value).startswith(f"{path}: ")


def test_a_mesh_with_a_vertex_nowhere_is_refused(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(InputError, match=r"a\.obj: coordinates not finite"):
        read_named(path, "z")


ROWS = {
    "blanks.xyz": "0 0 0\n1 2 3\n",
    "commas.csv": "# made by hand\nx, y, z\n0,0,0\n\n1,2,3\n",
    "semicolons.txt": "0;0;0\n1;2;3\n",
    "tabs.txt": "0\t0\t0\n1.0\t2e0\t3\n",
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_three_numbers_are_a_cloud(tmp_path, name):
    path = tmp_path / name
    path.write_text(ROWS[name])
    assert holds_shapes(path)
    assert np.array_equal(read_named(path, "z"), [[[0, 0, 0], [1, 2, 3]]])


def test_rows_of_six_numbers_are_points_with_normals(tmp_path):
    (tmp_path / "a.txt").write_text("0,0,1,0,0,1\n1,0,0,1,0,0\n")
    points, normals = read_shape(tmp_path / "a.txt", "z")
    assert (points.tolist(), normals.tolist()) == ([[[0, 0, 1], [1, 0, 0]]],) * 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xyz", "3\nwater\nO 0 0 0\nH 0 0 1\nH 0 1 0\n"),
        ("a.xyz", ""),
        ("a.csv", "smiles,logp,mw\nCCO,1,2\n"),
        ("a.csv", "x,y,z\n"),
        ("a.txt", "1 2 3 4\n"),
        ("a.dat", "1 2 3\n"),
    ],
)
def test_other_rows_are_no_shape(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert not holds_shapes(tmp_path / name)
    assert not holds_shapes(tmp_path)


def test_a_folder_of_clouds_as_rows_holds_shapes_unless_molecules_lie_there(tmp_path):
    (tmp_path / "a.xyz").write_text("1 2 3\n")
    assert holds_shapes(tmp_path)
    (tmp_path / "b.xyz").write_text("1\nargon\nAr 0 0 0\n")
    assert not holds_shapes(tmp_path)


def test_an_obj_without_faces_is_a_cloud(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 2 3\n")
    assert np.array_equal(read_named(tmp_path / "a.obj", "z"), [[[0, 0, 0], [1, 2, 3]]])


def test_an_archive_without_points_is_told(tmp_path):
    np.savez(tmp_path / "a.npz", clouds=CLOUD)
    with pytest.raises(
        InputError, match=r"expected points \(n, 3\) or \(s, n, 3\) with finite coordinates, got none; the file has 'clouds': save"
    ):
        read_named(tmp_path / "a.npz", "z")


@pytest.mark.parametrize("vertex", ["4", "-1", "nan", "99999999999"])
def test_faces_of_vertices_that_are_not_there_are_told(tmp_path, vertex, capfd):
    head = (
        LINES.replace("vertex 2", "vertex 4").split("element edge")[0]
        + "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    )
    (tmp_path / "a.ply").write_text(f"{head}0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 {vertex}\n")
    with pytest.raises(InputError, match=r"a\.ply: cannot be read \(.*\); write it again"):
        read_named(tmp_path / "a.ply", "")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".stl", ".off", ".ply", ".glb"])
def test_a_mesh_is_described_by_what_it_is_and_not_by_how_its_format_lists_it(tmp_path, suffix):
    """An .stl lists the corners of every face anew."""
    box = trimesh.creation.box(bounds=[[0, 0, 0], [1, 2, 3]])
    other = trimesh.creation.box(bounds=[[5, 0, -1], [6, 1, 0]])
    trimesh.util.concatenate([box, other]).export(tmp_path / f"two{suffix}")
    trimesh.Trimesh(box.vertices, box.faces[:-1]).export(tmp_path / f"open{suffix}")
    assert dict(described(tmp_path / f"two{suffix}")) == {
        "mesh": "16 vertices, 24 faces, 2 pieces, closed, volume 7",
        "extent": "x 0 to 6, y 0 to 2, z -1 to 3",
    }
    assert dict(described(tmp_path / f"open{suffix}"))["mesh"] == "8 vertices, 11 faces, 1 piece, not closed"


def test_clouds_are_described_by_their_number_and_extent(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([np.eye(3), 2 * np.eye(3) - 1]))
    assert dict(described(tmp_path / "a.npy")) == {"clouds": "2 of 3 points", "extent": "x -1 to 1, y -1 to 1, z -1 to 1"}
