import json
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

from molgen.errors import InputError
from molgen.packing import by_fraction
from molgen.preparation import Rejected
from molgen.shapes.data import PackedShapes
from molgen.shapes.points import sample, unit_sphere
from molgen.shapes.prepare import open_source, prepare
from molgen.shapes.prepare.block import Chunk, Reader
from molgen.shapes.prepare.records import Entry
from molgen.shapes.reading import read_named
from molgen.shapes.recognise import holds_shapes

RNG = np.random.default_rng


def write_meshes(root: Path, **meshes: trimesh.Trimesh) -> Path:
    """Mesh files ``<class>_<suffix>`` in folders of their class."""
    for name, mesh in meshes.items():
        kind, _, suffix = name.rpartition("_")
        (root / kind).mkdir(parents=True, exist_ok=True)
        mesh.export(root / kind / f"one.{suffix}")
    return root


def test_points_fall_evenly_on_the_area_of_a_box():
    record = sample(trimesh.creation.box((1, 2, 4)), 40_000, RNG(0))
    across = np.abs(record.points) - np.array([0.5, 1, 2])
    assert np.abs(across).min(1).max() < 1e-12
    shares = np.bincount(np.abs(across).argmin(1), minlength=3) / len(record.points)
    areas = np.array([8, 4, 2])
    deviation = np.sqrt(areas / 14 * (1 - areas / 14) / len(record.points))
    assert (np.abs(shares - areas / 14) < 4 * deviation).all()
    assert np.allclose(np.abs(record.normals)[np.arange(40_000), np.abs(across).argmin(1)], 1)
    assert record.radius == pytest.approx(np.sqrt(1 + 4 + 16) / 2)


def test_points_of_a_sphere_have_its_moments():
    record = sample(trimesh.creation.icosphere(4, radius=3.0), 20_000, RNG(1))
    assert np.square(record.points / 3).mean(0) == pytest.approx([1 / 3] * 3, abs=4 * np.sqrt(4 / 45 / 20_000) + 2e-3)
    assert np.einsum("ni,ni->n", record.points, record.normals) / 3 == pytest.approx(1, abs=0.01)
    assert np.linalg.norm(record.centre) < 1e-10


@pytest.mark.parametrize("factor", [1e-200, 1e-9, 1e12, 1e150])
def test_scale_and_place_do_not_matter(factor):
    mesh = trimesh.creation.torus(2, 0.5)
    plain = sample(mesh, 100, RNG(2))
    mesh = trimesh.Trimesh(mesh.vertices * factor, mesh.faces, process=False)
    moved = sample(mesh, 100, RNG(2))
    assert (moved.points - moved.centre) / moved.radius == pytest.approx((plain.points - plain.centre) / plain.radius, abs=1e-9)
    assert moved.normals == pytest.approx(plain.normals, abs=1e-9)


def test_polygon_soup_with_degenerate_faces_and_loose_vertices_is_sampled_by_area():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [6, 5, 5], [5, 6, 5], [99, 99, 99]], float)
    soup = trimesh.Trimesh(vertices, [[0, 1, 2], [0, 1, 1], [3, 4, 5], [3, 4, 5]], process=False)
    record = sample(soup, 9000, RNG(3))
    assert (record.points[:, 2] > 2).mean() == pytest.approx(2 / 3, abs=0.02)
    assert record.centre[2] == pytest.approx(10 / 3)


@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        ([[0, 0, 0], [1, 0, 0], [np.nan, 1, 0]], "coordinates not finite"),
        ([[0, 0, 0], [1, 0, 0], [2, 0, 0]], "all faces are degenerate"),
        ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], "all points in one place"),
    ],
)
def test_surfaces_without_area_are_rejected(vertices, reason):
    with pytest.raises(Rejected, match=reason):
        sample(trimesh.Trimesh(vertices, [[0, 1, 2]], process=False), 10, RNG(0))


def test_a_folder_of_all_formats_keeps_its_frame(tmp_path):
    ball = trimesh.creation.icosphere(3, radius=7.0)
    ball.apply_translation((100, 0, -3))
    formats = {f"ball_{suffix}": ball for suffix in ("off", "obj", "ply", "stl", "glb")}
    source = write_meshes(tmp_path / "meshes", **formats, brick_off=trimesh.creation.box((1, 1, 1)))
    assert holds_shapes(str(source))
    summary = prepare(open_source(str(source)), tmp_path / "out", points=300)
    assert (summary.read, summary.kept) == (6, 6)
    data = PackedShapes(tmp_path / "out")
    assert data.statistics.categories == ("ball", "brick")
    assert data.statistics.category_counts == (5, 1)
    assert data.names == ["ball/one.glb", "ball/one.obj", "ball/one.off", "ball/one.ply", "ball/one.stl", "brick/one.off"]
    for k in range(5):
        original = data.cloud(k) * data.scale[k] + data.centre[k]
        assert np.linalg.norm(original - (100, 0, -3), axis=1) == pytest.approx(7.0, abs=0.06)
        assert np.einsum("ni,ni->n", data.normals[k] / 127, data.cloud(k)) == pytest.approx(1, abs=0.03)
    batch = data.batch([0, 5], points=100)
    assert batch["pos"].shape == (2, 100, 3)
    assert batch["pos"].mean(1).abs().max() < 1e-6
    assert batch.labels["category"].tolist() == [0, 1]
    centred = np.stack([data.cloud(k) - data.cloud(k).mean(0) for k in range(6)])
    assert data.statistics.coordinate_std == pytest.approx(np.sqrt(np.square(centred).mean()), rel=1e-6)


def test_batches_hold_the_first_stored_points_centred(tmp_path):
    source = write_meshes(tmp_path / "meshes", brick_off=trimesh.creation.box((1, 1, 1)))
    prepare(open_source(str(source)), tmp_path / "out", points=64)
    data = PackedShapes(tmp_path / "out")
    for count in (64, 20):
        first = data.cloud(0)[:count]
        assert data.batch([0], count)["pos"][0].numpy() == pytest.approx(first - first.mean(0), abs=1e-6)
    assert np.array_equal(data.batch([0])["pos"], data.batch([0], 64)["pos"])
    with pytest.raises(InputError, match="expected 1 to 64 points per shape, as many as are stored, got 65"):
        data.batch([0], 65)


def test_global_normalisation_keeps_relative_sizes(tmp_path):
    source = write_meshes(tmp_path / "meshes", small_off=trimesh.creation.box((1, 1, 1)), twice_off=trimesh.creation.box((2, 2, 2)))
    prepare(open_source(str(source)), tmp_path / "out", points=500, normalisation="global")
    data = PackedShapes(tmp_path / "out")
    assert np.ptp(data.cloud(1), axis=0) / np.ptp(data.cloud(0), axis=0) == pytest.approx([2, 2, 2], rel=0.02)
    assert data.scale[0] == data.scale[1] == data.statistics.scale == pytest.approx(np.sqrt(3) / 2 * 1.5)
    assert np.ptp(data.cloud(1) * data.scale[1], axis=0) == pytest.approx([2, 2, 2], rel=0.01)


def test_what_is_unusable_is_counted_by_reason(tmp_path):
    root = write_meshes(tmp_path / "meshes", good_off=trimesh.creation.box())
    bad = root / "bad"
    bad.mkdir()
    (bad / "a.off").write_text("")
    (bad / "b.off").write_text("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n")
    (bad / "c.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\nnan 1 0\n3 0 1 2\n")
    (bad / "d.ply").write_text("garbage\n")
    (bad / "e.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n"
    )
    with (bad / "f.obj").open("wb") as huge:
        huge.truncate(2 << 30)  # a sparse file
    summary = prepare(open_source(str(root)), tmp_path / "out", points=16)
    assert summary.kept == 1
    assert summary.rejected == {
        "empty file": 1,
        "no faces": 1,
        "fewer points than needed": 1,
        "coordinates not finite": 1,
        "not readable as ply": 1,
        "file larger than 1 GiB; simplify the mesh or cut it up": 1,
    }
    assert summary.first == "record 1 (bad/a.off): empty file"
    assert "rejected" in (tmp_path / "out" / "card.yaml").read_text()


def test_off_files_without_a_break_after_the_first_word_are_read(tmp_path):
    path = tmp_path / "chair" / "x.off"
    path.parent.mkdir()
    path.write_text("OFF4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n")
    assert prepare(open_source(str(tmp_path)), tmp_path / "out", points=16).kept == 1


def test_off_files_that_mix_faces_of_any_number_of_corners_are_read(tmp_path):
    """A house: a box whose front and back have five corners."""
    front, back = [(0, 0, 0), (2, 0, 0), (2, 0, 2), (1, 0, 3), (0, 0, 2)], [(0, 4, 0), (2, 4, 0), (2, 4, 2), (1, 4, 3), (0, 4, 2)]
    walls = [f"4 {a} {a + 5} {b + 5} {b}" for a, b in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0))]
    faces = ["5 0 1 2 3 4 255 0 0", "5 9 8 7 6 5  # the back", *walls]
    path = tmp_path / "house.off"
    path.write_text("\n".join(["OFF", "10 7 15", *(" ".join(map(str, corner)) for corner in front + back), "", *faces, ""]))
    found = read_named(path, "")
    assert (found.is_watertight, found.volume) == (True, pytest.approx(2 * 4 * 2 + 4))


@pytest.mark.parametrize("turn", ["x", "z"])
def test_shapes_are_turned_so_that_another_axis_points_up(tmp_path, turn):
    brick = trimesh.creation.box((1, 3, 2))
    brick.apply_translation((5, 6, 7))
    (tmp_path / "in").mkdir()
    brick.export(tmp_path / "in" / "brick.off")
    source = open_source(str(tmp_path / "in"), up="y")
    prepare(source, tmp_path / "plain", points=500)
    prepare(source, tmp_path / "turned", points=500, turn=turn)
    plain, turned = PackedShapes(tmp_path / "plain"), PackedShapes(tmp_path / "turned")
    assert (plain.statistics.up, turned.statistics.up) == ("y", turn)
    order, signs = {"x": ([1, 0, 2], [1, -1, 1]), "z": ([0, 2, 1], [1, -1, 1])}[turn]
    for name in ("points", "normals"):
        before, after = (np.asarray(getattr(one, name)[0], np.float64) for one in (plain, turned))
        np.testing.assert_allclose(after, before[:, order] * signs, atol=2e-3)
    np.testing.assert_allclose(np.load(tmp_path / "turned" / "centre.npy")[0], np.array([5, 6, 7])[order] * signs, rtol=1e-9)
    with pytest.raises(InputError, match="--turn z: it is not known which axis of the shapes points up; say it with --up"):
        prepare(open_source(str(tmp_path / "in")), tmp_path / "unknown", points=16, turn="z")


def test_workers_do_not_change_the_data(tmp_path):
    source = open_source("procedural", num=70, kinds=["stool", "table"], seed=5)
    for workers in (1, 2):
        prepare(source, tmp_path / str(workers), points=64, workers=workers, seed=1)
    one, two = (PackedShapes(tmp_path / str(workers)) for workers in (1, 2))
    assert np.array_equal(one.points, two.points)
    assert one.captions == two.captions
    assert one.statistics == two.statistics
    assert one.names[:2] == ["stool_000000", "table_000001"]
    assert all(word in caption for word, caption in zip(["stool", "table"] * 35, one.captions, strict=True))
    legs = one.batch([0, 1]).labels["legs"]
    assert {3.0, 4.0} & set(legs.tolist())


def test_workers_read_a_file_of_clouds_themselves(tmp_path):
    np.savez(tmp_path / "many.npz", points=np.random.default_rng(0).normal(size=(100, 50, 3)))
    source = open_source(str(tmp_path / "many.npz"))
    entry = source.entries()[7]
    sent = pickle.dumps(source)
    assert len(sent) < 1000
    drawn = [one.read(entry, 20, np.random.default_rng(1)).points for one in (source, pickle.loads(sent))]
    assert np.array_equal(*drawn)


def test_the_unit_sphere_holds_the_farthest_point():
    found = unit_sphere(np.array([[8.0, 5, 2], [2, -3, 2], [5, 1, 3], [5, 1, 1]]))  # about (5, 1, 2), the first two 5 away
    np.testing.assert_allclose(found, [[0.6, 0.8, 0], [-0.6, -0.8, 0], [0, 0, 0.2], [0, 0, -0.2]], atol=1e-12)


def test_every_record_draws_points_of_its_own_whatever_chunk_it_is_in(tmp_path):
    np.savez(tmp_path / "twice.npz", points=np.stack([RNG(0).normal(size=(50, 3))] * 2))
    source = open_source(str(tmp_path / "twice.npz"))
    entries, reader = list(enumerate(source.entries())), Reader(source, 20, seed=3)
    both, second = reader(Chunk(0, entries)).points, reader(Chunk(1, entries[1:])).points
    assert not np.array_equal(both[0], both[1])
    assert np.array_equal(both[1], second[0])


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a data set, byte by byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_work_is_taken_up_again_and_gives_the_same_bytes(tmp_path, monkeypatch, workers):
    monkeypatch.setattr("molgen.shapes.prepare.block.CHUNK", 4)
    source = open_source("procedural", num=20, kinds=["table", "bowl"], seed=2)
    settings = {"points": 32, "split": by_fraction("0.5,0.5", 0), "normalisation": "global", "text": True, "workers": workers}

    def stop(done: int, size: int, kept: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    def at_once(done: int, size: int, kept: int) -> None:
        raise KeyboardInterrupt

    for name in ("out", "other"):
        with pytest.raises(KeyboardInterrupt, match=rf"{name}\.partial keeps 12 finished records; the same command goes on from there"):
            prepare(source, tmp_path / name, progress=stop, **settings)
        assert not (tmp_path / name).exists()
    with pytest.raises(KeyboardInterrupt, match="keeps 12 finished records"):
        prepare(source, tmp_path / "out", progress=at_once, **settings)
    assert prepare(source, tmp_path / "out", **settings).resumed == 12
    assert prepare(source, tmp_path / "whole", **settings).resumed == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    changed = prepare(open_source("procedural", num=21, kinds=["table", "bowl"], seed=2), tmp_path / "other", **settings)
    assert (changed.read, changed.resumed) == (21, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out", "whole"]


def test_ctrl_c_in_a_terminal_leaves_only_work_to_resume(tmp_path):
    arguments = ["prepare", "procedural", "--kind", "bench,stool", "--points", "64", "--workers", "2", "--num"]

    def start(num: int, out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from molgen.cli import main; main()", *arguments, str(num), "--out", str(tmp_path / out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    process = start(2000, "out")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out.partial").glob("0*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    found = re.fullmatch(r"molgen: interrupted: .*out\.partial keeps (\d+) finished records; the same command goes on from there\n", error)
    assert found, error
    assert int(found[1]) == 32 * len(list((tmp_path / "out.partial").glob("0*.npz"))) < 2000
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]


def test_work_that_ends_before_the_first_block_leaves_nothing(tmp_path):
    class Stopped:
        up, label_names = "z", ()

        def categories(self):
            return ()

        def captioned(self):
            return False

        def describe(self):
            return {"source": "stopped"}

        def entries(self):
            return [Entry("first", "", 0)]

        def read(self, entry, points, rng):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="nothing was kept"):
        prepare(Stopped(), tmp_path / "out", points=4)
    assert not list(tmp_path.iterdir())


def test_splits_divide_by_fraction_or_by_folder(tmp_path):
    prepare(open_source("procedural", num=20, kinds=["table"]), tmp_path / "a", points=16, split=by_fraction("0.75,0.25", 0))
    train, valid = PackedShapes(tmp_path / "a" / "train"), PackedShapes(tmp_path / "a" / "valid")
    assert (len(train), len(valid)) == (15, 5)
    assert not set(train.names) & set(valid.names)
    assert PackedShapes(tmp_path / "a").names == train.names
    raw = tmp_path / "modelnet" / "raw"
    for part, number in (("train", 3), ("test", 1)):
        for k in range(number):
            write_meshes(raw / "desk", **{f"{part}_off": trimesh.creation.box((1, number, 1 + k))})
            (raw / "desk" / part / "one.off").rename(raw / "desk" / part / f"desk_{k:04d}.off")
    source = open_source("modelnet", root=tmp_path / "modelnet")
    summary = prepare(source, tmp_path / "b", points=16, split=None)
    assert {part: found.num_shapes for part, found in summary.statistics.items()} == {"test": 1, "train": 3}
    assert PackedShapes(tmp_path / "b").statistics.categories == ("desk",)
    with pytest.raises(InputError, match="lies in no folder 'train', 'valid' or 'test'"):
        prepare(open_source("procedural", num=2), tmp_path / "c", points=16, split=None)
    assert not (tmp_path / "c").exists()


def test_shapenet_is_read_as_torch_geometric_lays_it_down(tmp_path):
    raw = tmp_path / "raw"
    (raw / "train_test_split").mkdir(parents=True)
    (raw / "03001627").mkdir()
    rows = np.hstack([RNG(0).normal(size=(40, 3)), np.tile([0, 0, 1.0], (40, 1)), np.zeros((40, 1))])
    for part in ("train", "val", "test"):
        (raw / "train_test_split" / f"shuffled_{part}_file_list.json").write_text(json.dumps([f"shape_data/03001627/{part}"]))
        np.savetxt(raw / "03001627" / f"{part}.txt", rows[: 10 if part == "test" else 40])
    summary = prepare(open_source("shapenet", root=tmp_path), tmp_path / "out", points=30, split=None)
    assert summary.rejected == {"fewer points than needed": 1}
    data = PackedShapes(tmp_path / "out")
    assert data.statistics.categories == ("Chair",)
    assert data.statistics.up == "y"
    original = data.cloud(0) * data.scale[0] + data.centre[0]
    assert np.linalg.norm(original[:, None] - rows[None, :, :3], axis=-1).min(1).max() < 2e-3
    assert data.normals[0] / 127 == pytest.approx(np.tile([0, 0, 1.0], (30, 1)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"clouds": np.zeros((1, 4, 3))}, "expected an array 'points' of shape .* got none"),
        ({"points": np.zeros((4, 3))}, r"got \(4, 3\)"),
        ({"points": np.ones((2, 4, 3)), "category": np.zeros(3, int), "categories": np.array(["a"])}, "2 shapes but 'category' 3"),
        ({"points": np.ones((2, 4, 3)), "category": np.array([0, 1]), "categories": np.array(["a"])}, "needs 'categories'"),
        ({"points": RNG(0).normal(size=(2, 4, 3))}, "none of 2 records can be used; first: .*fewer points than needed"),
    ],
)
def test_unusable_npz_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=message):
        prepare(open_source(str(tmp_path / "x.npz")), tmp_path / "out", points=5)
    assert not (tmp_path / "out").exists()


def test_real_clouds_and_meshes(shared, tmp_path):
    with np.load(shared / "shapes" / "points_train.npz") as file:
        some = {name: file[name][::40] for name in ("points", "category", "names")} | {"categories": file["categories"]}
    np.savez(tmp_path / "some.npz", **some)
    prepare(open_source(str(tmp_path / "some.npz")), tmp_path / "clouds", points=1024)
    data = PackedShapes(tmp_path / "clouds")
    assert [data.statistics.categories[k] for k in data.category] == some["categories"][some["category"]].tolist()
    assert data.names == some["names"].tolist()
    original = data.cloud(3) * data.scale[3] + data.centre[3]
    nearest = np.linalg.norm(original[:200, None] - some["points"][3].astype(float)[None], axis=-1).min(1)
    assert nearest.max() < 2e-3
    summary = prepare(open_source(str(shared / "shapes" / "meshes" / "Mug")), tmp_path / "mugs", points=256)
    assert (summary.read, summary.kept) == (25, 25)
    mugs = PackedShapes(tmp_path / "mugs")
    assert mugs.statistics.categories == ("Mug",)
    assert np.linalg.norm(mugs.points.astype(float), axis=-1).max() <= 1.001
