"""The tables of scores and verdicts; `all_tables` is every table that goes to a file."""

from collections.abc import Collection, Mapping, Sequence
from math import isinf

from analysis.aggregate import ZERO_SHOT, BenchmarkResult, MethodResult, Outcome, seeds_text
from analysis.cells import NOTHING, Cell, Column, Mark, Table, number_or_none, text_cell, text_column, two_decimals
from analysis.cost import cost_table
from analysis.failures import RunKey, in_brief
from analysis.forgetting import forgetting_tables
from analysis.paper.material import material_of
from analysis.paper.registry import paper_tables
from analysis.records import Results
from analysis.rounding import measured
from analysis.verdicts import caveat_sentence, count_sentence
from benchmarks.row import Benchmark

NOT_IN_THE_PAPER = "not in paper"


def all_tables(
    results: Results,
    aggregated: Sequence[BenchmarkResult],
    benchmarks: Collection[str] = (),
    failures: Mapping[RunKey, str] | None = None,
) -> tuple[Table, ...]:
    """Every table that is written to a file: those of the records, then the paper's.

    `benchmarks` names those that `aggregated` is of, none for all; `failures` tells why runs left no record.
    """
    remarks = results.remarks(benchmarks)
    summaries = (summary_table(aggregated, remarks), cost_table(results.records, aggregated)) if aggregated else ()
    return (
        *map(benchmark_table, aggregated),
        *forgetting_tables(results.records, aggregated),
        *summaries,
        *paper_tables(material_of(results, benchmarks, {**(failures or {}), **results.lost})),
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
    means = [_means(result, column) for column in result.columns]
    rows = tuple(
        (
            text_cell(method.method),
            *(cells[method.method] for cells in means),
            _difference(method, method.train, result),
            _difference(method, method.zero_shot, result),
            _seeds(method, result),
        )
        for method in result.run
    )
    return Table(
        name=benchmark.name,
        title=f"{benchmark.name}: {benchmark.title}",
        caption=(
            f"{_unit(benchmark)}, mean over seeds. Trained on {benchmark.train_domain}, {ZERO_SHOT} over the other "
            f"{len(benchmark.zero_shot_domains)} domains. Differences to {result.baseline}, paired by seed, "
            "with the half width of the 95% t interval."
        ),
        columns=columns,
        sections=(rows,),
        notes=_gaps(result),
        benchmark=benchmark.name,
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
    means = [_means(result, column) for column in shown]
    rows = tuple(
        (
            text_cell(method.method),
            *(cells[method.method] for cells in means),
            _difference(method, result.outcome(method), result),
            *_verdicts(method, result.outcome(method), result.baseline),
            _seeds(method, result),
        )
        for method in result.run
    )
    return Table(
        name=benchmark.name,
        title=f"{benchmark.name}: {benchmark.title}",
        caption=f"{_unit(benchmark)}; differences to {result.baseline} and verdicts are on {result.compared}",
        columns=columns,
        sections=(rows,),
        notes=_gaps(result),
    )


def summary_table(results: Sequence[BenchmarkResult], remarks: Sequence[str] = ()) -> Table:
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
        for method in result.run:
            cells = [text_cell(result.benchmark.name), text_cell(method.method), _seeds(method, result)]
            for outcome in (method.zero_shot, method.train):
                ours, paper, agrees = _verdicts(method, outcome, result.baseline)
                cells += [_difference(method, outcome, result), ours, _with_numbers(paper, outcome), agrees]
            rows.append(tuple(cells))
        sections.append(tuple(rows))
    return Table(
        name="summary",
        title="Beside the paper",
        caption=(
            "Differences to the baseline (SGD or Adam), paired by seed, with the half width of the 95% t interval; "
            "perplexity: negative is better; accuracy in points: positive is better."
        ),
        columns=tuple(columns),
        sections=tuple(sections),
        notes=(*remarks, *_not_run(results), *_lost(results), VERDICT_NOTE, *conclusions(results)),
        labels=2,
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


def _means(result: BenchmarkResult, column: str) -> dict[str, Cell]:
    """By method, the best and the worst marked among the complete, ties included; a column of equals has no marks."""
    texts = {method.method: f"{method.mean[column]:.2f}" for method in result.run}
    ranked = sorted({texts[method] for method in result.complete}, key=float, reverse=result.benchmark.lower_is_better)
    marks: dict[str, Mark] = {ranked[0]: "worst", ranked[-1]: "best"} if len(ranked) > 1 else {}
    return {
        method.method: Cell(
            text=texts[method.method],
            values=(method.mean[column], number_or_none(method.std[column])),
            mark=marks.get(texts[method.method]) if method.method in result.complete else None,
        )
        for method in result.run
    }


def _difference(method: MethodResult, outcome: Outcome, result: BenchmarkResult) -> Cell:
    nothing = (None, None, 0, None)
    if method.method == result.baseline:
        return Cell("baseline", nothing)
    if outcome.interval is None:
        return Cell(result.no_difference, nothing)
    mean, half_width, pairs = measured(outcome.interval.mean), outcome.interval.half_width, outcome.interval.n
    text = two_decimals(mean, "+")
    if not isinf(half_width):
        text += f" ± {two_decimals(half_width)}"
    if pairs < len(method.seeds):
        text += f" ({pairs} {'pair' if pairs == 1 else 'pairs'})"
    return Cell(text, (mean, None if isinf(half_width) else half_width, pairs, outcome.wilcoxon_p))


def _seeds(method: MethodResult, result: BenchmarkResult) -> Cell:
    lost = f"; {in_brief(method.lost.values())}" if method.lost else ""
    return Cell(seeds_text(method.seeds, result.seeds) + lost, (len(method.seeds),))


def _verdicts(method: MethodResult, outcome: Outcome, baseline: str) -> tuple[Cell, Cell, Cell]:
    if method.method == baseline:
        return text_cell("baseline"), text_cell("baseline"), text_cell(NOTHING)
    ours = str(outcome.verdict) if outcome.verdict else "no pair"
    paper = str(outcome.published) if outcome.published else NOT_IN_THE_PAPER
    return text_cell(ours), text_cell(paper), text_cell(outcome.agreement or NOTHING)


def _with_numbers(paper: Cell, outcome: Outcome) -> Cell:
    """The paper's verdict with the differences that it stands for."""
    differences = ", ".join(two_decimals(difference, "+") for difference in outcome.published_differences)
    return Cell(f"{paper.text} ({differences})" if differences else paper.text, (*paper.values, differences or None))


def _gaps(result: BenchmarkResult) -> tuple[str, ...]:
    """Why a method is not in the table, or has no mark."""
    notes = []
    if result.not_run:
        notes.append(f"Not run: {', '.join(result.not_run)}.")
    incomplete = [method.method for method in result.run if method.method not in result.complete]
    if incomplete:
        notes.append(f"Not ranked, for lack of seeds: {', '.join(incomplete)}.")
    if result.lost:
        notes.append(f"No part of it: {'; '.join(result.lost)}.")
    return tuple(notes)


def _not_run(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    """One note for all the benchmarks that lack the same methods."""
    benchmarks: dict[tuple[str, ...], list[str]] = {}
    for result in results:
        benchmarks.setdefault(result.not_run, []).append(result.benchmark.name)
    return tuple(
        f"Not run on {', '.join(names)}: {', '.join(methods)}." for methods, names in benchmarks.items() if methods
    )


def _lost(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    return tuple(f"No part of {result.benchmark.name}: {'; '.join(result.lost)}." for result in results if result.lost)
