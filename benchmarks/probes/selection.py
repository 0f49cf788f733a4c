"""Which probes of which runs there are to do. Nothing here imports torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.probes.record import PROBES, check_is_of, probe_path, read_probe_record
from benchmarks.record import RecordError, Run, read_record
from benchmarks.registry import BENCHMARKS, PLAIN, ZERO_SHOT
from benchmarks.variants import parse

PROBED = (*PLAIN, "ASAM", "TRAM-prev", "TRAM-x")
"""The methods that are probed if none is named: with whatever settings the suite runs them."""

DEFAULT = tuple(name for name in PROBES if name != "sharpness-connectivity")

PLANES = ("surface-random", "surface-plane")
"""Pictures, of which one seed is enough: the first of those that are asked for, if no probe is named."""


@dataclass(frozen=True)
class Wanted:
    """A run and its probes, in the order in which they are made."""

    run: Run
    probes: tuple[str, ...]

    def pending(self, results: Path) -> tuple[str, ...]:
        return tuple(name for name in self.probes if not probe_path(self.run, name, results).exists())

    def problems(self, results: Path) -> list[RecordError]:
        """What is wrong with the records that are there."""
        found = []
        for path in (probe_path(self.run, name, results) for name in self.probes):
            try:
                if path.exists():
                    check_is_of(read_probe_record(path), read_record(self.run.path(results)), path)
            except RecordError as error:
                found.append(error)
        return found


def wanted(runs: Iterable[Run], probes: tuple[str, ...] | None) -> list[Wanted]:
    """The probes named, or the default ones, of every run to which any of them applies; seed by seed."""
    runs = sorted(runs, key=lambda run: run.seed)
    first = min((run.seed for run in runs), default=0)
    found = []
    for run in runs:
        names = probes or tuple(name for name in DEFAULT if run.seed == first or name not in PLANES)
        applying = tuple(name for name in PROBES if name in names and applies(name, run))
        if applying:
            found.append(Wanted(run, applying))
    return found


def is_probed(method: str) -> bool:
    return parse(method).base in PROBED


def applies(probe: str, run: Run) -> bool:
    """A plane needs three different solutions, a line two, and forgetting something that was learned."""
    base = parse(run.method).base
    if base == ZERO_SHOT:
        return probe not in ("surface-line", "surface-plane", "cka", "forgetting")
    return probe != "surface-plane" or run.method != BENCHMARKS[run.benchmark].recipe.base_optimizer
