"""Output files are complete or absent, whatever interrupts their writing."""

import hashlib
import os
import resource
import socket
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from molgen.errors import InputError
from molgen.files import Claim, atomic_folder, atomic_path, encodable, require_place, require_suffix, sha256, shipped

INTERRUPTIONS = [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit]


def test_atomic_path_writes_and_replaces(tmp_path):
    path = tmp_path / "out.sdf.gz"
    for text in ("first", "second"):
        with atomic_path(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.name.endswith("out.sdf.gz")
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert os.listdir(tmp_path) == ["out.sdf.gz"]


def test_atomic_path_respects_the_umask(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "atomic"):
        pass
    with atomic_path(tmp_path / "replaced") as temporary:
        save_file({"x": np.zeros(3)}, temporary)
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "replaced").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_atomic_path_accepts_a_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_path("out.txt") as temporary:
        temporary.write_text("content")
    assert Path("out.txt").read_text() == "content"


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_atomic_path_keeps_the_old_file(tmp_path, interruption):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(interruption), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise interruption
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_atomic_folder_leaves_nothing(tmp_path, interruption):
    with pytest.raises(interruption), atomic_folder(tmp_path / "data") as temporary:
        (temporary / "train").mkdir()
        (temporary / "train" / "positions.npy").write_bytes(b"half")
        raise interruption
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("exists", [False, True])
def test_atomic_folder_becomes_the_folder(tmp_path, exists):
    path = tmp_path / "data"
    if exists:
        path.mkdir()
    with atomic_folder(path) as temporary:
        (temporary / "train").mkdir()
        (temporary / "train" / "statistics.json").write_text("{}")
        assert list(tmp_path.glob("data/*")) == []
    assert (path / "train" / "statistics.json").read_text() == "{}"
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize("atomic", [atomic_path, atomic_folder])
def test_missing_parent_is_bad_input(tmp_path, atomic):
    with pytest.raises(InputError, match=r"missing/out: folder .*missing does not exist; create it"), atomic(tmp_path / "missing" / "out"):
        pytest.fail("the block must not run")


def test_wrong_kind_of_destination_is_bad_input(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is a folder"), atomic_path(tmp_path / "full"):
        pytest.fail("the block must not run")
    with pytest.raises(InputError, match="exists and is not empty"), atomic_folder(tmp_path / "full"):
        pytest.fail("the block must not run")
    with pytest.raises(InputError, match="is a file"), atomic_folder(tmp_path / "file"):
        pytest.fail("the block must not run")
    assert (tmp_path / "full" / "keep.txt").read_text() == (tmp_path / "file").read_text() == "precious"


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "store").mkdir()
    for name, target in (("page.html", "store/page"), ("absent.json", "store/new")):
        (tmp_path / name).symlink_to(target)
        with atomic_path(tmp_path / name) as temporary:
            assert (temporary.parent, temporary.suffix) == (tmp_path / "store", Path(name).suffix)
            temporary.write_text(name)
        assert (tmp_path / name).readlink() == Path(target)
        assert (tmp_path / target).read_text() == name
    (tmp_path / "store" / "empty").mkdir()
    (tmp_path / "run").symlink_to("store/empty")
    with atomic_folder(tmp_path / "run") as temporary:
        (temporary / "a").write_text("b")
    assert (tmp_path / "run").readlink() == Path("store/empty")
    assert (tmp_path / "store/empty/a").read_text() == "b"
    with pytest.raises(InputError, match=r"run: folder exists and is not empty"), atomic_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert sorted(os.listdir(tmp_path / "store")) == ["empty", "new", "page"]
    (tmp_path / "lost").symlink_to("nowhere/file")
    for atomic in (atomic_path, atomic_folder):
        with pytest.raises(InputError, match=r"nowhere/file: folder .*nowhere does not exist"), atomic(tmp_path / "lost"):
            pytest.fail("the block must not run")
    (tmp_path / "circle").symlink_to("circle")
    for atomic in (atomic_path, atomic_folder):
        with pytest.raises(InputError, match="circle: is a link that leads in a circle"), atomic(tmp_path / "circle"):
            pytest.fail("the block must not run")


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o400])
def test_permissions_are_kept(tmp_path, mode):
    for name in ("a.json", "b.safetensors"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
        with atomic_path(tmp_path / name) as temporary:
            save_file({"x": np.zeros(3)}, temporary) if name == "b.safetensors" else temporary.write_text("{}")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
        assert (tmp_path / name).stat().st_size
    (tmp_path / "run").mkdir(0o700)
    with atomic_folder(tmp_path / "run") as temporary:
        (temporary / "a").touch()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.json"))
    (tmp_path / "link.json").symlink_to("pipe.json")
    for name in ("pipe.json", "socket.json", "link.json"):
        path = tmp_path / name
        words = rf"{name}: is no regular file; give the name of a file"
        with pytest.raises(InputError, match=words), atomic_path(path):
            pytest.fail("the block must not run")
        for attempt in (require_place, lambda path: require_suffix("--json", path, ".json", "JSON")):
            with pytest.raises(InputError, match=words):
                attempt(path)
    assert (tmp_path / "pipe.json").is_fifo()
    assert (tmp_path / "socket.json").is_socket()
    assert len(os.listdir(tmp_path)) == 3


def test_a_missing_input_keeps_its_own_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"source\.txt"), atomic_path(tmp_path / "out"):
        (tmp_path / "source.txt").read_text()
    assert os.listdir(tmp_path) == []


def test_a_claim_holds_as_long_as_its_block(tmp_path):
    path = tmp_path / "run"
    with Claim(path, "taken"):
        with pytest.raises(InputError, match=r"^taken$"):
            Claim(path, "taken")
        assert os.listdir(tmp_path) == [".run.lock"]
    with pytest.raises(KeyError), Claim(path, "taken"):
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mark a folder")
def test_a_claim_in_an_unwritable_folder_names_what_was_to_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fixed").mkdir()
    if subprocess.run(["chattr", "+i", "fixed"], check=False, capture_output=True).returncode:
        pytest.skip("this file system marks nothing")
    try:
        with pytest.raises(InputError, match=r"^fixed/a\.sdf: no permission to write in folder fixed; choose another place$"):
            Claim(Path("fixed/a.sdf"), "taken")
    finally:
        subprocess.run(["chattr", "-i", "fixed"], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("atomic", [atomic_path, atomic_folder])
def test_unwritable_folder_is_bad_input(tmp_path, atomic):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="no permission"), atomic(tmp_path / "out"):
            pytest.fail("the block must not run")
    finally:
        tmp_path.chmod(0o700)


@contextmanager
def limited_size(limit):
    """Limits the size of the files that this process may write, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_refused_write_is_bad_input(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with limited_size(10_000), pytest.raises(InputError, match=r"out\.bin: file too large"), atomic_path(path) as temporary:
        temporary.write_bytes(bytes(100_000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_full_disk_is_bad_input(small_disk):
    with pytest.raises(InputError, match="no space left"), atomic_path(small_disk / "out.bin") as temporary:
        temporary.write_bytes(bytes(1_000_000))
    with pytest.raises(InputError, match="no space left"), atomic_path(small_disk / "out.npy") as temporary:
        np.save(temporary, np.zeros(1_000_000))
    with pytest.raises(InputError, match="no space left"), atomic_folder(small_disk / "data") as folder:
        (folder / "positions.npy").write_bytes(bytes(1_000_000))
    assert os.listdir(small_disk) == []


def test_a_read_only_disk_is_bad_input_before_and_after_the_work(small_disk):
    def remount(mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", small_disk], check=True)

    try:
        with (
            pytest.raises(InputError, match=r"a\.json: read-only file system; nothing was written"),
            atomic_path(small_disk / "a.json") as path,
        ):
            remount("ro")  # such as a disk with errors
            path.write_text("{}")
        for attempt in (require_place, lambda path: atomic_path(path).__enter__(), lambda path: atomic_folder(path).__enter__()):
            with pytest.raises(InputError, match=r"disk/a: read-only file system; choose another place$"):
                attempt(small_disk / "a")
    finally:
        remount("rw")


def test_an_unwritable_folder_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=r"a\.json: no permission to write in folder .*; choose another place$"):
        require_place(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["file/a.json", "file/b/a.json"])
def test_a_file_for_a_folder_is_told(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(InputError, match=rf"^{name}: file is a file, not a folder; choose another place$"):
        require_place(Path(name))


def test_names_that_no_file_can_hold():
    assert encodable(os.fsdecode(b"caf\xe9 \xc3\xa9.sdf")) == "caf\N{REPLACEMENT CHARACTER} é.sdf"


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "data").write_bytes(b"molgen" * 100_000)
    assert sha256(tmp_path / "data") == hashlib.sha256(b"molgen" * 100_000).hexdigest()


def test_shipped_folders():
    assert list(shipped("configs").glob("*.yaml"))
    with pytest.raises(InputError, match="lacks its nothing"):
        shipped("nothing")
