"""Render: one table object as Markdown, CSV, LaTeX or HTML, or in the terminal. Same table, same bytes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from analysis.cells import Table
from analysis.render.comma_separated import comma_separated
from analysis.render.html import table_html
from analysis.render.latex import latex, macros
from analysis.render.markdown import markdown, markdown_rows
from analysis.render.terminal import TERMINAL_WIDTH, print_table, terminal
from benchmarks.record import write_atomically

__all__ = [
    "FORMATS",
    "MACROS",
    "TERMINAL_WIDTH",
    "comma_separated",
    "latex",
    "macros",
    "markdown",
    "markdown_rows",
    "print_table",
    "table_html",
    "terminal",
    "write_tables",
]

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "csv": comma_separated,
    "tex": latex,
    "html": table_html,
}
"""What makes a file of a table, by the file's suffix."""

MACROS = "numbers.tex"
"""The file that defines every number of every table as a LaTeX macro."""


def write_tables(tables: Iterable[Table], folder: Path, formats: Iterable[str]) -> None:
    """A file per table and format, and with `tex` one of all their numbers."""
    tables, formats = tuple(tables), tuple(formats)
    for table in tables:
        for suffix in formats:
            write_atomically(folder / f"{table.name}.{suffix}", FORMATS[suffix](table).encode())
    if "tex" in formats:
        write_atomically(folder / MACROS, macros(tables).encode())
