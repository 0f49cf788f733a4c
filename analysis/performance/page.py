"""docs/performance.md: what stands between its markers, from the records of the machines."""

from collections.abc import Callable
from pathlib import Path

from analysis.cells import Table
from analysis.performance.figure import draw_steps
from analysis.performance.model import ASSUMED
from analysis.performance.tables import (
    distance_table,
    end_to_end_table,
    forecast_table,
    graphs_table,
    growth_table,
    ideas_table,
    launches_table,
    memory_table,
    model_table,
    passes_table,
    steps_table,
    targets_table,
    weights_table,
)
from analysis.performance.targets import large
from analysis.render import markdown_rows
from benchmarks.performance.record import ModelCost, Performance, Ratio, StepCost, read_performance
from benchmarks.record import write_atomically

RATIOS: dict[str, Callable[[StepCost], Ratio | None]] = {
    "A step over its passes, timed within it": lambda cost: cost.over_passes,
    "A step over its passes, timed alone": lambda cost: cost.over_floor,
    "A step over Adam's": lambda cost: cost.over_adam,
}
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def read_all(folder: Path) -> list[Performance]:
    return [read_performance(path) for path in sorted(folder.glob("*.json"))]


def block(records: list[Performance]) -> str:
    """What stands between the markers: a section for each machine."""
    forecast = _section("13 billion parameters under FSDP2", forecast_table(records[0])) if records else []
    forecast[2:2] = [ASSUMED, ""]
    return "\n".join((BEGIN, "", *(line for record in records for line in _of_machine(record)), *forecast, END))


def _of_machine(record: Performance) -> list[str]:
    environment = record.environment
    measured = f"Measured with torch {environment.get('torch')} on {environment.get('cpu') or record.machine}"
    lines = [f"## {record.machine}", "", f"{measured}; seconds are {record.clock}.", ""]
    lines += _section("Targets", targets_table(record))
    precisions = dict.fromkeys(model.precision for model in record.of(ModelCost))
    for precision in precisions:
        for title, ratio_of in RATIOS.items():
            table = steps_table(record, precision, ratio_of)
            if any(cell.values != (None,) for row in table.sections[0] for cell in row[1:-1]):
                lines += _section(f"{title}, {precision}", table)
    if large(record):
        lines += [
            f"![A step over the sum of its passes, by model and method](figures/performance-{record.machine}.png)"
        ]
        lines += [""]
    sections = {
        "The passes": passes_table(record),
        "Memory": memory_table(record),
        "The distance of a language model": distance_table(record),
        "The weights": weights_table(record),
        "Operators and waits": launches_table(record),
        "Steps as one CUDA graph": graphs_table(record),
        "Growth": growth_table(record),
        "Ideas": ideas_table(record),
        "The model of the cost, checked": model_table(record),
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
        if large(record):
            path = page.parent / "figures" / f"performance-{record.machine}.png"
            write_atomically(path, encode(draw_steps(record), "png"))
            written.append(path)
    return written
