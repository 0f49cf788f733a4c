"""Small facts in fifteen languages, from the CLDR tables that Babel ships, and entailment pairs made of them.

A fact is said in two ways, the second entailed by the first: "41 Barbadian dollars" and "Barbadian Dollar",
"in 3 years" and "in 3 yr.". Facts come in contrast groups, whose hypotheses exclude each other, and groups
come in rounds, one group of each kind. From a round, every premise and every hypothesis goes into exactly one pair of
each label, so what is known of only one side of a pair says nothing of its label.

CLDR is Unicode, Inc.'s (Unicode License v3), rendered here by Babel's formatters (BSD-3-Clause).
"""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from functools import cache
from hashlib import sha1
from itertools import accumulate
from random import Random
from typing import Literal, TypeVar

from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.numbers import format_currency
from babel.units import UnknownUnitError, format_unit

LANGUAGES = ("en", "ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
LABELS = ("entailment", "neutral", "contradiction")
"""In XNLI's order: a label is an index into it."""

GROUP = 4
"""The facts of a contrast group."""

_PATIENCE = 1000
"""Draws, before it is taken that there is nothing to draw."""

SPLITS = {"train": 0.6, "validation": 0.15, "test": 0.25}
"""The share of the entities that each split is about."""

_SECONDS = {
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 604800,
    "year": 31536000,
}
"""The units of relative times. Months are left out: the short Arabic form says past ones as future ones."""

# What would make two facts of a contrast group agree: languages and territories that hold others, units that equal
# others (the millibar, the milliliter, the kilocalorie), durations beside relative times.
_MACROLANGUAGES = {"ak", "no", "sh"}
_GROUPINGS = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
_EQUAL_UNITS = {"pressure-hectopascal", "volume-cubic-centimeter", "energy-foodcalorie"}

_INVISIBLE = re.compile("[\u200e\u200f\u061c]")

T = TypeVar("T")


@dataclass(frozen=True)
class Phrase:
    """Something that can be said in every language: the name of a form and what it is said of."""

    form: str
    of: tuple[str | int, ...]


@dataclass(frozen=True)
class Fact:
    """A premise, and a hypothesis that it entails."""

    premise: Phrase
    hypothesis: Phrase


@dataclass(frozen=True)
class Pair:
    """A premise, a hypothesis, and how they relate (an index into LABELS)."""

    premise: Phrase
    hypothesis: Phrase
    label: int


@dataclass(frozen=True)
class Entities:
    """What facts are about. `counts` are those of relative times; amounts of money and of units are free."""

    languages: tuple[str, ...]
    territories: tuple[str, ...]
    currencies: tuple[str, ...]
    units: tuple[str, ...]
    counts: tuple[int, ...]
    dates: tuple[date, ...]


@dataclass(frozen=True)
class Limits:
    """How many entities of a kind are used, over all splits."""

    languages: int = 40
    territories: int = 40
    currencies: int = 32
    units: int = 32


Group = tuple[Fact, ...]
"""GROUP facts of one kind: each premise contradicts the hypotheses of the others."""

Round = tuple[Group, ...]
"""One group of each kind, in the order of KINDS."""


def _name(table: str) -> Callable[[Locale, str], str]:
    return lambda locale, code: getattr(locale, table)[code]


def _place(locale: Locale, language: str, territory: str) -> str:
    return f"{locale.languages[language]} ({locale.territories[territory]})"


def _money(locale: Locale, currency: str, amount: int) -> str:
    return format_currency(amount, currency, "#,##0", locale, currency_digits=False, format_type="name")


def _quantity(*lengths: Literal["long", "short"]) -> Callable[[Locale, str, int], str]:
    """In the first of `lengths` that the locale has; where it has none, Babel prints the unit's identifier."""

    def say(locale: Locale, unit: str, amount: int) -> str:
        texts = (format_unit(amount, unit, length, locale=locale) for length in lengths)
        return next(text for text in texts if unit not in text)

    return say


def _relative(*lengths: Literal["long", "short"]) -> Callable[[Locale, str, int], str]:
    """In the first of `lengths` that the locale has; where it has none, Babel raises KeyError."""

    def say(locale: Locale, unit: str, count: int) -> str:
        span = timedelta(seconds=count * _SECONDS[unit])
        for length in lengths:
            with suppress(KeyError):
                # No span reaches an infinite threshold, so that no unit coarser than `unit` is used.
                return format_timedelta(span, unit, math.inf, add_direction=True, format=length, locale=locale)  # type: ignore[arg-type]
        raise LookupError(f"{locale} has no way to say {count} {unit}.")

    return say


_FORMS: dict[str, Callable[..., str]] = {
    "language (territory)": _place,
    "language": _name("languages"),
    "territory": _name("territories"),
    "money": _money,
    "currency": _name("currencies"),
    "quantity": _quantity("long", "short"),
    "quantity, short": _quantity("short", "long"),
    "date": lambda locale, *day: format_date(date(*day), "full", locale),
    "month": lambda locale, year, month: format_skeleton("yMMMM", date(year, month, 1), locale=locale),
    "weekday": lambda locale, weekday: locale.days["stand-alone"]["wide"][weekday],
    "relative": _relative("long", "short"),
    "relative, short": _relative("short", "long"),
}


@cache
def render(phrase: Phrase, language: str) -> str:
    """`phrase` in `language`, without the invisible marks and the special spaces of typography."""
    text = _FORMS[phrase.form](_parsed(language), *phrase.of)
    return " ".join(_INVISIBLE.sub("", text).split())


@cache
def _parsed(language: str) -> Locale:
    return Locale.parse(language)


def _shuffled(items: Iterable[T]) -> list[T]:
    """By hash: in an order that has nothing to do with what the items are, and is the same everywhere."""
    return sorted(items, key=lambda item: sha1(str(item).encode()).hexdigest())


def _nameable(codes: Iterable[str], admissible: Callable[[str], bool], forms: Sequence[str], *amount: int) -> list[str]:
    """Those of `codes`, shuffled, whose name in every form and language exists and is no earlier code's."""
    taken: set[tuple[str, str, str]] = set()
    nameable = []
    for code in _shuffled(filter(admissible, codes)):
        try:
            names = {
                (form, language, render(Phrase(form, (code, *amount)), language).casefold())
                for form in forms
                for language in LANGUAGES
            }
        except (LookupError, StopIteration, UnknownUnitError):
            continue
        if names.isdisjoint(taken):
            taken |= names
            nameable.append(code)
    return nameable


def _is_unit(code: str) -> bool:
    return not code.startswith("duration-") and code not in _EQUAL_UNITS


def all_entities(limits: Limits) -> Entities:
    """What facts of any split are about: by hash, among what all fifteen languages can name and tell apart."""
    english = _parsed("en")
    languages = _nameable(english.languages, lambda code: len(code) == 2 and code not in _MACROLANGUAGES, ["language"])
    territories = _nameable(english.territories, lambda code: len(code) == 2 and code not in _GROUPINGS, ["territory"])
    currencies = _nameable(english.currencies, lambda code: code != "XXX", ["currency"])
    units = _nameable(english.unit_display_names, _is_unit, ["quantity", "quantity, short"], 7)
    return Entities(
        tuple(languages[: limits.languages]),
        tuple(territories[: limits.territories]),
        tuple(currencies[: limits.currencies]),
        tuple(units[: limits.units]),
        counts=tuple(range(2, 100)),
        dates=tuple(date(2000, 1, 1) + timedelta(days=day) for day in range(20 * 365)),
    )


def split_entities(entities: Entities) -> dict[str, Entities]:
    """Every entity in one of SPLITS, by hash."""
    ends = list(accumulate(SPLITS.values()))
    return {
        split: Entities(*(_part(items, start, stop) for items in astuple(entities)))
        for split, start, stop in zip(SPLITS, [0.0, *ends], ends, strict=False)
    }


def _part(items: Sequence[T], start: float, stop: float) -> tuple[T, ...]:
    return tuple(_shuffled(items)[round(start * len(items)) : round(stop * len(items))])


def _apart(random: Random, items: Sequence[T], key: Callable[[T], Hashable] = lambda item: item) -> list[T]:
    """GROUP of `items`, drawn at random, of which no two have the same key."""
    chosen: dict[Hashable, T] = {}
    for _ in range(_PATIENCE):
        item = random.choice(items)
        chosen.setdefault(key(item), item)
        if len(chosen) == GROUP:
            return list(chosen.values())
    raise ValueError(f"fewer than {GROUP} of these exclude each other: {items}. Allow more entities.")


def _places(entities: Entities, random: Random) -> Group:
    """Facts like "Finnish (Peru)", which entails "Finnish" and entails "Peru"."""
    places = zip(_apart(random, entities.languages), _apart(random, entities.territories), strict=True)
    form = random.randrange(2)
    return tuple(
        Fact(Phrase("language (territory)", place), Phrase(("language", "territory")[form], (place[form],)))
        for place in places
    )


def _moneys(entities: Entities, random: Random) -> Group:
    """Facts like "41 Barbadian dollars", which entails "Barbadian Dollar"."""
    return tuple(
        Fact(Phrase("money", (currency, random.randrange(2, 100))), Phrase("currency", (currency,)))
        for currency in _apart(random, entities.currencies)
    )


def _quantities(entities: Entities, random: Random) -> Group:
    """Facts like "7 kilometers", which entails "7 km". A group differs in the unit alone, or in the amount alone."""
    amounts = _apart(random, range(2, 100))
    units = _apart(random, entities.units)
    if random.randrange(2):
        amounts = amounts[:1] * GROUP
    else:
        units = units[:1] * GROUP
    return tuple(
        Fact(Phrase("quantity", said), Phrase("quantity, short", said)) for said in zip(units, amounts, strict=True)
    )


def _dates(entities: Entities, random: Random) -> Group:
    """Facts like "Tuesday, March 5, 2019", which entails "March 2019" and "Tuesday". Months differ within one year."""
    if random.randrange(2):
        chosen = _apart(random, entities.dates, date.weekday)
        weaker = [Phrase("weekday", (day.weekday(),)) for day in chosen]
    else:
        year = random.choice(entities.dates).year
        chosen = _apart(random, [day for day in entities.dates if day.year == year], lambda day: day.month)
        weaker = [Phrase("month", (day.year, day.month)) for day in chosen]
    return tuple(
        Fact(Phrase("date", (day.year, day.month, day.day)), phrase) for day, phrase in zip(chosen, weaker, strict=True)
    )


def _relatives(entities: Entities, random: Random) -> Group:
    """Facts like "in 3 years", which entails "in 3 yr.". A group differs in the count or in unit and direction."""
    directed = _apart(random, [(unit, sign) for unit in _SECONDS for sign in (-1, 1)])
    counts = _apart(random, entities.counts)
    if random.randrange(2):
        counts = counts[:1] * GROUP
    else:
        directed = directed[:1] * GROUP
    said = [(unit, sign * count) for (unit, sign), count in zip(directed, counts, strict=True)]
    return tuple(Fact(Phrase("relative", each), Phrase("relative, short", each)) for each in said)


KINDS: dict[str, Callable[[Entities, Random], Group]] = {
    "place": _places,
    "money": _moneys,
    "quantity": _quantities,
    "date": _dates,
    "relative time": _relatives,
}


def facts(drawn: Iterable[Round]) -> Iterator[Fact]:
    return (fact for groups in drawn for group in groups for fact in group)


def rounds(entities: Entities, number: int, seed: str, forbidden: Iterable[Phrase] = ()) -> list[Round]:
    """`number` rounds, in which no premise occurs twice and none that is `forbidden`; the same for the same arguments.

    Raises ValueError where the entities do not make as many facts.
    """
    random = Random(seed)
    told = set(forbidden)
    drawn = []
    for _ in range(number):
        drawn.append(tuple(_untold(kind, entities, random, told) for kind in KINDS.values()))
        told |= {fact.premise for fact in facts(drawn[-1:])}
    return drawn


def _untold(kind: Callable[[Entities, Random], Group], entities: Entities, random: Random, told: set[Phrase]) -> Group:
    for _ in range(_PATIENCE):
        group = kind(entities, random)
        if told.isdisjoint(fact.premise for fact in group):
            return group
    raise ValueError(f"{kind.__name__}: nothing is left that was not told. Allow more entities, or fewer rounds.")


def pairs(drawn: Sequence[Round]) -> list[Pair]:
    """Three pairs of every fact's premise: with its own hypothesis, with one of another kind, and with its neighbour's.

    Of n rounds, 3 n GROUP len(KINDS) pairs. Within a round, each premise and each hypothesis gets each label once.
    """
    made = []
    for index, groups in enumerate(drawn):
        # The kinds take turns in being neutral to each other.
        shift = 1 + index % (len(groups) - 1)
        for kind, group in enumerate(groups):
            other = groups[(kind + shift) % len(groups)]
            for place, fact in enumerate(group):
                answers = (fact, other[place], group[(place + 1) % len(group)])
                made += [Pair(fact.premise, answer.hypothesis, label) for label, answer in enumerate(answers)]
    return made
