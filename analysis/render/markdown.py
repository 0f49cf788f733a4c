"""A table as GitHub's Markdown."""

import re

from analysis.cells import Cell, Table

_MARKS = {"best": "**", "worst": "_"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~&])")
MARK_NOTE = "Bold: best of a column; italic: worst."


def markdown(table: Table) -> str:
    """A heading, the caption, the table and its notes."""
    caption = escaped(table.caption)
    if table.has_marks:
        caption = f"{caption} {MARK_NOTE}".strip()
    lines = [f"## {escaped(table.title)}", *(["", caption] if caption else []), "", *markdown_rows(table)]
    for note in table.notes:
        lines += ["", escaped(note)]
    return "\n".join(lines) + "\n"


def markdown_rows(table: Table) -> list[str]:
    """The table alone, a line each; a section's name is a row of its own."""
    lines = [
        _row([escaped(column.name) for column in table.columns]),
        _row(["---:" if column.is_number else "---" for column in table.columns]),
    ]
    for heading, section in table.named_sections:
        if heading:
            lines.append(_row([_emphasised(heading, "*"), *[""] * (len(table.columns) - 1)]))
        lines += [_row([_cell(cell) for cell in row]) for row in section]
    return lines


def escaped(text: str) -> str:
    """The text as a Markdown reader shows it: on one line, no character of it with a meaning."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    text = _emphasised(cell.text, _MARKS[cell.mark]) if cell.mark else escaped(cell.text)
    star = r"\*" if cell.significant else ""
    return "<br>".join([text + star, *map(escaped, cell.below)])


def _emphasised(text: str, sign: str) -> str:
    """Between two signs, which around nothing would be read as themselves."""
    shown = escaped(text)
    return f"{sign}{shown}{sign}" if shown else ""
