"""Small facts in fifteen languages, from the CLDR tables that Babel ships, and entailment pairs made of them.

A fact is said in two ways, the second entailed by the first: "41 Barbadian dollars" and "Barbadian Dollar",
"in 3 months" and "in 3 mo.". Facts come in contrast groups, whose hypotheses exclude each other, and groups
come in rounds, one group of each kind. From a round, every premise and every hypothesis goes into exactly one pair of
each label, so what is known of only one side of a pair says nothing of its label.

CLDR is Unicode, Inc.'s (Unicode License v3), rendered here by Babel's formatters (BSD-3-Clause).
"""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from hashlib import sha1
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
Split = Literal["train", "validation", "test"]
_SHARES: dict[Split, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}

_SECONDS = {
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 604800,
    "month": 2592000,
    "year": 31536000,
}
"""The lengths by which Babel's `format_timedelta` counts its units."""

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
    """What facts are about. `counts` are those of relative times; amounts of money and units are free."""

    languages: tuple[str, ...]
    territories: tuple[str, ...]
    currencies: tuple[str, ...]
    units: tuple[str, ...]
    counts: tuple[int, ...]
    dates: tuple[date, ...]


@dataclass(frozen=True)
class Limits:
    """How many entities of a kind are used, over all splits."""

    languages: int = 80
    territories: int = 100
    currencies: int = 60
    units: int = 60


Group = tuple[Fact, ...]
Round = tuple[Group, ...]


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


def _relative(length: Literal["long", "short"]) -> Callable[[Locale, str, int], str]:
    def say(locale: Locale, unit: str, count: int) -> str:
        span = timedelta(seconds=count * _SECONDS[unit])
        try:
            return format_timedelta(span, unit, threshold=float("inf"), add_direction=True, format=length, locale=locale)  # type: ignore[arg-type]
        except KeyError:  # the locale has no short form of this unit
            return format_timedelta(span, unit, threshold=float("inf"), add_direction=True, locale=locale)  # type: ignore[arg-type]

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
    "relative": _relative("long"),
    "relative, short": _relative("short"),
}


@lru_cache(maxsize=None)
def render(phrase: Phrase, language: str) -> str:
    """`phrase` in `language`, without the invisible marks and the special spaces of typography."""
    text = _FORMS[phrase.form](_parsed(language), *phrase.of)
    return " ".join(_INVISIBLE.sub("", text).split())


@lru_cache(maxsize=None)
def _parsed(language: str) -> Locale:
    return Locale.parse(language)


def _shuffled(items: Iterable[T]) -> list[T]:
    """In an order that depends on every item alone, so that adding one moves no other to another split's side."""
    return sorted(items, key=lambda item: sha1(str(item).encode()).hexdigest())


def _nameable(codes: Iterable[str], phrases: Callable[[str], Sequence[Phrase]]) -> list[str]:
    """Those of `codes` whose every phrase exists in every language and is like no other code's there."""
    taken: set[tuple[int, str, str]] = set()
    usable = []
    for code in codes:
        try:
            names = {
                (index, language, render(phrase, language).casefold())
                for index, phrase in enumerate(phrases(code))
                for language in LANGUAGES
            }
        except (KeyError, StopIteration, UnknownUnitError):
            continue
        if names.isdisjoint(taken):
            taken |= names
            usable.append(code)
    return usable


def entities(limits: Limits) -> Entities:
    """All that facts of any split are about: chosen by a hash among what all fifteen languages can name."""
    english = _parsed("en")
    return Entities(
        languages=tuple(
            _nameable(
                _shuffled(code for code in english.languages if len(code) == 2),
                lambda code: [Phrase("language", (code,))],
            )[: limits.languages]
        ),
        territories=tuple(
            _nameable(
                _shuffled(code for code in english.territories if len(code) == 2 and code != "ZZ"),
                lambda code: [Phrase("territory", (code,))],
            )[: limits.territories]
        ),
        currencies=tuple(
            _nameable(
                _shuffled(code for code in english.currencies if code != "XXX"),
                lambda code: [Phrase("currency", (code,)), Phrase("money", (code, 7))],
            )[: limits.currencies]
        ),
        units=tuple(
            _nameable(
                _shuffled(unit for unit in english.unit_display_names if not unit.startswith("duration-")),
                lambda unit: [Phrase("quantity", (unit, 7)), Phrase("quantity, short", (unit, 7))],
            )[: limits.units]
        ),
        counts=tuple(_shuffled(range(2, 100))),
        dates=tuple(_shuffled(date(1990, 1, 1) + timedelta(days=day) for day in range(40 * 365))),
    )
