"""What can be detected, against simulations and the integral that defines the noncentral t."""

from math import atanh, inf, nan, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi, norm
from scipy.stats import t as student

from analysis.statistics import signed_rank
from analysis.statistics.power import (
    detection,
    minimum_detectable_correlation,
    minimum_detectable_effect,
    seeds_needed,
    smallest_rank_p,
    standardised_effect,
)


@pytest.mark.parametrize("n", [3, 5, 20])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_power_at_the_detectable_effect_is_as_asked(n: int, confidence: float) -> None:
    effect = standardised_effect(n, confidence)
    critical, centre = student.ppf((1 + confidence) / 2, n - 1), effect * sqrt(n)

    def found_at(spread: float) -> float:
        """P(mean / spread beyond the critical value), spread the ratio of the estimated to the true one."""
        beyond = norm.sf(critical * spread - centre) + norm.cdf(-critical * spread - centre)
        return beyond * chi.pdf(spread * sqrt(n - 1), n - 1) * sqrt(n - 1)

    assert quad(found_at, 0, 20)[0] == pytest.approx(0.8, abs=1e-7)


def test_by_simulation() -> None:
    """Five seeds whose true mean is 1.682 standard deviations: found in 0.8 of 40,000 tries."""
    effect = standardised_effect(5)
    assert effect == pytest.approx(1.682, abs=5e-4)
    tries = np.random.default_rng(0).normal(effect, 1, size=(40_000, 5))
    t = tries.mean(axis=1) / (tries.std(axis=1, ddof=1) / sqrt(5))
    assert np.mean(np.abs(t) > 2.776445) == pytest.approx(0.8, abs=0.006)


def test_without_an_effect_the_test_is_wrong_as_often_as_it_says() -> None:
    assert detection(0.0, 5, 2.776445) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("n", range(2, 40))
def test_solved_for_every_number_of_seeds_and_many_comparisons(n: int) -> None:
    """Far tails of the noncentral t are NaN in some libraries."""
    for choices in (1, 3, 14, 56):
        effect = standardised_effect(n, 1 - 0.05 / choices)
        assert 0.4 < effect < 1e4


def test_in_units_of_the_spread() -> None:
    # s = sqrt(2.5)
    assert minimum_detectable_effect([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(standardised_effect(5) * sqrt(2.5))
    assert minimum_detectable_effect([0.5]) == inf
    assert minimum_detectable_effect([0.1] * 3) == inf
    assert minimum_detectable_effect([0.1] * 6) == minimum_detectable_effect([0.0] * 3) == 0.0
    with pytest.raises(ValueError, match="NaN"):
        minimum_detectable_effect([1.0, nan])


def test_correlation_by_hand_and_by_simulation() -> None:
    found = minimum_detectable_correlation(11)
    assert atanh(found) == pytest.approx((1.959964 + 0.841621) / sqrt(8), rel=1e-5)
    assert minimum_detectable_correlation(3) == 1.0
    assert minimum_detectable_correlation(4) == pytest.approx(np.tanh(2.801585), rel=1e-6)
    rng = np.random.default_rng(0)
    first, noise = rng.normal(size=(20_000, 11)), rng.normal(size=(20_000, 11))
    second = found * first + sqrt(1 - found**2) * noise
    centred = [x - x.mean(axis=1, keepdims=True) for x in (first, second)]
    r = (centred[0] * centred[1]).sum(1) / np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    # Fisher's transformation is biased a little upward at eleven points: 0.84.
    assert np.mean(np.abs(np.arctanh(r)) * sqrt(8) > 1.959964) == pytest.approx(0.8, abs=0.06)


def test_seeds_needed_is_the_first_number_that_is_enough() -> None:
    differences = [1.0, 2.0, 3.0, 4.0, 5.0]
    needed = seeds_needed(differences, 1.0)
    assert needed is not None
    assert standardised_effect(needed) * sqrt(2.5) <= 1.0 < standardised_effect(needed - 1) * sqrt(2.5)
    assert seeds_needed([0.0, 0.0], 0.1) == 2
    assert seeds_needed([0.3, 0.3], 0.1) is None
    assert seeds_needed(differences, 0.01) is None
    for refused in (0.0, -1.0, nan):
        with pytest.raises(ValueError, match="positive"):
            seeds_needed(differences, refused)


def test_smallest_rank_p_is_that_of_all_gains() -> None:
    for n in range(1, 12):
        assert signed_rank([float(value) for value in range(1, n + 1)]).p == pytest.approx(smallest_rank_p(n))
