"""Batches: samples taken out are what they are alone."""

import torch

from molgen.batch import Batch, join, mask_of


def test_taking_samples_cuts_every_kind_of_field_to_the_largest_of_them():
    mask = mask_of([5, 2, 3])
    pair = mask.unsqueeze(1) & mask.unsqueeze(2)
    fields = {
        "pos": torch.rand(3, 5, 3) * mask.unsqueeze(-1),
        "kind": torch.randint(1, 9, (3, 5)) * mask,
        "bond": torch.randint(1, 9, (3, 5, 5)) * pair,
        "whole": torch.rand(3, 7),  # more numbers than nodes, of a sample as a whole
    }
    batch = Batch(fields, mask, {"label": torch.arange(3.0)}, given=mask & (torch.arange(5) < 1))
    taken = batch.take([2, 1])
    assert {name: tuple(value.shape) for name, value in taken.fields.items()} == {
        "pos": (2, 3, 3),
        "kind": (2, 3),
        "bond": (2, 3, 3),
        "whole": (2, 7),
    }
    assert taken.sizes.tolist() == [3, 2]
    assert taken.labels["label"].tolist() == [2, 1]
    assert taken.given.tolist() == [[True, False, False]] * 2
    for row, source in enumerate((2, 1)):
        alone, before = taken.split()[row], batch.split()[source]
        assert alone.keys() == before.keys()
        assert all(torch.equal(alone[name], before[name]) for name in alone)

    joined = join([taken, batch.take([1]), batch])
    assert joined.sizes.tolist() == [3, 2, 2, 5, 2, 3]
    assert {name: tuple(value.shape[:2]) for name, value in joined.fields.items() if name != "whole"} == dict.fromkeys(
        ("pos", "kind", "bond"), (6, 5)
    )
    for one, other in zip(joined.split(), [*taken.split(), batch.split()[1], *batch.split()], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in other)


def test_what_is_given_goes_along_with_its_samples():
    mask = mask_of([2, 3])
    batch = Batch({"pos": torch.rand(2, 3, 3)}, mask, {"label": torch.arange(2.0)}, given=mask & (torch.arange(3) > 0))
    assert batch.select([1]).given.tolist() == [[False, True, True]]
    assert batch.widen(4).given.tolist() == [[False, True, False, False], [False, True, True, False]]
    moved = batch.to("meta")
    assert {value.device.type for value in (moved["pos"], moved.mask, moved.given, moved.labels["label"])} == {"meta"}
    assert Batch(batch.fields, mask).select([0]).given is None
