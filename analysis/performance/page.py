"""docs/performance.md: what stands between its markers, from the records of the machines."""

from pathlib import Path

from analysis.cells import Table
from analysis.performance.figure import draw_steps
from analysis.performance.tables import (
    distance_table,
    end_to_end_table,
    forecast_table,
    growth_table,
    ideas_table,
    launches_table,
    memory_table,
    model_table,
    steps_table,
    targets_table,
    weights_table,
)
from analysis.render import markdown_rows
from benchmarks.performance.record import ModelCost, Performance, read_performance
from benchmarks.record import write_atomically

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def read_all(folder: Path) -> list[Performance]:
    return [read_performance(path) for path in sorted(folder.glob("*.json"))]


def block(records: list[Performance]) -> str:
    """What stands between the markers: a section for each machine."""
    return "\n".join((BEGIN, "", *(line for record in records for line in _of_machine(record)), END))


def _of_machine(record: Performance) -> list[str]:
    environment = record.environment
    measured = f"Measured with torch {environment.get('torch')} on {environment.get('cpu') or record.machine}"
    lines = [f"## {record.machine}", "", f"{measured}; seconds are {record.clock}.", ""]
    lines += _section("Targets", targets_table(record))
    precisions = dict.fromkeys(model.precision for model in record.of(ModelCost))
    for precision in precisions:
        lines += _section(f"A step over its floor, {precision}", steps_table(record, precision))
    if precisions:
        lines += [
            f"![A step over the sum of its passes, by model and method](figures/performance-{record.machine}.png)"
        ]
        lines += [""]
    sections = {
        "Memory": memory_table(record),
        "The distance of a language model": distance_table(record),
        "The weights": weights_table(record),
        "Launches and waits": launches_table(record),
        "Growth": growth_table(record),
        "Ideas": ideas_table(record),
        "The model of the cost, checked": model_table(record),
        "13 billion parameters under FSDP2": forecast_table(record),
        "End to end": end_to_end_table(record),
    }
    for title, table in sections.items():
        if table.rows:
            lines += _section(title, table)
    return lines


def _section(title: str, table: Table) -> list[str]:
    return [f"### {title}", "", *markdown_rows(table), ""]


def with_block(text: str, new: str) -> str:
    """`text` with everything from its first marker to its second replaced. Raises ValueError without both markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are missing")
    return before + new + after


def write_page(results: Path, page: Path) -> list[Path]:
    """Renew the page's block and the figures beside it; the paths that were written."""
    from analysis.figures import encode

    records = read_all(results)
    if not records:
        raise ValueError(f"{results} holds no record of a machine: make bench writes one")
    write_atomically(page, with_block(page.read_text(encoding="utf-8"), block(records)).encode())
    written = [page]
    for record in records:
        if record.of(ModelCost):
            path = page.parent / "figures" / f"performance-{record.machine}.png"
            write_atomically(path, encode(draw_steps(record), "png"))
            written.append(path)
    return written
