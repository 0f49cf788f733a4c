"""Judge: every claim on every benchmark that it is about, from what is there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import mean
from typing import get_args

from analysis.claims.claim import Claim, Costs, Quantity, Steadier, Trend, Within, level_of, quantity_of
from analysis.claims.commands import commands, need_of
from analysis.claims.comparing import compare
from analysis.claims.judged import Evidence, Judged
from analysis.claims.reasons import reason
from analysis.claims.rows import CLAIMS
from analysis.claims.scores import Scores, scores_of
from analysis.claims.steps import bounded, cost, printed_cost
from analysis.claims.trends import follow, spread
from analysis.claims.verdicts import own_verdict, printed_verdict
from analysis.failures import OfMethods, in_brief, of_method, of_methods
from analysis.records import Results
from analysis.sheets import Sheet, counterparts, published_sheets, sheets_of
from analysis.statistics import Interval
from analysis.statistics.families import holm
from analysis.statistics.power import seeds_needed
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record


@dataclass(frozen=True, eq=False)
class _Place:
    """Where claims are judged: a sheet, the records and the probes of its runs, and the paper's sheets beside it."""

    sheet: Sheet
    records: tuple[Record, ...] = ()
    probes: tuple[ProbeRecord, ...] = ()
    printed: tuple["_Place", ...] = ()
    lost: OfMethods = field(default_factory=dict)

    @cached_property
    def _scores(self) -> dict[Quantity, Scores]:
        return {quantity: scores_of(self.sheet, quantity, self.probes) for quantity in get_args(Quantity)}

    def scores(self, claim: Claim) -> Scores:
        return self._scores[quantity_of(claim)]


def judge(results: Results, benchmarks: Collection[str] = (), claims: Sequence[Claim] = CLAIMS) -> tuple[Judged, ...]:
    """Every claim on every benchmark of the results that it is about; only on `benchmarks` if any is named.

    Holm's correction is over all claims that are tested on benchmarks of one family.
    """
    sheets = [sheet for sheet in sheets_of(results) if not benchmarks or sheet.name in benchmarks]
    printed = {sheet.name: _Place(sheet) for sheet in published_sheets()}
    places = [_place(sheet, results, printed) for sheet in sheets]
    judged = [_judge(claim, place, results) for claim in claims for place in places if _is_about(claim, place)]
    return tuple(map(_with_reason, _corrected(judged)))


def _place(sheet: Sheet, results: Results, printed: Mapping[str, _Place]) -> _Place:
    if sheet.origin == "published":
        return replace(printed[sheet.name], printed=(printed[sheet.name],))
    return _Place(
        sheet,
        tuple(record for record in results.records if record.benchmark == sheet.name),
        tuple(record for record in results.probes if record.benchmark == sheet.name),
        tuple(printed[other.name] for other in counterparts(sheet)),
        of_methods(results.lost),
    )


def _is_about(claim: Claim, place: _Place) -> bool:
    """A published sheet by its name, ours by those that it stands beside."""
    return any(printed.sheet.name in claim.sheets for printed in place.printed)


def _judge(claim: Claim, place: _Place, results: Results) -> Judged:
    sheet = place.sheet
    beside = [printed for printed in place.printed if printed.sheet.name in claim.sheets]
    # The methods that the paper compares: those of its tables about the claim, in its order.
    known = tuple(dict.fromkeys(method for printed in beside for method in printed.scores(claim).methods))
    printed = [_evidence(claim, other, known) for other in beside]
    findings = tuple(found.finding for found in printed if found.finding is not None)
    if sheet.origin == "published":
        verdict = printed_verdict(printed[0], level_of(claim))
        return Judged(claim, sheet.name, sheet.family, "published", findings, printed[0], None, verdict)
    evidence = _evidence(claim, place, known)
    target = _target(evidence, printed)
    verdict = own_verdict(evidence, target, level_of(claim))
    needed = _needed(evidence, target) if verdict == "not enough runs" else None
    is_open = verdict in ("not run", "not enough runs")
    need = need_of(claim, evidence, sheet, place.scores(claim), results, needed) if is_open else None
    told = replace(evidence, gaps=tuple(_told(gap, place) for gap in evidence.gaps))
    return Judged(
        claim, sheet.name, sheet.family, "ours", findings, told, target, verdict,
        needed=needed, need=need, command=(" && ".join(commands([need])) or None) if need else None,
    )  # fmt: skip


def _told(method: str, place: _Place) -> str:
    """A method that is missing, and whether that is because files are left out."""
    why = in_brief(of_method(place.lost, place.sheet.name, method).values())
    return f"{method} ({why})" if why else method


def _needed(evidence: Evidence, target: float | None) -> int | None:
    """How many seeds would show the paper's effect, by the spread of the differences seen."""
    if target is None or len(evidence.differences) < 2 or not isinstance(evidence.interval, Interval):
        return None
    return seeds_needed(evidence.differences, target, evidence.interval.confidence)


def _evidence(claim: Claim, place: _Place, known: Sequence[str]) -> Evidence:
    question, sheet, scores = claim.question, place.sheet, place.scores(claim)
    match question:
        case Trend():
            return follow(question, scores, sheet)
        case Steadier():
            return spread(question, scores, sheet)
        case Costs():
            published = sheet.origin == "published"
            return printed_cost(question, sheet.name) if published else cost(question, place.records, sheet.name)
        case Within():
            return bounded(question, place.records, sheet.name)
        case _:
            return compare(question, scores, sheet, known)


def _target(evidence: Evidence, printed: Iterable[Evidence]) -> float | None:
    """The mean of the effects that the paper prints, in the scale of ours; None where they are not in its favour."""
    effects = [
        found.finding.effect * evidence.scale / found.scale
        for found in printed
        if found.finding is not None and found.finding.effect is not None
    ]
    return mean(effects) if effects and evidence.finding is not None and mean(effects) > 0 else None


def _corrected(judged: Sequence[Judged]) -> list[Judged]:
    """Each with its p corrected for the claims of its family, the paper's tables and ours apart."""
    corrected = list(judged)
    for family in dict.fromkeys(one.family for one in judged):
        tested = [i for i, one in enumerate(judged) if one.family == family and one.evidence.p is not None]
        ps = holm([p for i in tested if (p := judged[i].evidence.p) is not None])
        for i, p in zip(tested, ps, strict=True):
            corrected[i] = replace(judged[i], corrected=p, tested=len(tested))
    return corrected


def _with_reason(judged: Judged) -> Judged:
    return replace(judged, why=reason(judged))
