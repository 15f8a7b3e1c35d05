"""Dividing a data set into parts."""

import numpy as np

from molgen.errors import InputError
from molgen.molecules.prepare.run import Split

PARTS = ("train", "valid", "test")


def by_record(parts: dict[str, np.ndarray]) -> Split:
    """A split given by record numbers of the source."""
    return lambda index: {part: np.isin(index, records) for part, records in parts.items()}


def by_fraction(text: str, seed: int) -> Split:
    """A random split such as 0.8,0.1,0.1 (train, valid, test) that depends on the seed and the number of molecules alone.

    Raises:
        InputError: The fractions are not two or three positive numbers with sum 1.
    """
    try:
        fractions = [float(word) for word in text.split(",")]
    except ValueError:
        fractions = []
    if not 2 <= len(fractions) <= len(PARTS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"--split {text}: expected 'official', or two or three positive fractions with sum 1 such as 0.8,0.1,0.1")

    def split(index: np.ndarray) -> dict[str, np.ndarray]:
        order = np.random.default_rng(seed).permutation(len(index))
        ends = np.rint(np.cumsum([0.0, *fractions]) * len(index)).astype(int)
        masks = {}
        for part, start, stop in zip(PARTS, ends[:-1], ends[1:], strict=False):
            masks[part] = np.zeros(len(index), dtype=bool)
            masks[part][order[start:stop]] = True
        return masks

    return split
