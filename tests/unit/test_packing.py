"""How packed arrays are opened, and which folder is trained on."""

import json
import re

import numpy as np
import pytest

from molgen.errors import InputError
from molgen.molecules.data import PackedMolecules
from molgen.molecules.fields import Statistics
from molgen.packing import MAPPED, by_fraction, load_array, part_of, training_folder
from molgen.statistics import Label

WATER = {
    "positions": np.array([[0, 0, 0.1], [0.8, 0, -0.5], [-0.8, 0, -0.5]], np.float32),
    "atoms": np.array([1, 0, 0], np.uint8),
    "charges": np.zeros(3, np.int8),
    "bonds": np.array([[0, 1, 1], [0, 2, 1]], np.uint8),
    "atom_offsets": np.array([0, 3]),
    "bond_offsets": np.array([0, 2]),
    "labels": np.array([[9.7]], np.float32),
}


def test_small_arrays_are_read_and_large_ones_mapped(tmp_path):
    small, large = np.arange(12.0).reshape(4, 3), np.zeros((MAPPED // 8, 1))
    for name, array in (("small", small), ("large", large), ("none", small[:0])):
        np.save(tmp_path / f"{name}.npy", array)
    found = load_array(tmp_path / "small.npy", np.float64, (None, 3))
    assert found.tolist() == small.tolist()
    assert not isinstance(found, np.memmap)
    mapped = load_array(tmp_path / "large.npy", None, (len(large), 1))
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    assert load_array(tmp_path / "none.npy", np.float64, (None, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("dtype", "shape", "words"),
    [
        (np.float32, (4, 3), "expected float32 (4, 3), got float64 (4, 3)"),
        (np.float64, (None, 2), "expected float64 (n, 2), got float64 (4, 3)"),
        (np.float64, (5, 3), "expected float64 (5, 3), got float64 (4, 3)"),
        (np.float64, (None,), "expected float64 (n,), got float64 (4, 3)"),
        (None, (None, 3, 3), "expected (n, 3, 3), got float64 (4, 3)"),
    ],
)
def test_another_array_is_refused(tmp_path, dtype, shape, words):
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    with pytest.raises(InputError, match=re.escape(f"a.npy: {words}; prepare the data set again")):
        load_array(tmp_path / "a.npy", dtype, shape)


def test_missing_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(InputError, match=r"a\.npy: missing; copy it"):
        load_array(path, np.float64, (None,), "copy it")
    np.save(path, np.zeros(MAPPED))
    whole = path.read_bytes()
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}, None], object), allow_pickle=True)
    for content in (b"", b"rubbish", whole[:200], whole[:-8], objects.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npy: unreadable .*; copy it"):
            load_array(path, np.float64, (None,), "copy it")


def test_a_folder_or_its_part_train_is_trained_on(tmp_path):
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
    (tmp_path / "valid" / "statistics.json").touch()
    assert training_folder(tmp_path) == tmp_path  # nothing to train on; never the part "valid"
    (tmp_path / "train" / "statistics.json").touch()
    assert training_folder(tmp_path) == training_folder(tmp_path / "train") == tmp_path / "train"
    (tmp_path / "statistics.json").touch()
    assert training_folder(tmp_path) == tmp_path


def test_of_a_split_the_part_that_is_asked_for_is_read_else_a_held_out_one(tmp_path):
    assert part_of(tmp_path) is part_of(tmp_path / "nowhere", "train") is None
    for part in ("train", "test", "valid", ""):  # each comes before those there so far
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / part / "statistics.json").touch()
        assert part_of(tmp_path) == tmp_path / part
        assert part_of(tmp_path, "train") == tmp_path / "train"


@pytest.mark.parametrize(("text", "sizes"), [("0.7,0.2,0.1", [7, 2, 1]), ("0.75,0.25", [8, 2]), ("0.1,0.9", [1, 9])])
def test_every_record_is_in_one_part_of_its_fraction(text, sizes):
    masks = by_fraction(text, 3)(np.arange(10))
    assert list(masks) == ["train", "valid", "test"][: len(sizes)]
    assert [int(mask.sum()) for mask in masks.values()] == sizes
    assert np.sum(list(masks.values()), axis=0).tolist() == [1] * 10


@pytest.mark.parametrize("name", WATER)
def test_a_set_of_molecules_is_refused_where_an_array_has_other_axes(tmp_path, name):
    labels = (Label("gap", "eV", 1, 9.7, 0.0, 9.7, 9.7, {}),)
    found = Statistics(1, (1, 8), (0,), {3: 1}, (0.7, 0.3), (1.0,), (0.3, 0.7, 0.0, 0.0), 0.5, labels)
    (tmp_path / "statistics.json").write_text(json.dumps(found.to_dict()))
    for stem, array in WATER.items():
        np.save(tmp_path / f"{stem}.npy", array)
    assert PackedMolecules(tmp_path).molecule(0).properties == {"gap": pytest.approx(9.7)}
    array = WATER[name]
    np.save(tmp_path / f"{name}.npy", array[:, :0] if array.ndim == 2 else array[:, None])
    with pytest.raises(InputError, match=rf"{name}\.npy: expected .*; prepare the data set again"):
        PackedMolecules(tmp_path)
