"""From evidence to verdict: every row of the rule, on evidence made for the purpose."""

import pytest

from analysis.claims.judged import Evidence, Finding
from analysis.claims.verdicts import own_verdict, printed_verdict
from analysis.statistics import Interval, Significance

FOUND = Finding("b", "one and other", (2.0, 1.0), 1.0)
FOR, AGAINST, COVERS = Interval(1.0, 0.5, 5), Interval(-1.0, 0.5, 5), Interval(0.2, 0.5, 5)


@pytest.mark.parametrize(
    ("evidence", "target", "verdict"),
    [
        (Evidence(FOUND, interval=FOR), 1.0, "replicated"),
        (Evidence(FOUND, interval=AGAINST), 1.0, "contradicted"),
        # An interval that ends at 0 covers it.
        (Evidence(FOUND, interval=Interval(0.5, 0.5, 5), detectable=0.1), 1.0, "undecided"),
        (Evidence(FOUND, interval=COVERS, detectable=0.9), 1.0, "undecided"),
        (Evidence(FOUND, interval=COVERS, detectable=1.1), 1.0, "not enough runs"),
        (Evidence(FOUND, interval=COVERS, detectable=1.1), None, "undecided"),
        (Evidence(FOUND, runs=1), 1.0, "not enough runs"),
        (Evidence(remark="constant", runs=5), None, "not enough runs"),
        # With methods missing only what needs none of them is decided.
        (Evidence(FOUND, interval=FOR, gaps=("SAM",), sufficient=(False, True)), 1.0, "not run"),
        (Evidence(FOUND, interval=AGAINST, gaps=("SAM",), sufficient=(False, True)), 1.0, "contradicted"),
        (Evidence(FOUND, interval=AGAINST, gaps=("TRAM-x",), sufficient=(False, False)), 1.0, "not run"),
        (Evidence(FOUND, interval=COVERS, detectable=0.1, gaps=("SAM",), sufficient=(False, True)), 1.0, "not run"),
        (Evidence(gaps=("SAM",), sufficient=(False, False)), None, "not run"),
        # What is counted has no interval.
        (Evidence(FOUND, holds=True), None, "replicated"),
        (Evidence(FOUND, holds=False), None, "contradicted"),
        (Evidence(FOUND, holds=True, gaps=("SAM",), sufficient=(False, True)), None, "not run"),
        (Evidence(FOUND, holds=False, gaps=("SAM",), sufficient=(False, True)), None, "contradicted"),
    ],
)
def test_own(evidence: Evidence, target: float | None, verdict: str) -> None:
    assert own_verdict(evidence, target) == verdict


PASSES, FAILS = (Significance(p, 1.0, 10, "K-S") for p in (0.009, 0.01))


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        # The paper's test, where it names one beside Student's; for a correlation the test is its own.
        (Evidence(FOUND, interval=FOR, p=0.04, papers=PASSES), "replicated"),
        (Evidence(FOUND, interval=FOR, p=0.001, papers=FAILS), "undecided"),
        (Evidence(FOUND, interval=FOR, p=0.009), "replicated"),
        (Evidence(FOUND, interval=FOR, p=0.01), "undecided"),
        # Against a claim of significance the direction is enough.
        (Evidence(FOUND, interval=AGAINST, p=0.04, papers=FAILS), "contradicted"),
    ],
)
def test_a_claim_of_significance_takes_more_than_its_direction(evidence: Evidence, verdict: str) -> None:
    assert own_verdict(evidence, 1.0, level=0.01) == verdict


@pytest.mark.parametrize(
    ("evidence", "level", "verdict"),
    [
        (Evidence(FOUND), None, "follows"),
        (Evidence(Finding("b", "", (1.0, 1.0), 0.0)), None, "does not follow"),
        (Evidence(Finding("b", "", (1.0, 2.0), -1.0)), None, "does not follow"),
        (Evidence(FOUND, p=0.009), 0.01, "follows"),
        (Evidence(FOUND, p=0.01), 0.01, "does not follow"),
        (Evidence(FOUND, p=0.9), None, "follows"),
        (Evidence(FOUND), 0.01, "does not follow"),
        (Evidence(holds=True), None, "follows"),
        (Evidence(holds=False), None, "does not follow"),
        (Evidence(gaps=("TRAM-x",)), None, "not printed"),
    ],
)
def test_printed(evidence: Evidence, level: float | None, verdict: str) -> None:
    assert printed_verdict(evidence, level) == verdict
