"""python -m analysis.statistics: what a number of seeds can show, as the table of docs/statistics.md."""

from math import sqrt

from scipy.special import stdtrit

from analysis.statistics.interval import CONFIDENCE
from analysis.statistics.power import minimum_detectable_correlation, smallest_rank_p, standardised_effect

SEEDS = (2, 3, 5, 6, 10, 20)
RIVALS = 13
"""Of a method that should be the best of the fourteen in the paper's Table 12."""


def reach() -> str:
    """A line per number of seeds, in Markdown."""
    lines = [
        f"| seeds | interval, ± | detectable | detectable, one of {RIVALS} rivals | smallest p by ranks or signs |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for n in SEEDS:
        half_width = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) / sqrt(n)
        among = standardised_effect(n, 1 - (1 - CONFIDENCE) / RIVALS)
        lines.append(
            f"| {n} | {half_width:.2f} | {standardised_effect(n):.2f} | {among:.2f} | {smallest_rank_p(n):.2g} |"
        )
    return "\n".join(lines)


def correlations() -> str:
    """The smallest correlation that shows, by the number of methods."""
    return ", ".join(f"{minimum_detectable_correlation(n):.2f} with {n} methods" for n in (5, 11, 16))


if __name__ == "__main__":
    print(reach())
    print(f"\nDetectable correlation: {correlations()}.")
