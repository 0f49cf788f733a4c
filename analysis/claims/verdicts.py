"""From evidence to a verdict: the interval decides, and what it cannot decide is told apart from what was not run."""

from analysis.claims.judged import Evidence, Verdict
from analysis.statistics import side_of_zero


def own_verdict(evidence: Evidence, target: float | None, level: float | None = None) -> Verdict:
    """Of results of ours. Replicated or contradicted where the interval excludes 0 on that side.

    A claim of significance at `level` is not replicated by its direction alone: the paper's own test has to pass too.

    Where it does not, there are enough runs if they would show an effect of the paper's size, `target`, with
    probability 0.8; without such a size, if there is an interval at all.
    """
    speaks_for, speaks_against = evidence.sufficient
    if evidence.holds is not None:
        if not evidence.holds:
            return "contradicted"
        return "replicated" if speaks_for else "not run"
    if evidence.finding is None and evidence.gaps:
        return "not run"
    side = side_of_zero(evidence.interval) if evidence.interval is not None else 0
    if side > 0 and speaks_for:
        return "undecided" if misses_level(evidence, level) else "replicated"
    if side < 0 and speaks_against:
        return "contradicted"
    if not all(evidence.sufficient):
        return "not run"
    if evidence.interval is None:
        return "not enough runs"
    too_few = target is not None and evidence.detectable is not None and evidence.detectable > target
    return "not enough runs" if too_few else "undecided"


def misses_level(evidence: Evidence, level: float | None) -> bool:
    """Whether the test that the paper names for the claim speaks for it, but not at the significance that it prints."""
    if level is None or evidence.interval is None or side_of_zero(evidence.interval) <= 0:
        return False
    p = evidence.papers.p if evidence.papers is not None else evidence.p
    return p is not None and p >= level


def printed_verdict(evidence: Evidence, level: float | None) -> Verdict:
    """Of the paper's tables: whether the printed numbers stand as the claim says, and pass the test that it names."""
    if evidence.holds is not None:
        return "follows" if evidence.holds else "does not follow"
    if evidence.finding is None or evidence.finding.effect is None:
        return "not printed"
    passes = level is None or (evidence.p is not None and evidence.p < level)
    return "follows" if evidence.finding.effect > 0 and passes else "does not follow"
