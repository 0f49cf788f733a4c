"""A table as a fragment of HTML: no style, no script; `data-value` holds what a column is sorted by."""

from collections.abc import Callable
from html import escape

from analysis.cells import Cell, Column, Row, Table
from analysis.render.comma_separated import written

Link = Callable[[Row, Column], tuple[str, str] | None]
"""link(row, column): where a cell leads and what that is, or None."""


def table_html(table: Table, link: Link = lambda row, column: None) -> str:
    """A `figure` with the table under its caption, above its notes; cells lead to where `link` says.

    Sections are `tbody` elements, named by a row `th scope=rowgroup`; cells that say what a row is about are
    `th scope=row`. Classes: `number`, and of these `best`, `worst`, `significant`, `missing`.
    """
    width = len(table.columns)
    lines = [
        f'<figure class="table" id="{escape(table.name)}">',
        "<table>",
        f"<caption><strong>{escape(table.title)}</strong>{_after_title(table.caption)}</caption>",
        "<thead>",
        "<tr>" + "".join(map(_heading, table.columns)) + "</tr>",
        "</thead>",
    ]
    for heading, section in table.named_sections:
        lines.append("<tbody>")
        if heading:
            lines.append(f'<tr class="section"><th scope="rowgroup" colspan="{width}">{escape(heading)}</th></tr>')
        lines += [_row(row, table, link) for row in section]
        lines.append("</tbody>")
    lines.append("</table>")
    if table.notes:
        notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
        lines.append(f"<figcaption>{notes}</figcaption>")
    lines.append("</figure>")
    return "\n".join(lines) + "\n"


def _after_title(caption: str) -> str:
    return f" {escape(caption)}" if caption else ""


def _heading(column: Column) -> str:
    kind = ' class="number"' if column.is_number else ""
    return f'<th scope="col"{kind}>{escape(column.name)}</th>'


def _row(row: Row, table: Table, link: Link) -> str:
    cells = []
    for position, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
        cells.append(_cell(column, cell, position < table.labels, link(row, column)))
    return "<tr>" + "".join(cells) + "</tr>"


def _cell(column: Column, cell: Cell, is_label: bool, target: tuple[str, str] | None) -> str:
    value = cell.values[0] if cell.values else None
    classes = ["number"] if column.is_number else []
    classes += [cell.mark] if cell.mark else []
    classes += ["significant"] if cell.significant else []
    classes += ["missing"] if column.is_number and value is None else []
    attributes = [f'class="{" ".join(classes)}"'] if classes else []
    attributes.append(f'data-value="{escape(written(value))}"')
    if cell.hint:
        attributes.append(f'title="{escape(cell.hint)}"')
    star = "<sup>*</sup>" if cell.significant else ""
    below = "".join(f"<br><small>{escape(line)}</small>" for line in cell.below)
    text = escape(cell.text)
    if target is not None:
        text = f'<a href="{escape(target[0])}" title="{escape(target[1])}">{text}</a>'
    content = f"{text}{star}{below}"
    if is_label:
        return f'<th scope="row" {" ".join(attributes)}>{content}</th>'
    return f"<td {' '.join(attributes)}>{content}</td>"
