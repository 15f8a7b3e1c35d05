"""Does a sample have the property that was asked for? Errors beside what size alone and unconditional sampling would reach.

With requested value r_i, measured value m_i and number of atoms n_i of sample i, the error is the mean of |m_i - r_i| over the samples that
could be measured; the share that could not is reported beside it, never hidden. Two baselines use real molecules with values y:

- size only: mean over i of |mu(n_i) - r_i| with mu(n) the mean of y among real molecules of n atoms, what a predictor that sees
  only the size answers;
- unconditional: mean over i of the mean of |y - r_i| over real molecules of n_i atoms, what a perfect unconditional model would give.

Reference: Hoogeboom et al. 2022, arXiv 2203.17003, section 5.2 (the "number of atoms" and "random" baselines).
"""

import numpy as np

MEASURED_BY = {
    "gap_xtb": "GFN2-xTB",
    "homo_xtb": "GFN2-xTB",
    "lumo_xtb": "GFN2-xTB",
    "dipole_xtb": "GFN2-xTB",
    "energy_xtb": "GFN2-xTB",
    "logp": "RDKit",
    "qed": "RDKit",
    "tpsa": "RDKit",
    "sa": "RDKit",
    "weight": "RDKit",
    "rings": "RDKit",
}
"""Properties that can be computed from a generated molecule, and by what."""


def conditional_errors(
    requested: np.ndarray, measured: np.ndarray, sizes: np.ndarray, reference_sizes: np.ndarray, reference_values: np.ndarray
) -> dict[str, float | int]:
    """Mean absolute error of requested properties with both baselines.

    Args:
        requested: values asked for, shape (n,).
        measured: values found, NaN where the molecule failed or could not be computed, shape (n,).
        sizes: numbers of atoms, shape (n,).
        reference_sizes: numbers of atoms of real molecules, shape (m,); may be empty.
        reference_values: their values, NaN where unknown, shape (m,).

    Returns:
        `requests`, `not_measured` (share of all), `mae`, `size_only` and `unconditional` (unit of the property; NaN without a
        reference), `bias` (mean of measured - requested) and `correlation` (Pearson; NaN when all requests are equal).
    """
    known = np.isfinite(measured)
    error = measured[known] - requested[known]
    spread = known.sum() > 1 and np.ptp(requested[known]) > 0 and np.ptp(measured[known]) > 0
    size_only, unconditional = baselines(requested, sizes, reference_sizes, reference_values)
    return {
        "requests": len(requested),
        "not_measured": float(1 - known.mean()) if len(known) else 1.0,
        "mae": float(np.abs(error).mean()) if len(error) else float("nan"),
        "size_only": size_only,
        "unconditional": unconditional,
        "bias": float(error.mean()) if len(error) else float("nan"),
        "correlation": float(np.corrcoef(requested[known], measured[known])[0, 1]) if spread else float("nan"),
    }


def baselines(requested: np.ndarray, sizes: np.ndarray, reference_sizes: np.ndarray, reference_values: np.ndarray) -> tuple[float, float]:
    """Errors of the size-only and of the unconditional baseline; a size without real molecules uses all of them."""
    known = np.isfinite(reference_values)
    reference_sizes, reference_values = reference_sizes[known], reference_values[known]
    if not len(reference_values) or not len(requested):
        return float("nan"), float("nan")
    size_only, unconditional = np.zeros(len(requested)), np.zeros(len(requested))
    for size in np.unique(sizes):
        of_size = reference_values[reference_sizes == size]
        values = np.sort(of_size if len(of_size) else reference_values)
        mine = sizes == size
        size_only[mine] = np.abs(values.mean() - requested[mine])
        unconditional[mine] = _mean_distance(values, requested[mine])
    return float(size_only.mean()), float(unconditional.mean())


def _mean_distance(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mean of |values - point| for each point; `values` sorted."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    below = np.searchsorted(values, points)
    count = len(values)
    return (points * below - sums[below] + sums[-1] - sums[below] - points * (count - below)) / count
