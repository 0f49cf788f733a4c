"""A table as an object: cells that hold a text for people and values for machines. `render` turns it into files."""

from dataclasses import dataclass
from math import isnan
from typing import Literal

Mark = Literal["best", "worst"]
Value = float | int | str | None
NOTHING = "-"


@dataclass(frozen=True)
class Cell:
    """What is read in Markdown and in the terminal, and the values that a CSV file holds instead."""

    text: str
    values: tuple[Value, ...]
    mark: Mark | None = None


@dataclass(frozen=True)
class Column:
    """A heading, and one heading for each value of its cells."""

    name: str
    values: tuple[str, ...]
    is_number: bool = True


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows in sections, under a title and a caption, above notes. `name` is the file's."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    sections: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()


def text_column(name: str) -> Column:
    return Column(name, (name,), is_number=False)


def text_cell(text: str) -> Cell:
    return Cell(text, (text,))


def two_decimals(number: float, sign: Literal["+", ""] = "") -> str:
    """Two decimals, but one significant digit where those would read as zero and the number is not."""
    if number == 0:
        return "0.00"
    return f"{number:{sign}.1g}" if abs(number) < 0.005 else f"{number:{sign}.2f}"


def number_or_none(number: float) -> float | None:
    return None if isnan(number) else number
