"""Kolmogorov-Smirnov against all ways to split the pooled values, Welch against its formula."""

from itertools import combinations
from math import nan, sqrt

import numpy as np
import pytest
from scipy.special import stdtr
from scipy.stats import ttest_ind

from analysis.statistics.two_samples import kolmogorov_smirnov, welch


def largest_distance(first: list[float], second: list[float]) -> float:
    places = [*first, *second]
    return max(
        abs(sum(x <= place for x in first) / len(first) - sum(x <= place for x in second) / len(second))
        for place in places
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]),
        ([1.0, 4.0, 6.0, 7.0], [2.0, 3.0, 5.0, 8.0]),
        ([1.0, 2.0, 3.0, 9.0, 10.0], [4.0, 5.0, 6.0, 7.0, 8.0]),
    ],
)
def test_kolmogorov_smirnov_by_enumeration(first: list[float], second: list[float]) -> None:
    pooled = [*first, *second]
    seen = largest_distance(first, second)
    splits = [set(chosen) for chosen in combinations(range(len(pooled)), len(first))]
    as_far = sum(
        largest_distance([pooled[i] for i in chosen], [pooled[i] for i in range(len(pooled)) if i not in chosen])
        >= seen - 1e-9
        for chosen in splits
    )
    found = kolmogorov_smirnov(first, second)
    assert found.statistic == pytest.approx(seen)
    assert found.p == pytest.approx(as_far / len(splits))


def test_kolmogorov_smirnov_is_blind_to_pairs() -> None:
    """Ten domains, each better by a tenth of the distance between them: as sure as can be in pairs, and p = 1 here."""
    domains = [float(10 * number) for number in range(10)]
    assert kolmogorov_smirnov(domains, [score + 1 for score in domains]).p == pytest.approx(1.0)
    # Ten and ten that do not overlap: 2 of the 20 choose 10 splits.
    assert kolmogorov_smirnov(domains, [score + 100 for score in domains]).p == pytest.approx(2 / 184_756)


def test_welch_by_hand_and_from_the_samples() -> None:
    # (2 - 1) / sqrt(1/4 + 4/16) = sqrt(2); degrees 0.5^2 / (0.0625/3 + 0.0625/15) = 10.
    found = welch(2.0, 1.0, 4, 1.0, 2.0, 16)
    assert found.statistic == pytest.approx(sqrt(2))
    assert found.p == pytest.approx(2 * stdtr(10, -sqrt(2)))
    rng = np.random.default_rng(0)
    one, two = rng.normal(1, 2, 7), rng.normal(0, 1, 5)
    reference = ttest_ind(one, two, equal_var=False)
    from_samples = welch(one.mean(), one.std(ddof=1), 7, two.mean(), two.std(ddof=1), 5)
    assert from_samples.p == pytest.approx(reference.pvalue)


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        kolmogorov_smirnov([], [1.0])
    with pytest.raises(ValueError, match="NaN"):
        kolmogorov_smirnov([1.0], [nan])
    with pytest.raises(ValueError, match="NaN"):
        welch(1.0, nan, 5, 1.0, 1.0, 5)
    with pytest.raises(ValueError, match="neither sample varies"):
        welch(1.0, 0.0, 5, 2.0, 0.0, 5)
