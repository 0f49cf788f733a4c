"""What to run for claims that cannot be judged yet."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from analysis.claims.claim import Claim, quantity_of
from analysis.claims.judged import Evidence, Need
from analysis.claims.scores import PROBE_OF, Scores
from analysis.methods import in_order
from analysis.records import Results
from analysis.sheets import Sheet
from benchmarks.suites import SUITES

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
    everything = () if suite in SUITES else sheet.methods
    return Need(suite, sheet.name, everything, tuple(range(seeds or 0)), probe, probed, option)


def commands(needs: Iterable[Need]) -> tuple[str, ...]:
    """Lines that do all that is needed: runs, then probes of them, none in two lines of its kind."""
    by_suite: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        by_suite.setdefault((need.suite, need.option), []).append(need)
    return tuple(
        line
        for (suite, option), own in by_suite.items()
        for line in (*_runs(suite, own, option), *_probes(suite, own, option))
    )


def _runs(suite: str, needs: Sequence[Need], option: str) -> Iterator[str]:
    """A line for all benchmarks that lack the same; of a suite in full those of some methods, or more seeds of all."""
    methods: dict[tuple[str, bool], set[str]] = {}
    seeds: dict[tuple[str, bool], tuple[int, ...]] = {}
    for need in needs:
        if need.seeds:
            kind = need.benchmark, bool(need.methods)
            methods.setdefault(kind, set()).update(need.methods)
            seeds[kind] = max(need.seeds, seeds.get(kind, ()), key=len)
    for (chosen, planned), kinds in _sharing({kind: (in_order(methods[kind]), seeds[kind]) for kind in methods}):
        names = [benchmark for benchmark, _ in kinds]
        if suite in SUITES:
            which = f"--methods {','.join(chosen)}" if chosen else f"--seeds 0:{len(planned)}"
            yield f"python -m benchmarks suite {suite} --full --benchmarks {','.join(names)} {which}{option}"
        else:
            loops = {"benchmark": names, "method": chosen, "seed": planned}
            head = " ".join(f"for {name} in {' '.join(map(str, values))}; do" for name, values in loops.items())
            one = f"python -m benchmarks run $benchmark $method --seed $seed --suite {suite}{option}"
            yield f"{head} {one}; done; done; done"


def _probes(suite: str, needs: Sequence[Need], option: str) -> Iterator[str]:
    """A line for each benchmark and all methods of which it lacks the same probes."""
    probes: dict[str, dict[str, tuple[str, ...]]] = {}
    for need in needs:
        for method in need.probed:
            found = probes.setdefault(need.benchmark, {})
            found[method] = tuple(dict.fromkeys((*found.get(method, ()), need.probe)))
    for benchmark, lacking in probes.items():
        for kinds, methods in _sharing(lacking):
            which = f"--methods {','.join(in_order(methods))} --probes {','.join(kinds)}"
            yield f"python -m benchmarks probe {suite} --benchmarks {benchmark} {which}{option}"


def _sharing(lacking: Mapping[Name, Lack]) -> list[tuple[Lack, list[Name]]]:
    """What is lacking, with all those that lack just that."""
    names: dict[Lack, list[Name]] = {}
    for name, lack in lacking.items():
        names.setdefault(lack, []).append(name)
    return list(names.items())
