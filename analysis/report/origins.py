"""Where numbers come from: the table of records, a row per run."""

from math import fsum
from pathlib import Path

from analysis.cells import Column, text_column
from analysis.report.runs import Group
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS

COLUMNS = (
    text_column("method"),
    Column("seed", ("seed",)),
    Column("training domain", ("training domain",)),
    Column("ZS Avg", ("ZS Avg",)),
    text_column("record"),
    text_column("commit"),
    text_column("device"),
    text_column("torch"),
    Column("seconds", ("seconds",)),
    Column("MiB", ("MiB",)),
    text_column("probes"),
)

RecordRow = tuple[str, ...]


def record_rows(group: Group) -> tuple[RecordRow, ...]:
    """Of each record what COLUMNS name."""
    probes: dict[int, list[str]] = {}
    for probe in group.probes:
        probes.setdefault(probe.seed, []).append(probe.probe)
    return tuple(_row(record, probes.get(record.seed, [])) for record in group.records)


def _row(record: Record, probes: list[str]) -> RecordRow:
    row = BENCHMARKS[record.benchmark]
    scores = [record.metrics[f"test/{row.metric}/{domain}"] for domain in row.domains]
    train, *zero_shot = scores
    environment = record.environment
    return (
        record.method,
        str(record.seed),
        f"{train:.2f}",
        f"{fsum(zero_shot) / len(zero_shot):.2f}" if zero_shot else "",
        record.run.path(Path()).as_posix(),
        _commit(record),
        str(environment["device"] or ""),
        str(environment["torch"] or ""),
        f"{record.seconds.train:.1f}",
        f"{record.peak_memory_bytes / 2**20:.0f}",
        ", ".join(probes),
    )


def _commit(record: Record) -> str:
    commit = record.environment["git_commit"]
    if not commit:
        return ""
    return f"{str(commit)[:7]}{' and changes' if record.environment['git_dirty'] else ''}"
