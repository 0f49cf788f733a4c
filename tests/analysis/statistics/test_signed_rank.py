"""The signed-rank test against an enumeration of all signs and against scipy's."""

from itertools import product
from math import nan

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from analysis.statistics import signed_rank, wilcoxon_p


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
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [0.5, 0.5, 0.5, -0.5, 1.0, 2.0, 2.0],
        [-3.0, 1.0, 4.0, -1.5, 5.0, 9.0, -2.0, 6.0],
        [1.0, -1.0, 1.0, -1.0],
        [2.0, 2.0],
        [-7.0],
    ],
)
def test_exact_with_and_without_ties(differences: list[float]) -> None:
    found = signed_rank(differences)
    assert found.p == pytest.approx(enumerated_p(differences))
    assert found.n == len(differences)


@pytest.mark.parametrize("seed", range(10))
def test_exact_with_many_ties(seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(-3, 5, 9)
    differences = [float(value) for value in drawn if value]
    assert signed_rank(differences).p == pytest.approx(enumerated_p(differences))


@pytest.mark.parametrize("n", [5, 14, 20, 40])
def test_without_ties_as_scipy_has_it(n: int) -> None:
    differences = list(np.random.default_rng(n).normal(0.3, 1, n))
    found, reference = signed_rank(differences), wilcoxon(differences, method="exact")
    assert found.p == pytest.approx(reference.pvalue, rel=1e-12)
    assert found.statistic == reference.statistic


def test_fourteen_gains() -> None:
    assert wilcoxon_p([float(number) for number in range(1, 15)]) == pytest.approx(2 / 2**14)


def test_zeros_are_dropped() -> None:
    with_zeros = signed_rank([0.0, 1.0, -2.0, 0.0, 3.0])
    assert with_zeros == signed_rank([1.0, -2.0, 3.0])
    assert with_zeros.n == 3
    assert signed_rank([0.0, 0.0]).p == 1.0


def test_accuracies_tie_although_floating_point_says_otherwise() -> None:
    rounded = [71.2 - 70.8, -(0.9 - 0.5), 70.1 - 70.1]
    assert rounded[0] != -rounded[1]
    assert signed_rank([*rounded, 1.0]) == signed_rank([0.4, -0.4, 1.0])


def test_nothing_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        signed_rank([])
    with pytest.raises(ValueError, match="NaN"):
        signed_rank([1.0, nan])


@pytest.mark.parametrize("differences", [[], [1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 10, [1, 2, 3, 4, 5, 0.0, 0.0]])
def test_no_p_where_it_can_never_be_significant(differences: list[float]) -> None:
    assert wilcoxon_p(differences) is None


def test_six_differences_can_be_significant() -> None:
    assert wilcoxon_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 2**6)
