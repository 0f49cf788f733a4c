"""Bootstrap interval: what the mean would have been with other draws of the same runs. Seeded, so always the same."""

from collections.abc import Sequence
from math import inf

import numpy as np
from scipy.stats import bootstrap

from analysis.statistics.interval import CONFIDENCE, Bounds, checked

RESAMPLES = 9_999
SEED = 0
_DECIMALS = 12
"""A resample's mean depends on the order of its sum by less, and an end that should be 0 would not be."""


def bootstrap_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Bounds:
    """Bias-corrected and accelerated (BCa) interval of the mean; infinite for one value, a point for equal ones.

    With few values it is too narrow: five of them have only 126 different resamples, none outside their range. Raises
    ValueError for no values and for NaN.
    """
    n, mean = len(checked(values)), float(np.mean(values))
    formula = f"{100 * confidence:.4g}% BCa bootstrap of the mean, {RESAMPLES:,} resamples"
    if n == 1:
        return Bounds(mean, -inf, inf, 1, formula)
    if all(value == values[0] for value in values):
        return Bounds(mean, mean, mean, n, formula)
    found = bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        method="BCa",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Bounds(mean, round(float(found.low), _DECIMALS), round(float(found.high), _DECIMALS), n, formula)
