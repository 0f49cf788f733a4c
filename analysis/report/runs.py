"""What was run and what is missing: the records of each method on each benchmark beside what the suite has in full."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from analysis.aggregate import expected_methods
from analysis.failures import LEFT_OUT, OfMethods, RunKey, in_brief, of_method, of_methods
from analysis.methods import in_order
from analysis.records import Results
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES, runs_of

State = Literal["complete", "partial", "missing", "not planned"]


@dataclass(frozen=True)
class Group:
    """The runs of one method on one benchmark, and the seeds that the suite in full has besides."""

    benchmark: str
    method: str
    records: tuple[Record, ...]
    missing: tuple[int, ...]
    probes: tuple[ProbeRecord, ...] = ()
    failures: Mapping[int, str] = field(default_factory=dict)
    """By seed, why there is no record: by a note of whoever launched the run, or because its file is left out."""

    @property
    def anchor(self) -> str:
        return anchor(self.benchmark, self.method)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(record.seed for record in self.records)

    @property
    def lost(self) -> tuple[int, ...]:
        """The seeds whose file is left out."""
        return tuple(seed for seed, why in self.failures.items() if why.startswith(LEFT_OUT))

    @property
    def state(self) -> State:
        if not self.missing:
            return "complete" if self.records else "not planned"
        return "partial" if self.records else "missing"

    @property
    def text(self) -> str:
        """As the grid shows it."""
        if self.state == "not planned":
            return ""
        planned = len(self.records) + len(self.missing)
        if self.state == "complete":
            return str(planned)
        told = in_brief(self.failures.values())
        if self.state == "missing":
            return told or "not run"
        return f"{len(self.records)} of {planned}" + (f"; {told}" if told else "")

    @property
    def hint(self) -> str:
        """What is there and what is not, in words."""
        parts = [f"seeds {spans(self.seeds)}"] if self.records else []
        if self.missing:
            parts.append(f"no record of seeds {spans(self.missing)}")
        parts += [f"seed {seed} {why}" for seed, why in sorted(self.failures.items())]
        if self.probes:
            parts.append(f"probes: {', '.join(dict.fromkeys(record.probe for record in self.probes))}")
        return f"{self.method} on {self.benchmark}: {'; '.join(parts) or 'no part of the suite'}"

    @property
    def source(self) -> str:
        """Where a number of this group comes from, in one line."""
        commits = sorted({str(record.environment["git_commit"])[:7] for record in self.records})
        return f"{self.method} on {self.benchmark}: seeds {spans(self.seeds)}, commit {', '.join(commits)}"


def anchor(benchmark: str, method: str) -> str:
    """The name, inside the page, of the records of a method on a benchmark."""
    return f"runs-{benchmark}-{method}".replace("@", "-at-").replace("+", "-and-").replace("=", "-is-")


def spans(seeds: Iterable[int]) -> str:
    """Seeds in as few words as possible: 0-4, 7."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def grouped(
    results: Results, benchmarks: Iterable[str] = (), failures: Mapping[RunKey, str] | None = None
) -> dict[str, dict[str, Group]]:
    """By benchmark, in the registry's order, and by method, in the paper's: what is there and what is missing.

    Only the named benchmarks, if any. A benchmark without any record is not among them unless the suite has it.
    """
    chosen = set(benchmarks)
    by_method = of_methods({**(failures or {}), **results.lost})
    present = {record.benchmark for record in results.records} | {benchmark for benchmark, _, _ in results.lost}
    planned = set(SUITES[results.suite].benchmarks) if results.suite in SUITES else set()
    names = [name for name in BENCHMARKS if name in present | planned and (not chosen or name in chosen)]
    return {name: _groups(results, name, by_method) for name in names}


def _groups(results: Results, benchmark: str, failures: OfMethods) -> dict[str, Group]:
    row = BENCHMARKS[benchmark]
    records: dict[str, list[Record]] = {}
    for record in results.records:
        if record.benchmark == benchmark:
            records.setdefault(record.method, []).append(record)
    probes: dict[str, list[ProbeRecord]] = {}
    for probe in results.probes:
        if probe.benchmark == benchmark:
            probes.setdefault(probe.method, []).append(probe)
    planned: dict[str, set[int]] = {}
    if results.suite in SUITES:
        for run in runs_of(results.suite, SUITES[results.suite].full, benchmarks=[benchmark]):
            planned.setdefault(run.method, set()).add(run.seed)
    else:
        seeds = {record.seed for found in records.values() for record in found}
        planned = {method: set(seeds) for method in expected_methods(results.suite, row)}
    for of, method, seed in results.lost:
        if of == benchmark:
            planned.setdefault(method, set()).add(seed)
    return {
        method: Group(
            benchmark=benchmark,
            method=method,
            records=tuple(sorted(records.get(method, ()), key=lambda record: record.seed)),
            missing=tuple(sorted(planned.get(method, set()) - {record.seed for record in records.get(method, ())})),
            probes=tuple(probes.get(method, ())),
            failures=of_method(failures, benchmark, method, {record.seed for record in records.get(method, ())}),
        )
        for method in in_order({*records, *planned, *probes})
    }
