"""Bootstrap intervals against all resamples, against scipy's formula step by step, and for the same bits."""

from itertools import product
from math import inf, nan

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from analysis.statistics.bootstrap import bootstrap_interval

VALUES = [0.1, 0.4, 0.5, 0.9, 2.0]


def all_means(values: list[float]) -> np.ndarray:
    """Of all n^n resamples."""
    return np.array([np.mean(sample) for sample in product(values, repeat=len(values))])


def test_bca_against_its_formula_on_all_resamples() -> None:
    means, mean = all_means(VALUES), np.mean(VALUES)
    below = (np.sum(means < mean - 1e-12) + np.sum(means <= mean + 1e-12)) / 2 / len(means)
    left_out = np.array([np.mean(VALUES[:i] + VALUES[i + 1 :]) for i in range(len(VALUES))])
    deviations = left_out.mean() - left_out
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    bias = ndtri(below)
    ends = [bias + (bias + z) / (1 - acceleration * (bias + z)) for z in (ndtri(0.025), ndtri(0.975))]
    low, high = np.quantile(means, ndtr(ends))
    found = bootstrap_interval(VALUES)
    assert found.estimate == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.04)
    # Without bias and acceleration the interval is another one.
    assert found.high - np.quantile(means, 0.975) > 0.08


def test_same_bits_every_time() -> None:
    many = list(np.random.default_rng(0).normal(size=12))
    assert bootstrap_interval(many) == bootstrap_interval(many)


def test_wider_with_more_confidence_and_never_outside_the_values() -> None:
    usual, wide = bootstrap_interval(VALUES), bootstrap_interval(VALUES, confidence=0.999)
    assert min(VALUES) <= wide.low < usual.low < usual.high < wide.high <= max(VALUES)
    assert wide.formula.startswith("99.9% BCa")


@pytest.mark.parametrize(("values", "low", "high"), [([3.0], -inf, inf), ([0.1] * 4, 0.1, 0.1), ([0.0, 2.0], 0, 2)])
def test_degenerate(values: list[float], low: float, high: float) -> None:
    found = bootstrap_interval(values)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == len(values)


def test_nothing_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="NaN"):
        bootstrap_interval([1.0, nan])
