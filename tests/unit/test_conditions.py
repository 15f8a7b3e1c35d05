"""Conditions as the network sees them: scalars in standard units, classes as flags, null as an input of its own."""

import math

import pytest
import torch

from molgen.diffusion.condition import Category, Conditions, Scalar, Vector, drop
from molgen.errors import InputError

CONDITIONS = Conditions((Scalar("height", 2.0, 0.5, 1.0, 3.0, "m"), Category("category", ("chair", "table", "lamp"))))


def encode(**values):
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    return CONDITIONS.encode(tensors, 2, torch.device("cpu"), torch.float64)


def test_each_condition_has_its_columns_and_null_its_own():
    assert CONDITIONS.width == 3 + 4
    found = encode(height=[3.0, math.nan], category=[2.0, math.nan])
    assert found.tolist() == [[2.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]]
    assert encode().tolist() == [found[1].tolist()] * 2


def test_class_names_are_read_and_unknown_ones_refused_with_the_nearest():
    category = CONDITIONS["category"]
    assert [category.read(name) for name in ("chair", "lamp")] == [0.0, 2.0]
    with pytest.raises(InputError, match="unknown category 'chairs'; did you mean chair"):
        category.read("chairs")
    with pytest.raises(InputError, match="unknown category 'xyz'; known are chair, table, lamp"):
        category.read("xyz")


def test_scalars_refuse_what_is_no_number_and_doubt_what_was_never_seen():
    height = CONDITIONS["height"]
    assert height.doubt(2.5) == ""
    assert height.doubt(4.0) == "height=4 m is outside the training range 1 to 3"
    for value in ("tall", math.nan, math.inf):
        with pytest.raises(InputError, match="expected a number"):
            height.read(value)


def test_vectors_are_standardised_and_null_as_a_whole():
    words = Vector("text", (1.0, -1.0), (2.0, 0.5), lambda text: [float(len(text)), 0.0])
    conditions = Conditions((CONDITIONS["height"], words))
    values = torch.tensor([[5.0, -1.5], [math.nan, math.nan]])
    found = conditions.encode({"text": values}, 2, torch.device("cpu"), torch.float64)
    assert found.tolist() == [[0, 0, 1, 2, -1, 1, 0], [0, 0, 1, 0, 0, 0, 1]]
    assert torch.equal(conditions.encode({}, 2, torch.device("cpu"), torch.float64), found[1].expand(2, -1))
    assert words.read("abc") == [3.0, 0.0]
    with pytest.raises(InputError, match="text: expected words, got 3"):
        words.doubt(3.0)


def test_vectors_are_dropped_as_a_whole():
    values = {"height": torch.arange(4000.0), "text": torch.arange(12000.0).view(4000, 3)}
    kept = drop(values, 0.3, 0.1, generator=torch.Generator().manual_seed(0))
    lost = kept["text"].isnan()
    assert torch.equal(lost.all(-1), lost.any(-1))
    assert torch.equal(kept["text"][~lost], values["text"][~lost])
    assert abs(lost[:, 0].float().mean() - (0.1 + 0.9 * 0.3)) < 0.03
    assert 0.08 < (lost[:, 0] & kept["height"].isnan()).float().mean() < 0.26
