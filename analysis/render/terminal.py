"""A table in the terminal: what is too wide for it goes below, under the same labels."""

from collections.abc import Iterator
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from analysis.cells import Cell, Table

TERMINAL_WIDTH = 100
_MARKS = {"best": "▲", "worst": "▼"}
_MARK_NOTE = "▲ best, ▼ worst of a column."
_GAP = 2


def terminal() -> Console:
    """Standard output, never wider than the tables are made for; colours only where it is a terminal."""
    console = Console(highlight=False)
    console.width = min(console.width, TERMINAL_WIDTH) if console.is_terminal else TERMINAL_WIDTH
    return console


def print_table(table: Table, console: Console) -> None:
    """The table in at most the console's width, in as many parts as that takes, with its notes."""
    table = _grouped(table)
    console.print(Text.assemble((table.title, "bold"), *(["\n", table.caption] if table.caption else []), "\n"))
    for number, columns in enumerate(_parts(table, console.width)):
        if number:
            console.print()
        console.print(_part(table, columns))
    for note in (*table.notes, _MARK_NOTE) if table.has_marks else table.notes:
        console.print(Text(note))
    console.print()


def _grouped(table: Table) -> Table:
    """With the first label as the name of each section, where its rows share it: that leaves room for numbers."""
    if table.labels < 2 or table.headings or any(len({row[0].text for row in rows}) != 1 for rows in table.sections):
        return table
    return replace(
        table,
        columns=table.columns[1:],
        sections=tuple(tuple(row[1:] for row in rows) for rows in table.sections),
        headings=tuple(rows[0][0].text for rows in table.sections),
        labels=table.labels - 1,
    )


def _parts(table: Table, width: int) -> Iterator[list[int]]:
    """Which columns stand side by side: all if they fit; else the labels, and as many others as fit beside them."""
    widths = [_width(table, position) for position in range(len(table.columns))]
    labels, others = list(range(table.labels)), list(range(table.labels, len(widths)))
    taken = sum(widths[position] + _GAP for position in labels)
    part: list[int] = []
    used = taken
    for position in others:
        if part and used + widths[position] > width:
            yield labels + part
            part, used = [], taken
        part.append(position)
        used += widths[position] + _GAP
    yield labels + part


def _width(table: Table, position: int) -> int:
    texts = [_text(row[position]).plain for row in table.rows]
    lines = [line for text in texts for line in text.split("\n")]
    headings = table.headings if position == 0 else ()
    return max(map(cell_len, [table.columns[position].name, *lines, *headings]))


def _part(table: Table, columns: list[int]) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for position in columns:
        column = table.columns[position]
        shown.add_column(column.name, justify="right" if column.is_number else "left", no_wrap=column.is_number)
    for heading, section in table.named_sections:
        if heading:
            shown.add_row(Text(heading, style="italic"))
        for row in section:
            shown.add_row(*(_text(row[position]) for position in columns))
        shown.add_section()
    return shown


def _text(cell: Cell) -> Text:
    style = {"best": "bold green", "worst": "dim"}.get(cell.mark or "", "")
    text = cell.text + ("*" if cell.significant else "") + (f" {_MARKS[cell.mark]}" if cell.mark else "")
    return Text.assemble((text, style), *((f"\n{line}", "dim") for line in cell.below))
