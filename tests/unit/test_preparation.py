"""What the preparations of molecules and of shapes share."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml

import molgen
from molgen.errors import InputError, OutputError
from molgen.preparation import Block, Store, Summary, refuse_empty, write_card
from molgen.shapes.prepare import block as shapes


@dataclass(frozen=True)
class Named(Block):
    """Values by record; rejected are number, name and reason."""

    words: ClassVar[int] = 2
    values: np.ndarray


@pytest.mark.parametrize("rejected", [(), ((7, "", "no atoms"), (9, "water", "radical"))])
def test_a_block_comes_back_as_it_was_saved(tmp_path, rejected):
    block = Named(index=np.array([3, 4]), values=np.array([0.5, 1.5], np.float32), rejected=rejected)
    block.save(tmp_path / "000000.npz")
    found = Named.load(tmp_path / "000000.npz")
    assert found.rejected == rejected
    assert found.records == 2 + len(rejected)
    for name in ("index", "values"):
        np.testing.assert_array_equal(found.arrays[name], block.arrays[name])
        assert found.arrays[name].dtype == block.arrays[name].dtype
    with np.load(tmp_path / "000000.npz") as stored:
        assert stored.files == ["rejected", "index", "values"]
        assert stored["rejected"].shape == (len(rejected), 3)


def test_a_summary_counts_records_and_tells_the_first_that_was_rejected():
    summary = Summary()
    block = Named(index=np.array([0, 2]), values=np.zeros(2), rejected=((1, "b", "radical"),))
    for new in (False, True):
        summary.count(block, new)
    assert summary.reject(1, "b", "radical") == "record 2 (b): radical"
    assert summary.reject(4, "", "no atoms") == "record 5: no atoms"
    assert (summary.read, summary.kept, summary.resumed) == (6, 4, 3)
    assert summary.rejected == {"radical": 1, "no atoms": 1}
    assert summary.first == "record 2 (b): radical"


def test_an_empty_part_is_refused():
    mask = np.array([True, False])
    refuse_empty({"train": mask, "valid": ~mask}, "shape")
    with pytest.raises(OutputError, match="split: part 'test' gets no shape; prepare more shapes or give it a larger share"):
        refuse_empty({"train": mask, "test": mask & ~mask}, "shape")


@pytest.mark.parametrize("part", ["", "train"])
def test_a_card_tells_the_source_the_counts_and_the_checksums(tmp_path, part):
    folder = tmp_path / part
    folder.mkdir(exist_ok=True)
    (folder / "points.npy").write_bytes(b"abc")
    summary = Summary(read=3, kept=2)
    summary.rejected["radical"] += 1
    write_card(tmp_path, part, {"source": "a.sdf"}, {"molecules": 2}, summary)
    card = yaml.safe_load((folder / "card.yaml").read_text())
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    own = {"part": "train", "molecules": 2} if part else {}
    del card["molgen"]
    counts = {"records": 3, "kept": 2, "rejected": {"radical": 1}}
    assert card == {"source": "a.sdf", **own, **counts, "arrays_sha256": {"points.npy": digest}}


def test_two_commands_do_not_share_a_folder(tmp_path):
    with Store(tmp_path / "set", {"compute": "tpsa"}, shapes.Block) as store:
        for command in ({"compute": "tpsa"}, {"compute": "logp"}):
            with pytest.raises(InputError, match=r"set.partial: another command works there; wait for it, or give another --out$"):
                Store(tmp_path / "set", command, shapes.Block)
        kept = json.loads((tmp_path / "set.partial" / "command.json").read_text())
        assert kept.items() >= {"compute": "tpsa", "molgen": molgen.__version__}.items()
        assert list(store) == []
    assert list(tmp_path.iterdir()) == []  # neither blocks nor the lock


def test_a_run_that_comes_to_no_block_keeps_those_of_an_earlier_one(tmp_path):
    block = shapes.Block.of([], [(0, "no faces"), (1, "no faces")], 4, ())
    for blocks in ([block], [], []):
        with pytest.raises(KeyboardInterrupt, match="keeps 2 finished records"), Store(tmp_path / "set", {}, shapes.Block) as store:
            for each in blocks:
                store.put(each, new=True)
            raise KeyboardInterrupt
    assert store.get(0).rejected == block.rejected


def test_blocks_of_another_make_up_are_made_anew(tmp_path, monkeypatch):
    block = shapes.Block.of([], [(0, "no faces")], 4, ())
    with pytest.raises(KeyboardInterrupt, match="keeps 1 finished records"), Store(tmp_path / "set", {}, shapes.Block) as store:
        store.put(block, new=True)
        raise KeyboardInterrupt
    monkeypatch.setattr(shapes.Block, "words", 2)  # as of another version
    with Store(tmp_path / "set", {}, shapes.Block) as store:
        assert store.get(0) is None


def test_a_disk_that_is_full_from_the_beginning_is_told_and_left_as_it_is(small_disk):
    (small_disk / "other").write_bytes(bytes(64 * 1024))
    with pytest.raises(OutputError, match=r"set\.partial: no space left on the disk; nothing was written"):
        Store(small_disk / "set", {"compute": "tpsa"}, shapes.Block)
    assert [path.name for path in small_disk.iterdir()] == ["other"]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_block_that_does_not_fit_is_told_with_what_is_kept(tmp_path):
    """By the limit of the size of a file, which asks for no disk of one's own."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    small, large = (shapes.Block.of([], [(number, "no faces") for number in range(count)], 4, ()) for count in (2, 20_000))
    told = []
    for blocks in ((small, large), (large,)):
        try:
            with pytest.raises(OutputError) as caught, Store(tmp_path / "set", {}, shapes.Block) as store:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
                for block in blocks:
                    store.put(block, new=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        told.append(str(caught.value).replace(f"{tmp_path}{os.sep}", ""))
        shutil.rmtree(tmp_path / "set.partial", ignore_errors=True)
    too_large = "file too large for the file system; make room or choose another place"
    kept = "set.partial keeps 2 finished records, which are not made again with the same --out"
    assert told == [
        f"{Path('set.partial', '000001.npz')}: {too_large}; {kept}",
        f"{Path('set.partial', '000000.npz')}: {too_large}; nothing was kept",
    ]


def test_a_folder_of_something_else_is_left_alone_and_not_locked(tmp_path):
    folder = tmp_path / "set.partial"
    folder.mkdir()
    np.save(folder / "mine.npy", np.arange(3))
    with pytest.raises(InputError, match="holds something else"):
        Store(tmp_path / "set", {}, shapes.Block)
    assert [path.name for path in tmp_path.iterdir()] == ["set.partial"]
    (folder / "mine.npy").unlink()
    with Store(tmp_path / "set", {}, shapes.Block):
        assert (folder / "command.json").is_file()
