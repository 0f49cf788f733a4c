"""Select and aggregate: what each method of a benchmark scored, beside its baseline and beside the paper."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan

import numpy as np
import pandas as pd

from analysis.failures import OfMethods, at_length, of_method, of_methods
from analysis.methods import in_order
from analysis.published import published_differences
from analysis.records import Results
from analysis.rounding import NOTHING_LEFT
from analysis.statistics import Interval, t_interval, wilcoxon_p
from analysis.verdicts import Agreement, PublishedVerdict, Verdict, agreement, published_verdict, verdict
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS, methods_of
from benchmarks.registry import ZERO_SHOT as UNTRAINED
from benchmarks.row import Benchmark, PublishedColumn
from benchmarks.suites import SUITES, runs_of

ZERO_SHOT = "ZS Avg"


@dataclass(frozen=True)
class Outcome:
    """A method's score in one column against its baseline's, ours and the paper's.

    `differences` maps each seed that both have to method minus baseline, in the metric's unit; `interval` is of their
    mean. For the baseline itself, and where no seed is in common, there is no interval and no verdict.
    """

    differences: Mapping[int, float]
    interval: Interval | None
    verdict: Verdict | None
    published_differences: tuple[float, ...]
    published: PublishedVerdict | None
    agreement: Agreement | None

    @cached_property
    def wilcoxon_p(self) -> float | None:
        """Of the signed-rank test of the differences; None where it cannot be below 0.05."""
        return wilcoxon_p(list(self.differences.values()))


@dataclass(frozen=True)
class MethodResult:
    """What one method scored, keyed by column; the mappings are empty where there is nothing.

    `mean` and `std` (ddof 1, NaN for one seed) are over seeds; `difference` is to the baseline, paired by seed.
    """

    method: str
    seeds: tuple[int, ...]
    mean: Mapping[str, float]
    std: Mapping[str, float]
    difference: Mapping[str, Interval]
    train: Outcome
    zero_shot: Outcome
    lost: Mapping[int, str]
    """By seed, why a file is left out that should have been its record."""


@dataclass(frozen=True)
class BenchmarkResult:
    """Every expected or present method of one benchmark, in the paper's order."""

    benchmark: Benchmark
    seeds: tuple[int, ...]
    """What each method should have; see `expected_seeds`."""
    methods: tuple[MethodResult, ...]

    @property
    def baseline(self) -> str:
        return self.benchmark.recipe.base_optimizer

    @property
    def compared(self) -> str:
        """The column that stands beside the paper: the zero-shot average, or else the training domain."""
        return ZERO_SHOT if self.benchmark.published else self.benchmark.train_domain

    def outcome(self, method: MethodResult) -> Outcome:
        """The method's outcome in the compared column."""
        return method.zero_shot if self.compared == ZERO_SHOT else method.train

    @cached_property
    def run(self) -> tuple[MethodResult, ...]:
        return tuple(method for method in self.methods if method.seeds)

    @property
    def not_run(self) -> tuple[str, ...]:
        return tuple(method.method for method in self.methods if not method.seeds and not method.lost)

    @property
    def lost(self) -> tuple[str, ...]:
        """A phrase on each run whose file is left out."""
        return tuple(phrase for method in self.methods for phrase in at_length(method.method, method.lost))

    @property
    def has_baseline(self) -> bool:
        return any(method.method == self.baseline for method in self.run)

    @property
    def no_difference(self) -> str:
        """Why a method that was run has no difference to the baseline."""
        return "no seed in common" if self.has_baseline else f"no {self.baseline} run"

    @cached_property
    def complete(self) -> tuple[str, ...]:
        """The methods whose means may be compared."""
        return complete_of({method.method: method.seeds for method in self.run}, self.seeds)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.benchmark.domains, ZERO_SHOT)


@dataclass(frozen=True)
class Runs:
    """One method's scores: a row for each column of a benchmark, in it a value for each seed."""

    seeds: tuple[int, ...]
    values: np.ndarray

    @property
    def mean(self) -> list[float]:
        """For each column; NaN where a seed has no score."""
        means: list[float] = self.values.mean(axis=1).tolist()
        return means

    @property
    def std(self) -> list[float]:
        """For each column, ddof 1; NaN for one seed, of which nothing is known."""
        if len(self.seeds) == 1:
            return [nan] * len(self.values)
        deviations: list[float] = self.values.std(axis=1, ddof=1).tolist()
        return deviations


def select_scores(records: Iterable[Record], benchmark: Benchmark) -> pd.DataFrame:
    """Test scores, index (method, seed) in the paper's order, a column per domain and the mean over the zero-shot ones.

    A mean of which a part is missing is missing.
    """
    runs = tuple(records)
    position = {method: place for place, method in enumerate(in_order(run.method for run in runs))}
    runs = tuple(sorted(runs, key=lambda run: (position[run.method], run.seed)))
    keys = [f"test/{benchmark.metric}/{domain}" for domain in benchmark.domains]
    scores = pd.DataFrame(
        [[run.metrics.get(key, nan) for key in keys] for run in runs],
        index=pd.MultiIndex.from_tuples([(run.method, run.seed) for run in runs], names=["method", "seed"]),
        columns=list(benchmark.domains),
    )
    scores[ZERO_SHOT] = scores[list(benchmark.zero_shot_domains)].mean(axis="columns", skipna=False)
    return scores


def by_method(scores: pd.DataFrame) -> dict[str, Runs]:
    """The scores of each method, from a frame with the index (method, seed): numpy is far quicker here than pandas."""
    places: dict[str, list[int]] = {}
    keys = scores.index.tolist()
    for place, (method, _) in enumerate(keys):
        places.setdefault(method, []).append(place)
    values = scores.to_numpy().T
    return {
        method: Runs(tuple(keys[place][1] for place in own), np.ascontiguousarray(values[:, own]))
        for method, own in places.items()
    }


def paired_differences(own: Runs, baseline: Runs) -> list[dict[int, float]]:
    """Own minus baseline of the same seed, for each column; without the seeds where either has no score."""
    position = {seed: place for place, seed in enumerate(baseline.seeds)}
    common = [(place, position[seed]) for place, seed in enumerate(own.seeds) if seed in position]
    mine, theirs = [first for first, _ in common], [second for _, second in common]
    differences = own.values[:, mine] - baseline.values[:, theirs]
    differences[abs(differences) < NOTHING_LEFT] = 0.0
    seeds = [own.seeds[place] for place in mine]
    rows = (zip(seeds, row, strict=True) for row in differences.tolist())
    return [{seed: value for seed, value in row if not isnan(value)} for row in rows]


def aggregate(results: Results, benchmarks: Iterable[str] = ()) -> list[BenchmarkResult]:
    """Each benchmark that has records, in the registry's order; only the named ones if any is named."""
    grouped: dict[str, list[Record]] = {}
    for record in results.records:
        grouped.setdefault(record.benchmark, []).append(record)
    lost = of_methods(results.lost)
    chosen = grouped.keys() & set(benchmarks) if benchmarks else grouped.keys()
    return [
        _aggregate(
            select_scores(grouped[name], benchmark),
            benchmark,
            expected_seeds(results.suite, benchmark, _seeds_there(results, name)),
            expected_methods(results.suite, benchmark),
            lost,
        )
        for name, benchmark in BENCHMARKS.items()
        if name in chosen
    ]


def expected_methods(suite: str, benchmark: Benchmark) -> tuple[str, ...]:
    """What the suite in full runs on the benchmark; every method where the suite is not one of the project's."""
    if suite not in SUITES:
        return methods_of(benchmark)
    runs = runs_of(suite, SUITES[suite].full, benchmarks=[benchmark.name])
    return tuple(dict.fromkeys(run.method for run in runs))


def expected_seeds(suite: str, benchmark: Benchmark, there: Iterable[tuple[str, int]]) -> tuple[int, ...]:
    """Those that the suite in full has, and others that more than one of `there`, (method, seed), was run with.

    All that are there where the suite is not one of the project's.
    """
    selections = SUITES[suite].full if suite in SUITES else ()
    planned = {run.seed for run in runs_of(suite, selections, benchmarks=[benchmark.name])}
    counts = Counter(seed for _, seed in set(there))
    return tuple(sorted(planned | {seed for seed, count in counts.items() if count > 1 or not planned}))


def complete_of(seeds: Mapping[str, Sequence[int]], expected: Collection[int]) -> tuple[str, ...]:
    """The methods that were run with every expected seed that any was run with."""
    there = {seed for own in seeds.values() for seed in own}
    needed = there & set(expected) or there
    return tuple(method for method, own in seeds.items() if needed <= set(own))


def seeds_text(seeds: Collection[int], expected: Collection[int]) -> str:
    """How many there are and of how many, and which were not expected."""
    count, others = len(set(seeds) & set(expected)), sorted(set(seeds) - set(expected))
    text = str(count) if count == len(expected) else f"{count} of {len(expected)}"
    return f"{text} and seed{'s' * (len(others) > 1)} {', '.join(map(str, others))}" if others else text


def _seeds_there(results: Results, benchmark: str) -> list[tuple[str, int]]:
    """Those of files left out too."""
    runs = [(record.method, record.seed) for record in results.records if record.benchmark == benchmark]
    return runs + [(method, seed) for name, method, seed in results.lost if name == benchmark]


def _aggregate(
    scores: pd.DataFrame,
    benchmark: Benchmark,
    seeds: tuple[int, ...],
    expected: tuple[str, ...],
    lost: OfMethods,
) -> BenchmarkResult:
    there = by_method(scores)
    names = in_order({*there, *expected, *(method for of, method in lost if of == benchmark.name)})
    methods = tuple(_method(name, there, benchmark, of_method(lost, benchmark.name, name)) for name in names)
    return BenchmarkResult(benchmark, seeds, methods)


def _method(name: str, there: Mapping[str, Runs], benchmark: Benchmark, lost: Mapping[int, str]) -> MethodResult:
    columns = (*benchmark.domains, ZERO_SHOT)
    own, baseline = there.get(name), there.get(benchmark.recipe.base_optimizer)
    differences = paired_differences(own, baseline) if own and baseline else [{} for _ in columns]
    paired = dict(zip(columns, differences, strict=True))
    return MethodResult(
        method=name,
        seeds=own.seeds if own else (),
        mean=dict(zip(columns, own.mean, strict=True)) if own else {},
        std=dict(zip(columns, own.std, strict=True)) if own else {},
        difference={column: t_interval(list(by_seed.values())) for column, by_seed in paired.items() if by_seed},
        train=_outcome(paired[benchmark.train_domain], name, benchmark, benchmark.published_train),
        zero_shot=_outcome(paired[ZERO_SHOT], name, benchmark, benchmark.published),
        lost=lost,
    )


def _outcome(
    by_seed: dict[int, float], method: str, benchmark: Benchmark, columns: tuple[PublishedColumn, ...]
) -> Outcome:
    if method == benchmark.recipe.base_optimizer:
        return Outcome({}, None, None, (), None, None)
    interval = t_interval(list(by_seed.values())) if by_seed else None
    ours = verdict(interval, benchmark.lower_is_better) if interval else None
    name = benchmark.zero_shot_name if method == UNTRAINED else method
    printed = published_differences(columns, name or method)
    paper = published_verdict(printed, benchmark.lower_is_better)
    return Outcome(by_seed, interval, ours, printed, paper, agreement(ours, paper))
