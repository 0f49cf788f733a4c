"""Evidence on trends over methods, and on spreads over seeds: correlations rather than differences."""

from dataclasses import dataclass
from math import log
from statistics import mean, stdev

from analysis.aggregate import ZERO_SHOT
from analysis.claims.claim import Steadier, Trend
from analysis.claims.judged import Evidence, Finding
from analysis.claims.scores import Scores
from analysis.correlated import correlated_methods, left_out, wanted_methods
from analysis.published import read_rows
from analysis.sheets import Sheet
from analysis.statistics import CONFIDENCE, Bounds
from analysis.statistics.correlation import pearson
from analysis.statistics.power import minimum_detectable_correlation
from analysis.statistics.variances import detectable_log_ratio, paired_spread

LEAST_POINTS = 4
"""Fewer have no interval."""
_SPLITS = {"m2d2-wiki": "Wiki", "m2d2-s2orc": "S2ORC"}


@dataclass(frozen=True)
class _Pick:
    """Which column decides, and by how much what speaks for and against the claim is corrected for the choice."""

    column: str
    choices: tuple[int, int]


def follow(question: Trend, scores: Scores, sheet: Sheet) -> Evidence:
    """Pearson's r over the methods of the paper's Table 9: no combination, and no model before training."""
    columns = scores.columns(question.columns)
    complete = scores.mean[[scores.train_domain, *columns]].dropna()
    methods = [method for method in correlated_methods(sheet) if method in complete.index]
    lacking = left_out(sheet)
    gaps = tuple(
        f"seeds of {method}" if method in lacking else method
        for method in wanted_methods(sheet)
        if method not in methods
    )
    if len(methods) < LEAST_POINTS:
        return Evidence(gaps=gaps, sufficient=(False, False), runs=len(methods), counted="methods")
    points = complete.loc[methods]
    train = points[scores.train_domain].tolist()
    constant = [name for name in (scores.train_domain, *columns) if points[name].nunique() == 1]
    if constant:
        return Evidence(
            runs=len(methods), counted="methods", remark=f"Nothing to test: all methods score the same on {constant[0]}"
        )
    signed = {column: question.sign * pearson(points[column].tolist(), train).r for column in columns}
    pick = _pick(question, scores, signed)
    choices = pick.choices[0] if signed[pick.column] > 0 else pick.choices[1]
    confidence = 1 - (1 - CONFIDENCE) / choices
    found = pearson(points[pick.column].tolist(), train, confidence)
    return Evidence(
        finding=Finding(scores.benchmark, f"{pick.column} with {scores.train_domain}", (found.r,), signed[pick.column]),
        unit="r",
        interval=_turned(found.bounds, question.sign),
        p=min(1.0, choices * found.test.p),
        choices=choices,
        test=found.test,
        detectable=minimum_detectable_correlation(len(methods), confidence),
        runs=len(methods),
        counted="methods",
        gaps=gaps,
        sufficient=(not gaps, not gaps),
        remark=_printed_in_table_9(scores, pick.column) if scores.by_seed is None else "",
    )


def _pick(question: Trend, scores: Scores, signed: dict[str, float]) -> _Pick:
    """The column that supports the claim least.

    Two columns that were picked as the least correlated of m stand for "at least two of m are anticorrelated", whose p
    is m - 1 times the second smallest; against it the second smallest speaks by itself.
    """
    column = min(signed, key=signed.__getitem__)
    if question.columns == "domains off the trend" and not scores.named_off_trend:
        return _Pick(column, (len(scores.zero_shot_domains) - 1, 1))
    return _Pick(column, (1, len(signed)))


def _turned(bounds: Bounds, sign: int) -> Bounds:
    if sign > 0:
        return bounds
    return Bounds(-bounds.estimate, -bounds.high, -bounds.low, bounds.n, bounds.formula)


def _printed_in_table_9(scores: Scores, column: str) -> str:
    """The paper's own r, from numbers with more digits than it prints."""
    for row in read_rows("table_09_domain_correlation"):
        if row["split"] == _SPLITS.get(scores.benchmark) and row["domain"] == column.replace(" ", "_"):
            return f"Table 9 prints {row['rho']}"
    return ""


def spread(question: Steadier, scores: Scores, sheet: Sheet) -> Evidence:
    """ln of the ratio of two standard deviations over seeds, of the zero-shot average; printed, of the mean spread."""
    pair = (question.method, question.other)
    gaps = tuple(method for method in pair if method not in scores.methods)
    if gaps:
        return Evidence(gaps=gaps, sufficient=(False, False))
    if scores.by_seed is None:
        spreads = [mean(sheet.std.loc[[method], list(sheet.zero_shot_domains)].to_numpy().ravel()) for method in pair]
        return Evidence(_spread_finding(scores, pair, spreads), unit="ln of the ratio", runs=sheet.printed_seeds or 0)
    ours, theirs = (scores.values(method, ZERO_SHOT) for method in pair)
    seeds = sorted(ours.keys() & theirs.keys())
    samples = [[values[seed] for seed in seeds] for values in (ours, theirs)]
    try:
        bounds, test = paired_spread(samples[1], samples[0])
    except ValueError as error:
        return Evidence(runs=len(seeds), remark=f"Nothing to test: {error}")
    return Evidence(
        finding=_spread_finding(scores, pair, [stdev(sample) for sample in samples]),
        unit="ln of the ratio",
        interval=bounds,
        p=test.p,
        test=test,
        detectable=detectable_log_ratio(bounds),
        runs=len(seeds),
    )


def _spread_finding(scores: Scores, pair: tuple[str, str], spreads: list[float]) -> Finding:
    what = f"Standard deviations of {pair[0]} and {pair[1]}, {ZERO_SHOT}"
    return Finding(scores.benchmark, what, tuple(spreads), log(spreads[1] / spreads[0]))
