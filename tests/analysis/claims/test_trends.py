"""Correlations over methods by hand, picked domains, gaps, and spreads over seeds."""

from math import exp, log

import numpy as np
import pytest

from analysis.claims.claim import Steadier, Trend
from analysis.claims.judged import Evidence
from analysis.claims.scores import scores_of
from analysis.claims.trends import follow, spread
from analysis.sheets import sheets_of
from benchmarks.registry import BENCHMARKS
from tests.analysis.claims.worlds import WOBBLE, Score, world

METHODS = ("Adam", "SAM", "ASAM", "FSAM", "TRPO", "R3F", "MESA", "TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")
PLACE = {method: float(position) for position, method in enumerate(METHODS)}
JITTER = dict(zip(METHODS, (0.4, -0.3, 0.1, 0.5, -0.6, 0.2, -0.1, 0.3, -0.4, 0.6, -0.5), strict=True))


def evidence(score: Score, question: Trend, methods: tuple[str, ...] = METHODS) -> Evidence:
    (sheet,) = sheets_of(world("mini-m2d2", score, methods, seeds=range(2)))
    return follow(question, scores_of(sheet, "score"), sheet)


def rising(method: str, seed: int, domain: str) -> float:
    """All domains follow the training domain, math, some with jitter; two go against it."""
    place = PLACE.get(method, 500.0)
    if domain in ("fonts", "stdlib"):
        return 100 - place + 2 * JITTER.get(method, 0) * (domain == "fonts") + seed
    return 50 + place + JITTER.get(method, 0) * (domain != "math") + seed


def test_r_by_numpy_over_the_papers_methods_alone() -> None:
    found = evidence(rising, Trend(1, "ZS Avg", 0.01), (*METHODS, "ASAM+TRPO", "TRAM-x-L2"))
    domains = BENCHMARKS["mini-m2d2"].zero_shot_domains
    train = [rising(method, 0, "math") for method in METHODS]
    average = [np.mean([rising(method, 0, domain) for domain in domains]) for method in METHODS]
    assert found.finding is not None
    assert found.finding.values[0] == pytest.approx(np.corrcoef(train, average)[0, 1])
    assert found.finding.effect == found.finding.values[0]
    assert found.finding.what == "ZS Avg with math"
    assert (found.runs, found.counted) == (11, "methods")
    assert found.interval is not None
    assert found.interval.low > 0


def test_two_domains_against_the_trend_are_found_and_corrected_for_the_choice() -> None:
    found = evidence(rising, Trend(-1, "domains off the trend", 0.01))
    assert found.finding is not None
    # The second of the two decides, and nine of ten domains could have been it.
    assert found.finding.what == "fonts with math"
    assert found.finding.effect == -found.finding.values[0] > 0.9
    assert found.interval is not None
    assert found.interval.formula.startswith("99.44% Fisher")
    assert 0 < found.interval.low < found.finding.effect < found.interval.high
    assert found.test is not None
    assert found.p == pytest.approx(9 * found.test.p)


def test_one_domain_against_the_trend_is_not_two() -> None:
    found = evidence(lambda method, seed, domain: rising(method, seed, "math" if domain == "stdlib" else domain),
                     Trend(-1, "domains off the trend", 0.01))  # fmt: skip
    assert found.finding is not None
    assert found.finding.effect is not None
    assert found.finding.effect < -0.9
    assert found.interval is not None
    assert found.interval.formula.startswith("95% Fisher")
    assert found.interval.high < 0


def test_named_domains_are_both_asked() -> None:
    """Art and Phil of the real S2ORC, one of them on the trend: one is enough against the claim, and both could be."""

    def score(method: str, seed: int, domain: str) -> float:
        return 50 + (-1 if domain == "Art" else 1) * PLACE[method] + JITTER[method] * (domain != "Math") + seed

    (sheet,) = sheets_of(world("m2d2-s2orc", score, METHODS, seeds=(0,)))
    found = follow(Trend(-1, "domains off the trend", 0.01), scores_of(sheet, "score"), sheet)
    assert found.finding is not None
    assert found.finding.what == "Phil with Math"
    assert found.interval is not None
    assert found.interval.formula.startswith("97.5% Fisher")
    assert found.interval.high < 0


def test_gaps_and_too_few_methods() -> None:
    few = evidence(rising, Trend(1, "ZS Avg", 0.01), METHODS[:5])
    assert few.gaps == METHODS[5:]
    assert few.runs == 5
    assert few.sufficient == (False, False)
    assert evidence(rising, Trend(1, "ZS Avg", 0.01)).sufficient == (True, True)
    none = evidence(rising, Trend(1, "ZS Avg", 0.01), METHODS[:3])
    assert none.finding is None
    assert none.sufficient == (False, False)


def test_methods_that_all_score_the_same_have_no_correlation() -> None:
    found = evidence(lambda *_: 50.0, Trend(1, "ZS Avg", 0.01))
    assert found.finding is None
    assert found.remark == "Nothing to test: all methods score the same on math"


def steadier(score: Score, methods: tuple[str, ...] = ("Adam", "TRAM-x"), seeds: int = 8) -> Evidence:
    (sheet,) = sheets_of(world("mini-xnli", score, methods, range(seeds)))
    return spread(Steadier("TRAM-x", "Adam"), scores_of(sheet, "score"), sheet)


def test_spreads_by_hand() -> None:
    """The same wobble, seven times as large and in another order for Adam."""

    def score(method: str, seed: int, domain: str) -> float:
        return 60 + (7 * WOBBLE[seed] if method == "Adam" else WOBBLE[-1 - seed])

    found = steadier(score)
    assert found.finding is not None
    assert found.finding.effect == pytest.approx(log(7))
    std = np.std(WOBBLE, ddof=1)
    assert found.finding.values == pytest.approx((std, 7 * std))
    assert found.interval is not None
    assert found.interval.low < log(7) < found.interval.high
    assert exp(found.interval.low) > 1


def test_spreads_that_cannot_be_compared() -> None:
    assert steadier(lambda *_: 50.0).remark == "Nothing to test: a constant has no spread to compare"
    assert steadier(lambda *_: 50.0, ("Adam",)).gaps == ("TRAM-x",)
    two = steadier(lambda method, seed, _: 50.0 + seed, seeds=2)
    assert two.remark.startswith("Nothing to test: two spreads need three pairs")
