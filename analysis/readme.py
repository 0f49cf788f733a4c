"""The README's table: every method on every benchmark, as one difference each, beside what the paper says; and what
came of the paper's claims.
"""

from collections.abc import Sequence
from pathlib import Path

from analysis.aggregate import ZERO_SHOT, BenchmarkResult, MethodResult
from analysis.cells import NOTHING, Cell, Column, Mark, Row, Table, text_cell, text_column, two_decimals
from analysis.claims.judged import Judged
from analysis.claims.table import summary
from analysis.failures import in_brief
from analysis.methods import in_order
from analysis.render import markdown_rows
from analysis.tables import conclusions
from benchmarks.record import write_atomically

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def matrix_table(results: Sequence[BenchmarkResult]) -> Table:
    """A row per method, a column per benchmark (its zero-shot difference) and per family (the paper's verdict)."""
    families = {result.benchmark.family: result for result in results}
    columns = (
        text_column("method"),
        *(Column(_short(result), (result.benchmark.name,)) for result in results),
        *(text_column(f"paper: {_question(result)}") for result in families.values()),
    )
    by_method: dict[str, dict[str, MethodResult]] = {}
    for result in results:
        for method in (method for method in result.methods if method.seeds or method.lost):
            row = "baseline" if method.method == result.baseline else method.method
            by_method.setdefault(row, {})[result.benchmark.name] = method
    rows: list[Row] = []
    for name in ("baseline", *in_order(set(by_method) - {"baseline"})):
        found = by_method.get(name, {})
        scores = [_score(found.get(result.benchmark.name), name == "baseline") for result in results]
        verdicts = [_paper(result, found.get(result.benchmark.name)) for result in families.values()]
        rows.append((text_cell(name), *scores, *verdicts))
    return Table(
        name="matrix",
        title="Every method, every benchmark",
        caption="",
        columns=columns,
        sections=(tuple(rows),),
        notes=(*_legend(results), *conclusions(results)),
    )


def block(results: Sequence[BenchmarkResult], judged: Sequence[Judged]) -> str:
    """What stands between the README's markers."""
    table = matrix_table(results)
    claims = [f"The paper's claims, judged on these runs: {summary(judged)}"] if judged else []
    return "\n".join((BEGIN, "", *markdown_rows(table), *(f"\n{note}" for note in (*table.notes, *claims)), "", END))


def with_block(text: str, new: str) -> str:
    """`text` with everything from its first marker to its second replaced. Raises ValueError without both markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are missing")
    return before + new + after


def update(readme: Path, results: Sequence[BenchmarkResult], judged: Sequence[Judged]) -> bool:
    """Put the table into `readme`; whether that changed it."""
    old = readme.read_text(encoding="utf-8")
    new = with_block(old, block(results, judged))
    if new != old:
        write_atomically(readme, new.encode())
    return new != old


def _short(result: BenchmarkResult) -> str:
    """`mini-vision-digits` is digits, `mini-m2d2` is m2d2; the arrow tells which way is better."""
    name = result.benchmark.name.removeprefix(result.benchmark.family).strip("-") or result.benchmark.family
    return f"{name.removeprefix('mini-')} {'↓' if result.benchmark.lower_is_better else '↑'}"


def _score(method: MethodResult | None, is_baseline: bool) -> Cell:
    if method is None or not method.seeds:
        return Cell(in_brief(method.lost.values()) if method else "not run", (None,))
    if is_baseline:
        return Cell(f"{method.mean[ZERO_SHOT]:.2f}", (method.mean[ZERO_SHOT],))
    outcome = method.zero_shot
    if outcome.interval is None or outcome.verdict is None:
        return Cell("no pair", (None,))
    text = two_decimals(outcome.interval.mean, "+")
    marks: dict[str, Mark] = {"better": "best", "worse": "worst"} if outcome.interval.n > 1 else {}
    return Cell(text, (outcome.interval.mean,), marks.get(outcome.verdict.direction))


def _question(result: BenchmarkResult) -> str:
    family = result.benchmark.family.removeprefix("mini-")
    return family if result.compared == ZERO_SHOT else f"{family}, in-domain"


def _paper(result: BenchmarkResult, method: MethodResult | None) -> Cell:
    published = result.outcome(method).published if method else None
    return text_cell(str(published) if published else NOTHING)


def _legend(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    seeds = sorted({len(method.seeds) for result in results for method in result.run})
    counts = " to ".join(str(count) for count in dict.fromkeys((seeds[0], seeds[-1]))) if seeds else "0"
    return (
        "First row: the baseline's zero-shot average (SGD for vision, Adam for language; ↑ accuracy in percent, "
        f"↓ perplexity). Below: the difference to it, paired by seed, {counts} seeds. **Bold**: better, _italic_: "
        "worse, by a 95% interval that excludes 0. Paper: in how many of its comparable columns the method beats or "
        "loses to the same baseline.",
    )
