"""Select and aggregate: what each method of a benchmark scored, beside its baseline and beside the paper."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.failures import RunKey, at_length, of_method
from analysis.methods import in_order
from analysis.published import published_differences
from analysis.records import Results, metric_frame
from analysis.rounding import NOTHING_LEFT
from analysis.statistics import Interval, t_interval
from analysis.verdicts import Agreement, PublishedVerdict, Verdict, agreement, published_verdict, verdict
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

    @property
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
    def no_difference(self) -> str:
        """Why a method that was run has no difference to the baseline."""
        has_baseline = any(method.method == self.baseline for method in self.run)
        return "no seed in common" if has_baseline else f"no {self.baseline} run"

    @property
    def complete(self) -> tuple[str, ...]:
        """The methods whose means may be compared."""
        return complete_of({method.method: method.seeds for method in self.run}, self.seeds)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.benchmark.domains, ZERO_SHOT)


def select_scores(metrics: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """Test scores, index (method, seed), a column per domain and the mean over the zero-shot domains."""
    chosen = metrics.query("benchmark == @benchmark.name and split == 'test' and metric == @benchmark.metric")
    scores = chosen.pivot(index=["method", "seed"], columns="domain", values="value")[list(benchmark.domains)]
    scores[ZERO_SHOT] = scores[list(benchmark.zero_shot_domains)].mean(axis="columns", skipna=False)
    return scores


def paired_differences(scores: pd.Series, baseline: str) -> pd.DataFrame:
    """Method minus baseline of the same seed: index seed, a column per method, NaN where either was not run."""
    by_seed = scores.unstack("method")
    if baseline not in by_seed:
        return by_seed * float("nan")
    differences = by_seed.sub(by_seed[baseline], axis="index")
    return differences.mask(differences.abs() < NOTHING_LEFT, 0.0)


def aggregate(results: Results, benchmarks: Iterable[str] = ()) -> list[BenchmarkResult]:
    """Each benchmark that has records, in the registry's order; only the named ones if any is named."""
    metrics = metric_frame(results.records)
    present = {record.benchmark for record in results.records}
    chosen = present & set(benchmarks) if benchmarks else present
    return [
        _aggregate(
            metrics,
            benchmark,
            expected_seeds(results.suite, benchmark, _seeds_there(results, name)),
            expected_methods(results.suite, benchmark),
            results.lost,
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
    metrics: pd.DataFrame,
    benchmark: Benchmark,
    seeds: tuple[int, ...],
    expected: tuple[str, ...],
    lost: Mapping[RunKey, str],
) -> BenchmarkResult:
    scores = select_scores(metrics, benchmark)
    baseline = benchmark.recipe.base_optimizer
    differences = {column: paired_differences(scores[column], baseline) for column in (*benchmark.domains, ZERO_SHOT)}
    run = {str(name) for name in scores.index.get_level_values("method")}
    methods = []
    for name in in_order(run.union(expected, (method for of, method, _ in lost if of == benchmark.name))):
        own = scores[scores.index.get_level_values("method") == name]
        paired = {column: _by_seed(frame, name) for column, frame in differences.items()}
        methods.append(
            MethodResult(
                method=name,
                seeds=tuple(int(seed) for seed in own.index.get_level_values("seed")),
                mean={} if own.empty else {column: float(own[column].mean()) for column in differences},
                std={} if own.empty else {column: float(own[column].std(ddof=1)) for column in differences},
                difference={
                    column: t_interval(list(by_seed.values())) for column, by_seed in paired.items() if by_seed
                },
                train=_outcome(paired[benchmark.train_domain], name, benchmark, benchmark.published_train),
                zero_shot=_outcome(paired[ZERO_SHOT], name, benchmark, benchmark.published),
                lost=of_method(lost, benchmark.name, name),
            )
        )
    return BenchmarkResult(benchmark, seeds, tuple(methods))


def _by_seed(differences: pd.DataFrame, method: str) -> dict[int, float]:
    if method not in differences:
        return {}
    return {int(str(seed)): float(value) for seed, value in differences[method].dropna().items()}


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
