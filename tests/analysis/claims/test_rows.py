"""The rows: names that exist, methods that the tables have, and no number of the paper typed again."""

from dataclasses import fields

import pytest

from analysis.claims import CLAIMS
from analysis.claims.claim import Ahead, Claim, Costs, GainsFarther, Ordered, Steadier, Trend, Within, quantity_of
from analysis.claims.scores import scores_of
from analysis.sheets import published_sheets
from benchmarks.registry import PASSES

SHEETS = {sheet.name: sheet for sheet in published_sheets()}


def test_ids_are_unique_and_sentences_are_sentences() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) >= 20
    for claim in CLAIMS:
        assert claim.sentence[0].isupper()
        assert claim.sentence.endswith(".")
        assert claim.where


def test_every_setting_and_every_kind_is_covered() -> None:
    assert {name for claim in CLAIMS for name in claim.sheets} == set(SHEETS)
    kinds = {type(claim.question) for claim in CLAIMS}
    assert kinds == {Ahead, Ordered, GainsFarther, Trend, Steadier, Costs, Within}
    assert {quantity_of(claim) for claim in CLAIMS} == {"score", "sharpness", "CKA"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_names_methods_that_exist_and_that_its_tables_have(claim: Claim) -> None:
    known = {method for name in claim.sheets for method in scores_of(SHEETS[name], quantity_of(claim)).methods}
    match claim.question:
        case Ahead(methods, others):
            assert set(methods) <= known
            assert set(others) & known
            assert set(others) <= set(PASSES)
            assert not set(others) & set(methods)
        case Ordered(methods):
            assert set(methods) <= known
        case GainsFarther(method, other) | Steadier(method, other):
            assert {method, other} <= known
        case Costs(methods, other):
            assert {*methods, other} <= set(PASSES)
        case Within(methods):
            assert set(methods) <= set(PASSES)


def test_of_the_papers_numbers_only_levels_and_rho_stand_in_the_rows() -> None:
    numbers = [
        value
        for claim in CLAIMS
        for field in fields(claim.question)
        if isinstance(value := getattr(claim.question, field.name), float)
    ]
    assert set(numbers) == {0.01, 0.5}
