"""Results in memory whose every score is a function of method, seed and domain, to judge claims on."""

from collections.abc import Callable, Iterable

from analysis.claims import CLAIMS, Judged, judge
from analysis.records import Results
from benchmarks.probes.record import ProbeRecord
from benchmarks.registry import BENCHMARKS, methods_of
from tests.analysis.synthetic import record
from tests.analysis.synthetic_probes import probe_record

Score = Callable[[str, int, str], float]

WOBBLE = (0.0, 0.3, -0.2, 0.1, -0.2, 0.25, -0.15, 0.05)
"""What differs between seeds, for all methods alike or for one of them."""


def world(
    benchmark: str, score: Score, methods: Iterable[str] | None = None, seeds: Iterable[int] = range(5)
) -> Results:
    """A suite with these runs."""
    names = methods_of(BENCHMARKS[benchmark]) if methods is None else tuple(methods)
    seeds = tuple(seeds)
    return Results("mini", tuple(record(benchmark, name, seed, score) for name in names for seed in seeds), ())


def probed(
    benchmark: str, probe: str, score: Score, methods: Iterable[str], seeds: Iterable[int] = range(5)
) -> Results:
    """The same with a probe of every run."""
    methods, seeds = tuple(methods), tuple(seeds)
    runs = world(benchmark, lambda *_: 50.0, methods, seeds)
    probes = tuple(_probe(benchmark, name, seed, probe, score) for name in methods for seed in seeds)
    return Results("mini", runs.records, (), probes)


def verdict_on(results: Results, claim: str) -> Judged:
    """The one judgement of the claim with that id."""
    (row,) = [row for row in CLAIMS if row.id == claim]
    (judged,) = judge(results, claims=[row])
    return judged


def _probe(benchmark: str, method: str, seed: int, probe: str, score: Score) -> ProbeRecord:
    metrics = {f"test/{probe}/{domain}": score(method, seed, domain) for domain in BENCHMARKS[benchmark].domains}
    return probe_record(benchmark, method, seed, probe, metrics=metrics)
