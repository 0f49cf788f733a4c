"""All claims as one table, and as JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from analysis.cells import NOTHING, Cell, Column, Row, Table, text_cell, text_column
from analysis.claims.claim import Claim
from analysis.claims.judged import Finding, Judged
from analysis.claims.reasons import interval_text, number_text, p_text, signed, values_text
from analysis.statistics import CONFIDENCE
from analysis.verdicts import MINIATURE

CAPTION = (
    "A difference is positive where it speaks for the claim. Its interval decides: of 95%, or of more where the method "
    "or the domain that decides was picked from several. Holm p: corrected for all tests on one family's benchmarks."
)
PUBLISHED_CAPTION = (
    "Which claims follow from the numbers that the paper prints: the order of its means, and its test where the claim "
    "names one. A difference is positive where it speaks for the claim."
)


def claims_table(judged: Sequence[Judged]) -> Table:
    """A section per claim, a row per benchmark."""
    published = any(one.origin == "published" for one in judged)
    claims = list(dict.fromkeys(one.claim for one in judged))
    columns = (
        text_column("claim"),
        text_column("benchmark"),
        Column("numbers", ("what", "numbers"), is_number=False),
        Column("difference", ("difference", "low", "high", "interval", "bootstrap low", "bootstrap high")),
        Column("p", ("p", "test", "test p", "signed-rank p", "sign-flip p", "paper's test", "paper's test p")),
        Column("Holm p", ("Holm p",)),
        text_column("verdict"),
        Column("why", ("why", "runs", "detectable", "paper's effect here", "seeds needed", "command"), is_number=False),
    )
    sections = [tuple(_row(one) for one in judged if one.claim == claim) for claim in claims]
    return Table(
        name="claims",
        title="The paper's claims",
        caption=PUBLISHED_CAPTION if published else CAPTION,
        columns=columns,
        sections=tuple(sections),
        notes=(summary(judged), *([MINIATURE] if any(one.benchmark.startswith("mini-") for one in judged) else [])),
        headings=tuple(f"{claim.sentence} {source(claim, judged)}" for claim in claims),
        labels=2,
    )


def summary(judged: Sequence[Judged]) -> str:
    """How many of each verdict."""
    counts = Counter(one.verdict for one in judged)
    parts = [f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    lucky = sum(
        1 for one in judged if one.verdict in ("replicated", "contradicted") and (one.corrected or 0) >= 1 - CONFIDENCE
    )
    claims = len({one.claim.id for one in judged})
    text = f"{claims} claims judged {len(judged)} times: {', '.join(parts)}."
    counted = sum(1 for one in judged if one.verdict == "replicated" and one.evidence.holds is not None)
    if counted:
        text += f" {counted} of those replicated are counted, as passes are, and could not have come out by luck."
    return f"{text} {lucky} of those decided by a test do not survive Holm's correction." if lucky else text


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
        text_cell(judged.verdict),
        Cell(
            judged.why,
            (judged.why, evidence.runs, evidence.detectable, judged.target, judged.needed, judged.command),
        ),
    )


def as_json(judged: Sequence[Judged]) -> str:
    """Everything that is known of each, with the claim's question and every test; infinite numbers are null."""
    content = [
        _finite(asdict(one)) | {"claim": {"kind": type(one.claim.question).__name__, **asdict(one.claim)}}
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
