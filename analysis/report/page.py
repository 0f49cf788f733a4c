"""The page as HTML, with everything that it needs in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.cells import NOTHING, Column, Row, Table, p_text
from analysis.claims.table import claims_table, difference_text, numbers_text
from analysis.render import FORMATS, table_html
from analysis.report.content import Report
from analysis.report.origins import COLUMNS, RecordRow, record_rows
from analysis.report.runs import Group

HERE = Path(__file__).parent


def html(report: Report) -> str:
    """The whole page. What comes from files is escaped; tables, style and script are HTML of our own."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("template.html.jinja").render(
        report=report,
        claims_table=claims_table(report.judged) if report.judged else None,
        said={
            "numbers": numbers_text,
            "difference": difference_text,
            "p": lambda p: NOTHING if p is None else p_text(p),
        },
        formats=FORMATS,
        columns=COLUMNS,
        records=[(name, _shown(groups)) for name, groups in report.groups.items() if _shown(groups)],
        fragment=lambda table: table_html(replace(table, caption=""), partial(_origin, report.groups, table)),
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "behaviour.js").read_text(encoding="utf-8"),
    )


def _origin(
    groups: Mapping[str, Mapping[str, Group]], table: Table, row: Row, column: Column
) -> tuple[str, str] | None:
    """The records that a cell's numbers come from: of a row's label those of its row, or of a column's benchmark."""
    label = table.labels - 1
    names = (column.benchmark, table.benchmark, row[0].text)
    benchmark = next((name for name in names if name in groups), None)
    if benchmark is None or not (column.benchmark or column == table.columns[label]):
        return None
    group = groups[benchmark].get(row[label].text)
    return (f"#{group.anchor}", group.source) if group and group.records else None


def _shown(groups: Mapping[str, Group]) -> Sequence[tuple[str, tuple[RecordRow, ...]]]:
    """The anchor and the rows of each method that has records."""
    return [(group.anchor, record_rows(group)) for group in groups.values() if group.records]
