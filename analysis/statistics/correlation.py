"""Pearson's correlation, its Fisher interval and its p."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import PermutationMethod, pearsonr

from analysis.statistics.interval import CONFIDENCE, Bounds, Significance, checked

_ENUMERATED = 7
"""Up to so many points all n! orders are tried."""


@dataclass(frozen=True)
class Correlation:
    """r between its bounds, and the test of r = 0."""

    bounds: Bounds
    test: Significance

    @property
    def r(self) -> float:
        return self.bounds.estimate


def pearson(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Correlation:
    """r with the interval tanh(atanh(r) ± z / sqrt(n - 3)), which below four points is [-1, 1].

    p is exact, over all orders, up to seven points, and of t = r sqrt((n - 2) / (1 - r^2)) with n - 2 degrees of
    freedom beyond. Raises ValueError below three points, for constants, for NaN and for unequal numbers.
    """
    n = len(first)
    if n != len(second):
        raise ValueError(f"{n} values cannot be paired with {len(second)}")
    if n < 3:
        raise ValueError(f"a correlation needs three points, and there are {n}")
    for values in (first, second):
        if np.ptp(np.asarray(checked(values), dtype=float)) == 0:
            raise ValueError("a constant has no correlation")
    found = pearsonr(first, second)
    r = float(found.statistic)
    ends = found.confidence_interval(confidence)
    formula = f"{100 * confidence:.4g}% Fisher interval, tanh(atanh r ± z/√(n-3))"
    bounds = Bounds(r, float(ends.low), float(ends.high), n, formula)
    if n > _ENUMERATED:
        return Correlation(bounds, Significance(float(found.pvalue), r, n, "Pearson r, t test with df n-2"))
    exact = pearsonr(first, second, method=PermutationMethod())
    return Correlation(bounds, Significance(float(exact.pvalue), r, n, "Pearson r, exact permutation test"))
