"""What the page says, as data."""

import base64
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from analysis.cells import Table
from analysis.claims import Judged, Verdict
from analysis.claims.claim import Claim
from analysis.claims.commands import has_benchmark, unknown_methods, unknown_suite
from analysis.claims.judged import LUCK
from analysis.claims.table import source
from analysis.methods import in_order
from analysis.records import PUBLISHED, Results
from analysis.report.runs import Group, spans
from benchmarks.suites import SUITES
from benchmarks.variants import is_own

PNG_SIZE = slice(16, 24)
"""Where the header of a PNG file has width and height."""
DENSITY = 1.5
"""Figures have so many pixels for each of the page's, so that they stay sharp."""


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: its picture inside the page, and the files beside it."""

    name: str
    caption: str
    png: bytes
    files: tuple[str, ...]

    @property
    def image(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page."""
        width, height = struct.unpack(">II", self.png[PNG_SIZE])
        return round(width / DENSITY), round(height / DENSITY)


@dataclass(frozen=True)
class Part:
    """An entry of the page's navigation."""

    anchor: str
    name: str


@dataclass(frozen=True)
class Report:
    """All that the page says."""

    results: Results
    groups: Mapping[str, Mapping[str, Group]]
    """By benchmark and method."""
    judged: tuple[Judged, ...]
    """Every claim of the paper that is about these results, on each benchmark that it is about."""
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    not_drawn: tuple[str, ...]
    """Why figures are not there."""

    @property
    def verdicts(self) -> tuple[tuple[str, str, int], ...]:
        """Each verdict with its mark, in the order in which they are told, and how many claims were judged so."""
        counts = Counter((one.verdict, one.mark) for one in self.judged)
        kinds = [(verdict, mark) for verdict in get_args(Verdict) for mark in ("", LUCK)]
        return tuple((verdict, mark, counts[verdict, mark]) for verdict, mark in kinds if counts[verdict, mark])

    @property
    def claims(self) -> tuple[tuple[Claim, str, tuple[Judged, ...]], ...]:
        """Each claim, where the paper makes it and by what numbers, and what came of it."""
        claims = dict.fromkeys(one.claim for one in self.judged)
        return tuple(
            (claim, source(claim, self.judged), tuple(one for one in self.judged if one.claim == claim))
            for claim in claims
        )

    @property
    def is_published(self) -> bool:
        return self.results.suite == PUBLISHED and not self.results.records

    @property
    def title(self) -> str:
        subject = "the paper's own tables" if self.is_published else f"results of the suite {self.results.suite}"
        return f"TRAM: {subject}"

    @property
    def lead(self) -> str:
        if self.is_published:
            return "The numbers that the paper prints, what can be computed from them, and which of its claims follow."
        suite = SUITES.get(self.results.suite)
        said = f"{suite.title[0].upper()}{suite.title[1:]}. " if suite else ""
        return f"{said}Every number comes from a stored record of a run, beside the paper's where it has one."

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """A number and what it counts."""
        if self.is_published:
            return ((str(len(self.tables)), _plural("table", len(self.tables))),)
        records = [record for groups in self.groups.values() for group in groups.values() for record in group.records]
        probes = sum(len(group.probes) for groups in self.groups.values() for group in groups.values())
        missing = sum(len(group.missing) for groups in self.groups.values() for group in groups.values())
        planned = f"of {len(records) + missing} runs" if missing else f"{_plural('run', len(records))}, none missing"
        counted = {
            "benchmark": len({record.benchmark for record in records}),
            "method": len({record.method for record in records}),
            "seed": len({record.seed for record in records}),
        } | ({"record of probes": probes} if probes else {})
        return ((str(len(records)), planned), *((str(count), _plural(noun, count)) for noun, count in counted.items()))

    @property
    def parts(self) -> tuple[Part, ...]:
        parts = [Part("claims", "Claims"), Part("tables", "Tables"), Part("figures", "Figures")]
        if self.groups:
            parts.insert(1, Part("runs", "Runs"))
            parts.append(Part("records", "Records"))
        return ((Part("left-out", "Left out"), *parts)) if self.left_out else tuple(parts)

    @property
    def left_out(self) -> tuple[str, ...]:
        return self.results.left_out

    @property
    def benchmarks(self) -> tuple[str, ...]:
        return tuple(self.groups)

    @property
    def grid(self) -> tuple[tuple[str, tuple[Group | None, ...]], ...]:
        """A row per method, a group for each benchmark that has the method."""
        methods = in_order(method for groups in self.groups.values() for method in groups)
        return tuple((name, tuple(groups.get(name) for groups in self.groups.values())) for name in methods)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is in doubt, and of each benchmark what is missing and what would fill it."""
        doubt = self.results.doubt
        gaps = (line for name, groups in self.groups.items() for line in _gaps(self.results, name, groups))
        return (*((f"{doubt[0].upper()}{doubt[1:]}",) if doubt else ()), *gaps)


def _plural(noun: str, count: int) -> str:
    first, *rest = noun.split(" ", 1)
    return noun if count == 1 else " ".join((f"{first}s", *rest))


def _gaps(results: Results, benchmark: str, groups: Mapping[str, Group]) -> Iterable[str]:
    gaps = [group for group in groups.values() if group.state in ("missing", "partial") or group.lost]
    own = [group.method for group in gaps if is_own(group.method)]
    absent = [group.method for group in groups.values() if group.state == "missing" and not group.lost]
    begun = [_seeds(group, group.missing) for group in groups.values() if group.state == "partial" and not group.lost]
    lost = [_seeds(group, group.lost) for group in groups.values() if group.lost]
    kinds = {"not run": absent, "seeds missing": begun, "files left out": lost}
    said = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
    command = f"python -m benchmarks suite {results.suite} --full --benchmarks {benchmark}{results.option}"
    if not has_benchmark(results.suite, benchmark):
        how = unknown_suite(results.suite, benchmark)
    else:
        by_command = f"To fill it{', when they are out of the way' if lost else ''}: {command}"
        how = " ".join(([unknown_methods(own)] if own else []) + ([by_command] if len(own) < len(gaps) else []))
    if said:
        yield f"{benchmark}: {said}. {how}"


def _seeds(group: Group, seeds: Collection[int]) -> str:
    return f"{group.method} (seed{'' if len(seeds) == 1 else 's'} {spans(seeds)})"
