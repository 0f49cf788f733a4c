"""Passes and radii, as counted in records."""

from dataclasses import replace

import pytest

from analysis.claims.claim import Costs, Within
from analysis.claims.steps import bounded, cost, printed_cost
from benchmarks.record import Passes, Record, StepStatistics
from tests.analysis.synthetic import record

QUESTION = Costs(("TRAM-prev", "TRAM-x"), "SAM", more=(1, 0))


def run(method: str, seed: int, forward: int, backward: int) -> Record:
    return record("mini-xnli", method, seed, lambda *_: 50.0, passes=Passes(forward=forward, backward=backward))


RUNS = [
    run("SAM", 0, 2, 2),
    run("SAM", 1, 2, 2),
    run("TRAM-prev", 0, 3, 2),
    run("TRAM-x", 0, 3, 2),
    run("R3F", 0, 9, 9),
]


def test_one_more_forward_in_every_run() -> None:
    found = cost(QUESTION, RUNS, "mini-xnli")
    assert found.holds is True
    assert found.runs == 4
    assert found.finding is not None
    assert found.finding.values == (3, 2, 2, 2)


@pytest.mark.parametrize(("forward", "backward"), [(2, 2), (4, 2), (3, 3), (3, 1)])
def test_a_single_run_with_other_passes_is_named(forward: int, backward: int) -> None:
    found = cost(QUESTION, [*RUNS, run("TRAM-x", 1, forward, backward)], "mini-xnli")
    assert found.holds is False
    assert found.finding is not None
    assert found.finding.what == "Passes of TRAM-x and SAM"
    assert found.finding.values == (forward, backward, 2, 2)


def test_missing_methods() -> None:
    found = cost(QUESTION, RUNS[:3], "mini-xnli")
    assert (found.holds, found.gaps, found.sufficient) == (True, ("TRAM-x",), (False, True))
    nothing = cost(QUESTION, RUNS[2:], "mini-xnli")
    assert (nothing.holds, nothing.finding, nothing.gaps) == (None, None, ("SAM",))


def test_printed_passes_are_those_of_tables_1_and_2() -> None:
    assert printed_cost(QUESTION, "xnli").holds is True
    assert printed_cost(replace(QUESTION, more=(0, 0)), "xnli").holds is False


def with_d(method: str, seed: int, maximum: float) -> Record:
    d = StepStatistics(first=0.0, median=0.02, mean=0.03, maximum=maximum, last=1e-5, share_zero=0.01)
    return record("mini-xnli", method, seed, lambda *_: 50.0, distance=d)


def test_the_largest_d_of_all_runs_decides() -> None:
    question = Within(("TRAM-prev", "TRAM-x"), ceiling=0.5)
    runs = [with_d("TRAM-prev", 0, 0.1), with_d("TRAM-x", 0, 0.2), with_d("TRAM-x", 1, 0.5), with_d("R3F", 0, 9.0)]
    found = bounded(question, runs, "mini-xnli")
    assert found.holds is True
    assert found.finding is not None
    assert found.finding.values == (0.5, 0.5)
    beyond = bounded(question, [*runs, with_d("TRAM-prev", 1, 0.6)], "mini-xnli")
    assert beyond.holds is False
    assert beyond.finding is not None
    assert beyond.finding.what == "Largest d, of TRAM-prev seed 1, and ρ"
    assert beyond.finding.effect == pytest.approx(-0.1)
    assert bounded(question, runs[:1], "mini-xnli").gaps == ("TRAM-x",)
    assert bounded(question, [], "mini-xnli").finding is None
