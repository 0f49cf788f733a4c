"""What came of a claim on one benchmark: the numbers that decide it, how sure they are, and the verdict."""

from dataclasses import dataclass
from typing import Literal

from analysis.claims.claim import Claim
from analysis.sheets import Family, Origin
from analysis.statistics import CONFIDENCE, Bounds, Interval, Significance

ALPHA = 1 - CONFIDENCE
LUCK = "†"
"""Marks a verdict that does not survive correction for the other tests."""

Verdict = Literal[
    "replicated", "contradicted", "undecided", "not enough runs", "not run",
    "follows", "does not follow", "not printed",
]  # fmt: skip
"""The first five of results of ours, the last three of the paper's tables."""


@dataclass(frozen=True)
class Finding:
    """The numbers that decide a claim in one place; `effect` is positive where they speak for it."""

    benchmark: str
    what: str
    values: tuple[float, ...]
    effect: float | None


@dataclass(frozen=True)
class Beside:
    """What else the deciding differences give, to be shown beside Student's interval."""

    signed_rank: Significance
    sign_flips: Significance
    bootstrap: Bounds


@dataclass(frozen=True)
class Evidence:
    """A finding with all that can be computed about it, before any verdict.

    `test` belongs to the interval or, printed numbers having none, to their spreads; `papers` is the one that the paper
    names for the claim. `p` is that of the deciding test, times the choices that it was picked from.

    `holds` where it was counted and not sampled, as passes are: whether it is so. `sufficient` tells whether what is
    there may speak for the claim and against it, which with methods missing it may not.
    """

    finding: Finding | None = None
    unit: str = ""
    scale: float = 1.0
    """What effects are measured against where theirs and ours are not on one scale: perplexity and sharpness by the
    score of the method that should be behind. Points, correlations and the like are what they are."""
    interval: Interval | Bounds | None = None
    p: float | None = None
    choices: int = 1
    test: Significance | None = None
    papers: Significance | None = None
    beside: Beside | None = None
    detectable: float | None = None
    differences: tuple[float, ...] = ()
    """The effect by seed, where it is a difference."""
    runs: int = 0
    counted: str = "seeds"
    holds: bool | None = None
    gaps: tuple[str, ...] = ()
    sufficient: tuple[bool, bool] = (True, True)
    remark: str = ""
    """What else is to be said: why nothing could be tested, what the paper prints besides."""


@dataclass(frozen=True)
class Need:
    """What a claim lacks on one benchmark: runs of `methods` with `seeds`, and a probe of the runs of `probed`.

    With `seeds` and without methods it is runs of all that the suite has.
    """

    suite: str
    benchmark: str
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    probe: str = ""
    probed: tuple[str, ...] = ()
    option: str = ""
    """What tells the commands where the results are, as ` --results elsewhere`; empty where they look themselves."""


@dataclass(frozen=True)
class Judged:
    """One claim on one benchmark, of ours or of the paper's tables."""

    claim: Claim
    benchmark: str
    family: Family
    origin: Origin
    published: tuple[Finding, ...]
    """By the paper's tables; for those themselves the one finding that is judged."""
    evidence: Evidence
    target: float | None
    """The effect that the paper prints for it, the mean where it prints several, in the benchmark's own scale."""
    verdict: Verdict
    corrected: float | None = None
    """p after Holm's correction over the `tested` claims of the family."""
    tested: int = 0
    needed: int | None = None
    """How many seeds would show an effect of the paper's size with probability 0.8."""
    why: str = ""
    need: Need | None = None
    command: str | None = None
    """What would fill the gaps, one line of the shell."""

    @property
    def is_decided(self) -> bool:
        """Whether it comes down on one side, for the claim or against it."""
        return self.verdict in ("replicated", "contradicted", "follows")

    @property
    def may_be_luck(self) -> bool:
        """Whether it is decided, and p of its test, corrected for the others of the family, is not below 0.05."""
        return self.is_decided and self.corrected is not None and self.corrected >= ALPHA

    @property
    def mark(self) -> str:
        """What the verdict is shown with."""
        return LUCK if self.may_be_luck else ""

    @property
    def marked(self) -> str:
        """The verdict as it is shown."""
        return f"{self.verdict} {self.mark}".rstrip()
