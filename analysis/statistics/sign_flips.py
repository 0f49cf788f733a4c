"""The paired permutation test: if two methods were the same, each difference could as well have the other sign."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import permutation_test

from analysis.statistics.interval import Significance, checked

MOST_FLIPS = 2**16
DRAWS = 9_999
SEED = 0


def sign_flips(differences: Sequence[float]) -> Significance:
    """Two-sided p of the mean among all 2^n ways to choose the differences' signs.

    All of them up to n = 16; beyond, 9,999 random ones and the one seen, from a fixed seed. Zeros stay: they weigh the
    same in every choice. Raises ValueError for no differences and for NaN.
    """
    n = len(checked(differences))
    exact = 2**n <= MOST_FLIPS
    if n == 1:
        return Significance(1.0, float(differences[0]), 1, "sign-flip permutation of the mean, exact")
    found = permutation_test(
        (np.asarray(differences, dtype=float),),
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=MOST_FLIPS if exact else DRAWS,
        rng=np.random.default_rng(SEED),
    )
    how = "exact" if exact else f"{DRAWS:,} draws"
    return Significance(float(found.pvalue), float(found.statistic), n, f"sign-flip permutation of the mean, {how}")


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    return np.mean(values, axis=axis)
