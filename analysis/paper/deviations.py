"""The paper's Table 13: standard deviations over seeds, by language."""

from math import isnan

from analysis.cells import NOTHING, Cell, Column, Row, Table, text_cell, text_column, two_decimals
from analysis.methods import in_order
from analysis.paper.material import Material
from analysis.paper.scores import missing_reason, named_beside, printed_runs, seeds_cell, why_published
from analysis.paper.sections import sectioned, trained
from analysis.sheets import Sheet

NAME, NUMBER, OF = "table_13_xnli_std", 13, "xnli"


def table_13_xnli_std(material: Material) -> list[Table]:
    """One table for each of our sheets beside XNLI, or the paper's numbers alone."""
    paper = material.paper.get(OF)
    if paper is None or not material.has(paper.family):
        return []
    ours = material.beside(OF)
    if not ours:
        return [_published_table(paper, material)]
    return [_own_table(NAME if len(ours) == 1 or sheet.name == OF else f"{NAME}_{sheet.name}", sheet, paper, material)
            for sheet in ours]  # fmt: skip


def _own_table(name: str, sheet: Sheet, paper: Sheet, material: Material) -> Table:
    def cell(method: str, column: str) -> Cell:
        printed = _printed(paper, method, column)
        below: tuple[str, ...] = (printed,) if printed else ()
        reason = missing_reason(sheet, method, column, material.failures)
        if reason:
            return Cell(reason, (None, printed, None), below=below)
        std = sheet.deviation(method, column)
        if isnan(std):
            return Cell("one seed", (None, printed, None), below=below)
        difference = std - float(printed) if printed else None
        if difference is not None and sheet.name == paper.name:
            below += (f"{difference:+.2f}",)
        return Cell(two_decimals(std), (std, printed, difference), below=below)

    def row(method: str) -> Row:
        cells = [cell(method, column) for column in sheet.columns]
        return (text_cell(method), *cells, seeds_cell(sheet, method, material.failures))

    headings, sections = sectioned(filter(trained, in_order({*sheet.methods, *sheet.expected})), row)
    return Table(
        name=name,
        title=f"Table {NUMBER} of the paper: {named_beside(sheet, paper)}, {sheet.title}",
        caption="Standard deviation of accuracy over seeds, in points, with n - 1. Below a number: the paper's"
        + (", and ours minus it." if sheet.name == paper.name else "."),
        columns=(
            text_column("method"),
            *(Column(column, (column, f"{column} published", f"{column} minus published")) for column in sheet.columns),
            Column("seeds", ("seeds",)),
        ),
        sections=sections,
        notes=(f"The paper's are of {paper.printed_seeds} seeds, on {paper.name}.",),
        headings=headings,
        benchmark=sheet.name,
    )


def _published_table(paper: Sheet, material: Material) -> Table:
    def row(method: str) -> Row:
        texts = [_printed(paper, method, column) for column in paper.domains]
        return (text_cell(method), *(Cell(text or NOTHING, (text,)) for text in texts))

    headings, sections = sectioned(paper.methods, row)
    return Table(
        name=NAME,
        title=f"Table {NUMBER} of the paper: {paper.name}, {paper.title}",
        caption="Standard deviation of accuracy over seeds, in points.",
        columns=(text_column("method"), *(Column(column, (column,)) for column in paper.domains)),
        sections=sections,
        notes=(why_published(material, paper.name), printed_runs(paper)),
        headings=headings,
    )


def _printed(paper: Sheet, method: str, column: str) -> str | None:
    value = paper.deviation(method, column)
    return None if isnan(value) else f"{value:.2f}"
