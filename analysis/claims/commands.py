"""What to run for claims that cannot be judged yet."""

import shlex
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from analysis.claims.claim import Claim, quantity_of
from analysis.claims.judged import Evidence, Need
from analysis.claims.scores import PROBE_OF, Scores
from analysis.methods import in_order
from analysis.records import Results
from analysis.sheets import Sheet
from benchmarks.suites import SUITES
from benchmarks.variants import is_own

Name = TypeVar("Name", bound=Hashable)
Lack = TypeVar("Lack", bound=Hashable)


def need_of(
    claim: Claim, evidence: Evidence, sheet: Sheet, scores: Scores, results: Results, seeds: int | None
) -> Need | None:
    """The runs and probes that are missing, or more `seeds` of what is there; None where no number of runs would do."""
    suite, option = results.suite, results.option
    missing = tuple(method for method in evidence.gaps if " " not in method)
    if not missing and seeds is None:
        return None
    quantity = quantity_of(claim)
    probe = PROBE_OF.get(quantity, "")
    probed = (missing or scores.methods) if probe else ()
    if missing:
        methods = tuple(method for method in missing if method not in sheet.methods)
        return Need(suite, sheet.name, methods, sheet.expected_seeds if methods else (), probe, probed, option)
    return Need(suite, sheet.name, (), tuple(range(seeds or 0)), probe, probed, option)


def commands(needs: Iterable[Need]) -> tuple[str, ...]:
    """Lines that do all that is needed and that the benchmarks can do: runs, then probes of them, none in two lines of
    its kind."""
    by_suite: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        if has_benchmark(need.suite, need.benchmark):
            by_suite.setdefault((need.suite, need.option), []).append(need)
    return tuple(
        line
        for (suite, option), own in by_suite.items()
        for line in (*_runs(suite, own, option), *_probes(suite, own, option))
    )


def by_hand(needs: Iterable[Need]) -> tuple[str, ...]:
    """A sentence on each thing that is needed and that no command here makes."""
    return tuple(dict.fromkeys(sentence for need in needs for sentence in _by_hand(need)))


def has_benchmark(suite: str, benchmark: str) -> bool:
    """Whether the project has a suite of that name with that benchmark."""
    return suite in SUITES and benchmark in SUITES[suite].benchmarks


def unknown_suite(suite: str, benchmark: str) -> str:
    """What is said in the place of a command."""
    return f"No command here makes runs of {benchmark} in the suite {suite}, which is one of your own."


def unknown_methods(methods: Iterable[str]) -> str:
    """The same of methods."""
    return f"No command here runs {', '.join(methods)}: of your own."


def _by_hand(need: Need) -> Iterator[str]:
    if not has_benchmark(need.suite, need.benchmark):
        yield unknown_suite(need.suite, need.benchmark)
    elif own := [method for method in need.probed if is_own(method)]:
        yield unknown_methods(own)


def _runs(suite: str, needs: Sequence[Need], option: str) -> Iterator[str]:
    """A line for all benchmarks that lack the same: those of some methods, or more seeds of all that the suite has."""
    methods: dict[tuple[str, bool], set[str]] = {}
    seeds: dict[tuple[str, bool], tuple[int, ...]] = {}
    for need in needs:
        if need.seeds:
            kind = need.benchmark, bool(need.methods)
            methods.setdefault(kind, set()).update(need.methods)
            seeds[kind] = max(need.seeds, seeds.get(kind, ()), key=len)
    for (chosen, planned), kinds in _sharing({kind: (in_order(methods[kind]), seeds[kind]) for kind in methods}):
        names = _list(benchmark for benchmark, _ in kinds)
        which = f"--methods {_list(chosen)}" if chosen else f"--seeds 0:{len(planned)}"
        yield f"python -m benchmarks suite {suite} --full --benchmarks {names} {which}{option}"


def _probes(suite: str, needs: Sequence[Need], option: str) -> Iterator[str]:
    """A line for each benchmark and all methods of which it lacks the same probes."""
    probes: dict[str, dict[str, tuple[str, ...]]] = {}
    for need in needs:
        for method in need.probed:
            if not is_own(method):
                found = probes.setdefault(need.benchmark, {})
                found[method] = tuple(dict.fromkeys((*found.get(method, ()), need.probe)))
    for benchmark, lacking in probes.items():
        for kinds, methods in _sharing(lacking):
            which = f"--methods {_list(in_order(methods))} --probes {_list(kinds)}"
            yield f"python -m benchmarks probe {suite} --benchmarks {benchmark} {which}{option}"


def _list(names: Iterable[str]) -> str:
    return shlex.quote(",".join(names))


def _sharing(lacking: Mapping[Name, Lack]) -> list[tuple[Lack, list[Name]]]:
    """What is lacking, with all those that lack just that."""
    names: dict[Lack, list[Name]] = {}
    for name, lack in lacking.items():
        names.setdefault(lack, []).append(name)
    return list(names.items())
