"""The tables of scores and verdicts; `all_tables` is every table that goes to a file."""

from collections.abc import Sequence
from dataclasses import replace
from math import isinf

from analysis.aggregate import ZERO_SHOT, BenchmarkResult, MethodResult, Outcome
from analysis.cells import NOTHING, Cell, Column, Row, Table, number_or_none, text_cell, text_column, two_decimals
from analysis.cost import cost_table
from analysis.records import Results
from analysis.statistics import wilcoxon_p
from analysis.verdicts import caveat_sentence, count_sentence
from benchmarks.registry import Benchmark

NOT_IN_THE_PAPER = "not in paper"


def all_tables(results: Results, aggregated: Sequence[BenchmarkResult]) -> tuple[Table, ...]:
    """Every table that is written to a file."""
    return (
        *map(benchmark_table, aggregated),
        summary_table(aggregated),
        cost_table(results.records, aggregated),
    )


def benchmark_table(result: BenchmarkResult) -> Table:
    """Every domain of one benchmark: means over seeds, and the differences to the baseline paired by seed."""
    benchmark = result.benchmark
    columns = (
        text_column("method"),
        *(Column(domain, (domain, f"{domain} std")) for domain in result.columns),
        _difference_column(f"{benchmark.train_domain} difference"),
        _difference_column(f"{ZERO_SHOT} difference"),
        text_column("seeds"),
    )
    rows = [
        (
            text_cell(method.method),
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
        text_column("method"),
        *(Column(name, (name, f"{name} std")) for name in shown),
        _difference_column("difference"),
        text_column("ours"),
        text_column("paper"),
        text_column("agreement"),
        text_column("seeds"),
    )
    run = [method for method in result.methods if method.seeds]
    rows = [
        (
            text_cell(method.method),
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
    columns = [text_column("benchmark"), text_column("method"), text_column("seeds")]
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
            cells = [text_cell(result.benchmark.name), text_cell(method.method), _seeds(method, result)]
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
    "Ours: better or worse if the interval excludes 0; a single seed gives a sign only. Paper: by its printed means, "
    "in how many of its comparable columns (their differences in brackets); mixed 1/2 is better in one of two, worse "
    "in the other. Undecided: only one of the two saw a difference."
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


def _unit(benchmark: Benchmark) -> str:
    return "Perplexity (lower is better)" if benchmark.lower_is_better else "Accuracy in percent (higher is better)"


def _difference_column(name: str) -> Column:
    return Column(name, (name, f"{name} half width", f"{name} pairs", f"{name} Wilcoxon p"))


def _mean(method: MethodResult, column: str) -> Cell:
    if not method.seeds:
        return Cell("not run", (None, None))
    mean, std = method.mean[column], method.std[column]
    return Cell(f"{mean:.2f}", (mean, number_or_none(std)))


def _difference(method: MethodResult, outcome: Outcome, baseline: str) -> Cell:
    nothing = (None, None, 0, None)
    if not method.seeds:
        return Cell("not run", nothing)
    if method.method == baseline:
        return Cell("baseline", nothing)
    if outcome.interval is None:
        return Cell(f"no {baseline} run", nothing)
    mean, half_width, pairs = outcome.interval.mean, outcome.interval.half_width, outcome.interval.n
    text = two_decimals(mean, "+")
    if not isinf(half_width):
        text += f" ± {two_decimals(half_width)}"
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
        return text_cell("baseline"), text_cell("baseline"), text_cell(NOTHING)
    missing = "no pair" if method.seeds else "not run"
    ours = str(outcome.verdict) if outcome.verdict else missing
    paper = str(outcome.published) if outcome.published else NOT_IN_THE_PAPER
    return text_cell(ours), text_cell(paper), text_cell(outcome.agreement or NOTHING)


def _with_numbers(paper: Cell, outcome: Outcome) -> Cell:
    """The paper's verdict with the differences that it stands for."""
    differences = ", ".join(two_decimals(difference, "+") for difference in outcome.published_differences)
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
