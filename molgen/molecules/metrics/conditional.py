"""Does a sample have the property that was asked for? Errors beside what size alone and unconditional sampling would reach.

With requested value r_i, measured value m_i and number of atoms n_i of sample i, the error is the mean of |m_i - r_i| over the samples that
could be measured; the share that could not is reported beside it, never hidden. Three baselines, over the same samples:

- size only: mean over i of |mu(n_i) - r_i| with mu(n) the mean of the property among real molecules of n atoms, what a predictor that
  sees only the size answers;
- real molecules: mean over i of the mean of |y - r_i| over real molecules of n_i atoms with values y, what a perfect unconditional
  model would give;
- unconditional: the same over the model's own unconditional samples of n_i atoms, measured as m_i are.

Reference: Hoogeboom et al. 2022, arXiv 2203.17003, section 5.2 (the "number of atoms" and "random" baselines).
"""

import numpy as np

_NOTHING = (np.zeros(0), np.zeros(0))


def conditional_errors(
    requested: np.ndarray,
    measured: np.ndarray,
    sizes: np.ndarray,
    reference: tuple[np.ndarray, np.ndarray] = _NOTHING,
    unconditional: tuple[np.ndarray, np.ndarray] = _NOTHING,
    lost: int = 0,
) -> dict[str, float | int]:
    """What stands beside the mean absolute error of a requested property: its baselines, the bias, and what could not be measured.

    Args:
        requested: values asked for, shape (n,).
        measured: values found, NaN where the molecule failed or could not be computed, shape (n,).
        sizes: numbers of atoms, shape (n,).
        reference: numbers of atoms of real molecules and their values, NaN where unknown, each of shape (m,).
        unconditional: the same of the model's unconditional samples.
        lost: number of further samples of which there is no molecule.

    Returns:
        `requests` (those lost included), `not_measured` (share of them), `size_only`, `real_molecules` and `unconditional` (unit of the
        property; NaN without those molecules), `bias` (mean of measured - requested) and `correlation` (Pearson; NaN when all requests
        are equal).
    """
    requests, known = len(requested) + lost, np.isfinite(measured)
    requested, measured, sizes = requested[known], measured[known], sizes[known]
    error = measured - requested
    spread = len(error) > 1 and np.ptp(requested) > 0 and np.ptp(measured) > 0
    size_only, real_molecules = baselines(requested, sizes, *reference)
    return {
        "requests": requests,
        "not_measured": 1 - len(error) / requests if requests else 1.0,
        "size_only": size_only,
        "real_molecules": real_molecules,
        "unconditional": baselines(requested, sizes, *unconditional)[1],
        "bias": float(error.mean()) if len(error) else float("nan"),
        "correlation": float(np.corrcoef(requested, measured)[0, 1]) if spread else float("nan"),
    }


def baselines(requested: np.ndarray, sizes: np.ndarray, other_sizes: np.ndarray, other_values: np.ndarray) -> tuple[float, float]:
    """Errors of two predictors that know the sizes alone: the mean of other molecules of that size, and a random one of them.

    A size without other molecules uses all of them; both are NaN without any.
    """
    known = np.isfinite(other_values)
    other_sizes, other_values = other_sizes[known], other_values[known]
    if not len(other_values) or not len(requested):
        return float("nan"), float("nan")
    of_mean, of_random = np.zeros(len(requested)), np.zeros(len(requested))
    for size in np.unique(sizes):
        of_size = other_values[other_sizes == size]
        values = np.sort(of_size if len(of_size) else other_values)
        mine = sizes == size
        of_mean[mine] = np.abs(values.mean() - requested[mine])
        of_random[mine] = _mean_distance(values, requested[mine])
    return float(of_mean.mean()), float(of_random.mean())


def _mean_distance(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mean of |values - point| for each point; `values` sorted."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    below = np.searchsorted(values, points)
    count = len(values)
    return (points * below - sums[below] + sums[-1] - sums[below] - points * (count - below)) / count
