"""Dropping of conditions: how often each subset is left."""

from math import comb

import pytest
import torch

from molgen.diffusion.condition import drop

COUNT, NAMES = 40_000, 4


@pytest.mark.parametrize(("each", "all_together", "keep_one"), [(0.2, 0.1, 0.4), (0.5, 0.0, 0.0), (0.0, 0.3, 0.7)])
def test_numbers_of_conditions_left(each: float, all_together: float, keep_one: float):
    values = {f"c{k}": torch.arange(COUNT, dtype=torch.float32) + k for k in range(NAMES)}
    kept = drop(values, each, all_together, keep_one, torch.Generator().manual_seed(0))
    known = torch.stack([~kept[name].isnan() for name in values], -1)
    for name, value in values.items():
        assert torch.equal(kept[name][~kept[name].isnan()], value[~kept[name].isnan()])
    rest = 1 - all_together - keep_one
    for left in range(NAMES + 1):
        expected = rest * comb(NAMES, left) * (1 - each) ** left * each ** (NAMES - left)
        expected += all_together * (left == 0) + keep_one * (left == 1)
        share = (known.sum(-1) == left).float().mean().item()
        assert abs(share - expected) < 4 * (max(expected * (1 - expected), 1e-9) / COUNT) ** 0.5 + 1e-9
    alone = known[known.sum(-1) == 1].float().mean(0)  # whichever is left alone, all are left equally often
    if keep_one:
        assert (alone - 1 / NAMES).abs().max() < 0.02
