"""Sheets: the scores of every method on every domain of one benchmark, ours or as the paper prints them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from math import nan
from typing import Literal, cast

import pandas as pd

from analysis.aggregate import (
    ZERO_SHOT,
    by_method,
    complete_of,
    expected_methods,
    expected_seeds,
    paired_differences,
    select_scores,
)
from analysis.methods import in_order
from analysis.published import read_table
from analysis.records import PUBLISHED, Results
from benchmarks.paper_rows import ROWS as PAPER_ROWS
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS
from benchmarks.registry import ZERO_SHOT as UNTRAINED
from benchmarks.row import Benchmark, Metric

Origin = Literal["ours", "published"]
Family = Literal["vision", "m2d2", "xnli"]
Spread = Literal["std", "95% interval"]


@dataclass(frozen=True)
class Sheet:
    """Scores of every method on every domain of one benchmark.

    The frames have a row per method in the paper's order and a column per domain and for the zero-shot average, NaN
    where there is nothing. A mean of which a part is missing is missing.
    """

    name: str
    """The benchmark's row in the registry."""
    family: Family
    """The paper's setting that it belongs to."""
    origin: Origin
    title: str
    metric: Metric
    train_domain: str
    zero_shot_domains: tuple[str, ...]
    baseline: str
    mean: pd.DataFrame
    std: pd.DataFrame
    """Over seeds, ddof 1; published ones as printed, see `spread`."""
    spread: Spread
    """What `std` holds: Table 3 prints half widths of 95% intervals."""
    seeds: Mapping[str, tuple[int, ...]]
    """By method; empty for published ones."""
    printed_seeds: int | None
    """How many the paper says it ran; None for ours."""
    by_seed: pd.DataFrame | None
    """Ours before averaging, index (method, seed)."""
    expected: tuple[str, ...]
    """The methods that the suite in full has, and those whose files are left out."""
    expected_seeds: tuple[int, ...]
    """What each method should have; empty for published ones."""

    @cached_property
    def complete(self) -> tuple[str, ...]:
        """The methods whose means may be compared."""
        return complete_of(self.seeds, self.expected_seeds)

    @cached_property
    def differences(self) -> dict[str, dict[str, tuple[float, ...]]]:
        """Ours by method and column: method minus baseline of the same seed, for the seeds that both have."""
        there = {} if self.by_seed is None else by_method(self.by_seed)
        if self.baseline not in there:
            return {}
        return {
            method: {
                column: tuple(by_seed.values())
                for column, by_seed in zip(self.columns, paired_differences(runs, there[self.baseline]), strict=True)
            }
            for method, runs in there.items()
            if method != self.baseline
        }

    @property
    def lower_is_better(self) -> bool:
        return self.metric == "perplexity"

    @property
    def domains(self) -> tuple[str, ...]:
        return (self.train_domain, *self.zero_shot_domains)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.domains, ZERO_SHOT)

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that have scores, in the paper's order."""
        return tuple(self.mean.index)

    def score(self, method: str, column: str) -> float:
        """The mean; NaN where there is none."""
        return self._scores.get(method, {}).get(column, nan)

    def deviation(self, method: str, column: str) -> float:
        """What `std` holds; NaN where it holds nothing."""
        return self._deviations.get(method, {}).get(column, nan)

    # Looking up a cell of a frame takes fifty times as long.

    @cached_property
    def _scores(self) -> dict[str, dict[str, float]]:
        return cast(dict[str, dict[str, float]], self.mean.to_dict("index"))

    @cached_property
    def _deviations(self) -> dict[str, dict[str, float]]:
        return cast(dict[str, dict[str, float]], self.std.to_dict("index"))


def sheets_of(results: Results) -> list[Sheet]:
    """A sheet per benchmark that has records, in the registry's order; the paper's where the results are its own."""
    if results.suite == PUBLISHED and not results.records:
        return published_sheets()
    grouped: dict[str, list[Record]] = {}
    for record in results.records:
        grouped.setdefault(record.benchmark, []).append(record)
    lost: dict[str, list[tuple[str, int]]] = {}
    for benchmark, method, seed in results.lost:
        lost.setdefault(benchmark, []).append((method, seed))
    return [
        _sheet(results.suite, row, grouped[name], lost.get(name, ()))
        for name, row in BENCHMARKS.items()
        if name in grouped
    ]


def published_sheets() -> list[Sheet]:
    """The paper's, in the order of the registry's rows that reproduce them; averages as printed."""
    return list(_paper_sheets())


def counterparts(sheet: Sheet) -> list[Sheet]:
    """The published sheets that a sheet of ours stands beside: a paper row its own, a miniature those of its family."""
    if sheet.origin == "published":
        return []
    columns = set(BENCHMARKS[sheet.name].published_train)
    return [paper for paper in published_sheets() if columns & set(BENCHMARKS[paper.name].published_train)]


def _sheet(suite: str, row: Benchmark, records: Iterable[Record], lost: Collection[tuple[str, int]]) -> Sheet:
    runs = tuple(records)
    by_seed = select_scores(runs, row)
    there = by_method(by_seed)
    methods = in_order(there)
    return Sheet(
        name=row.name,
        family=_family(row),
        origin="ours",
        title=row.title,
        metric=row.metric,
        train_domain=row.train_domain,
        zero_shot_domains=row.zero_shot_domains,
        baseline=row.recipe.base_optimizer,
        mean=_frame({method: there[method].mean for method in methods}, by_seed.columns),
        std=_frame({method: there[method].std for method in methods}, by_seed.columns),
        spread="std",
        seeds={method: there[method].seeds for method in methods},
        printed_seeds=None,
        by_seed=by_seed,
        expected=in_order({*expected_methods(suite, row), *(method for method, _ in lost)}),
        expected_seeds=expected_seeds(suite, row, [*((run.method, run.seed) for run in runs), *lost]),
    )


@cache
def _paper_sheets() -> tuple[Sheet, ...]:
    return tuple(_published(row) for row in PAPER_ROWS if row.published_train)


_PRINTED_SEEDS: Mapping[Family, int] = {"vision": 5, "m2d2": 1, "xnli": 20}
_STDS = "table_13_xnli_std"


def _published(row: Benchmark) -> Sheet:
    """From the tables that the registry names for the row; `ZS_Avg` as it is printed, not computed."""
    (column,) = row.published_train
    family = _family(row)
    zero_shot = row.zero_shot_domains if row.published else ()
    columns = {domain: domain for domain in (row.train_domain, *zero_shot)} | {ZERO_SHOT: "ZS_Avg"}
    printed: dict[str, dict[str, str]] = {}
    for table in reversed(column.tables):
        printed |= read_table(table)
    names = {name: UNTRAINED if name == row.zero_shot_name else name for name in printed if name != "TRAM-x-KL"}
    spreads = read_table(_STDS) if family == "xnli" else printed
    suffix = "_ci95" if family == "vision" else "" if family == "xnli" else "_std"
    methods = in_order(names.values())

    def frame(rows: Mapping[str, Mapping[str, str]], suffix: str) -> pd.DataFrame:
        found = {
            own: [float(rows.get(name, {}).get(f"{title}{suffix}") or "nan") for title in columns.values()]
            for name, own in names.items()
        }
        return _frame({method: found[method] for method in methods}, pd.Index(list(columns)))

    return Sheet(
        name=row.name,
        family=family,
        origin="published",
        title=row.title,
        metric=row.metric,
        train_domain=row.train_domain,
        zero_shot_domains=zero_shot,
        baseline=row.recipe.base_optimizer,
        mean=frame(printed, ""),
        std=frame(spreads, suffix),
        spread="95% interval" if family == "vision" else "std",
        seeds={},
        printed_seeds=_PRINTED_SEEDS[family],
        by_seed=None,
        expected=methods,
        expected_seeds=(),
    )


def _family(row: Benchmark) -> Family:
    for family in _PRINTED_SEEDS:
        if row.family.removeprefix("mini-").startswith(family):
            return family
    raise ValueError(f"{row.name}: {row.family} is none of the paper's settings")


def _frame(rows: Mapping[str, Iterable[float]], columns: pd.Index) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict({name: list(row) for name, row in rows.items()}, orient="index", columns=columns)
    frame.index.name = "method"
    return frame.astype(float)
