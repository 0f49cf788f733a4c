"""What each method gains over its baseline: ours paired by seed, the paper's from what it prints."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isinf, isnan, sqrt

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.sheets import Sheet
from analysis.statistics import CONFIDENCE, t_interval


@dataclass(frozen=True)
class Gain:
    """Points of accuracy above the baseline, or perplexity below it: more is better.

    `half_width` is that of the 95% interval, None where nothing is known of the spread.
    """

    mean: float
    half_width: float | None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Of the interval, where it is known."""
        return None if self.half_width is None else (self.mean - self.half_width, self.mean + self.half_width)

    @property
    def extent(self) -> float:
        """How far from zero the interval reaches."""
        return abs(self.mean) + (self.half_width or 0.0)


Gains = Mapping[str, Mapping[str, Gain]]
"""By method and column, without the baseline and without what is missing."""


def gains_of(sheet: Sheet) -> Gains:
    """Nothing where the baseline has no scores."""
    if sheet.baseline not in sheet.methods:
        return {}
    gains = _printed if sheet.by_seed is None else _paired
    return {name: gains(sheet, name) for name in sheet.methods if name != sheet.baseline}


def _paired(sheet: Sheet, method: str) -> dict[str, Gain]:
    assert sheet.by_seed is not None
    own, baseline = (sheet.by_seed.loc[[name]].droplevel("method") for name in (method, sheet.baseline))
    differences = own.sub(baseline).mul(_sign(sheet))
    found = {}
    for column in sheet.columns:
        known = differences[column].dropna().tolist()
        if known:
            interval = t_interval(known)
            found[column] = Gain(interval.mean, None if isinf(interval.half_width) else interval.half_width)
    return found


def _printed(sheet: Sheet, method: str) -> dict[str, Gain]:
    """Of unpaired means: their intervals in quadrature, or Welch's interval from their standard deviations."""
    mean, std = row_of(sheet.mean, method), row_of(sheet.std, method)
    baseline, its_std = row_of(sheet.mean, sheet.baseline), row_of(sheet.std, sheet.baseline)
    found = {}
    for column in sheet.columns:
        # Two decimals are printed at most: the rest of a difference of two floats is rounding error.
        difference = round(mean[column] - baseline[column], 2)
        if not isnan(difference):
            found[column] = Gain(_sign(sheet) * difference, _half_width(sheet, std[column], its_std[column]))
    return found


def _half_width(sheet: Sheet, first: float, second: float) -> float | None:
    n = sheet.printed_seeds or 1
    if isnan(first) or isnan(second) or n < 2:
        return None
    if sheet.spread == "95% interval":
        return sqrt(first**2 + second**2)
    variances = first**2 / n, second**2 / n
    freedom = sum(variances) ** 2 / sum(variance**2 / (n - 1) for variance in variances)
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * sqrt(sum(variances))


def row_of(frame: pd.DataFrame, method: str) -> dict[str, float]:
    """By column."""
    return dict(zip(frame.columns, frame.loc[[method]].to_numpy()[0].tolist(), strict=True))


def _sign(sheet: Sheet) -> int:
    return -1 if sheet.lower_is_better else 1


def reach(extents: Iterable[float]) -> float:
    """Half of an axis around zero: room for all, but for those so far out that the others could not be told apart."""
    known = [extent for extent in extents if extent > 0]
    if not known:
        return 1.0
    return 1.12 * max(extent for extent in known if extent <= 6 * float(np.median(known)))
