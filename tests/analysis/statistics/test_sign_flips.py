"""The permutation test against an enumeration written for the purpose."""

from itertools import product
from math import nan

import numpy as np
import pytest

from analysis.statistics import signed_rank
from analysis.statistics.sign_flips import sign_flips


def enumerated_p(differences: list[float]) -> float:
    seen = abs(sum(differences))
    flipped = [
        abs(sum(sign * difference for sign, difference in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(total >= seen - 1e-9 for total in flipped) / len(flipped)


@pytest.mark.parametrize(
    "differences",
    [
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [0.3, -0.1, 0.2, 0.2, 0.4],
        [1.0, -1.0, 2.0],
        [5.0, 0.0, 0.0, 1.0],
        [0.1, 0.2, 0.3, -0.6],
        [-0.5, -0.25],
    ],
)
def test_exact(differences: list[float]) -> None:
    found = sign_flips(differences)
    assert found.p == pytest.approx(enumerated_p(differences))
    assert found.statistic == pytest.approx(np.mean(differences))
    assert found.formula.endswith("exact")


@pytest.mark.parametrize(("differences", "p"), [([2.0], 1.0), ([0.0, 0.0, 0.0], 1.0), ([1.0] * 5, 0.0625)])
def test_degenerate(differences: list[float], p: float) -> None:
    assert sign_flips(differences).p == p


def test_sixteen_are_exact_and_seventeen_are_drawn() -> None:
    assert sign_flips([1.0] * 16).p == 2 / 2**16
    drawn = sign_flips([1.0] * 17)
    assert drawn.formula.endswith("9,999 draws")
    # No draw of 9,999 has all signs equal, unless by a chance of 0.15; the one seen counts on both sides.
    assert drawn.p in (2 / 10_000, 4 / 10_000)


def test_drawn_p_is_near_the_rank_test_of_the_same_and_always_the_same() -> None:
    differences = list(np.random.default_rng(3).normal(0.35, 1, 20))
    first = sign_flips(differences)
    assert first == sign_flips(differences)
    assert first.p == pytest.approx(signed_rank(differences).p, abs=0.05)


def test_nothing_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sign_flips([])
    with pytest.raises(ValueError, match="NaN"):
        sign_flips([1.0, nan])
