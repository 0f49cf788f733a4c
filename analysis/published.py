"""The paper's numbers, read from `results/published/*.tsv`."""

import csv
from functools import cache
from pathlib import Path

from benchmarks.row import PublishedColumn

FOLDER = Path(__file__).resolve().parent.parent / "results" / "published"


@cache
def read_rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a published table, as text."""
    with (FOLDER / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file, delimiter="\t"))


@cache
def read_table(name: str) -> dict[str, dict[str, str]]:
    """The rows of a published table by their first column."""
    return {next(iter(row.values())): row for row in read_rows(name)}


def published_value(column: PublishedColumn, method: str) -> float | None:
    """The number printed for `method`, from the first of the column's tables that has it; None where none has."""
    for table in column.tables:
        row = read_table(table).get(method)
        if row is not None:
            return float(row[column.column])
    return None


def published_differences(columns: tuple[PublishedColumn, ...], method: str) -> tuple[float, ...]:
    """Printed number of `method` minus that of the column's baseline, for the columns that have the method."""
    differences = []
    for column in columns:
        value, baseline = published_value(column, method), published_value(column, column.baseline)
        if value is not None and baseline is not None:
            # Two decimals are printed at most: the rest of a difference of two floats is rounding error.
            differences.append(round(value - baseline, 2))
    return tuple(differences)
