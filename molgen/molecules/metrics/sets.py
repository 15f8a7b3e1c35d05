"""Uniqueness within a set."""

import numpy as np


def first_occurrences(keys: np.ndarray) -> np.ndarray:
    """Marks the first occurrence of each key, so that uniqueness becomes a per-sample yes or no that can be bootstrapped.

    Args:
        keys: any sortable keys, shape (n,).

    Returns:
        Boolean array, shape (n,); its sum is the number of distinct keys.
    """
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first
