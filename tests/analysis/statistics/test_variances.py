"""Pitman and Morgan's test as the correlation of sum and difference, its interval as what the test does not reject."""

from math import log, nan, sqrt

import numpy as np
import pytest
from scipy.stats import pearsonr

from analysis.statistics.variances import detectable_log_ratio, paired_spread


def pairs(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    return common + rng.normal(scale=2, size=n), common + rng.normal(size=n)


@pytest.mark.parametrize("n", [4, 5, 20])
def test_the_test_is_that_of_sum_and_difference(n: int) -> None:
    first, second = pairs(n, n)
    _, found = paired_spread(list(first), list(second))
    reference = pearsonr(first + second, first - second)
    assert found.p == pytest.approx(reference.pvalue)
    r = reference.statistic
    assert found.statistic == pytest.approx(r * sqrt((n - 2) / (1 - r**2)))


@pytest.mark.parametrize("end", ["low", "high"])
def test_the_interval_ends_where_the_test_says_five_percent(end: str) -> None:
    """With one sample scaled so that the ratio at the interval's end becomes 1, p is 0.05."""
    first, second = pairs(0, 8)
    bounds, _ = paired_spread(list(first), list(second))
    assert bounds.estimate == pytest.approx(log(np.std(first, ddof=1) / np.std(second, ddof=1)))
    scaled = first / np.exp(getattr(bounds, end))
    _, found = paired_spread(list(scaled), list(second))
    assert found.p == pytest.approx(0.05)


def test_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(2_000):
        common = rng.normal(size=6)
        bounds, _ = paired_spread(list(2 * (common + rng.normal(size=6))), list(common + rng.normal(size=6)))
        inside += bounds.low <= log(2) <= bounds.high
    assert inside / 2_000 == pytest.approx(0.95, abs=0.015)


def test_order_and_confidence() -> None:
    first, second = (list(sample) for sample in pairs(1, 6))
    one, other = paired_spread(first, second)[0], paired_spread(second, first)[0]
    assert (one.estimate, one.low) == pytest.approx((-other.estimate, -other.high))
    wide = paired_spread(first, second, confidence=0.99)[0]
    assert wide.low < one.low
    assert detectable_log_ratio(one) > (one.high - one.low) / 2


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0, 2.0], [1.0, 3.0], "three pairs"),
        ([1.0, 2.0, 3.0], [1.0, 3.0], "cannot be paired"),
        ([1.0, 1.0, 1.0], [1.0, 3.0, 2.0], "constant"),
        ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], "scaled"),
        ([1.0, nan, 3.0], [2.0, 4.0, 6.0], "NaN"),
    ],
)
def test_refusals(first: list[float], second: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_spread(first, second)
