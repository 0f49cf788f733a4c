"""Evidence that one method is ahead of another: the contrast that decides, paired by seed or as printed."""

from collections.abc import Collection
from dataclasses import replace
from math import isinf, sqrt

from scipy.special import stdtrit

from analysis.aggregate import ZERO_SHOT
from analysis.claims.claim import Ahead, GainsFarther, Ordered
from analysis.claims.contrasts import Contrast, Contrasts, contrasts_of
from analysis.claims.judged import Beside, Evidence, Finding
from analysis.claims.scores import Scores
from analysis.sheets import Sheet
from analysis.statistics import CONFIDENCE, Significance, paired_t, signed_rank, t_interval
from analysis.statistics.bootstrap import bootstrap_interval
from analysis.statistics.interval import standard_error
from analysis.statistics.power import minimum_detectable_effect
from analysis.statistics.sign_flips import sign_flips
from analysis.statistics.two_samples import kolmogorov_smirnov, welch

UNITS = {"accuracy": "points", "perplexity": "perplexity", "sharpness": "sharpness", "CKA": "CKA"}


def compare(question: Ahead | Ordered | GainsFarther, scores: Scores, sheet: Sheet, known: Collection[str]) -> Evidence:
    """What the scores say of the question, among the methods that the paper compares."""
    contrasts = contrasts_of(question, scores, known)
    if not contrasts.alternatives:
        return Evidence(gaps=contrasts.gaps, sufficient=(False, False))
    deciding = contrasts.deciding
    finding = Finding(
        scores.benchmark, _what(deciding), (deciding.first_value, deciding.second_value), deciding.advantage
    )
    level = question.level if isinstance(question, Ahead) else None
    papers = _papers_test(scores, sheet, deciding) if level is not None else None
    if scores.by_seed is None:
        return _printed(finding, scores, sheet, contrasts, papers)
    return _measured(finding, scores, contrasts, papers)


def _printed(
    finding: Finding, scores: Scores, sheet: Sheet, contrasts: Contrasts, papers: Significance | None
) -> Evidence:
    test = _welch(scores, sheet, contrasts.deciding)
    first = papers or test
    return Evidence(
        finding=finding,
        unit=UNITS[scores.metric],
        scale=_scale(scores, contrasts.deciding),
        p=min(1.0, contrasts.choices * first.p) if first else None,
        choices=contrasts.choices,
        test=test,
        papers=papers,
        runs=sheet.printed_seeds or 0,
    )


def _measured(finding: Finding, scores: Scores, contrasts: Contrasts, papers: Significance | None) -> Evidence:
    values = contrasts.deciding.values
    found = Evidence(
        finding=finding,
        unit=UNITS[scores.metric],
        scale=_scale(scores, contrasts.deciding),
        papers=papers,
        differences=tuple(values),
        runs=len(values),
        gaps=contrasts.gaps,
        sufficient=(not contrasts.gaps, contrasts.untried == 0),
        remark=_chosen(contrasts),
    )
    if len(values) < 2:
        return found
    if isinf(standard_error(values)):
        return replace(found, remark=f"All {len(values)} differences are equal, which tells nothing of their spread")
    test = paired_t(values)
    return replace(
        found,
        interval=t_interval(values, contrasts.confidence),
        p=min(1.0, contrasts.choices * test.p),
        choices=contrasts.choices,
        test=test,
        beside=Beside(signed_rank(values), sign_flips(values), bootstrap_interval(values)),
        detectable=minimum_detectable_effect(values, contrasts.confidence),
    )


def _chosen(contrasts: Contrasts) -> str:
    """Which of several decides, and why it."""
    several = len(contrasts.alternatives)
    if several == 1:
        return ""
    highest, deciding = contrasts.highest[0].first, contrasts.best[0].first
    if contrasts.is_ahead or highest == deciding:
        return f"Of {several} that may be it {deciding} decides, which stands best by its mean"
    return f"None of {several} is it by its mean, of which {highest} is best; {deciding} decides, least surely behind"


def _scale(scores: Scores, deciding: Contrast) -> float:
    return deciding.behind if scores.lower_is_better else 1.0


def _papers_test(scores: Scores, sheet: Sheet, deciding: Contrast) -> Significance | None:
    """The test that the paper names for the setting, on mean scores by zero-shot domain: K-S for M2D2, or Wilcoxon."""
    domains = list(scores.zero_shot_domains)
    one, two = (scores.mean.loc[method, domains].to_numpy(dtype=float) for method in (deciding.first, deciding.second))
    if not domains or any(value != value for value in (*one, *two)):
        return None
    if sheet.family == "m2d2":
        return kolmogorov_smirnov(list(one), list(two))
    found = signed_rank(list(one - two))
    return Significance(found.p, found.statistic, found.n, f"{found.formula}, paired by domain")


def _welch(scores: Scores, sheet: Sheet, deciding: Contrast) -> Significance | None:
    """From the printed spreads, where the paper prints any for the column."""
    n = sheet.printed_seeds or 0
    if scores.quantity != "score" or n < 2 or not deciding.column or deciding.column == ZERO_SHOT:
        return None
    spreads = [float(sheet.std[deciding.column][method]) for method in (deciding.first, deciding.second)]
    if any(spread != spread for spread in spreads) or not any(spreads):
        return None
    if sheet.spread == "95% interval":
        half_widths = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) / sqrt(n)
        spreads = [spread / half_widths for spread in spreads]
    return welch(deciding.first_value, spreads[0], n, deciding.second_value, spreads[1], n)


def _what(contrast: Contrast) -> str:
    place = f", {contrast.column}" if contrast.column else ""
    return f"{contrast.first} and {contrast.second}{place}"
