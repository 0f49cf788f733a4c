"""What figures are drawn from: one suite's records, sheets, probes and curves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from analysis.aggregate import BenchmarkResult, aggregate
from analysis.figures.curves import Curve, read_curves
from analysis.figures.errors import NothingToDrawError
from analysis.methods import in_order
from analysis.records import Results
from analysis.sheets import Sheet, sheets_of
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record

Needs = Literal["runs", "scores", "curves", "sharpness", "surface-line", "surface-random", "surface-plane"]
"""Runs of ours, scores of ours or of the paper, or the records of a probe."""


@dataclass(frozen=True)
class Material:
    """Everything that the results of one suite hold, or, after `of`, those of one of its benchmarks."""

    suite: str
    root: Path | None
    """The folder of suites, below which the curves lie beside their records; None where there are none."""
    sheets: tuple[Sheet, ...]
    aggregated: tuple[BenchmarkResult, ...]
    records: tuple[Record, ...]
    probes: tuple[ProbeRecord, ...]

    def of(self, benchmark: str) -> "Material":
        """Only what belongs to that benchmark."""
        return replace(
            self,
            sheets=tuple(sheet for sheet in self.sheets if sheet.name == benchmark),
            aggregated=tuple(result for result in self.aggregated if result.benchmark.name == benchmark),
            records=tuple(record for record in self.records if record.benchmark == benchmark),
            probes=tuple(record for record in self.probes if record.benchmark == benchmark),
        )

    @cached_property
    def curves(self) -> Mapping[str, Mapping[int, Curve]]:
        """By method, in the paper's order, and seed, of the only benchmark.

        Raises NothingToDrawError where there are none.
        """
        found = read_curves(self.records, self.root)
        if not found:
            raise NothingToDrawError("no curve beside its records")
        return {method: found[method] for method in in_order(found)}

    @property
    def sheet(self) -> Sheet:
        """The sheet of the only benchmark."""
        (sheet,) = self.sheets
        return sheet

    def has(self, needs: Needs) -> bool:
        """Whether there is any of what a figure needs."""
        if needs in ("runs", "curves"):
            return bool(self.records)
        return bool(self.sheets) if needs == "scores" else any(record.probe == needs for record in self.probes)

    def probed(self, probe: str) -> tuple[ProbeRecord, ...]:
        """The records of one probe, by benchmark, method and seed. Raises NothingToDrawError if there are none."""
        chosen = [record for record in self.probes if record.probe == probe]
        if not chosen:
            raise NothingToDrawError(f"no record of the probe {probe}")
        return tuple(sorted(chosen, key=lambda record: (record.benchmark, record.method, record.seed)))


def gather(results: Results, folder: Path, benchmarks: Iterable[str] = ()) -> Material:
    """The material in `folder`, that was loaded as `results`; only the named benchmarks, if any."""
    chosen = set(benchmarks)
    return Material(
        suite=results.suite,
        root=(results.root or folder.parent).resolve() if results.records else None,
        sheets=tuple(sheet for sheet in sheets_of(results) if not chosen or sheet.name in chosen),
        aggregated=tuple(aggregate(results, chosen)),
        records=tuple(record for record in results.records if not chosen or record.benchmark in chosen),
        probes=tuple(record for record in results.probes if not chosen or record.benchmark in chosen),
    )
