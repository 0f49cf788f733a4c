"""Pearson's r by hand, its interval by Fisher's formula, its p by all orders."""

from itertools import permutations
from math import atanh, nan, sqrt, tanh

import numpy as np
import pytest
from scipy.special import stdtr

from analysis.statistics.correlation import pearson

FIRST, SECOND = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 7.0]


def test_by_hand() -> None:
    # Deviations -2 -1 0 1 2 and -1.4 -2.4 0.6 -0.4 3.6: products 12, squares 10 and 21.2.
    found = pearson(FIRST, SECOND)
    r = 12 / sqrt(10 * 21.2)
    assert found.r == pytest.approx(r)
    half_width = 1.959964 / sqrt(2)
    assert found.bounds.low == pytest.approx(tanh(atanh(r) - half_width), rel=1e-6)
    assert found.bounds.high == pytest.approx(tanh(atanh(r) + half_width), rel=1e-6)


def test_exact_p_over_all_orders() -> None:
    seen = abs(np.corrcoef(FIRST, SECOND)[0, 1])
    as_far = [abs(np.corrcoef(FIRST, order)[0, 1]) >= seen - 1e-9 for order in permutations(SECOND)]
    found = pearson(FIRST, SECOND)
    assert found.test.p == pytest.approx(np.mean(as_far))
    assert found.test.formula == "Pearson r, exact permutation test"


def test_p_of_many_points_by_t() -> None:
    first = list(np.random.default_rng(0).normal(size=11))
    second = [value + 0.5 * index for index, value in enumerate(first)]
    found = pearson(first, second)
    statistic = found.r * sqrt(9 / (1 - found.r**2))
    assert found.test.p == pytest.approx(2 * stdtr(9, -abs(statistic)))
    assert found.test.formula == "Pearson r, t test with df n-2"


def test_sign_scale_and_confidence() -> None:
    reversed_ = pearson(FIRST, [-3 * value + 1 for value in SECOND])
    usual = pearson(FIRST, SECOND)
    assert (reversed_.r, reversed_.bounds.low) == pytest.approx((-usual.r, -usual.bounds.high))
    wide = pearson(FIRST, SECOND, confidence=0.99)
    assert wide.bounds.low < usual.bounds.low
    assert wide.bounds.high > usual.bounds.high


def test_three_points_have_no_interval() -> None:
    found = pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    assert (found.bounds.low, found.bounds.high) == (-1, 1)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0], "three points"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "cannot be paired"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "constant"),
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], "constant"),
        ([1.0, 2.0, nan], [1.0, 2.0, 3.0], "NaN"),
    ],
)
def test_refusals(first: list[float], second: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pearson(first, second)
