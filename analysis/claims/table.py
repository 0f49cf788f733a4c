"""All claims as one table, and as JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from analysis.cells import NOTHING, Cell, Column, Row, Table, p_text, text_cell, text_column
from analysis.claims.claim import Claim
from analysis.claims.commands import by_hand, commands
from analysis.claims.judged import LUCK, Finding, Judged, Need
from analysis.claims.reasons import interval_text, number_text, signed, values_text
from analysis.verdicts import MINIATURE

CAPTION = (
    "A difference is positive where it speaks for the claim; of two spreads over seeds it is the logarithm of their "
    "ratio, and a trend has its r instead. Its interval decides: of 95%, or of more where the method "
    "or the domain that decides was picked from several. Holm p: corrected for all tests on one family's benchmarks; "
    f"{LUCK} marks a verdict that its own test decides and that this correction would leave open."
)
PUBLISHED_CAPTION = (
    "Which claims follow from the numbers that the paper prints: the order of its means, and its test where the claim "
    "names one. A difference is positive where it speaks for the claim; of two spreads over seeds it is the logarithm "
    "of their ratio, and a trend has its r instead. p: of that test, or of the printed spreads. "
    f"Holm p: corrected for all tests on one family's tables; {LUCK} marks an order that this leaves to luck."
)


def claims_table(judged: Sequence[Judged], remarks: Sequence[str] = ()) -> Table:
    """A section per claim, a row per benchmark; `remarks` are on all the numbers."""
    claims = list(dict.fromkeys(one.claim for one in judged))
    columns = (
        text_column("claim"),
        text_column("benchmark"),
        Column("numbers", ("what", "numbers"), is_number=False),
        Column("difference", ("difference", "low", "high", "interval", "bootstrap low", "bootstrap high")),
        Column("p", ("p", "test", "test p", "signed-rank p", "sign-flip p", "paper's test", "paper's test p")),
        Column("Holm p", ("Holm p",)),
        Column("verdict", ("verdict", "survives correction"), is_number=False),
        Column(
            "why",
            ("why", "runs", "detectable", "paper's effect here", "seeds needed", "command"),
            is_number=False,
            is_prose=True,
        ),
    )
    sections = [tuple(_row(one) for one in judged if one.claim == claim) for claim in claims]
    return Table(
        name="claims",
        title="The paper's claims",
        caption=PUBLISHED_CAPTION if _is_published(judged) else CAPTION,
        columns=columns,
        sections=tuple(sections),
        notes=(*remarks, *notes(judged), *(f"To run what is missing: {line}" for line in missing(judged))),
        headings=tuple(f"{claim.sentence} {source(claim, judged)}" for claim in claims),
        labels=2,
    )


def notes(judged: Sequence[Judged]) -> tuple[str, ...]:
    """What all verdicts come to, what they cannot say, and what is missing that no command makes."""
    is_miniature = any(one.benchmark.startswith("mini-") for one in judged)
    return (summary(judged), *([MINIATURE] if is_miniature else []), *by_hand(_needs(judged)))


def missing(judged: Sequence[Judged]) -> tuple[str, ...]:
    """The commands that make all that claims lack, for which methods, domains or probes were not run."""
    return commands(_needs(judged))


def _needs(judged: Sequence[Judged]) -> list[Need]:
    return [one.need for one in judged if one.need is not None and one.verdict == "not run"]


def summary(judged: Sequence[Judged]) -> str:
    """How many of each verdict."""
    counts = Counter(one.verdict for one in judged)
    parts = [f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    lucky = sum(one.may_be_luck for one in judged)
    claims = len({one.claim.id for one in judged})
    text = f"{claims} claims judged {len(judged)} times: {', '.join(parts)}."
    counted = sum(1 for one in judged if one.verdict == "replicated" and one.evidence.holds is not None)
    if counted:
        text += f" {counted} of those replicated are counted, as passes are, and could not have come out by luck."
    if not lucky:
        return text
    which = (
        "of those that follow may be luck by" if _is_published(judged) else "of those decided by a test do not survive"
    )
    return f"{text} {lucky} {which} Holm's correction ({LUCK})."


def _is_published(judged: Sequence[Judged]) -> bool:
    return any(one.origin == "published" for one in judged)


def source(claim: Claim, judged: Sequence[Judged]) -> str:
    """Where the paper makes the claim and, beside results of ours, its differences there."""
    found = [finding for one in judged if one.claim == claim and one.origin == "ours" for finding in one.published]
    numbers = ", ".join(dict.fromkeys(map(_printed, found)))
    return f"({claim.where}: {numbers})" if numbers else f"({claim.where})"


def numbers_text(judged: Judged) -> str:
    evidence = judged.evidence
    if evidence.finding is None:
        return NOTHING
    return values_text(evidence.finding, evidence.unit, judged.origin == "published")


def difference_text(judged: Judged) -> str:
    """The effect with its interval."""
    evidence = judged.evidence
    finding = evidence.finding
    if finding is None or finding.effect is None:
        return NOTHING
    text = signed(finding.values[0] if evidence.unit == "r" else finding.effect)
    return f"{text} {interval_text(evidence, evidence.interval)}" if evidence.interval is not None else text


def _printed(finding: Finding) -> str:
    if finding.effect is None:
        return values_text(finding, "passes", printed=True)
    if len(finding.values) == 1:
        return f"r = {number_text(finding.values[0])}"
    return signed(finding.effect)


def _row(judged: Judged) -> Row:
    evidence = judged.evidence
    finding, interval, beside = evidence.finding, evidence.interval, evidence.beside
    effect = finding.effect if finding is not None else None
    return (
        text_cell(judged.claim.id),
        text_cell(judged.benchmark),
        Cell(numbers_text(judged), (finding.what if finding else None, numbers_text(judged))),
        Cell(
            difference_text(judged),
            (
                effect,
                *((interval.low, interval.high, interval.formula) if interval else (None,) * 3),
                *((beside.bootstrap.low, beside.bootstrap.high) if beside else (None,) * 2),
            ),
        ),
        Cell(
            NOTHING if evidence.p is None else p_text(evidence.p),
            (
                evidence.p,
                *((evidence.test.formula, evidence.test.p) if evidence.test else (None,) * 2),
                *((beside.signed_rank.p, beside.sign_flips.p) if beside else (None,) * 2),
                *((evidence.papers.formula, evidence.papers.p) if evidence.papers else (None,) * 2),
            ),
        ),
        Cell(NOTHING if judged.corrected is None else p_text(judged.corrected), (judged.corrected,)),
        Cell(judged.marked, (judged.verdict, _survives(judged))),
        Cell(
            judged.why,
            (judged.why, evidence.runs, evidence.detectable, judged.target, judged.needed, judged.command),
        ),
    )


def _survives(judged: Judged) -> str | None:
    if not judged.is_decided or judged.corrected is None:
        return None
    return "no" if judged.may_be_luck else "yes"


def as_json(judged: Sequence[Judged]) -> str:
    """Everything that is known of each, with the claim's question and every test; infinite numbers are null."""
    content = [
        _finite(asdict(one))
        | {"claim": {"kind": type(one.claim.question).__name__, **asdict(one.claim)}, "may_be_luck": one.may_be_luck}
        for one in judged
    ]
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_finite(entry) for entry in value]
        case float() if not isfinite(value):
            return None
        case _:
            return value
