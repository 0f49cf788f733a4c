"""A table as an object: cells that hold a text for people and values for machines. `render` turns it into files."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Literal

from analysis.rounding import measured

Mark = Literal["best", "worst"]
Value = float | int | str | None
"""A number as text is one that the paper prints, with the digits that it prints."""
NOTHING = "-"


def two_decimals(number: float, sign: Literal["+", ""] = "") -> str:
    """Two decimals, but one significant digit where those would read as zero and the number is not."""
    number = measured(number)
    if number == 0:
        return "0.00"
    return f"{number:{sign}.1g}" if abs(number) < 0.005 else f"{number:{sign}.2f}"


@dataclass(frozen=True)
class Cell:
    """What is read, and the values that a CSV file holds instead.

    `significant` says that it differs from the baseline by the test that the table's notes name. `below` are smaller
    lines under the text: the paper's number, the difference to it. `hint` is what a reader may ask: how many seeds.
    """

    text: str
    values: tuple[Value, ...]
    mark: Mark | None = None
    significant: bool = False
    below: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """A heading, and one heading for each value of its cells. `benchmark` is the one whose runs its numbers are of,
    where the table's columns are benchmarks. Prose is whole sentences, for which a printed table has no room. `read` is
    how its cells say a number that is not whole."""

    name: str
    values: tuple[str, ...]
    is_number: bool = True
    benchmark: str = ""
    is_prose: bool = False
    read: Callable[[float], str] = two_decimals


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows in sections, under a title and a caption, above notes. `name` is the file's.

    `headings` names the sections, if they have names. The first `labels` cells of a row say what it is about.
    `benchmark` is the one whose runs the rows are of, a method each, where it is one.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    sections: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    labels: int = 1
    benchmark: str = ""

    @property
    def named_sections(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """Each section with its heading, empty where it has none."""
        headings = self.headings or ("",) * len(self.sections)
        return tuple(zip(headings, self.sections, strict=True))

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for section in self.sections for row in section)

    @property
    def has_marks(self) -> bool:
        return any(cell.mark for row in self.rows for cell in row)

    @property
    def has_significance(self) -> bool:
        return any(cell.significant for row in self.rows for cell in row)


def text_column(name: str) -> Column:
    return Column(name, (name,), is_number=False)


def text_cell(text: str) -> Cell:
    return Cell(text, (text,))


def p_text(p: float) -> str:
    """Three decimals; what those would show as zero is below 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def number_or_none(number: float) -> float | None:
    return None if isnan(number) else number
