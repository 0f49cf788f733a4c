"""CLDR facts: what is entailed is judged here a second time, from the codes and not from the groups."""

from collections import Counter, defaultdict
from dataclasses import astuple, replace
from datetime import date
from itertools import combinations

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.mini.cldr_facts import (
    GROUP,
    KINDS,
    LABELS,
    LANGUAGES,
    SPLITS,
    Entities,
    Limits,
    Pair,
    Phrase,
    all_entities,
    facts,
    pairs,
    render,
    rounds,
    split_entities,
)

KIND_OF = {
    "language (territory)": "place",
    "language": "place",
    "territory": "place",
    "money": "money",
    "currency": "money",
    "quantity": "quantity",
    "quantity, short": "quantity",
    "date": "date",
    "month": "date",
    "weekday": "date",
    "relative": "relative time",
    "relative, short": "relative time",
}
ROUNDS = 4
SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "year": 365 * 86400}


@pytest.fixture(scope="module")
def entities() -> Entities:
    return all_entities(Limits())


@pytest.fixture(scope="module")
def splits(entities: Entities) -> dict[str, Entities]:
    return split_entities(entities)


@pytest.fixture(scope="module")
def drawn(splits: dict[str, Entities]) -> dict[str, list[Pair]]:
    return {name: pairs(rounds(part, ROUNDS, name)) for name, part in splits.items()}


def entails(premise: Phrase, hypothesis: Phrase) -> bool:
    """From what the phrases are of, for two phrases of the same kind."""
    match hypothesis.form:
        case "language":
            return premise.of[0] == hypothesis.of[0]
        case "territory":
            return premise.of[1] == hypothesis.of[0]
        case "currency":
            return premise.of[0] == hypothesis.of[0]
        case "month":
            return premise.of[:2] == hypothesis.of
        case "weekday":
            return f"{date(*premise.of):%a}" == ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[int(hypothesis.of[0])]  # type: ignore[arg-type]
        case "relative, short":
            return SECONDS[str(premise.of[0])] * int(premise.of[1]) == SECONDS[str(hypothesis.of[0])] * int(
                hypothesis.of[1]
            )
        case _:
            return premise.of == hypothesis.of


@pytest.mark.parametrize(
    ("phrase", "language", "text"),
    [
        (Phrase("language (territory)", ("fi", "PE")), "en", "Finnish (Peru)"),
        (Phrase("territory", ("PE",)), "zh", "秘鲁"),
        (Phrase("money", ("BBD", 41)), "en", "41 Barbadian dollars"),
        (Phrase("currency", ("BBD",)), "de", "Barbados-Dollar"),
        (Phrase("quantity", ("length-kilometer", 7)), "ru", "7 километров"),
        (Phrase("quantity", ("length-kilometer", 7)), "ur", "7 کلو میٹر"),  # no long pattern there: the short one
        (Phrase("quantity, short", ("length-kilometer", 7)), "th", "7 กม."),
        (Phrase("date", (2019, 3, 5)), "fr", "mardi 5 mars 2019"),
        (Phrase("month", (2019, 3)), "vi", "tháng 3 năm 2019"),
        (Phrase("weekday", (1,)), "tr", "Salı"),
        (Phrase("relative", ("year", -3)), "sw", "miaka 3 iliyopita"),
        (Phrase("relative, short", ("year", 3)), "en", "in 3 yr."),
        (Phrase("relative, short", ("week", -2)), "ar", "قبل أسبوعين"),  # no short form there: the long one
    ],
)
def test_phrases_read_as_they_should(phrase: Phrase, language: str, text: str) -> None:
    assert render(phrase, language) == text


def test_no_text_has_marks_that_cannot_be_seen(drawn: dict[str, list[Pair]]) -> None:
    texts = {render(pair.premise, language) for pair in drawn["test"] for language in LANGUAGES}
    assert all(character == " " or not character.isspace() for text in texts for character in text)
    assert not any(mark in text for text in texts for mark in "\u200e\u200f\u061c\u00a0\u202f")


def test_labels_say_what_the_codes_say(drawn: dict[str, list[Pair]]) -> None:
    for pair in (pair for part in drawn.values() for pair in part):
        if KIND_OF[pair.premise.form] != KIND_OF[pair.hypothesis.form]:
            expected = "neutral"
        else:
            expected = "entailment" if entails(pair.premise, pair.hypothesis) else "contradiction"
        assert LABELS[pair.label] == expected


def test_every_premise_and_every_hypothesis_has_each_label_equally_often(drawn: dict[str, list[Pair]]) -> None:
    for part in drawn.values():
        assert len(part) == ROUNDS * len(KINDS) * GROUP * len(LABELS)
        for side in ("premise", "hypothesis"):
            counts: dict[Phrase, Counter[int]] = defaultdict(Counter)
            for pair in part:
                counts[getattr(pair, side)][pair.label] += 1
            assert all(len(set(count.values())) == 1 and len(count) == 3 for count in counts.values())


@pytest.mark.parametrize("side", ["premise", "hypothesis"])
def test_one_side_alone_is_worth_exactly_a_guess(drawn: dict[str, list[Pair]], side: str) -> None:
    texts = {name: [render(getattr(pair, side), "en") for pair in part] for name, part in drawn.items()}
    labels = {name: [pair.label for pair in part] for name, part in drawn.items()}
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 3))
    classifier = LogisticRegression(max_iter=200).fit(vectorizer.fit_transform(texts["train"]), labels["train"])
    accuracy = classifier.score(vectorizer.transform(texts["test"]), labels["test"])
    assert accuracy == pytest.approx(1 / 3, abs=1e-12)


def test_the_three_hypotheses_of_a_premise_are_told_apart_in_every_language(drawn: dict[str, list[Pair]]) -> None:
    for part in drawn.values():
        hypotheses = defaultdict(list)
        for pair in part:
            hypotheses[pair.premise].append(pair.hypothesis)
        for said in hypotheses.values():
            for language in LANGUAGES:
                assert len({render(phrase, language).casefold() for phrase in said}) == len(LABELS)


def test_half_of_the_contradictions_of_amounts_keep_the_amount(splits: dict[str, Entities]) -> None:
    """So that comparing digits alone does not tell entailment from contradiction."""
    train = pairs(rounds(splits["train"], 60, ""))
    for form in ("quantity", "relative"):
        contradictions = [pair for pair in train if pair.premise.form == form and pair.label == 2]
        same = sum(abs(int(pair.premise.of[1])) == abs(int(pair.hypothesis.of[1])) for pair in contradictions)
        assert same / len(contradictions) == pytest.approx(0.5, abs=0.2)


def test_every_entity_is_in_one_split(entities: Entities, splits: dict[str, Entities]) -> None:
    parts = list(zip(*(astuple(part) for part in splits.values()), strict=True))
    for whole, divided in zip(astuple(entities), parts, strict=True):
        assert sorted(map(str, whole)) == sorted(str(item) for part in divided for item in part)
        assert len(set(whole)) == len(whole)
        for share, part in zip(SPLITS.values(), divided, strict=True):
            assert len(part) == pytest.approx(share * len(whole), abs=1)


def test_pairs_of_a_split_are_about_its_entities(drawn: dict[str, list[Pair]], splits: dict[str, Entities]) -> None:
    for name, part in drawn.items():
        allowed = splits[name]
        for phrase in {phrase for pair in part for phrase in (pair.premise, pair.hypothesis)}:
            match phrase.form:
                case "language (territory)":
                    assert phrase.of[0] in allowed.languages
                    assert phrase.of[1] in allowed.territories
                case "money" | "currency":
                    assert phrase.of[0] in allowed.currencies
                case "quantity" | "quantity, short":
                    assert phrase.of[0] in allowed.units
                case "date":
                    assert date(*phrase.of) in allowed.dates  # type: ignore[arg-type]
                case "relative" | "relative, short":
                    assert abs(int(phrase.of[1])) in allowed.counts


def test_no_test_pair_is_a_training_pair_in_any_language(drawn: dict[str, list[Pair]]) -> None:
    for language in LANGUAGES:
        train, test = (
            {(render(pair.premise, language), render(pair.hypothesis, language)) for pair in drawn[name]}
            for name in ("train", "test")
        )
        assert len(train) == len(drawn["train"])
        assert train.isdisjoint(test)


def test_no_two_entities_share_a_name() -> None:
    entities = all_entities(Limits(999, 999, 999, 999))
    forms = [
        ("language", entities.languages, ()),
        ("territory", entities.territories, ()),
        ("currency", entities.currencies, ()),
        ("quantity", entities.units, (7,)),
        ("quantity, short", entities.units, (7,)),
    ]
    for form, codes, amount in forms:
        for language in LANGUAGES:
            names = {render(Phrase(form, (code, *amount)), language).casefold() for code in codes}
            assert len(names) == len(codes)


def test_a_contrast_group_holds_no_two_spans_of_the_same_length(splits: dict[str, Entities]) -> None:
    spans = [fact.premise.of for fact in facts(rounds(splits["train"], 60, "")) if fact.premise.form == "relative"]
    for start in range(0, len(spans), GROUP):
        for one, other in combinations(spans[start : start + GROUP], 2):
            assert SECONDS[str(one[0])] * int(one[1]) != SECONDS[str(other[0])] * int(other[1])


def test_rounds_repeat_no_premise_and_leave_out_the_forbidden(entities: Entities) -> None:
    first = rounds(entities, 5, "seed")
    told = [fact.premise for fact in facts(first)]
    assert len(set(told)) == len(told) == 5 * len(KINDS) * GROUP
    assert rounds(entities, 5, "seed") == first
    assert rounds(entities, 5, "another seed") != first
    others = {fact.premise for fact in facts(rounds(entities, 5, "seed", told))}
    assert others.isdisjoint(told)


def test_too_few_entities_are_refused(entities: Entities) -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        rounds(replace(entities, counts=(2, 3, 4, 5)), 30, "seed")
    with pytest.raises(ValueError, match="fewer than 4"):
        rounds(replace(entities, currencies=("EUR", "USD")), 1, "seed")


def test_neutral_pairs_join_all_kinds_alike(splits: dict[str, Entities]) -> None:
    neutral = [pair for pair in pairs(rounds(splits["train"], 4 * 3, "")) if pair.label == 1]
    joined = Counter((KIND_OF[pair.premise.form], KIND_OF[pair.hypothesis.form]) for pair in neutral)
    assert len(joined) == len(KINDS) * (len(KINDS) - 1)
    assert set(joined.values()) == {3 * GROUP}
