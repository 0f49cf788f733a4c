"""Student's interval and test against tables of t and each other."""

from collections.abc import Callable
from math import inf, nan, sqrt

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from analysis.statistics import Interval, paired_t, side_of_zero, t_interval
from analysis.statistics.interval import Bounds


@pytest.mark.parametrize(
    ("values", "mean", "half_width"),
    [
        # t(0.975, 4) = 2.776445; squares around 3 sum to 10, so s^2 = 10 / 4 (10 / 5 would be ddof 0).
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 2.776445 * sqrt(2.5 / 5)),
        # t(0.975, 1) = 12.706205; s^2 = 2.
        ([0.0, 2.0], 1.0, 12.706205),
        ([0.0, 0.0, 0.0], 0.0, 0.0),
        ([0.25] * 5, 0.25, inf),
        ([0.25] * 6, 0.25, 0.0),
        ([7.0], 7.0, inf),
    ],
)
def test_interval_by_hand(values: list[float], mean: float, half_width: float) -> None:
    interval = t_interval(values)
    assert interval.mean == mean
    assert interval.half_width == pytest.approx(half_width, rel=1e-6)
    assert interval.n == len(values)
    assert interval.formula == "95% t interval, mean ± t(n-1) s/√n"


def test_other_confidence() -> None:
    # t(0.995, 4) = 4.604095
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0], confidence=0.99)
    assert interval.half_width == pytest.approx(4.604095 * sqrt(0.5), rel=1e-6)
    assert interval.formula.startswith("99% t interval")


def test_equal_values_have_no_width_whatever_rounding_does() -> None:
    # The mean of three times 0.1 is not 0.1 in floating point, so that a naive standard deviation is not 0.
    assert np.std([0.1] * 6, ddof=1) > 0
    assert t_interval([0.1] * 6).half_width == 0.0
    assert paired_t([0.1] * 6).p == 0.0
    # Nor does what is left of differences of floats that are equal but for that.
    few = [70.4 - 70.0, 60.4 - 60.0, 6.4 - 6.0]
    assert len(set(few)) > 1
    assert t_interval(few).half_width == inf


@pytest.mark.parametrize("n", [2, 3, 5, 6])
def test_a_grid_of_accuracies_makes_no_difference(n: int) -> None:
    """Two methods that are the same, on 500 images. Of two seeds, both differences are equal one time in sixteen."""
    rng = np.random.default_rng(0)
    step = 100 / 500
    scores = np.round(rng.normal(90, 0.5, size=(4000, 2, n)) / step) * step
    differences = scores[:, 0] - scores[:, 1]
    wrong = np.mean([side_of_zero(t_interval(row.tolist())) != 0 for row in differences])
    assert wrong < 0.065
    equal = (np.ptp(differences, axis=1) < 1e-9) & (abs(differences[:, 0]) > 1e-9)
    assert bool(np.mean(equal) > 0.05) is (n == 2), "without the rule, these would count as differences"


@pytest.mark.parametrize("function", [t_interval, paired_t])
def test_nothing_and_nan_are_refused(function: Callable[[list[float]], object]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        function([])
    with pytest.raises(ValueError, match="NaN"):
        function([1.0, nan])


@pytest.mark.parametrize(
    ("values", "side"),
    # Half widths 12.7 / 10 and 12.7: means 1.5 and 1.
    [([1.4, 1.6], 1), ([-1.6, -1.4], -1), ([0.0, 2.0], 0), ([0.0, 0.0], 0), ([3.0], 0)],
)
def test_side_of_zero(values: list[float], side: int) -> None:
    interval = t_interval(values)
    assert side_of_zero(interval) == side
    assert interval.includes_zero is (side == 0)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0)])
def test_an_interval_that_ends_at_zero_includes_it(low: float, high: float) -> None:
    bounds = Bounds((low + high) / 2, low, high, 5, "")
    assert side_of_zero(bounds) == 0
    assert side_of_zero(Interval(mean=1.0, half_width=1.0, n=5)) == 0


@pytest.mark.parametrize("seed", range(20))
def test_paired_t_agrees_with_scipy_and_with_the_interval(seed: int) -> None:
    values = list(np.random.default_rng(seed).normal(0.7, 1, 3 + seed))
    found, reference = paired_t(values), ttest_1samp(values, 0)
    assert found.p == pytest.approx(reference.pvalue)
    assert found.statistic == pytest.approx(reference.statistic)
    assert found.n == len(values)
    assert (found.p < 0.05) is not t_interval(values).includes_zero


@pytest.mark.parametrize(("values", "p"), [([3.0], 1.0), ([0.0, 0.0], 1.0), ([-2.0] * 5, 1.0), ([-2.0] * 6, 0.0)])
def test_paired_t_of_degenerate_differences(values: list[float], p: float) -> None:
    assert paired_t(values).p == p
