"""The sentences that go with a verdict, made from the evidence: what was compared, how sure it is, what is missing."""

from collections.abc import Iterator

from analysis.cells import p_text, two_decimals
from analysis.claims.claim import level_of
from analysis.claims.commands import by_hand
from analysis.claims.judged import ALPHA, Evidence, Finding, Judged
from analysis.claims.verdicts import misses_level
from analysis.statistics import Bounds, Interval, side_of_zero
from analysis.statistics.power import POWER


def reason(judged: Judged) -> str:
    """Why the verdict is what it is."""
    evidence = judged.evidence
    parts = (
        _numbers(evidence, judged.origin == "published"),
        *_interval(evidence),
        *_beside(evidence),
        *_size(judged),
        *(_printed_tests(judged) if judged.origin == "published" else _own_tests(judged)),
        evidence.remark and f"{evidence.remark}.",
        *_gaps(judged),
    )
    return " ".join(part for part in parts if part)


def number_text(value: float) -> str:
    """As the paper prints it: with two decimals, or one, or none."""
    return f"{round(value, 2):g}"


def signed(value: float) -> str:
    """With its sign, and without what rounding makes of a zero."""
    return two_decimals(round(value, 9), "+")


def values_text(finding: Finding, unit: str, printed: bool) -> str:
    """The numbers that decide, as they are read."""
    if unit == "passes":
        forward, backward, other_forward, other_backward = (int(value) for value in finding.values)
        return f"{forward}/{backward} and {other_forward}/{other_backward}"
    if not printed:
        return " and ".join(map(two_decimals, finding.values))
    decimals = max(len(number_text(value).partition(".")[2]) for value in finding.values)
    return " and ".join(f"{value:.{decimals}f}" for value in finding.values)


def interval_text(evidence: Evidence, interval: Interval | Bounds) -> str:
    """Its ends; those of a correlation in the sign of r."""
    low, high = interval.low, interval.high
    if evidence.unit == "r" and evidence.finding is not None and evidence.finding.effect != evidence.finding.values[0]:
        low, high = -high, -low
    return f"[{signed(low)}, {signed(high)}]"


def _numbers(evidence: Evidence, printed: bool) -> str:
    finding = evidence.finding
    if finding is None:
        return ""
    text = f"{finding.what}: {values_text(finding, evidence.unit, printed)}"
    if evidence.holds is not None:
        return f"{text}{f', in {evidence.runs} runs' if evidence.runs else ''}."
    if finding.effect is None or evidence.unit == "r":
        return f"{text}."
    return f"{text}, {signed(finding.effect)} {evidence.unit}."


def _interval(evidence: Evidence) -> Iterator[str]:
    interval = evidence.interval
    if interval is not None:
        says = {1: "speaks for the claim", -1: "speaks against it", 0: "covers 0"}[side_of_zero(interval)]
        name = interval.formula.split(",")[0].split(" of ")[0]
        yield f"{name} {interval_text(evidence, interval)} from {evidence.runs} {evidence.counted} {says}."
    elif evidence.runs == 1 and evidence.holds is None and evidence.differences:
        yield "One seed gives a sign and no interval."


def _beside(evidence: Evidence) -> Iterator[str]:
    beside, test = evidence.beside, evidence.test
    if beside is not None and test is not None:
        yield (
            f"By itself: t test {p_phrase(test.p)}, signed-rank {p_phrase(beside.signed_rank.p)}, sign flips "
            f"{p_phrase(beside.sign_flips.p)}, 95% bootstrap [{signed(beside.bootstrap.low)}, "
            f"{signed(beside.bootstrap.high)}]."
        )


def _size(judged: Judged) -> Iterator[str]:
    """What could have been seen, beside what the paper saw."""
    target, detectable = judged.target, judged.evidence.detectable
    if judged.verdict in ("undecided", "not enough runs") and detectable is not None:
        yield f"Detectable with probability {POWER}: {two_decimals(detectable)}."
    if target is not None and judged.evidence.holds is None:
        yield f"The paper's effect, on this scale: {two_decimals(target)}."
    if judged.needed is not None:
        yield f"About {judged.needed} seeds would show that."


def _own_tests(judged: Judged) -> Iterator[str]:
    """The test that the paper names, and what is left of p when the other claims could have been lucky as well."""
    papers = judged.evidence.papers
    if papers is not None:
        yield f"The paper's test, {papers.formula}: {p_phrase(papers.p)}."
    level = level_of(judged.claim)
    if judged.verdict == "undecided" and misses_level(judged.evidence, level):
        yield f"The direction is as claimed; p < {level} by that test is not seen here."
    if judged.may_be_luck:
        yield from _luck(judged)


def _luck(judged: Judged) -> Iterator[str]:
    if judged.corrected is not None:
        corrected = p_phrase(judged.corrected)
        yield f"One of {judged.tested} tests: by Holm's correction {corrected}, which luck may explain."


def _printed_tests(judged: Judged) -> Iterator[str]:
    evidence, level = judged.evidence, level_of(judged.claim)
    for test in (evidence.papers, evidence.test):
        if test is not None:
            yield f"{test.formula}: {p_phrase(test.p)}."
    if evidence.choices > 1 and evidence.p is not None:
        yield f"Picked from {evidence.choices}: {p_phrase(evidence.p)}."
    if evidence.finding is None or evidence.finding.effect is None or evidence.finding.effect <= 0:
        return
    if level is not None and judged.verdict == "does not follow":
        yield f"The order is as claimed; p < {level} does not follow from the printed numbers."
    elif level is None and evidence.p is not None and evidence.p >= ALPHA:
        yield "The order is as claimed; the printed spreads do not tell them apart."
    elif judged.may_be_luck:
        yield from _luck(judged)


def _gaps(judged: Judged) -> Iterator[str]:
    if judged.verdict == "not printed":
        yield "The paper prints no number for it."
    elif judged.evidence.gaps:
        yield f"Missing: {', '.join(judged.evidence.gaps)}."
    if judged.command is not None:
        yield f"To run: {judged.command}"
    if judged.need is not None:
        yield from by_hand([judged.need])


def p_phrase(p: float) -> str:
    return f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"
