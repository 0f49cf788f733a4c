"""What a handful of seeds can say: intervals and tests of differences paired by seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its 95% confidence interval, infinite for a single value."""

    mean: float
    half_width: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0 <= self.high


def t_interval(values: Sequence[float]) -> Interval:
    """mean +- t(0.975, n - 1) s / sqrt(n), s with ddof 1: Student's interval. Raises ValueError for no values."""
    n = len(values)
    if n == 0:
        raise ValueError("an interval needs at least one value")
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, float("inf"), 1)
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return Interval(mean, quantile * float(np.std(values, ddof=1)) / sqrt(n), n)


def wilcoxon_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of the exact Wilcoxon signed-rank test; None where it cannot be below 0.05.

    Of n differences that are not zero the smallest p is 2 / 2^n: five seeds, p >= 0.0625, can never be significant.
    """
    nonzero = [difference for difference in differences if difference != 0]
    if 2.0 ** (1 - len(nonzero)) > 1 - CONFIDENCE:
        return None
    # Imported here because loading it takes longer than making every table.
    from scipy.stats import PermutationMethod, wilcoxon

    # All 2^n signs are tried up to n = 13, which is exact with ties too; beyond, scipy's exact distribution.
    if len(nonzero) <= 13:
        return float(wilcoxon(nonzero, method=PermutationMethod()).pvalue)
    return float(wilcoxon(nonzero, method="exact").pvalue)
