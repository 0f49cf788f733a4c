"""Better, worse or neither than the baseline: ours by an interval, the paper's by its printed numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.statistics import CONFIDENCE, Interval, side_of_zero

Direction = Literal["better", "worse", "no difference seen"]
Agreement = Literal["agrees", "opposite", "undecided"]

MINIATURE = (
    "Miniature models and data may disagree with the paper without refuting it, and agree without confirming it."
)


def direction(difference: float, lower_is_better: bool) -> Direction:
    """Where a difference to the baseline points."""
    if difference == 0:
        return "no difference seen"
    return "better" if (difference < 0) == lower_is_better else "worse"


@dataclass(frozen=True)
class Verdict:
    """Ours, from `pairs` paired seeds; a single one gives a sign and no more, and says so."""

    direction: Direction
    pairs: int

    def __str__(self) -> str:
        if self.pairs > 1:
            return self.direction
        return "equal (1 seed)" if self.direction == "no difference seen" else f"{self.direction} (1 seed)"


def verdict(difference: Interval, lower_is_better: bool) -> Verdict:
    """Better or worse if the interval excludes 0, or by its sign alone if there is a single pair."""
    if difference.n > 1 and side_of_zero(difference) == 0:
        return Verdict("no difference seen", difference.n)
    return Verdict(direction(difference.mean, lower_is_better), difference.n)


@dataclass(frozen=True)
class PublishedVerdict:
    """The paper's, over the columns that have the method: how many are better, worse or the same."""

    better: int
    worse: int
    same: int

    @property
    def direction(self) -> Direction | Literal["mixed"]:
        if self.better and self.worse:
            return "mixed"
        if self.better or self.worse:
            return "better" if self.better else "worse"
        return "no difference seen"

    def __str__(self) -> str:
        columns = self.better + self.worse + self.same
        count = {"worse": self.worse, "no difference seen": self.same}.get(self.direction, self.better)
        name = "same" if self.direction == "no difference seen" else self.direction
        return f"{name} {count}/{columns}"


def published_verdict(differences: Sequence[float], lower_is_better: bool) -> PublishedVerdict | None:
    """The paper's verdict by the differences of its printed means; None where it has none."""
    if not differences:
        return None
    counts = Counter(direction(difference, lower_is_better) for difference in differences)
    return PublishedVerdict(counts["better"], counts["worse"], counts["no difference seen"])


def agreement(ours: Verdict | None, paper: PublishedVerdict | None) -> Agreement | None:
    """Whether both point the same way; None where either is absent or the paper's own columns point both ways."""
    if ours is None or paper is None or paper.direction == "mixed":
        return None
    if ours.direction == paper.direction:
        return "agrees"
    if "no difference seen" in (ours.direction, paper.direction):
        return "undecided"
    return "opposite"


Compared = tuple[Verdict | None, Agreement | None]


def count_sentence(comparisons: Iterable[Compared]) -> str:
    """How many of the comparisons agree with the paper, counted; those without a counterpart are not counted."""
    agreements = [agrees for _, agrees in _comparable(comparisons)]
    if not agreements:
        return "nothing here has a counterpart in the paper."
    counts = Counter(agreements)
    return (
        f"ours agrees with the paper in {counts['agrees']} of {len(agreements)} comparisons, points the other way in "
        f"{counts['opposite']} and leaves {counts['undecided']} undecided."
    )


def caveat_sentence(comparisons: Iterable[Compared]) -> str:
    """What those counts cannot say."""
    compared = _comparable(comparisons)
    single = sum(ours.pairs == 1 for ours, _ in compared)
    repeated = len(compared) - single
    parts = [MINIATURE]
    if single:
        parts.append(
            f"A comparison on a single seed, as {single} of the {len(compared)} are, gives a sign and settles nothing."
        )
    if repeated:
        chance = repeated * (1 - CONFIDENCE)
        parts.append(
            "Intervals are not corrected for their number: were there no differences at all, "
            f"about {chance:.1f} of {repeated} would still exclude 0."
        )
    return " ".join(parts)


def _comparable(comparisons: Iterable[Compared]) -> list[tuple[Verdict, Agreement]]:
    return [(ours, agrees) for ours, agrees in comparisons if ours is not None and agrees is not None]
