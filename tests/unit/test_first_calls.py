import first_calls
import pytest
import torch
from jaxtyping import TypeCheckError

from molgen.geometry import pair_mask


def test_types_are_checked_in_the_first_calls_of_a_test():
    mask, wrong = torch.ones(2, 3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    with pytest.raises(TypeCheckError):
        pair_mask(wrong)
    for _ in range(first_calls.MOST):
        pair_mask(mask)
    assert pair_mask(wrong).shape == (3, 3)  # which nothing checks any more
    first_calls.start_anew()
    with pytest.raises(TypeCheckError):
        pair_mask(wrong)
