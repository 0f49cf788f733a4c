"""Tables of scores, a row per method and a column per domain: the paper's 4, 5, 10, 11, 12 and 14."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isinf, isnan, nan

import numpy as np
import pandas as pd

from analysis.aggregate import ZERO_SHOT, seeds_text
from analysis.cells import Cell, Column, Mark, Row, Table, text_cell, text_column, two_decimals
from analysis.failures import OfMethods, at_length, in_a_word, in_brief, of_method
from analysis.methods import in_order
from analysis.paper.material import Material
from analysis.paper.sections import sectioned, trained
from analysis.rounding import measured
from analysis.sheets import Sheet
from analysis.statistics import Interval, t_interval
from benchmarks.registry import BENCHMARKS
from benchmarks.registry import ZERO_SHOT as UNTRAINED

Chosen = Callable[[str], bool]

SIGNIFICANCE_NOTE = (
    "*: differs from {baseline}; the 95% t interval of the differences, paired by seed, excludes 0. Not corrected for "
    "the number of comparisons."
)


def score_tables(material: Material, name: str, number: int, of: str, chosen: Chosen = lambda _: True) -> list[Table]:
    """The table of the paper's sheet `of`: one for each sheet of ours beside it, or the paper's numbers alone."""
    paper = material.paper.get(of)
    if paper is None or not material.has(paper.family):
        return []
    ours = material.beside(of)
    if not ours:
        return [_published_table(name, number, paper, chosen, material)]
    return [
        _own_table(name if len(ours) == 1 or sheet.name == of else f"{name}_{sheet.name}", number, sheet, paper,
                   chosen, material.failures)
        for sheet in ours
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- ours


@dataclass(frozen=True)
class _Ours:
    """One sheet of ours as a table shows it: what it is beside, what is ranked, what differs from the baseline."""

    sheet: Sheet
    paper: Sheet
    failures: OfMethods
    marks: Mapping[tuple[str, str], Mark]
    differences: Mapping[tuple[str, str], Interval]

    @property
    def is_same_data(self) -> bool:
        return self.sheet.name == self.paper.name


def _own_table(name: str, number: int, sheet: Sheet, paper: Sheet, chosen: Chosen, failures: OfMethods) -> Table:
    methods = [method for method in in_order({*sheet.methods, *sheet.expected}) if chosen(method)]
    ranked = [method for method in methods if method in sheet.complete and trained(method)]
    ours = _Ours(sheet, paper, failures, best_and_worst(sheet.mean.loc[ranked], sheet.lower_is_better),
                 differences_to_baseline(sheet))  # fmt: skip
    against = f"{ZERO_SHOT} vs {sheet.baseline}"
    columns = [text_column("method"), *map(_score_column, sheet.columns)]
    columns.append(Column(against, (against, f"{against} half width", f"{against} pairs", f"{against} published")))
    columns.append(Column("seeds", ("seeds",)))

    def row(method: str) -> Row:
        scores = [_own_score(ours, method, column) for column in sheet.columns]
        return (_label(sheet, method), *scores, _own_difference(ours, method), seeds_cell(sheet, method, failures))

    headings, sections = sectioned(methods, row)
    return Table(
        name=name,
        title=f"Table {number} of the paper: {named_beside(sheet, paper)}, {sheet.title}",
        caption=f"{unit(sheet)}, mean over seeds. Trained on {sheet.train_domain}. {_below_note(ours)}",
        columns=tuple(columns),
        sections=sections,
        notes=(*_significance(ours), *_unranked(sheet, methods), *failed_runs(sheet, methods, failures)),
        headings=headings,
        benchmark=sheet.name,
    )


def named_beside(sheet: Sheet, paper: Sheet) -> str:
    """The sheet's name, and that of the paper's where it is another: a miniature stands beside several."""
    return sheet.name if sheet.name == paper.name else f"{sheet.name} beside {paper.name}"


def _score_column(name: str) -> Column:
    return Column(name, (name, f"{name} std", f"{name} seeds", f"{name} published", f"{name} minus published"))


def _own_score(ours: _Ours, method: str, column: str) -> Cell:
    sheet = ours.sheet
    printed = printed_number(ours.paper, method, counterpart(sheet, ours.paper, column))
    reason = missing_reason(sheet, method, column, ours.failures)
    if reason:
        return Cell(reason, (None, None, 0, printed, None), below=(printed,) if printed else ())
    mean, std = sheet.score(method, column), sheet.deviation(method, column)
    seeds = len(sheet.seeds[method])
    difference = mean - float(printed) if printed else None
    below: tuple[str, ...] = (printed,) if printed else ()
    if ours.is_same_data and difference is not None:
        below += (f"{difference:+.2f}",)
    interval = ours.differences.get((method, column))
    hint = f"{seeds} {'seed' if seeds == 1 else 'seeds'}" + ("" if isnan(std) else f", std {two_decimals(std)}")
    return Cell(
        text=f"{mean:.2f}" + ("" if method in sheet.complete else f" ({seeds})"),
        values=(mean, None if isnan(std) else std, seeds, printed, difference),
        mark=ours.marks.get((method, column)),
        significant=interval is not None and not interval.includes_zero,
        below=below,
        hint=hint,
    )


def _own_difference(ours: _Ours, method: str) -> Cell:
    """To the baseline in the zero-shot average; below, the paper's."""
    sheet, paper = ours.sheet, ours.paper
    printed = _published_difference(paper, method)
    below: tuple[str, ...] = (f"{printed:+.1f}",) if printed is not None else ()
    if method == sheet.baseline:
        return Cell("baseline", (None, None, 0, None))
    interval = ours.differences.get((method, ZERO_SHOT))
    if interval is None:
        reason = missing_reason(sheet, method, ZERO_SHOT, ours.failures) or "no pair"
        return Cell(reason, (None, None, 0, printed), below=below)
    known = None if isinf(interval.half_width) else interval.half_width
    text = two_decimals(interval.mean, "+") + ("" if known is None else f" ± {two_decimals(known)}")
    if printed is not None:
        below += (f"{interval.mean - printed:+.2f}",)
    return Cell(
        text=text,
        values=(measured(interval.mean), known, interval.n, printed),
        significant=not interval.includes_zero,
        below=below,
        hint=f"{interval.n} {'pair' if interval.n == 1 else 'pairs'}",
    )


def _published_difference(paper: Sheet, method: str) -> float | None:
    values = [printed_number(paper, name, ZERO_SHOT) for name in (method, paper.baseline)]
    return None if None in values else round(float(values[0] or 0) - float(values[1] or 0), 2)


def _below_note(ours: _Ours) -> str:
    if ours.is_same_data:
        return "Below each number: the paper's, and ours minus it."
    pairs = [(column, counterpart(ours.sheet, ours.paper, column)) for column in ours.sheet.columns]
    if all(column == paper for column, paper in pairs):
        which = "of the same column"
    else:
        which = ", ".join(f"{paper} below {column}" for column, paper in pairs if paper)
    return (
        f"Below a number: the paper's on {ours.paper.name} ({which}). Models and data are others, so that levels are "
        f"not compared; below a difference to {ours.sheet.baseline} are the paper's, and ours minus it."
    )


def _significance(ours: _Ours) -> tuple[str, ...]:
    known = any(not isinf(interval.half_width) for interval in ours.differences.values())
    return (SIGNIFICANCE_NOTE.format(baseline=ours.sheet.baseline),) if known else ()


def _unranked(sheet: Sheet, methods: list[str]) -> tuple[str, ...]:
    incomplete = [method for method in methods if method in sheet.seeds and method not in sheet.complete]
    if not incomplete:
        return ()
    return (f"(n): the mean of n seeds only, neither best nor worst: {', '.join(incomplete)}.",)


# --------------------------------------------------------------------------------------------------------- the paper's


def _published_table(name: str, number: int, paper: Sheet, chosen: Chosen, material: Material) -> Table:
    """The paper's numbers alone, and the zero-shot averages that follow from its columns."""
    methods = [method for method in paper.methods if chosen(method)]
    ranked = [method for method in methods if trained(method)]
    marks = best_and_worst(paper.mean.loc[ranked], paper.lower_is_better)
    computed = f"{ZERO_SHOT}, computed"
    columns = [text_column("method"), *(Column(column, (column,)) for column in paper.columns)]
    columns.append(Column(computed, (computed, f"{computed} minus printed")))

    def row(method: str) -> Row:
        cells = []
        for column in paper.columns:
            printed = printed_number(paper, method, column)
            cells.append(Cell(printed or "-", (printed,), marks.get((method, column))))
        return (_label(paper, method), *cells, _computed(paper, method))

    headings, sections = sectioned(methods, row)
    return Table(
        name=name,
        title=f"Table {number} of the paper: {paper.name}, {paper.title}",
        caption=f"{unit(paper)}. Trained on {paper.train_domain}.",
        columns=tuple(columns),
        sections=sections,
        notes=(why_published(material, paper.name), printed_runs(paper), computed_note(paper, methods)),
        headings=headings,
    )


def _computed(paper: Sheet, method: str) -> Cell:
    mean = computed_average(paper, method)
    return Cell(f"{mean:.2f}", (mean, mean - paper.score(method, ZERO_SHOT)))


def computed_average(paper: Sheet, method: str) -> float:
    """The mean of the printed zero-shot columns."""
    return float(np.mean([paper.score(method, domain) for domain in paper.zero_shot_domains]))


def computed_note(paper: Sheet, methods: list[str]) -> str:
    """Whether the printed averages follow from the printed columns, which are rounded to 0.1 as they are."""
    off = [abs(computed_average(paper, method) - paper.score(method, ZERO_SHOT)) for method in methods]
    within = sum(distance <= 0.1 + 1e-9 for distance in off)
    return (
        f"{ZERO_SHOT}, computed: the mean of the printed columns. It is within 0.1, as rounding allows, of the printed "
        f"one for {within} of {len(methods)} rows; the largest distance is {max(off):.3f}."
    )


def why_published(material: Material, name: str) -> str:
    if material.is_published:
        return "The paper's numbers."
    return f"The paper's numbers alone: suite {material.suite} runs nothing that stands beside {name}."


def printed_runs(paper: Sheet) -> str:
    count = paper.printed_seeds
    return "One run of each method." if count == 1 else f"Means of {count} runs, as the paper says."


# --------------------------------------------------------------------------------------------------------- used by both


def unit(sheet: Sheet) -> str:
    return "Perplexity (lower is better)" if sheet.lower_is_better else "Accuracy in percent (higher is better)"


def _label(sheet: Sheet, method: str) -> Cell:
    """The model before training goes by its own name, as in the paper."""
    name = BENCHMARKS[sheet.name].zero_shot_name if method == UNTRAINED else method
    return text_cell(name or method)


def counterpart(ours: Sheet, paper: Sheet, column: str) -> str | None:
    """The paper's column for one of ours: of the same name, or the training domain for the training domain."""
    if column in paper.columns:
        return column
    return paper.train_domain if column == ours.train_domain else None


def printed_number(paper: Sheet, method: str, column: str | None) -> str | None:
    """As the paper prints it, with two decimals for images and one for language; None where it has none."""
    value = paper.score(method, column) if column else nan
    return None if isnan(value) else f"{value:.{2 if paper.family == 'vision' else 1}f}"


def best_and_worst(means: pd.DataFrame, lower_is_better: bool) -> dict[tuple[str, str], Mark]:
    """By method and column, of the means as two decimals show them, ties included; equals have no marks."""
    marks: dict[tuple[str, str], Mark] = {}
    for column, scores in means.to_dict().items():
        texts = {str(method): f"{value:.2f}" for method, value in scores.items() if not isnan(value)}
        order = sorted(set(texts.values()), key=float, reverse=lower_is_better)
        if len(order) > 1:
            marks |= {(method, str(column)): "best" for method, text in texts.items() if text == order[-1]}
            marks |= {(method, str(column)): "worst" for method, text in texts.items() if text == order[0]}
    return marks


def differences_to_baseline(sheet: Sheet) -> dict[tuple[str, str], Interval]:
    """By method and column, the 95% t interval of method minus baseline over the seeds that both have.

    None where one of the two lacks a score.
    """
    return {
        (method, column): t_interval(values)
        for method, columns in sheet.differences.items()
        if trained(method)
        for column, values in columns.items()
        if values and not isnan(sheet.score(method, column) + sheet.score(sheet.baseline, column))
    }


def missing_reason(sheet: Sheet, method: str, column: str, failures: OfMethods) -> str | None:
    """Why there is no number; None where there is one."""
    if method not in sheet.methods:
        return in_a_word(of_method(failures, sheet.name, method).values()) or "not run"
    if not isnan(sheet.score(method, column)):
        return None
    lacking = [domain for domain in sheet.domains if isnan(sheet.score(method, domain))]
    return f"no {column if column in lacking else ', '.join(lacking)}".rstrip()


def failed_runs(sheet: Sheet, methods: Iterable[str], failures: OfMethods) -> tuple[str, ...]:
    """A note on the runs that left no record, where it is known what became of them."""
    told = [
        phrase
        for method in methods
        for phrase in at_length(method, of_method(failures, sheet.name, method, sheet.seeds.get(method, ())))
    ]
    return (f"Runs without a record: {'; '.join(told)}.",) if told else ()


def seeds_cell(sheet: Sheet, method: str, failures: OfMethods) -> Cell:
    """How many there are, and of how many; what became of the others, where that is known."""
    there = sheet.seeds.get(method, ())
    others = in_brief(of_method(failures, sheet.name, method, there).values())
    return Cell(seeds_text(there, sheet.expected_seeds) + (f"; {others}" if others else ""), (len(there),))
