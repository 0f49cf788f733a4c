"""A table as CSV: every value of every cell, for machines."""

import csv
import io

from analysis.cells import Table, Value


def comma_separated(table: Table) -> str:
    """One heading line and the rows' values, to nine significant digits; empty where there is none.

    Where sections have names, the first column holds them.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    group = ["section"] if table.headings else []
    writer.writerow(group + [name for column in table.columns for name in column.values])
    for heading, section in table.named_sections:
        group = [written(heading)] if table.headings else []
        writer.writerows(group + [written(value) for cell in row for value in cell.values] for row in section)
    return file.getvalue()


def written(value: Value) -> str:
    """As it stands in a file for machines, on one line."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("\r", " ").replace("\n", " ")
    return f"{value:.9g}" if isinstance(value, float) else str(value)
