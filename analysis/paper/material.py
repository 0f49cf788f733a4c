"""What the paper's tables are made from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from analysis.failures import OfMethods, ProbeKey, RunKey, of_methods
from analysis.records import PUBLISHED, Results
from analysis.sheets import Family, Sheet, counterparts, published_sheets, sheets_of
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record


@dataclass(frozen=True)
class Material:
    """One suite's sheets, records and probes, beside the paper's sheets by name."""

    suite: str
    own: tuple[Sheet, ...]
    paper: Mapping[str, Sheet]
    records: tuple[Record, ...] = ()
    probes: tuple[ProbeRecord, ...] = ()
    failures: OfMethods = field(default_factory=dict)
    lost_probes: Mapping[ProbeKey, str] = field(default_factory=dict)

    @property
    def is_published(self) -> bool:
        """Whether the results are the paper's own numbers."""
        return self.suite == PUBLISHED and not self.own

    def beside(self, name: str) -> tuple[Sheet, ...]:
        """Our sheets that stand beside the paper's sheet of that name."""
        return tuple(sheet for sheet in self.own if any(paper.name == name for paper in counterparts(sheet)))

    def of(self, family: Family) -> tuple[Sheet, ...]:
        """Our sheets that belong to a setting of the paper."""
        return tuple(sheet for sheet in self.own if sheet.family == family)

    def has(self, family: Family) -> bool:
        """Whether there is anything to say of one of the paper's settings."""
        if self.is_published:
            return any(sheet.family == family for sheet in self.paper.values())
        return any(counterparts(sheet) for sheet in self.of(family))


def material_of(
    results: Results, benchmarks: Collection[str] = (), failures: Mapping[RunKey, str] | None = None
) -> Material:
    """All of it, or what belongs to the named benchmarks only, ours or the paper's."""

    def wanted(name: str) -> bool:
        return not benchmarks or name in benchmarks

    is_published = results.suite == PUBLISHED and not results.records
    return Material(
        suite=results.suite,
        own=() if is_published else tuple(sheet for sheet in sheets_of(results) if wanted(sheet.name)),
        paper={sheet.name: sheet for sheet in published_sheets() if not is_published or wanted(sheet.name)},
        records=tuple(record for record in results.records if wanted(record.benchmark)),
        probes=tuple(record for record in results.probes if wanted(record.benchmark)),
        failures=of_methods(failures or {}),
        lost_probes=results.lost_probes,
    )
