"""Render: one table object as Markdown, as CSV or in the terminal."""

import csv
import io

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from analysis.cells import Cell, Table, Value

TERMINAL_WIDTH = 100
_MARKS = {"best": "▲", "worst": "▼"}
_MARKDOWN_MARKS = {"best": "**", "worst": "_"}
MARK_NOTE = "Bold: best of a column; italic: worst."
TERMINAL_MARK_NOTE = "▲ best, ▼ worst of a column."


def has_marks(table: Table) -> bool:
    return any(cell.mark for section in table.sections for row in section for cell in row)


def markdown(table: Table) -> str:
    """A heading, the caption, the table and its notes."""
    lines = [f"## {table.title}", "", table.caption + (f" {MARK_NOTE}" if has_marks(table) else ""), ""]
    lines += markdown_rows(table)
    for note in table.notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def markdown_rows(table: Table) -> list[str]:
    """The table alone, a line each."""
    return [
        _markdown_row([column.name for column in table.columns]),
        _markdown_row(["---:" if column.is_number else "---" for column in table.columns]),
        *(_markdown_row([_markdown_cell(cell) for cell in row]) for section in table.sections for row in section),
    ]


def comma_separated(table: Table) -> str:
    """One heading line and the rows' values, to nine significant digits; empty where there is none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name for column in table.columns for name in column.values])
    for section in table.sections:
        writer.writerows([_csv_value(value) for cell in row for value in cell.values] for row in section)
    return file.getvalue()


def print_table(table: Table, console: Console) -> None:
    """The table in at most the console's width, with its notes."""
    console.print(Text.assemble((table.title, "bold"), "\n", table.caption, "\n"))
    shown = RichTable(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for column in table.columns:
        shown.add_column(column.name, justify="right" if column.is_number else "left", no_wrap=column.is_number)
    for section in table.sections:
        previous = ""
        for row in section:
            # A section's rows share their first cell where that is the benchmark: say it once.
            first = "" if row[0].text == previous else row[0].text
            previous = row[0].text
            shown.add_row(first, *(_terminal_cell(cell) for cell in row[1:]))
        shown.add_section()
    console.print(shown)
    for note in (*table.notes, TERMINAL_MARK_NOTE) if has_marks(table) else table.notes:
        console.print(Text(note))
    console.print()


def terminal() -> Console:
    """Standard output, never wider than the tables are made for; colours only where it is a terminal."""
    console = Console(highlight=False)
    console.width = min(console.width, TERMINAL_WIDTH) if console.is_terminal else TERMINAL_WIDTH
    return console


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    around = _MARKDOWN_MARKS[cell.mark] if cell.mark else ""
    return f"{around}{cell.text}{around}".replace("|", "\\|")


def _terminal_cell(cell: Cell) -> Text:
    style = {"best": "bold green", "worst": "dim"}.get(cell.mark or "", "")
    return Text(f"{cell.text} {_MARKS[cell.mark]}" if cell.mark else cell.text, style=style)


def _csv_value(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)
