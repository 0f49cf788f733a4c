"""Verdicts on numbers that the paper prints, and on intervals made for the purpose."""

import pytest

from analysis.published import published_differences, published_value, read_table
from analysis.statistics import Interval, t_interval
from analysis.verdicts import (
    PublishedVerdict,
    Verdict,
    agreement,
    caveat_sentence,
    count_sentence,
    published_verdict,
    verdict,
)
from benchmarks.registry import BENCHMARKS

COLUMNS = [
    (name, column)
    for name, benchmark in BENCHMARKS.items()
    for column in (*benchmark.published, *benchmark.published_train)
]


@pytest.mark.parametrize(("benchmark", "column"), COLUMNS, ids=lambda value: str(value)[:40])
def test_every_published_column_of_the_registry_is_there(benchmark: str, column) -> None:
    assert all(table for table in map(read_table, column.tables))
    assert published_value(column, column.baseline) is not None
    assert column.baseline == BENCHMARKS[benchmark].recipe.base_optimizer


@pytest.mark.parametrize(
    ("benchmark", "method", "differences", "text"),
    [
        # Table 11, zero-shot: Adam 26.5 (Wiki) and 27.4 (S2ORC).
        ("mini-m2d2", "ASAM+TRPO", (0.5, 2.8), "worse 2/2"),
        ("mini-m2d2", "R3F", (-3.2, -0.5), "better 2/2"),
        ("mini-m2d2", "MESA", (-2.2, 0.4), "mixed 1/2"),
        ("mini-m2d2", "TRAM-x-MMD", (), "None"),
        # Table 12: Adam 72.9; MMD and L2 stand in Table 14.
        ("mini-xnli", "TRPO", (0.1,), "better 1/1"),
        ("mini-xnli", "TRAM-x-MMD", (2.1,), "better 1/1"),
        ("mini-xnli", "TRAM-x-L2", (1.2,), "better 1/1"),
        # Table 3: ASAM and SGD both print 87.97 for CIFAR-100.
        ("mini-vision-digits", "ASAM", (0.0, 0.43, 0.55), "better 2/3"),
        ("mini-vision-digits", "TRPO", (), "None"),
    ],
)
def test_the_papers_verdict(benchmark: str, method: str, differences: tuple[float, ...], text: str) -> None:
    row = BENCHMARKS[benchmark]
    columns = row.published or row.published_train
    printed = published_differences(columns, method)
    assert printed == pytest.approx(differences)
    assert str(published_verdict(printed, row.lower_is_better)) == text


@pytest.mark.parametrize(
    ("counts", "direction", "text"),
    [
        ((2, 0, 1), "better", "better 2/3"),
        ((0, 3, 0), "worse", "worse 3/3"),
        ((1, 1, 1), "mixed", "mixed 1/3"),
        ((0, 0, 2), "no difference seen", "same 2/2"),
    ],
)
def test_published_verdict_in_words(counts: tuple[int, int, int], direction: str, text: str) -> None:
    paper = PublishedVerdict(*counts)
    assert paper.direction == direction
    assert str(paper) == text


@pytest.mark.parametrize(
    ("differences", "lower_is_better", "text"),
    [
        ([1.0, 1.1, 1.2], False, "better"),
        ([1.0, 1.1, 1.2], True, "worse"),
        ([-1.0, -1.1, -1.2], True, "better"),
        ([1.0, -1.0, 0.5], False, "no difference seen"),
        ([0.0, 0.0, 0.0], False, "no difference seen"),
        ([0.4], False, "better (1 seed)"),
        ([0.4], True, "worse (1 seed)"),
        ([0.0], True, "equal (1 seed)"),
    ],
)
def test_our_verdict(differences: list[float], lower_is_better: bool, text: str) -> None:
    assert str(verdict(t_interval(differences), lower_is_better)) == text


def test_an_interval_that_ends_at_zero_includes_it() -> None:
    assert verdict(Interval(mean=1.0, half_width=1.0, n=5), lower_is_better=False).direction == "no difference seen"


BETTER, WORSE, NEITHER = Verdict("better", 5), Verdict("worse", 5), Verdict("no difference seen", 5)
PAPER_BETTER, PAPER_SAME, PAPER_MIXED = PublishedVerdict(2, 0, 1), PublishedVerdict(0, 0, 1), PublishedVerdict(1, 1, 0)


@pytest.mark.parametrize(
    ("ours", "paper", "expected"),
    [
        (BETTER, PAPER_BETTER, "agrees"),
        (WORSE, PAPER_BETTER, "opposite"),
        (NEITHER, PAPER_BETTER, "undecided"),
        (NEITHER, PAPER_SAME, "agrees"),
        (BETTER, PAPER_SAME, "undecided"),
        (BETTER, PAPER_MIXED, None),
        (BETTER, None, None),
        (None, PAPER_BETTER, None),
    ],
)
def test_agreement(ours: Verdict | None, paper: PublishedVerdict | None, expected: str | None) -> None:
    assert agreement(ours, paper) == expected


def test_sentences_count_what_can_be_compared() -> None:
    one_seed = Verdict("better", 1)
    repeated = [(BETTER, "agrees"), (WORSE, "opposite"), (NEITHER, "undecided")]
    comparisons = [*repeated, (one_seed, "agrees"), (one_seed, "agrees"), (None, None), (BETTER, None)]
    assert count_sentence(comparisons) == (
        "ours agrees with the paper in 3 of 5 comparisons, points the other way in 1 and leaves 1 undecided."
    )
    caveats = caveat_sentence(comparisons)
    assert "on a single seed, as 2 of the 5 are, gives a sign and settles nothing" in caveats
    assert "about 0.2 of 3 would still exclude 0" in caveats
    assert "Miniature models and data may disagree with the paper" in caveats


def test_sentences_on_single_seeds_only_and_on_nothing() -> None:
    assert "on a single seed, as 1 of the 1 are, gives a sign" in caveat_sentence([(Verdict("worse", 1), "agrees")])
    assert "exclude 0" not in caveat_sentence([(Verdict("worse", 1), "agrees")])
    assert count_sentence([(BETTER, None), (None, None)]) == "nothing here has a counterpart in the paper."
