"""Wilcoxon's signed-rank test of differences paired by seed: the test that the paper uses for XNLI."""

from collections.abc import Sequence

import numpy as np

from analysis.statistics.interval import CONFIDENCE, Significance, checked

_DECIMALS = 9
"""Accuracies are multiples of one over the number of examples: their differences tie but for rounding."""


def signed_rank(differences: Sequence[float]) -> Significance:
    """Exact two-sided p of the smaller of the rank sums of positive and negative differences, ties included.

    Zeros are dropped, as Wilcoxon has it, and equal sizes share their mean rank. Of n differences that are not zero the
    smallest p is 2 / 2^n. Raises ValueError for no differences and for NaN.
    """
    rounded = np.round(np.asarray(checked(differences), dtype=float), _DECIMALS)
    nonzero = rounded[rounded != 0]
    n, sizes = len(nonzero), np.abs(nonzero)
    # Twice the ranks, so that those of ties are whole numbers too.
    ranks = 2 * (sizes[:, None] > sizes).sum(axis=1) + (sizes[:, None] == sizes).sum(axis=1) + 1
    positive, negative = int(ranks[nonzero > 0].sum()), int(ranks[nonzero < 0].sum())
    smaller = min(positive, negative)
    p = min(1.0, 2 * float(_ways(ranks)[: smaller + 1].sum()) / 2.0**n)
    return Significance(p, smaller / 2, n, "Wilcoxon signed-rank, exact")


def wilcoxon_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of the signed-rank test; None where it cannot be below 0.05.

    That needs six differences that are not zero: of five the smallest p is 0.0625.
    """
    if not differences:
        return None
    found = signed_rank(differences)
    return found.p if 2.0 ** (1 - found.n) <= 1 - CONFIDENCE else None


def _ways(ranks: np.ndarray) -> np.ndarray:
    """In how many of the 2^n choices of signs the positive ranks sum to 0, 1, 2, ...: scipy's is exact without ties."""
    ways = np.zeros(int(ranks.sum()) + 1)
    ways[0] = 1
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    return ways
