"""The paper's Table 3: accuracy on images like those of the training, with 95% intervals."""

from collections.abc import Iterable
from math import isinf, isnan

from analysis.cells import Cell, Column, Row, Table, text_cell, text_column, two_decimals
from analysis.methods import in_order
from analysis.paper.material import Material
from analysis.paper.scores import (
    SIGNIFICANCE_NOTE,
    best_and_worst,
    differences_to_baseline,
    failed_runs,
    missing_reason,
    printed_number,
    printed_runs,
    why_published,
)
from analysis.paper.sections import sectioned, trained
from analysis.sheets import Sheet
from analysis.statistics import t_interval

NAME, NUMBER = "table_03_vision", 3


def table_03_vision(material: Material) -> list[Table]:
    """A column per data set, ours before the paper's."""
    papers = tuple(sheet for sheet in material.paper.values() if sheet.family == "vision")
    ours = material.of("vision")
    if not papers or not (ours or material.is_published):
        return []
    beside = {paper.name for sheet in ours for paper in papers if paper.name == sheet.name}
    columns: list[_Own | _Published] = [_Own(sheet, material, ours) for sheet in ours]
    columns += [_Published(paper, bool(ours)) for paper in papers if paper.name not in beside]
    methods = in_order(
        {name for sheet in ours for name in (*sheet.methods, *sheet.expected)}
        or {name for paper in papers for name in paper.methods}
    )

    def row(method: str) -> Row:
        return (text_cell(method), *(column.cell(method) for column in columns))

    headings, sections = sectioned(methods, row)
    table = Table(
        name=NAME,
        title=f"Table {NUMBER} of the paper: images",
        caption="Accuracy in percent (higher is better) on test images like those of the training, mean ± half width "
        "of the 95% interval." + (" Below a number: the paper's, and ours minus it." if beside else ""),
        columns=(text_column("method"), *(column.heading for column in columns)),
        sections=sections,
        notes=_notes(material, ours, papers),
        headings=headings,
    )
    return [table]


class _Own:
    """The column of one data set of ours, the paper's below where it has the same."""

    def __init__(self, sheet: Sheet, material: Material, all_sheets: Iterable[Sheet]) -> None:
        self.sheet, self.failures = sheet, material.failures
        self.paper = material.paper.get(sheet.name)
        domain = sheet.train_domain
        same_name = [other for other in all_sheets if other.train_domain == domain]
        self.name = domain if len(same_name) == 1 else sheet.title
        ranked = [method for method in sheet.methods if method in sheet.complete and trained(method)]
        self.marks = best_and_worst(sheet.mean.loc[ranked, [domain]], sheet.lower_is_better)
        self.differences = differences_to_baseline(sheet)

    @property
    def heading(self) -> Column:
        values = ("", " half width", " seeds", " published", " published half width", " minus published")
        return Column(self.name, tuple(f"{self.name}{value}" for value in values), benchmark=self.sheet.name)

    def cell(self, method: str) -> Cell:
        sheet, domain = self.sheet, self.sheet.train_domain
        printed = printed_number(self.paper, method, domain) if self.paper else None
        printed_width = _printed_half_width(self.paper, method) if self.paper and printed else None
        below = (f"{printed} ± {printed_width}",) if printed else ()
        reason = missing_reason(sheet, method, domain, self.failures)
        if reason or sheet.by_seed is None:
            return Cell(reason or "not run", (None, None, 0, printed, printed_width, None), below=below)
        interval = t_interval(sheet.by_seed.loc[method][domain].tolist())
        half_width = None if isinf(interval.half_width) else interval.half_width
        difference = interval.mean - float(printed) if printed else None
        against = self.differences.get((method, domain))
        missing = f" ({interval.n})" if method not in sheet.complete else ""
        return Cell(
            text=f"{interval.mean:.2f}{'' if half_width is None else f' ± {two_decimals(half_width)}'}{missing}",
            values=(interval.mean, half_width, interval.n, printed, printed_width, difference),
            mark=self.marks.get((method, domain)),
            significant=against is not None and not against.includes_zero,
            below=below + ((f"{difference:+.2f}",) if difference is not None else ()),
            hint=f"{interval.n} {'seed' if interval.n == 1 else 'seeds'}",
        )


class _Published:
    """The column of one data set of the paper."""

    def __init__(self, paper: Sheet, is_beside_ours: bool) -> None:
        self.paper = paper
        self.name = f"paper: {paper.train_domain}" if is_beside_ours else paper.train_domain
        self.marks = best_and_worst(paper.mean[[paper.train_domain]], paper.lower_is_better)

    @property
    def heading(self) -> Column:
        return Column(self.name, (self.name, f"{self.name} half width"))

    def cell(self, method: str) -> Cell:
        domain = self.paper.train_domain
        printed, half_width = printed_number(self.paper, method, domain), _printed_half_width(self.paper, method)
        text = f"{printed} ± {half_width}" if printed else "not in paper"
        return Cell(text, (printed, half_width), self.marks.get((method, domain)))


def _printed_half_width(paper: Sheet, method: str) -> str | None:
    value = paper.deviation(method, paper.train_domain)
    return None if isnan(value) else f"{value:.2f}"


def _notes(material: Material, ours: tuple[Sheet, ...], papers: tuple[Sheet, ...]) -> tuple[str, ...]:
    if not ours:
        return (why_published(material, NAME), printed_runs(papers[0]))
    counts = sorted({len({*seeds} & {*sheet.expected_seeds}) for sheet in ours for seeds in sheet.seeds.values()})
    seeds = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    expected = max(len(sheet.expected_seeds) for sheet in ours)
    notes = [
        f"{seeds} of {expected} seeds; ±: mean ± t(0.975, n - 1) s / √n, n seeds.",
        SIGNIFICANCE_NOTE.format(baseline=ours[0].baseline),
    ]
    if counts[0] < counts[-1]:
        notes.append("(n): the mean of n seeds only, neither best nor worst.")
    return (*notes, *(note for sheet in ours for note in failed_runs(sheet, sheet.expected, material.failures)))
