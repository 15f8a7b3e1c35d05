"""Validity, uniqueness and novelty of a set, as fractions of *all* samples that were asked for.

With N samples asked for, V valid ones, U distinct SMILES among the valid and W of those distinct ones absent from training:
validity = V / N, unique = U / N, novel = W / N. Uniqueness and novelty "among the valid" (U / V, W / U), which other tables
print, are given beside them: they look better the fewer samples survive.

Reference: Vignac et al. 2023, arXiv 2302.09048, and Huang et al. 2023, JODO, arXiv 2305.12347 (V&U&N).
"""

from collections.abc import Collection, Iterable

import numpy as np

from molgen.errors import InputError


def set_fractions(smiles: Iterable[str | None], asked: int | None = None, train: Collection[str] | None = None) -> dict[str, float | int]:
    """Validity, uniqueness and novelty of a list of SMILES.

    Args:
        smiles: canonical SMILES of each sample in order, None or "" for an invalid one.
        asked: number of samples asked for, at least the length of `smiles`; default that length.
        train: canonical SMILES of the training set; without it the novelty entries are left out.

    Returns:
        `asked`, `validity`, `valid_unique` (V&U), `unique_of_valid`; with `train` also `valid_unique_novel` (V&U&N),
        `novel_of_unique` and `memorised` (share of all samples whose SMILES is in the training set).

    Raises:
        InputError: fewer samples asked for than given.
    """
    listed = [entry or "" for entry in smiles]
    total = len(listed) if asked is None else asked
    if total < len(listed):
        raise InputError(f"asked: expected at least the {len(listed)} samples given, got {total}; count the samples again")
    valid = [entry for entry in listed if entry]
    distinct = set(valid)
    result: dict[str, float | int] = {
        "asked": total,
        "validity": _ratio(len(valid), total),
        "valid_unique": _ratio(len(distinct), total),
        "unique_of_valid": _ratio(len(distinct), len(valid)),
    }
    if train is not None:
        known = train if isinstance(train, set | frozenset | dict) else set(train)
        novel = sum(entry not in known for entry in distinct)
        result["valid_unique_novel"] = _ratio(novel, total)
        result["novel_of_unique"] = _ratio(novel, len(distinct))
        result["memorised"] = _ratio(sum(entry in known for entry in valid), total)
    return result


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


def _ratio(part: int, whole: int) -> float:
    """Fraction part / whole, 0 for an empty whole."""
    return part / whole if whole else 0.0
