"""Contrasts by hand: who is compared with whom, which way is better, which seeds are pairs, which contrast decides."""

from math import nan

import numpy as np
import pandas as pd
import pytest

from analysis.aggregate import ZERO_SHOT
from analysis.claims.claim import Ahead, GainsFarther, Ordered
from analysis.claims.contrasts import Contrast, Contrasts, contrasts_of
from analysis.claims.scores import Scores
from analysis.statistics import t_interval
from analysis.statistics.interval import side_of_zero

ALL = ("Adam", "SAM", "ASAM", "TRAM-x")


def scores(by_seed: dict[tuple[str, int], tuple[float, ...]], lower_is_better: bool = True) -> Scores:
    """Two unseen domains, `Art` and `Phil`, after the training domain."""
    index = pd.MultiIndex.from_tuples(list(by_seed), names=["method", "seed"])
    frame = pd.DataFrame(list(by_seed.values()), index=index, columns=["Math", "Art", "Phil"])
    frame[ZERO_SHOT] = frame[["Art", "Phil"]].mean(axis="columns", skipna=False)
    mean = frame.groupby("method").mean()
    return Scores("b", "score", "perplexity", lower_is_better, "Math", ("Art", "Phil"), mean, frame)


SHEET = scores(
    {
        ("Adam", 0): (10, 20, 30), ("Adam", 1): (12, 22, 34),
        ("SAM", 0): (9, 19, 30), ("SAM", 1): (10, 21, 31), ("SAM", 2): (99, 99, 99),
        ("TRAM-x", 0): (8, 17, 28), ("TRAM-x", 1): (9, 17, 28),
    }
)  # fmt: skip


def test_pairs_by_hand() -> None:
    found = contrasts_of(Ahead(("TRAM-x",), ("Adam", "SAM"), "training domain"), SHEET, ALL)
    ((adam, sam),) = found.alternatives
    assert (adam.first, adam.second, adam.column) == ("TRAM-x", "Adam", "Math")
    assert adam.by_seed == {0: 2, 1: 3}
    assert (adam.first_value, adam.second_value, adam.advantage) == (8.5, 11, 2.5)
    # Seed 2 of SAM has no partner, and its mean is over the pairs.
    assert sam.by_seed == {0: 1, 1: 1}
    assert sam.second_value == 9.5
    assert found.gaps == ()
    assert found.untried == 0


def test_higher_is_better_turns_the_sign() -> None:
    higher = scores({("Adam", 0): (10, 20, 30), ("SAM", 0): (9, 19, 30)}, lower_is_better=False)
    ((contrast,),) = contrasts_of(Ahead(("SAM",), ("Adam",), "training domain"), higher, ALL).alternatives
    assert contrast.advantage == -1


def test_each_method_is_an_alternative_unless_every_one_is_meant() -> None:
    some = contrasts_of(Ahead(("SAM", "TRAM-x"), ("Adam",), "ZS Avg"), SHEET, ALL)
    assert [[contrast.first for contrast in contrasts] for contrasts in some.alternatives] == [["SAM"], ["TRAM-x"]]
    every = contrasts_of(Ahead(("SAM", "TRAM-x"), ("Adam",), "ZS Avg", every=True), SHEET, ALL)
    assert [[contrast.first for contrast in contrasts] for contrasts in every.alternatives] == [["SAM", "TRAM-x"]]


def test_every_domain_and_the_two_off_the_trend() -> None:
    found = contrasts_of(Ahead(("TRAM-x",), ("Adam",), "every zero-shot domain"), SHEET, ALL)
    assert [contrast.column for contrast in found.alternatives[0]] == ["Art", "Phil"]
    assert [contrast.advantage for contrast in found.alternatives[0]] == [4.0, 4.0]
    named = contrasts_of(Ahead(("TRAM-x",), ("Adam",), "domains off the trend"), SHEET, ALL)
    assert [contrast.column for contrast in named.alternatives[0]] == ["Art", "Phil"]


def test_off_the_trend_are_the_two_least_correlated_where_art_and_phil_are_not() -> None:
    rows = {("a", 0): (1, 1, 9, 5), ("b", 0): (2, 2, 5, 5.5), ("c", 0): (3, 3, 1, 4)}
    mean = pd.DataFrame.from_dict({name: row for (name, _), row in rows.items()}, orient="index",
                                  columns=["Math", "with", "against", "across"])  # fmt: skip
    sheet = Scores("b", "score", "perplexity", True, "Math", ("with", "against", "across"), mean, None)
    assert sheet.columns("domains off the trend") == ("against", "across")


def test_neighbours_are_compared_in_an_order() -> None:
    found = contrasts_of(Ordered(("TRAM-x", "SAM", "Adam"), "training domain"), SHEET, ALL)
    assert [(one.first, one.second, one.advantage) for one in found.alternatives[0]] == [
        ("TRAM-x", "SAM", 1.0),
        ("SAM", "Adam", 1.5),
    ]


def test_gains_beyond_the_training_domain() -> None:
    found = contrasts_of(GainsFarther("TRAM-x", "Adam"), SHEET, ALL)
    # ZS Avg: Adam 25, 28, TRAM-x 22.5, 22.5; so gains of 2.5 and 5.5, in the training domain 2 and 3.
    assert found.deciding.by_seed == {0: 0.5, 1: 2.5}
    assert (found.deciding.first_value, found.deciding.second_value) == (4.0, 2.5)


def test_gaps_are_named() -> None:
    absent = contrasts_of(Ahead(("TRAM-x",), ("Adam", "ASAM"), "training domain"), SHEET, ALL)
    assert absent.gaps == ("ASAM",)
    assert len(absent.alternatives[0]) == 1
    untried = contrasts_of(Ahead(("TRAM-x", "ASAM"), ("Adam",), "training domain"), SHEET, ALL)
    assert (untried.gaps, untried.untried) == (("ASAM",), 1)
    apart = scores({("Adam", 0): (10, 20, 30), ("SAM", 1): (9, 19, 30)})
    nothing = contrasts_of(Ahead(("SAM",), ("Adam",), "training domain"), apart, ALL)
    assert nothing.alternatives == ()
    assert nothing.gaps == ("a seed with both SAM and Adam",)


def test_methods_that_the_paper_does_not_compare_are_left_out() -> None:
    found = contrasts_of(Ahead(("TRAM-x",), ("Adam", "SAM"), "training domain"), SHEET, ("TRAM-x", "SAM"))
    assert [contrast.second for contrast in found.alternatives[0]] == ["SAM"]


def test_a_missing_number_makes_no_average() -> None:
    holed = scores(
        {("Adam", 0): (10, 20, nan), ("Adam", 1): (10, 20, 30), ("SAM", 0): (9, 19, 30), ("SAM", 1): (9, 9, 9)}
    )
    ((contrast,),) = contrasts_of(Ahead(("SAM",), ("Adam",)), holed, ALL).alternatives
    assert contrast.by_seed == {1: 16.0}


def contrast(*values: float) -> Contrast:
    return Contrast("one", "other", "", 0, 0, float(np.mean(values)), dict(enumerate(values)), 0)


def test_the_least_sure_contrast_decides_and_not_the_smallest() -> None:
    sure, unsure = contrast(1.0, 1.1, 0.9), contrast(9.0, 1.0, -4.0)
    assert Contrasts(((sure, unsure),), (), 0).deciding is unsure
    certain, against = contrast(0.0, 0.0, 0.0), contrast(-1.0, -1.1, -0.9)
    assert Contrasts(((certain, against, sure),), (), 0).deciding is against


def test_the_best_alternative_is_judged_by_its_weakest_contrast() -> None:
    spotless, torn = (
        (contrast(1.0, 1.2, 0.8), contrast(0.9, 1.2, 0.8)),
        (contrast(5.0, 5.1, 4.9), contrast(-1.0, 0.5, 1.0)),
    )
    found = Contrasts((torn, spotless), (), 0)
    assert found.best is spotless
    assert found.choices == 2
    assert found.confidence == pytest.approx(0.975)


def test_the_alternative_with_the_highest_mean_decides_though_another_is_surer() -> None:
    sure, highest = (contrast(1.0, 1.01, 0.99),), (contrast(3.0, 1.0, 5.0),)
    found = Contrasts((sure, highest), (), 0)
    assert found.is_ahead
    assert found.best is highest
    assert found.deciding.advantage == pytest.approx(3.0)
    assert found.choices == 2


def test_where_none_is_ahead_the_least_refuted_decides() -> None:
    """The one just below is surely below; the noisy one may yet be ahead, and the claim with it."""
    just_below, noisy = (contrast(-0.1, -0.101, -0.099),), (contrast(-9.0, 5.0, 1.0),)
    found = Contrasts((just_below, noisy), (), 0)
    assert not found.is_ahead
    assert found.highest is just_below
    assert found.best is noisy


def test_choices_count_alternatives_for_the_claim_and_contrasts_against_it() -> None:
    ahead, behind = contrast(1.0, 1.2, 0.8), contrast(-1.0, -1.2, -0.8)
    assert Contrasts(((ahead, ahead, ahead),), (), 0).choices == 1
    assert Contrasts(((ahead, ahead, behind),), (), 0).choices == 3
    assert Contrasts(((behind, behind), (behind, ahead, behind)), (), 0).choices in (2, 3)


@pytest.mark.parametrize(("alternatives", "contrasts"), [(1, 1), (1, 14), (4, 8)])
def test_without_any_difference_verdicts_are_wrong_in_five_percent_at_most(alternatives: int, contrasts: int) -> None:
    """Independent differences around 0: each side of the claim may be declared at most as often as the level says."""
    rng, tries = np.random.default_rng(0), 500
    sides = []
    for _ in range(tries):
        drawn = rng.normal(size=(alternatives, contrasts, 5))
        found = Contrasts(tuple(tuple(contrast(*values) for values in rows) for rows in drawn), (), 0)
        sides.append(side_of_zero(t_interval(found.deciding.values, found.confidence)))
    # Two-sided at 5%: 2.5% on either side, with room for three standard errors.
    assert np.mean(np.array(sides) > 0) < 0.025 + 3 * np.sqrt(0.025 / tries)
    assert np.mean(np.array(sides) < 0) < 0.025 + 3 * np.sqrt(0.025 / tries)
    if alternatives == 1:
        assert np.mean(np.array(sides) < 0) > 0.01
