"""What a sequence of domains makes a model forget: each domain right after it was learned, and at the end."""

from collections.abc import Iterable, Sequence
from statistics import mean

from analysis.aggregate import BenchmarkResult
from analysis.cells import Cell, Column, Row, Table, text_cell, text_column, two_decimals
from benchmarks.record import Record
from benchmarks.row import Benchmark


def forgetting_tables(records: Iterable[Record], results: Sequence[BenchmarkResult]) -> tuple[Table, ...]:
    """One table for each benchmark that trains on several domains in turn."""
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        grouped.setdefault((record.benchmark, record.method), []).append(record)
    return tuple(_table(result, grouped) for result in results if result.benchmark.sequence)


def forgotten(record: Record, benchmark: Benchmark, domain: str) -> float:
    """The domain's metric at the end minus that right after the domain was learned."""
    key = f"{benchmark.metric}/{domain}"
    return record.metrics[f"test/{key}"] - record.metrics[f"after {domain}/{key}"]


def _table(result: BenchmarkResult, grouped: dict[tuple[str, str], list[Record]]) -> Table:
    benchmark = result.benchmark
    learned = (benchmark.train_domain, *benchmark.sequence)
    columns = (
        text_column("method"),
        *(Column(domain, (domain,)) for domain in learned[:-1]),
        Column("mean", ("mean",)),
        Column(f"{learned[-1]} at the end", (f"{learned[-1]} at the end",)),
        Column("seeds", ("seeds",)),
    )
    rows = [_row(method.method, grouped[benchmark.name, method.method], benchmark) for method in result.run]
    return Table(
        name=f"{benchmark.name}_forgetting",
        title=f"{benchmark.name}: what is forgotten on the way",
        caption=(
            f"{benchmark.metric.capitalize()} at the end minus that right after the domain was learned, mean over "
            f"seeds, on the way {' → '.join(learned)}. {'More' if benchmark.lower_is_better else 'Less'} is worse."
        ),
        columns=columns,
        sections=(tuple(rows),),
    )


def _row(method: str, runs: list[Record], benchmark: Benchmark) -> Row:
    learned = (benchmark.train_domain, *benchmark.sequence)
    lost = [mean(forgotten(run, benchmark, domain) for run in runs) for domain in learned[:-1]]
    last = mean(run.metrics[f"test/{benchmark.metric}/{learned[-1]}"] for run in runs)
    return (
        text_cell(method),
        *(Cell(two_decimals(value, "+"), (value,)) for value in (*lost, mean(lost))),
        Cell(two_decimals(last), (last,)),
        Cell(str(len(runs)), (len(runs),)),
    )
