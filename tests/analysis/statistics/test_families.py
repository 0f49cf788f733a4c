"""Holm's correction by hand, and what it promises."""

from math import nan

import numpy as np
import pytest

from analysis.statistics.families import holm


@pytest.mark.parametrize(
    ("ps", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        # Sorted 0.01 0.02 0.03 0.04 times 4 3 2 1: 0.04 0.06 0.06 (not 0.06 before) 0.06 (not 0.04).
        ([0.03, 0.01, 0.04, 0.02], [0.06, 0.04, 0.06, 0.06]),
        ([0.01, 0.01], [0.02, 0.02]),
        ([0.5, 0.6, 0.9], [1.0, 1.0, 1.0]),
        ([0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_by_hand(ps: list[float], corrected: list[float]) -> None:
    assert holm(ps) == pytest.approx(corrected)


def test_never_below_the_p_itself_nor_above_bonferroni_and_in_its_order() -> None:
    ps = list(np.random.default_rng(0).uniform(0, 0.2, 30))
    corrected = holm(ps)
    assert all(p <= found <= min(1, 30 * p) for p, found in zip(ps, corrected, strict=True))
    assert list(np.argsort(ps, kind="stable")) == list(np.lexsort((ps, corrected)))


def test_wrong_at_all_at_most_as_often_as_promised() -> None:
    """Twenty true hypotheses, 4,000 times: 0.05 of the times at most, with room for three standard errors."""
    rng = np.random.default_rng(1)
    wrong = np.mean([min(holm(list(ps))) < 0.05 for ps in rng.uniform(size=(4_000, 20))])
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)
    assert wrong > 0.03


@pytest.mark.parametrize(("ps", "message"), [([0.1, nan], "NaN"), ([1.2], "outside"), ([-0.1], "outside")])
def test_refusals(ps: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        holm(ps)
