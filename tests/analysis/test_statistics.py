"""Intervals against tables of Student's t, the signed-rank test against an enumeration of all signs."""

from itertools import product
from math import inf, sqrt

import pytest
from scipy.stats import rankdata

from analysis.statistics import t_interval, wilcoxon_p


@pytest.mark.parametrize(
    ("values", "mean", "half_width"),
    [
        # t(0.975, 4) = 2.776445; squares around 3 sum to 10, so s^2 = 10 / 4 (10 / 5 would be ddof 0).
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 2.776445 * sqrt(2.5 / 5)),
        # t(0.975, 1) = 12.706205; s^2 = 2.
        ([0.0, 2.0], 1.0, 12.706205),
        ([0.25, 0.25, 0.25], 0.25, 0.0),
        ([7.0], 7.0, inf),
    ],
)
def test_interval_by_hand(values: list[float], mean: float, half_width: float) -> None:
    interval = t_interval(values)
    assert interval.mean == mean
    assert interval.half_width == pytest.approx(half_width, rel=1e-6)
    assert interval.n == len(values)


def test_no_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        t_interval([])


@pytest.mark.parametrize(
    ("values", "includes_zero"),
    # Half widths 12.7 / 10 and 12.7: means 1.5 and 1.
    [([1.4, 1.6], False), ([-1.6, -1.4], False), ([0.0, 2.0], True), ([0.0, 0.0], True), ([3.0], True)],
)
def test_includes_zero(values: list[float], includes_zero: bool) -> None:
    assert t_interval(values).includes_zero is includes_zero


def enumerated_p(differences: list[float]) -> float:
    """Share of the 2^n sign patterns whose rank sum is at least as far from its middle as the one seen."""
    ranks = rankdata([abs(difference) for difference in differences])
    middle = ranks.sum() / 2

    def distance(signs: tuple[bool, ...]) -> float:
        return abs(sum(rank for rank, positive in zip(ranks, signs, strict=True) if positive) - middle)

    seen = distance(tuple(difference > 0 for difference in differences))
    patterns = list(product((False, True), repeat=len(differences)))
    return sum(distance(pattern) >= seen - 1e-9 for pattern in patterns) / len(patterns)


@pytest.mark.parametrize(
    "differences",
    [
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [0.5, 0.5, 0.5, -0.5, 1.0, 2.0, 2.0],
        [-3.0, 1.0, 4.0, -1.5, 5.0, 9.0, -2.0, 6.0],
    ],
)
def test_wilcoxon_is_exact_with_and_without_ties(differences: list[float]) -> None:
    assert wilcoxon_p(differences) == pytest.approx(enumerated_p(differences))


def test_wilcoxon_of_fourteen_gains() -> None:
    assert wilcoxon_p([float(number) for number in range(1, 15)]) == pytest.approx(2 / 2**14)


@pytest.mark.parametrize("differences", [[], [1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 10, [1, 2, 3, 4, 5, 0.0, 0.0]])
def test_no_wilcoxon_where_it_can_never_be_significant(differences: list[float]) -> None:
    assert wilcoxon_p(differences) is None
