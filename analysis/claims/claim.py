"""What a claim is: a sentence of the paper, where it stands, and the question that decides it, as data."""

from dataclasses import dataclass
from typing import Literal

Quantity = Literal["score", "sharpness", "CKA"]
"""The benchmark's own metric, or what a probe measured on the trained model."""

Columns = Literal["training domain", "ZS Avg", "every zero-shot domain", "domains off the trend"]
"""Where methods are compared. Off the trend are the paper's two anticorrelated domains, Art and Phil.; a benchmark that
has neither names the two whose scores follow the training domain's least."""


@dataclass(frozen=True)
class Ahead:
    """One of `methods`, or each one if `every`, is better than all `others` in all of the columns.

    `level` is the significance that the paper prints for it.
    """

    methods: tuple[str, ...]
    others: tuple[str, ...]
    columns: Columns = "ZS Avg"
    every: bool = False
    quantity: Quantity = "score"
    level: float | None = None


@dataclass(frozen=True)
class Ordered:
    """Each of `methods` is better than the next."""

    methods: tuple[str, ...]
    columns: Columns = "ZS Avg"


@dataclass(frozen=True)
class GainsFarther:
    """`method` gains more over `other` on the average of unseen domains than on the training domain."""

    method: str
    other: str


@dataclass(frozen=True)
class Trend:
    """Over methods, scores of the columns rise (`sign` 1) or fall (-1) with those of the training domain."""

    sign: Literal[1, -1]
    columns: Columns
    level: float


@dataclass(frozen=True)
class Steadier:
    """The zero-shot scores of `method` differ less between seeds than those of `other`."""

    method: str
    other: str


@dataclass(frozen=True)
class Costs:
    """A step of each of `methods` takes so many more forward and backward passes than one of `other`."""

    methods: tuple[str, ...]
    other: str
    more: tuple[int, int]


@dataclass(frozen=True)
class Within:
    """No step's d of any of `methods` is above `ceiling`."""

    methods: tuple[str, ...]
    ceiling: float


Question = Ahead | Ordered | GainsFarther | Trend | Steadier | Costs | Within


@dataclass(frozen=True)
class Claim:
    """One row: the paper's claim in our words, and what decides it."""

    id: str
    sentence: str
    where: str
    """The table or section that makes it."""
    sheets: tuple[str, ...]
    """The published sheets that it is made about."""
    question: Question


def quantity_of(claim: Claim) -> Quantity:
    """What the claim is about."""
    return claim.question.quantity if isinstance(claim.question, Ahead) else "score"


def level_of(claim: Claim) -> float | None:
    """The significance that the paper prints for it; None where it prints none."""
    return claim.question.level if isinstance(claim.question, Ahead | Trend) else None
