"""How packed arrays are opened, and which folder is trained on."""

import json
import re
from io import BytesIO

import numpy as np
import pytest

from molgen.errors import InputError
from molgen.molecules.data import PackedMolecules
from molgen.molecules.fields import Statistics
from molgen.packing import MAPPED, by_fraction, cut_between, load_array, part_of, training_folder
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
    claims = [claim({"descr": "<f8", "fortran_order": False, "shape": (rows,)}) for rows in (10**14, 2**70, -4)]
    brackets = b"\x93NUMPY\x01\0v\0{'descr':" + b"[" * 100 + b" " * 9
    for content in (b"", b"rubbish", whole[:200], whole[:-8], objects.read_bytes(), *claims, brackets):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npy: unreadable .*; copy it"):
            load_array(path, np.float64, (None,), "copy it")


def claim(header):
    """A file whose header says so, with hardly anything behind it."""
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(100)


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
    masks = by_fraction(text, 3)(np.arange(10), np.arange(10))
    assert list(masks) == ["train", "valid", "test"][: len(sizes)]
    assert [int(mask.sum()) for mask in masks.values()] == sizes
    assert np.sum(list(masks.values()), axis=0).tolist() == [1] * 10


@pytest.mark.parametrize("conformers", [1, 2, 5])
def test_conformers_of_a_molecule_go_to_the_same_part(conformers):
    alike = np.random.default_rng(0).permutation(np.repeat(np.arange(40), conformers))
    masks = by_fraction("0.8,0.1,0.1", 3)(np.arange(len(alike)), alike)
    parts = [set(alike[mask]) for mask in masks.values()]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert len(set.union(*parts)) == 40


def test_records_of_different_things_are_divided_as_without_things():
    order = np.random.default_rng(1).permutation(9)
    found, ends = cut_between(order, np.arange(100, 109), np.array([0, 2, 9]))
    assert found.tolist() == order.tolist()
    assert ends.tolist() == [0, 2, 9]


def test_a_cut_moves_to_the_nearest_place_between_two_things():
    order, ends = cut_between(np.arange(8), np.array([5, 7, 5, 5, 7, 9, 9, 7]), np.array([0, 4, 8]))
    assert order.tolist() == [0, 2, 3, 1, 4, 7, 5, 6]
    assert ends.tolist() == [0, 3, 8]  # in the middle of three and five


def test_things_of_many_records_come_no_earlier_than_others():
    sizes = np.random.default_rng(0).integers(1, 201, 3000)
    alike = np.repeat(np.arange(3000), sizes)
    masks = by_fraction("0.8,0.1,0.1", 1)(np.arange(len(alike)), alike)
    means = [sizes[np.unique(alike[mask])].mean() for mask in masks.values()]
    assert means == pytest.approx([sizes.mean()] * 3, abs=4 * sizes.std() / np.sqrt(300))


@pytest.mark.parametrize("text", ["0.9,0.1", "0.8,0.1,0.1", "0.1,0.1,0.8"])
def test_no_part_is_empty_while_there_are_things_enough(text):
    alike = np.repeat(np.arange(5), 20)
    for seed in range(10):
        masks = by_fraction(text, seed)(np.arange(100), alike)
        parts = [set(alike[mask]) for mask in masks.values()]
        assert all(parts)
        assert sum(map(len, parts)) == 5


@pytest.mark.parametrize("text", ["0.5,0.5,0", "1.2,-0.2", "1", "0.5,0.4", "0.25,0.25,0.25,0.25", "half"])
def test_fractions_that_make_no_parts_are_refused(text):
    with pytest.raises(InputError, match="expected 'official', or two or three positive fractions with sum 1"):
        by_fraction(text, 0)


def test_one_thing_is_torn_apart_where_a_part_would_be_empty():
    order, ends = cut_between(np.arange(8), np.zeros(8, int), np.array([0, 1, 8]))
    assert ends.tolist() == [0, 1, 8]
    assert order.tolist() == [*range(8)]


@pytest.mark.parametrize("ends", [[0, 0, 8], [0, 8, 8], [0, 0, 8, 8]])
def test_parts_that_are_to_be_empty_stay_so(ends):
    assert cut_between(np.arange(8), np.repeat([3, 1, 2], [2, 5, 1]), np.array(ends))[1].tolist() == ends


def water(folder, **changed):
    """A data set of one molecule, and of the arrays that are changed."""
    labels = (Label("gap", "eV", 1, 9.7, 0.0, 9.7, 9.7, {}),)
    found = Statistics(1, (1, 8), (0,), {3: 1}, (0.7, 0.3), (1.0,), (0.3, 0.7, 0.0, 0.0), 0.5, labels)
    (folder / "statistics.json").write_text(json.dumps(found.to_dict()))
    for stem, array in (WATER | changed).items():
        np.save(folder / f"{stem}.npy", array)
    return PackedMolecules(folder)


def test_values_that_no_molecule_has_are_refused_with_the_first_that_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr("molgen.packing.ROWS", 7)  # so that there are several pieces
    five = {name: np.concatenate([array] * 5) for name, array in WATER.items() if "offsets" not in name}
    five |= {"atom_offsets": np.arange(6) * 3, "bond_offsets": np.arange(6) * 2}
    assert len(water(tmp_path, **five)) == 5
    for name, row, value, words in (
        ("positions", 10, (0.0, np.nan, 0.0), "molecule 3 has coordinates that are not finite"),
        ("atoms", 12, 2, "molecule 4 has a class without an element"),
        ("charges", 2, -1, "molecule 0 has a charge that statistics.json lacks"),
        ("bonds", 7, (0, 3, 1), "molecule 3 has a bond that is none of two of its atoms with order 1 to 3"),
        ("bonds", 4, (1, 1, 1), "molecule 2 has a bond"),
        ("bonds", 4, (0, 1, 0), "molecule 2 has a bond"),
        ("bonds", 9, (0, 1, 4), "molecule 4 has a bond"),
        ("atom_offsets", 0, 1, "expected offsets from 0 to 15, got 1 to 15"),
        ("atom_offsets", 5, 14, "expected offsets from 0 to 15, got 0 to 14"),
        ("atom_offsets", 2, 3, "record 1 goes from 3 to 3"),
        ("bond_offsets", 2, 1, "record 1 goes from 2 to 1"),
    ):
        damaged = five[name].copy()
        damaged[row] = value
        with pytest.raises(InputError, match=rf"{name}\.npy: {words}.*; the data set is damaged, prepare it again"):
            water(tmp_path, **{**five, name: damaged})
    with pytest.raises(InputError, match=r"bond_offsets\.npy: expected offsets from 0 to 2, got none"):
        water(tmp_path, bond_offsets=np.zeros(0, int))
    with pytest.raises(InputError, match=r"bonds\.npy: molecule 0 has a bond"):
        water(tmp_path, bonds=-WATER["bonds"].astype(np.int32))
    for kind in (np.float32, np.dtype("U3")):
        with pytest.raises(InputError, match=r"bonds\.npy: expected integers, got "):
            water(tmp_path, bonds=WATER["bonds"].astype(kind))
    with pytest.raises(InputError, match="arrays of different lengths"):
        water(tmp_path, bond_offsets=np.array([0, 2, 2]))


@pytest.mark.parametrize("name", WATER)
def test_a_set_of_molecules_is_refused_where_an_array_has_other_axes(tmp_path, name):
    assert water(tmp_path).molecule(0).properties == {"gap": pytest.approx(9.7)}
    array = WATER[name]
    np.save(tmp_path / f"{name}.npy", array[:, :0] if array.ndim == 2 else array[:, None])
    with pytest.raises(InputError, match=rf"{name}\.npy: expected .*; prepare the data set again"):
        PackedMolecules(tmp_path)
