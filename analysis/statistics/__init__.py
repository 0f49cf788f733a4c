"""What a handful of runs can say: intervals, tests, corrections, and the smallest effect that could be seen.

Each module answers one question; docs/statistics.md says which to ask when. What is imported here needs no
`scipy.stats`, which takes longer to load than every table takes to make.
"""

from analysis.statistics.interval import CONFIDENCE, Bounds, Interval, Significance, paired_t, side_of_zero, t_interval
from analysis.statistics.signed_rank import signed_rank, wilcoxon_p

__all__ = [
    "CONFIDENCE",
    "Bounds",
    "Interval",
    "Significance",
    "paired_t",
    "side_of_zero",
    "signed_rank",
    "t_interval",
    "wilcoxon_p",
]
