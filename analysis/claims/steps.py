"""Evidence from the steps themselves: how many passes they take, how large d becomes. Counted, and not sampled."""

from collections.abc import Iterable

from analysis.claims.claim import Costs, Within
from analysis.claims.judged import Evidence, Finding
from benchmarks.record import Record
from benchmarks.registry import PASSES

Passes = tuple[int, int]


def cost(question: Costs, records: Iterable[Record], benchmark: str) -> Evidence:
    """The passes of every run against those of every run of the other method, as they were counted."""
    counted: dict[str, set[Passes]] = {}
    runs = [record for record in records if record.method in (*question.methods, question.other)]
    for record in runs:
        counted.setdefault(record.method, set()).add((record.passes.forward, record.passes.backward))
    return _cost(question, counted, benchmark, len(runs))


def printed_cost(question: Costs, benchmark: str) -> Evidence:
    """The same by the paper's Tables 1 and 2, which the registry's numbers of passes are."""
    return _cost(question, {method: {passes} for method, passes in PASSES.items()}, benchmark, runs=0)


def _cost(question: Costs, counted: dict[str, set[Passes]], benchmark: str, runs: int) -> Evidence:
    gaps = tuple(method for method in (*question.methods, question.other) if method not in counted)
    pairs = [
        (method, own, other)
        for method in question.methods
        for own in sorted(counted.get(method, ()))
        for other in sorted(counted.get(question.other, ()))
    ]
    if not pairs:
        return Evidence(gaps=gaps, sufficient=(False, False))
    right = [(own[0] - other[0], own[1] - other[1]) == question.more for _, own, other in pairs]
    method, own, other = pairs[0 if all(right) else right.index(False)]
    return Evidence(
        finding=Finding(benchmark, f"Passes of {method} and {question.other}", (*own, *other), None),
        unit="passes",
        runs=runs,
        counted="runs",
        holds=all(right),
        gaps=gaps,
        sufficient=(not gaps, True),
    )


def bounded(question: Within, records: Iterable[Record], benchmark: str) -> Evidence:
    """The largest d of any step of any run."""
    runs = [record for record in records if record.method in question.methods and record.distance is not None]
    gaps = tuple(method for method in question.methods if method not in {record.method for record in runs})
    if not runs:
        return Evidence(gaps=gaps, sufficient=(False, False))
    largest = max(runs, key=_largest)
    return Evidence(
        finding=Finding(
            benchmark,
            f"Largest d, of {largest.method} seed {largest.seed}, and ρ",
            (_largest(largest), question.ceiling),
            question.ceiling - _largest(largest),
        ),
        unit="nats",
        runs=len(runs),
        counted="runs",
        holds=_largest(largest) <= question.ceiling,
        gaps=gaps,
        sufficient=(not gaps, True),
    )


def _largest(record: Record) -> float:
    return record.distance.maximum if record.distance is not None else 0.0
