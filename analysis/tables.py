"""Tables as objects: cells that hold a text for people and numbers for machines. `render` turns them into files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isinf, isnan
from typing import Literal

import pandas as pd

from analysis.aggregate import ZERO_SHOT, BenchmarkResult, MethodResult, Outcome
from analysis.records import Results, run_frame
from analysis.statistics import wilcoxon_p
from analysis.verdicts import caveat_sentence, count_sentence
from benchmarks.registry import Benchmark

Value = float | int | str | None
NOTHING = "-"
NOT_IN_THE_PAPER = "not in paper"


@dataclass(frozen=True)
class Cell:
    """What is read in Markdown and in the terminal, and the values that a CSV file holds instead."""

    text: str
    values: tuple[Value, ...]
    mark: Literal["best", "worst"] | None = None


@dataclass(frozen=True)
class Column:
    """A heading, and one heading for each value of its cells."""

    name: str
    values: tuple[str, ...]
    is_number: bool = True


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows in sections, under a title, above its notes. `name` is the file's."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    sections: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()


def benchmark_table(result: BenchmarkResult) -> Table:
    """Every domain of one benchmark: means over seeds, and the differences to the baseline paired by seed."""
    benchmark = result.benchmark
    columns = (
        _text_column("method"),
        *(Column(domain, (domain, f"{domain} std")) for domain in result.columns),
        _difference_column(f"{benchmark.train_domain} difference"),
        _difference_column(f"{ZERO_SHOT} difference"),
        _text_column("seeds"),
    )
    rows = [
        (
            _text(method.method),
            *(_mean(method, column) for column in result.columns),
            _difference(method, method.train, result.baseline),
            _difference(method, method.zero_shot, result.baseline),
            _seeds(method, result),
        )
        for method in result.methods
    ]
    return Table(
        name=benchmark.name,
        title=f"{benchmark.name}: {benchmark.title}",
        caption=(
            f"{_unit(benchmark)}, mean over seeds. Trained on {benchmark.train_domain}, {ZERO_SHOT} over the other "
            f"{len(benchmark.zero_shot_domains)} domains. Differences to {result.baseline}, paired by seed, "
            "with the half width of the 95% t interval."
        ),
        columns=columns,
        sections=(_with_marks(rows, result),),
        notes=_mark_notes(result),
    )


def overview_table(result: BenchmarkResult) -> Table:
    """One benchmark at a glance, narrow enough for a terminal: the averages, the verdicts, the paper's verdict."""
    benchmark = result.benchmark
    shown = (benchmark.train_domain, ZERO_SHOT)
    columns = (
        _text_column("method"),
        *(Column(name, (name, f"{name} std")) for name in shown),
        _difference_column("difference"),
        _text_column("ours"),
        _text_column("paper"),
        _text_column("agreement"),
        _text_column("seeds"),
    )
    run = [method for method in result.methods if method.seeds]
    rows = [
        (
            _text(method.method),
            *(_mean(method, name) for name in shown),
            _difference(method, method.zero_shot, result.baseline),
            *_verdicts(method, method.zero_shot, result.baseline),
            _seeds(method, result),
        )
        for method in run
    ]
    return Table(
        name=benchmark.name,
        title=f"{benchmark.name}: {benchmark.title}",
        caption=f"{_unit(benchmark)}; {ZERO_SHOT}, its difference to {result.baseline} and the verdicts on it",
        columns=columns,
        sections=(_with_marks(rows, replace(result, methods=tuple(run))),),
        notes=(*_not_run(result), *_mark_notes(result)),
    )


def summary_table(results: Sequence[BenchmarkResult]) -> Table:
    """Every benchmark and method: difference to the baseline, our verdict, the paper's, and whether they agree."""
    columns = [_text_column("benchmark"), _text_column("method"), _text_column("seeds")]
    for where in (ZERO_SHOT, "training domain"):
        columns += [
            _difference_column(f"{where} difference"),
            Column(f"{where}: ours", (f"{where}: ours",), is_number=False),
            Column(f"{where}: paper", (f"{where}: paper", f"{where}: paper's differences"), is_number=False),
            Column(f"{where}: agreement", (f"{where}: agreement",), is_number=False),
        ]
    sections = []
    for result in results:
        rows = []
        for method in result.methods:
            cells = [_text(result.benchmark.name), _text(method.method), _seeds(method, result)]
            for outcome in (method.zero_shot, method.train):
                ours, paper, agrees = _verdicts(method, outcome, result.baseline)
                cells += [_difference(method, outcome, result.baseline), ours, _with_numbers(paper, outcome), agrees]
            rows.append(tuple(cells))
        sections.append(tuple(rows))
    return Table(
        name="summary",
        title="Beside the paper",
        caption=(
            "Differences to the baseline (SGD in vision, Adam elsewhere), paired by seed, with the half width of the "
            "95% t interval; perplexity: negative is better; accuracy in points: positive is better."
        ),
        columns=tuple(columns),
        sections=tuple(sections),
        notes=(VERDICT_NOTE, *conclusions(results)),
    )


VERDICT_NOTE = (
    "Ours: better or worse if the interval excludes 0; a single seed gives a sign only. Paper: by its printed means, in "
    "how many of its comparable columns (their differences in brackets); mixed 1/2 is better in one of two, worse in "
    "the other. Undecided: only one of the two saw a difference."
)


def conclusions(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    """What all comparisons with the paper come to, counted from the verdicts, and what that cannot say."""
    methods = [method for result in results for method in result.methods]
    zero_shot = [(method.zero_shot.verdict, method.zero_shot.agreement) for method in methods]
    train = [(method.train.verdict, method.train.agreement) for method in methods]
    return (
        f"{ZERO_SHOT}: {count_sentence(zero_shot)}",
        f"Training domain: {count_sentence(train)}",
        caveat_sentence(zero_shot + train),
    )


_STEP_FIELDS = ("first", "median", "maximum", "last")


def cost_table(results: Results, aggregated: Sequence[BenchmarkResult]) -> Table:
    """What a method costs and how far it steps: passes, time, memory, the size of d and the norm of epsilon."""
    runs = run_frame(results.records)
    columns = (
        _text_column("benchmark"),
        _text_column("method"),
        Column("passes", ("forward", "backward")),
        Column("time", ("train seconds", "time ratio", "time ratio pairs")),
        Column("MiB", ("peak memory MiB",)),
        *(Column(heading, (f"d {field}",)) for heading, field in zip(_D_HEADINGS, _STEP_FIELDS, strict=True)),
        Column("norm of ε", tuple(f"epsilon {field}" for field in _STEP_FIELDS)),
        Column("zero", ("degenerate steps",)),
    )
    sections = [
        tuple(
            _cost_row(runs.loc[result.benchmark.name], result, method.method)
            for method in result.methods
            if method.seeds
        )
        for result in aggregated
    ]
    return Table(
        name="cost",
        title="Cost, and the size of the radius",
        caption="Medians over seeds. The size of d (a radius for TRAM, a penalty for TRPO, R3F, MESA) decides what a method does.",
        columns=columns,
        sections=tuple(sections),
        notes=(
            "passes: forward/backward of a step, counted. time: training time over the baseline's of the same seed; runs "
            "share a machine, so it is rough. d: first, median, largest and last step. norm of ε: median step. "
            "zero: steps without a perturbation because d, the gradient or its norm was zero or not finite.",
        ),
    )


_D_HEADINGS = ("d first", "median", "max", "last")


def _cost_row(runs: pd.DataFrame, result: BenchmarkResult, method: str) -> Row:
    own = runs.loc[method]
    median = own.median()
    has_baseline = result.baseline in runs.index.get_level_values("method")
    ratios = (
        (own["train_seconds"] / runs.loc[result.baseline]["train_seconds"]).dropna() if has_baseline else pd.Series()
    )
    ratio = float(ratios.median()) if len(ratios) else None
    passes = sorted({(int(f), int(b)) for f, b in zip(own["forward"], own["backward"], strict=True)})
    memory = float(median["peak_memory_bytes"]) / 2**20
    epsilon = tuple(_number_or_none(median[f"epsilon_{field}"]) for field in _STEP_FIELDS)
    degenerate = float(median["degenerate_steps"])
    return (
        _text(result.benchmark.name),
        _text(method),
        Cell(", ".join(f"{f}/{b}" for f, b in passes), passes[-1]),
        Cell(
            NOTHING if ratio is None else f"{ratio:.2f}x",
            (float(median["train_seconds"]), ratio, len(ratios)),
        ),
        Cell(f"{memory:.0f}", (memory,)),
        *(_small(_number_or_none(median[f"d_{field}"])) for field in _STEP_FIELDS),
        replace(_small(epsilon[1]), values=epsilon),
        Cell(f"{degenerate:g}" if epsilon[1] is not None else NOTHING, (degenerate,)),
    )


def _unit(benchmark: Benchmark) -> str:
    return "Perplexity (lower is better)" if benchmark.lower_is_better else "Accuracy in percent (higher is better)"


def _text_column(name: str) -> Column:
    return Column(name, (name,), is_number=False)


def _difference_column(name: str) -> Column:
    return Column(name, (name, f"{name} half width", f"{name} pairs", f"{name} Wilcoxon p"))


def _text(text: str) -> Cell:
    return Cell(text, (text,))


def _mean(method: MethodResult, column: str) -> Cell:
    if not method.seeds:
        return Cell("not run", (None, None))
    mean, std = method.mean[column], method.std[column]
    return Cell(f"{mean:.2f}", (mean, _number_or_none(std)))


def _difference(method: MethodResult, outcome: Outcome, baseline: str) -> Cell:
    nothing = (None, None, 0, None)
    if not method.seeds:
        return Cell("not run", nothing)
    if method.method == baseline:
        return Cell("baseline", nothing)
    if outcome.interval is None:
        return Cell(f"no {baseline} run", nothing)
    mean, half_width, pairs = outcome.interval.mean, outcome.interval.half_width, outcome.interval.n
    text = _two_decimals(mean, "+")
    if not isinf(half_width):
        text += f" ± {_two_decimals(half_width)}"
    if pairs < len(method.seeds):
        text += f" ({pairs} {'pair' if pairs == 1 else 'pairs'})"
    p = wilcoxon_p(list(outcome.differences.values()))
    return Cell(text, (mean, None if isinf(half_width) else half_width, pairs, p))


def _seeds(method: MethodResult, result: BenchmarkResult) -> Cell:
    count, expected = len(method.seeds), len(result.seeds)
    if count == 0:
        return Cell("not run", (0,))
    return Cell(str(count) if count == expected else f"{count} of {expected}", (count,))


def _verdicts(method: MethodResult, outcome: Outcome, baseline: str) -> tuple[Cell, Cell, Cell]:
    if method.method == baseline:
        return _text("baseline"), _text("baseline"), _text(NOTHING)
    if outcome.verdict is not None:
        ours = str(outcome.verdict)
    else:
        ours = "no pair" if method.seeds else "not run"
    paper = str(outcome.published) if outcome.published else NOT_IN_THE_PAPER
    return _text(ours), _text(paper), _text(outcome.agreement or NOTHING)


def _with_numbers(paper: Cell, outcome: Outcome) -> Cell:
    """The paper's verdict with the differences that it stands for."""
    differences = ", ".join(_two_decimals(difference, "+") for difference in outcome.published_differences)
    return Cell(f"{paper.text} ({differences})" if differences else paper.text, (*paper.values, differences or None))


def _with_marks(rows: Sequence[Row], result: BenchmarkResult) -> tuple[Row, ...]:
    """The best and the worst of each column of scores, among the methods that have every seed."""
    complete = [index for index, method in enumerate(result.methods) if len(method.seeds) == _most_seeds(result)]
    marked = [list(row) for row in rows]
    for column in range(1, len(rows[0])):
        texts = {index: rows[index][column].text for index in complete}
        if len(rows[0][column].values) != 2 or len(set(texts.values())) < 2:
            continue
        low, high = min(texts.values(), key=float), max(texts.values(), key=float)
        best, worst = (low, high) if result.benchmark.lower_is_better else (high, low)
        for index, text in texts.items():
            if text in (best, worst):
                marked[index][column] = replace(rows[index][column], mark="best" if text == best else "worst")
    return tuple(tuple(row) for row in marked)


def _most_seeds(result: BenchmarkResult) -> int:
    return max(len(method.seeds) for method in result.methods)


def _mark_notes(result: BenchmarkResult) -> tuple[str, ...]:
    incomplete = [method.method for method in result.methods if 0 < len(method.seeds) < _most_seeds(result)]
    return (f"Not marked, for lack of seeds: {', '.join(incomplete)}.",) if incomplete else ()


def _not_run(result: BenchmarkResult) -> tuple[str, ...]:
    missing = [method.method for method in result.methods if not method.seeds]
    return (f"Not run: {', '.join(missing)}.",) if missing else ()


def _two_decimals(number: float, sign: Literal["+", ""] = "") -> str:
    """Two decimals, but one significant digit where those would read as zero and the number is not."""
    if number == 0:
        return "0.00"
    return f"{number:{sign}.1g}" if abs(number) < 0.005 else f"{number:{sign}.2f}"


def _small(number: float | None) -> Cell:
    return Cell(NOTHING if number is None else f"{number:.2g}", (number,))


def _number_or_none(number: float) -> float | None:
    return None if isnan(number) else float(number)


def all_tables(results: Results, aggregated: Iterable[BenchmarkResult]) -> tuple[Table, ...]:
    """Every table that is written to a file."""
    aggregated = list(aggregated)
    return (*map(benchmark_table, aggregated), summary_table(aggregated), cost_table(results, aggregated))
