"""What a number of seeds can see at all: the minimum detectable effect, and the smallest p of a rank test."""

from collections.abc import Sequence
from math import inf, sqrt, tanh

from scipy.optimize import brentq
from scipy.special import ncfdtr, ndtri, stdtrit

from analysis.statistics.interval import CONFIDENCE, checked, standard_error

POWER = 0.8
MOST_SEEDS = 100


def minimum_detectable_effect(
    differences: Sequence[float], confidence: float = CONFIDENCE, power: float = POWER
) -> float:
    """The mean difference that a paired t test finds with probability `power`, were the spread that of `differences`.

    delta s / sqrt(n) where delta solves P(|T'| > t(n - 1)) = power, T' noncentral t with n - 1 degrees of freedom and
    noncentrality delta. Infinite where nothing is known of the spread. Raises ValueError for none and for NaN.
    """
    n = len(checked(differences))
    if n == 1:
        return inf
    return standardised_effect(n, confidence, power) * standard_error(differences) * sqrt(n)


def standardised_effect(n: int, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """The same in units of s, for n >= 2 pairs: 1.68 for five."""
    critical = float(stdtrit(n - 1, (1 + confidence) / 2))

    def shortfall(noncentrality: float) -> float:
        return power - detection(noncentrality, n, critical)

    highest = 2 * critical
    while shortfall(highest) > 0:
        highest *= 2
    return float(brentq(shortfall, 0.0, highest, xtol=1e-10)) / sqrt(n)


def detection(noncentrality: float, n: int, critical: float) -> float:
    """P(|T'| > critical), the power of the two-sided paired t test: T'^2 is noncentral F with 1 and n - 1 degrees."""
    return 1 - float(ncfdtr(1, n - 1, noncentrality**2, critical**2))


def smallest_rank_p(n: int) -> float:
    """Of n pairs, the smallest two-sided p that the signed-rank test, or any test by signs, can have: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - n))


def minimum_detectable_correlation(n: int, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """The r that n points show with probability `power`; 1 below four.

    tanh((z((1 + confidence) / 2) + z(power)) / sqrt(n - 3)), by Fisher's transformation.
    """
    if n < 4:
        return 1.0
    return tanh(float(ndtri((1 + confidence) / 2) + ndtri(power)) / sqrt(n - 3))


def seeds_needed(differences: Sequence[float], effect: float, confidence: float = CONFIDENCE) -> int | None:
    """The fewest seeds that show `effect` with probability 0.8, were the spread that of `differences`.

    None above 100. Raises ValueError below two differences, for NaN and for an effect that is not positive.
    """
    if len(checked(differences)) < 2 or not effect > 0:
        raise ValueError("the number of seeds needs two differences and a positive effect")
    std = standard_error(differences) * sqrt(len(differences))
    enough = (n for n in range(2, MOST_SEEDS + 1) if standardised_effect(n, confidence) * std <= effect)
    return next(enough, None)
