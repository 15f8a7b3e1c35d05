"""Sets of known molecules against Python's own sets, and their file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from molgen.errors import InputError
from molgen.known import FILE, Known, fingerprint
from molgen.models import find_model
from molgen.tensors import load_weights, write_tensors

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("short", [False, True], ids=["64 bits", "32 bits"])
def test_a_set_holds_what_was_put_in_and_nothing_else(short):
    inside, outside = ([fingerprint(f"C{k}") for k in range(start, start + 2000)] for start in (0, 2000))
    known = Known.of([*inside, *inside[:7], 0])
    known = known | Known.of([]) if short else known
    assert len(known) == 2000
    mixed = RNG.permutation(np.array([*inside, *outside, 0], np.uint64))
    assert known.holds(mixed).tolist() == [int(value) in set(inside) for value in mixed]
    assert inside[3] in known
    assert outside[3] not in known
    assert 0 not in known
    assert fingerprint("") == 0


def test_a_union_holds_both_and_is_read_as_it_was_saved(tmp_path):
    first, second = ([fingerprint(f"C{k}") for k in numbers] for numbers in (range(50), range(40, 90)))
    both = Known.of(first) | Known.of(second)
    both.save(tmp_path)
    found = Known.load(tmp_path)
    assert len(found) == 90
    assert found.holds(np.array(first + second, np.uint64)).all()
    assert (tmp_path / FILE).stat().st_size == 128 + 4 * 90
    assert Known.load(tmp_path / "elsewhere") is None


def test_data_hide_a_model_of_their_name_where_data_are_meant_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(Known.of_model(Path("qm9_small"))) > 0
    (tmp_path / "qm9_small").mkdir()
    assert find_model("qm9_small", hidden=True) is Known.of_model(Path("qm9_small")) is None


def test_what_has_no_smiles_is_not_known_although_another_begins_with_as_many_zeros():
    short = Known.of([5]) | Known.of([7])  # of 32 bits, all zero
    assert short.holds(np.array([5, 0, 2**40], np.uint64)).tolist() == [True, False, False]


def test_an_empty_set_holds_nothing():
    assert not Known.of([0]).holds(np.array([0, 1, 2**64 - 1], np.uint64)).any()


CLAIM = b"\x93NUMPY\x01\0v\0" + b"{'descr': '<u4', 'fortran_order': False, 'shape': (1180591620717411303424,), }".ljust(117) + b"\n"


@pytest.mark.parametrize("content", [np.arange(5), np.array([3, 2], np.uint32), np.zeros((2, 2), np.uint32), b"rubbish", CLAIM])
def test_a_damaged_file_gives_one_line(tmp_path, content):
    if isinstance(content, bytes):
        (tmp_path / FILE).write_bytes(content)
    else:
        np.save(tmp_path / FILE, content)
    with pytest.raises(InputError, match=f"{FILE}: .*copy the model again"):
        Known.load(tmp_path)


@pytest.mark.parametrize(
    ("values", "got"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), "int64"),
        (torch.zeros(2, 3, dtype=torch.complex64), "complex64"),
        (torch.tensor([[0.0, 1.0, torch.nan], [0.0, 0.0, torch.inf]]), "values that are not finite"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused_by_name(tmp_path, values, got):
    path, network = tmp_path / "model.safetensors", nn.Linear(3, 2)
    write_tensors(path, {"weight": torch.full((2, 3), 0.5, dtype=torch.bfloat16), "bias": torch.zeros(2)})
    load_weights(network, path)
    assert torch.equal(network(torch.ones(3)), torch.full((2,), 1.5))
    write_tensors(path, {"weight": values, "bias": torch.zeros(2)})
    with pytest.raises(InputError, match=rf"safetensors: 'weight': expected finite floating-point numbers, got {got}; copy or save"):
        load_weights(network, path)
