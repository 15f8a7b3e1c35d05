"""The folder of an interrupted preparation belongs to one command at a time."""

import numpy as np
import pytest

from molgen.errors import InputError, OutputError
from molgen.shapes.prepare.block import Block
from molgen.store import Store


def test_two_commands_do_not_share_a_folder(tmp_path):
    folder = tmp_path / "set.partial"
    with Store(folder, {"compute": "tpsa"}, Block.load) as store:
        for command in ({"compute": "tpsa"}, {"compute": "logp"}):
            with pytest.raises(InputError, match=r"set.partial: another command works there; wait for it, or give another --out$"):
                Store(folder, command, Block.load)
        assert (folder / "command.json").read_text() == '{"compute": "tpsa"}'
        assert list(store) == []
    assert list(tmp_path.iterdir()) == []  # neither blocks nor the lock


def test_a_run_that_comes_to_no_block_keeps_those_of_an_earlier_one(tmp_path):
    folder, block = tmp_path / "set.partial", Block.of([], [(0, "no faces"), (1, "no faces")], 4, ())
    for blocks in ([block], [], []):
        with pytest.raises(KeyboardInterrupt, match="keeps 2 finished records"), Store(folder, {}, Block.load) as store:
            for each in blocks:
                store.put(each, new=True)
            raise KeyboardInterrupt
    assert store.get(0).rejected == block.rejected


def test_a_disk_that_is_full_from_the_beginning_is_told_and_left_as_it_is(small_disk):
    (small_disk / "other").write_bytes(bytes(64 * 1024))
    with pytest.raises(OutputError, match=r"set\.partial: no space left on the disk; nothing was written"):
        Store(small_disk / "set.partial", {"compute": "tpsa"}, Block.load)
    assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_a_folder_of_something_else_is_left_alone_and_not_locked(tmp_path):
    folder = tmp_path / "set.partial"
    folder.mkdir()
    np.save(folder / "mine.npy", np.arange(3))
    with pytest.raises(InputError, match="holds something else"):
        Store(folder, {}, Block.load)
    assert [path.name for path in tmp_path.iterdir()] == ["set.partial"]
    (folder / "mine.npy").unlink()
    with Store(folder, {}, Block.load):
        assert (folder / "command.json").is_file()
