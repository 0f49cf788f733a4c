"""Two samples that no pair joins: Kolmogorov and Smirnov's test, and Welch's for what is printed as mean and spread."""

from collections.abc import Sequence

from scipy.stats import ks_2samp, ttest_ind_from_stats

from analysis.statistics.interval import Significance, checked


def kolmogorov_smirnov(first: Sequence[float], second: Sequence[float]) -> Significance:
    """Exact two-sided p of the largest distance between the two empirical distribution functions.

    The paper uses it on M2D2, without a word on its samples. Here they are the mean scores of the one and of the other
    method, a value per zero-shot domain. It forgets which domain is which, and so needs differences between methods
    that are large beside those between domains. Raises ValueError where a sample is empty or has a NaN.
    """
    found = ks_2samp(checked(first), checked(second), method="exact")
    return Significance(
        float(found.pvalue), float(found.statistic), len(first), "Kolmogorov-Smirnov, two samples of domains, exact"
    )


def welch(mean: float, std: float, n: int, other_mean: float, other_std: float, other_n: int) -> Significance:
    """Two-sided p of Welch's t test from two means, standard deviations (ddof 1) and numbers of runs, unpaired."""
    checked((mean, std, other_mean, other_std))
    if std == other_std == 0:
        raise ValueError("neither sample varies: there is nothing to test a difference against")
    found = ttest_ind_from_stats(mean, std, n, other_mean, other_std, other_n, equal_var=False)
    return Significance(float(found.pvalue), float(found.statistic), n, "Welch t test from means and stds, unpaired")
