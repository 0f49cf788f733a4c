"""Claims that one method is ahead of another, as contrasts: two numbers whose difference should be positive."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isnan

import numpy as np
from scipy.special import stdtr

from analysis.aggregate import ZERO_SHOT
from analysis.claims.claim import Ahead, GainsFarther, Ordered
from analysis.claims.scores import Scores
from analysis.rounding import DECIMALS
from analysis.statistics import CONFIDENCE, paired_t

_PRINTED = 6
"""Decimals of a difference of two numbers of which the paper prints two at most: the rest is rounding error."""


@dataclass(frozen=True)
class Contrast:
    """By how much `first` is ahead of `second`: positive if the claim is right, in the metric's unit.

    `by_seed` holds the same for each seed that both have; it is empty for what is printed.
    """

    first: str
    second: str
    column: str
    first_value: float
    second_value: float
    advantage: float
    by_seed: Mapping[int, float]
    behind: float
    """The score of the method that should be behind."""

    @property
    def values(self) -> list[float]:
        return list(self.by_seed.values())

    @cached_property
    def support(self) -> tuple[float, float]:
        """How well the claim does here, to find where it does worst: one minus its one-sided p, then the size."""
        n = len(self.by_seed)
        return (float(stdtr(n - 1, paired_t(self.values).statistic)) if n > 1 else 0.5, self.advantage)


@dataclass(frozen=True)
class Contrasts:
    """The claim holds if every contrast of one of the alternatives is positive.

    `gaps` says whose numbers are missing for it, and `untried` how many alternatives have no contrast at all.
    """

    alternatives: tuple[tuple[Contrast, ...], ...]
    gaps: tuple[str, ...]
    untried: int

    @cached_property
    def best(self) -> tuple[Contrast, ...]:
        """The alternative that stands highest by its means, if it is ahead of all.

        If none is, every one has to be refuted, and the one that is refuted the least decides.
        """
        if self.is_ahead:
            return self.highest
        return max(self.alternatives, key=lambda contrasts: _weakest(contrasts).support)

    @cached_property
    def highest(self) -> tuple[Contrast, ...]:
        """The alternative whose smallest advantage is the largest: that with the highest mean."""
        return max(self.alternatives, key=_smallest_advantage)

    @property
    def is_ahead(self) -> bool:
        """Whether the means stand as the claim says."""
        return _smallest_advantage(self.highest) > 0

    @cached_property
    def deciding(self) -> Contrast:
        """The weakest contrast of the best alternative: the claim stands or falls with it."""
        return _weakest(self.best)

    @property
    def choices(self) -> int:
        """From how many the deciding contrast was picked, as far as that has to be corrected for (Bonferroni).

        For the claim every contrast must stand by itself, so that only the choice among alternatives counts; against it
        one contrast of each alternative is enough, so that the choice among contrasts does.
        """
        return len(self.alternatives) if self.deciding.advantage > 0 else len(self.best)

    @property
    def confidence(self) -> float:
        """Of the deciding contrast's interval."""
        return 1 - (1 - CONFIDENCE) / self.choices


def _smallest_advantage(contrasts: tuple[Contrast, ...]) -> float:
    return min(contrast.advantage for contrast in contrasts)


def _weakest(contrasts: tuple[Contrast, ...]) -> Contrast:
    return min(contrasts, key=lambda contrast: contrast.support)


Pair = tuple[str, str, str]
"""The method that should be ahead, the other, and the column."""


def contrasts_of(question: Ahead | Ordered | GainsFarther, scores: Scores, known: Collection[str]) -> Contrasts:
    """The question's contrasts among the methods that the paper compares here, `known`."""
    if isinstance(question, GainsFarther):
        far, near = ((question.method, question.other, column) for column in (ZERO_SHOT, scores.train_domain))
        gain = _gain_beyond(_contrast(scores, *far), _contrast(scores, *near))
        return Contrasts(((gain,),) if gain else (), _gaps({far: gain}, scores), untried=0 if gain else 1)
    wanted = [
        [pair for pair in pairs if pair[0] in known and pair[1] in known] for pairs in _alternatives(question, scores)
    ]
    by_pair = {pair: _contrast(scores, *pair) for pairs in wanted for pair in pairs}
    found = [tuple(filter(None, map(by_pair.__getitem__, pairs))) for pairs in wanted if pairs]
    return Contrasts(
        alternatives=tuple(contrasts for contrasts in found if contrasts),
        gaps=_gaps(by_pair, scores),
        untried=sum(not contrasts for contrasts in found),
    )


def _alternatives(question: Ahead | Ordered, scores: Scores) -> list[list[Pair]]:
    columns = scores.columns(question.columns)
    if isinstance(question, Ordered):
        neighbours = zip(question.methods, question.methods[1:], strict=False)
        return [[(first, second, column) for first, second in neighbours for column in columns]]
    by_method = [
        [(method, other, column) for other in question.others for column in columns] for method in question.methods
    ]
    return [[pair for pairs in by_method for pair in pairs]] if question.every else by_method


def _gaps(by_pair: Mapping[Pair, Contrast | None], scores: Scores) -> tuple[str, ...]:
    """Which methods have no number, and which two have none in common."""
    gaps = []
    for first, second, _ in (pair for pair, contrast in by_pair.items() if contrast is None):
        unknown = [method for method in (first, second) if method not in scores.methods]
        gaps += unknown or [f"a seed with both {first} and {second}"]
    return tuple(dict.fromkeys(gaps))


def _contrast(scores: Scores, first: str, second: str, column: str) -> Contrast | None:
    """None where one of the two has no number, or no seed in common with the other."""
    if not {first, second} <= set(scores.methods) or column not in scores.mean:
        return None
    sign = -1 if scores.lower_is_better else 1
    if scores.by_seed is None:
        one, two = (float(scores.mean[column][method]) for method in (first, second))
        if isnan(one) or isnan(two):
            return None
        return Contrast(first, second, column, one, two, round(sign * (one - two), _PRINTED), {}, two)
    ours, theirs = scores.values(first, column), scores.values(second, column)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    by_seed = {seed: round(sign * (ours[seed] - theirs[seed]), DECIMALS) for seed in seeds}
    one, two = (float(np.mean([values[seed] for seed in seeds])) for values in (ours, theirs))
    return Contrast(first, second, column, one, two, float(np.mean(list(by_seed.values()))), by_seed, two)


def _gain_beyond(far: Contrast | None, near: Contrast | None) -> Contrast | None:
    """The gain on the zero-shot average against that on the training domain."""
    if far is None or near is None:
        return None
    by_seed = {seed: gain - near.by_seed[seed] for seed, gain in far.by_seed.items() if seed in near.by_seed}
    if far.by_seed and not by_seed:
        return None
    return Contrast(
        first=f"{far.first}'s gain over {far.second}, {far.column}",
        second=near.column,
        column="",
        first_value=far.advantage,
        second_value=near.advantage,
        advantage=float(np.mean(list(by_seed.values())))
        if by_seed
        else round(far.advantage - near.advantage, _PRINTED),
        by_seed=by_seed,
        behind=far.behind,
    )
