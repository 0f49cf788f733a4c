"""Whether one method differs less between seeds than another: Pitman and Morgan's test of two paired variances."""

from collections.abc import Sequence
from math import log, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

from analysis.statistics.interval import CONFIDENCE, Bounds, Significance, checked
from analysis.statistics.power import POWER


def paired_spread(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[Bounds, Significance]:
    """ln(s1 / s2), s with ddof 1, with its interval, and the test of equal variances that the interval inverts.

    With r the correlation of the two, t = (F - 1) sqrt(n - 2) / (2 sqrt(F (1 - r^2))), F = s1^2 / s2^2, has n - 2
    degrees of freedom: the test of whether their sum and their difference are correlated. Raises ValueError below three
    pairs, for constants, for proportional samples, for NaN and for unequal numbers.
    """
    n = len(first)
    if n != len(second):
        raise ValueError(f"{n} values cannot be paired with {len(second)}")
    if n < 3:
        raise ValueError(f"two spreads need three pairs to be compared, and there are {n}")
    one, two = (np.asarray(checked(values), dtype=float) for values in (first, second))
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        raise ValueError("a constant has no spread to compare")
    ratio = float(np.var(one, ddof=1) / np.var(two, ddof=1))
    unexplained = 1 - float(np.corrcoef(one, two)[0, 1]) ** 2
    if unexplained < 1e-12:
        raise ValueError("one sample is the other, scaled: there is nothing to test their spreads against")
    statistic = (ratio - 1) * sqrt(n - 2) / (2 * sqrt(ratio * unexplained))
    quantile = float(stdtrit(n - 2, (1 + confidence) / 2))
    reach = 1 + 2 * quantile**2 * unexplained / (n - 2)
    half_width = log(reach + sqrt(reach**2 - 1)) / 2
    estimate = log(ratio) / 2
    bounds = Bounds(
        estimate,
        estimate - half_width,
        estimate + half_width,
        n,
        f"{100 * confidence:.4g}% Pitman-Morgan interval of ln(s1/s2)",
    )
    p = 2 * float(stdtr(n - 2, -abs(statistic)))
    return bounds, Significance(p, statistic, n, "Pitman-Morgan test of equal spreads, df n-2")


def detectable_log_ratio(found: Bounds, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """About the ln(s1 / s2) that the test shows with probability `power`: the half width, longer by t(power) / t."""
    degrees = found.n - 2
    longer = 1 + float(stdtrit(degrees, power) / stdtrit(degrees, (1 + confidence) / 2))
    return longer * (found.high - found.low) / 2
