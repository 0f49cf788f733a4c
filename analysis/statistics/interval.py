"""Student's interval and test: the mean of differences that are paired by seed, and how far it may be off."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

from analysis.rounding import measured

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its Student interval, infinite where nothing is known of the spread."""

    mean: float
    half_width: float
    n: int
    confidence: float = CONFIDENCE

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width

    @property
    def includes_zero(self) -> bool:
        return side_of_zero(self) == 0

    @property
    def formula(self) -> str:
        return f"{100 * self.confidence:.4g}% t interval, mean ± t(n-1) s/√n"


@dataclass(frozen=True)
class Bounds:
    """An estimate between the ends of its interval, which need not be as far from it on either side."""

    estimate: float
    low: float
    high: float
    n: int
    formula: str


def side_of_zero(interval: Interval | Bounds) -> int:
    """1 where all of the interval is above 0, -1 below, 0 where it includes 0: what every verdict here rests on."""
    return int(interval.low > 0) - int(interval.high < 0)


@dataclass(frozen=True)
class Significance:
    """The outcome of a test: its statistic, its two-sided p, the number of values, and what was computed."""

    p: float
    statistic: float
    n: int
    formula: str


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """mean ± t(n - 1) s / sqrt(n), s with ddof 1: Student's interval. Raises ValueError for no values and for NaN.

    Infinite for a single value, and for equal ones that are not 0 where they are fewer than six (`standard_error`).
    """
    n = len(checked(values))
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, inf, 1, confidence)
    quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
    return Interval(mean, quantile * standard_error(values), n, confidence)


def paired_t(differences: Sequence[float]) -> Significance:
    """Two-sided p of mean / (s / sqrt(n)), t with n - 1 degrees of freedom: below 0.05 where the interval excludes 0.

    One difference says nothing, and p is 1, nor do fewer than six equal ones; of more that are not 0, p is 0. Raises
    ValueError for no values and for NaN.
    """
    n = len(checked(differences))
    mean = float(np.mean(differences))
    error = standard_error(differences) if n > 1 else inf
    statistic = mean / error if error else (inf if mean > 0 else -inf if mean < 0 else 0.0)
    return Significance(2 * float(stdtr(max(n - 1, 1), -abs(statistic))), statistic, n, "paired t test, df n-1")


def standard_error(values: Sequence[float]) -> float:
    """s / sqrt(n), ddof 1; of equal values exactly 0, whatever rounding makes of their mean.

    But infinite for so few equal values that even a test of their signs could not tell them from 0: what they have in
    common may be the grid that accuracies lie on, and no spread is known from it.
    """
    if all(measured(value - values[0]) == 0 for value in values):
        return inf if measured(values[0]) != 0 and 2.0 ** (1 - len(values)) > 1 - CONFIDENCE else 0.0
    return float(np.std(values, ddof=1)) / sqrt(len(values))


def checked(values: Sequence[float]) -> Sequence[float]:
    """The values themselves. Raises ValueError where there are none or one of them is NaN."""
    if len(values) == 0:
        raise ValueError("a statistic needs at least one value")
    if any(isnan(value) for value in values):
        raise ValueError("one of the values is NaN: leave the run out, or say that the mean is missing")
    return values
