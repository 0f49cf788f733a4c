"""python -m analysis: tables, claims, figures and the report from stored records."""

import gc
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from benchmarks.record import write_atomically
from benchmarks.registry import BENCHMARKS
from benchmarks.variants import near

if TYPE_CHECKING:
    from analysis.records import Results

app = typer.Typer(
    help="Turn stored records into tables, verdicts on claims, figures and a report.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ResultsFolder = Annotated[Path, typer.Option("--results", help="The folder of one suite's records.")]
BenchmarkNames = Annotated[
    list[str] | None, typer.Option("--benchmarks", help="Only these benchmarks; repeatable, or with commas.")
]

AllowBad = Annotated[bool, typer.Option("--allow-bad", help="Exit with 0 though files are named.")]

# pandas, scipy and matplotlib take seconds to import: the commands do it, so that help and errors are immediate.


@app.command()
def tables(
    results: ResultsFolder = Path("results/mini"),
    output: Annotated[Path, typer.Option(help="Where the files go.")] = Path("build/tables"),
    benchmark: BenchmarkNames = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="md, csv, tex, html; repeatable, or with commas. [default: all]"),
    ] = None,
    show: Annotated[
        list[str] | None, typer.Option(help="Print these tables, as table_11_m2d2_wiki, and no other; repeatable.")
    ] = None,
    allow_bad: AllowBad = False,
) -> None:
    """Print each benchmark beside the paper, and write every table as Markdown, CSV, LaTeX and HTML."""
    from analysis import render

    suffixes = _known(formats, render.FORMATS, "format") or list(render.FORMATS)
    names = _known(benchmark, BENCHMARKS, "benchmark")
    loaded = _load_runs(results, names)
    from analysis.aggregate import aggregate
    from analysis.cost import cost_table
    from analysis.failures import read_failures
    from analysis.forgetting import forgetting_tables
    from analysis.tables import all_tables, conclusions, overview_table

    aggregated = aggregate(loaded, names)
    made = {table.name: table for table in all_tables(loaded, aggregated, names, read_failures(results))}
    shown = [made[name] for name in _known(show, made, "table")]
    with _writing(output):
        render.write_tables(made.values(), output, suffixes)
    console = render.terminal()
    if aggregated and not shown:
        shown = [*map(overview_table, aggregated), *forgetting_tables(loaded.records, aggregated)]
        shown.append(cost_table(loaded.records, aggregated))
    for table in shown or made.values():
        render.print_table(table, console)
    for line in conclusions(aggregated) if aggregated else ():
        console.print(line, markup=False)
    told = f"\n{len(made)} tables, with every domain, as {', '.join(suffixes)}: {output}"
    console.print(told, markup=False, soft_wrap=True)
    _report_left_out(loaded, allow_bad=allow_bad)


@app.command()
def figures(
    results: ResultsFolder = Path("results/mini"),
    output: Annotated[Path, typer.Option(help="Where the PNG and PDF files go.")] = Path("build/figures"),
    benchmark: BenchmarkNames = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these figures; repeatable, or with commas.")] = None,
    allow_bad: AllowBad = False,
) -> None:
    """Draw every figure that the results allow, as PNG and PDF, and say why others are not there."""
    names = _known(benchmark, BENCHMARKS, "benchmark")
    loaded = _load_runs(results, names, with_curves=True)
    from rich.console import Console

    from analysis.figures import FIGURES, gather
    from analysis.figures.bar import bar
    from analysis.figures.drawing import drawing

    kinds = _known(only, FIGURES, "figure")
    with _writing(output):
        with (
            bar(Console(stderr=True)) as progress,
            drawing(gather(loaded, results, names), ("png", "pdf"), kinds, progress) as finish,
        ):
            drawn = finish()
        for each in drawn:
            for suffix, content in each.files.items():
                path = output / f"{loaded.suite}_{each.name}.{suffix}"
                write_atomically(path, content)
                print(path)
    for each in drawn:
        if each.why_not:
            print(f"not drawn: {each.why_not.removesuffix('.')}", file=sys.stderr)
    _report_left_out(loaded, allow_bad=allow_bad)


@app.command()
def readme(
    results: ResultsFolder = Path("results/mini"),
    readme: Annotated[Path, typer.Option(help="The file whose table is written anew.")] = Path("README.md"),
    allow_bad: AllowBad = False,
) -> None:
    """Write the table between the README's markers and its figure anew."""
    loaded = _load_runs(results)
    from analysis.aggregate import aggregate
    from analysis.claims import judge
    from analysis.figures import NothingToDrawError, draw_overview, encode
    from analysis.readme import update

    aggregated = aggregate(loaded)
    figure = readme.parent / "docs" / "figures" / f"{loaded.suite}_overview.png"
    try:
        drawn = encode(draw_overview(aggregated), "png")
        changed = update(readme, aggregated, judge(loaded))
        write_atomically(figure, drawn)
    except (OSError, ValueError, NothingToDrawError) as error:
        _refuse(f"{readme}: {error}")
    print(f"{readme}: {'written' if changed else 'already current'}\n{figure}: written")
    _report_left_out(loaded, allow_bad=allow_bad)


@app.command()
def performance(
    results: Annotated[Path, typer.Option("--results", help="The folder of the machines' records.")] = Path(
        "results/performance"
    ),
    page: Annotated[Path, typer.Option(help="The file whose tables are written anew.")] = Path("docs/performance.md"),
) -> None:
    """Write the tables of docs/performance.md and its figures anew, from what `make bench` measured."""
    from analysis.performance.page import write_page

    try:
        for path in write_page(results, page):
            print(path)
    except (OSError, ValueError) as error:
        _refuse(f"{page}: {error}")


@app.command()
def claims(
    results: ResultsFolder = Path("results/mini"),
    output: Annotated[Path, typer.Option(help="Where claims.md, .csv and .json go.")] = Path("build/claims"),
    benchmark: BenchmarkNames = None,
    allow_bad: AllowBad = False,
) -> None:
    """Judge the paper's claims by the results, or with --results results/published by the paper's own tables."""
    names = _known(benchmark, BENCHMARKS, "benchmark")
    loaded = _load(results)
    from analysis import render
    from analysis.claims import judge
    from analysis.claims.table import as_json, claims_table
    from analysis.claims.terminal import print_claims

    judged = judge(loaded, names)
    if not judged:
        _report_left_out(loaded)
        _refuse(f"no claim is about {', '.join(names) or 'any benchmark'} below {results}. Name other results.")
    table = claims_table(judged, loaded.remarks(names))
    with _writing(output):
        write_atomically(output / "claims.md", render.markdown(table).encode())
        write_atomically(output / "claims.csv", render.comma_separated(table).encode())
        write_atomically(output / "claims.json", as_json(judged).encode())
    console = render.terminal()
    print_claims(judged, console, loaded.remarks(names))
    console.print(f"\nWith reasons, every test and what to run: {output}", markup=False, soft_wrap=True)
    _report_left_out(loaded, allow_bad=allow_bad)


@app.command()
def report(
    results: ResultsFolder = Path("results/mini"),
    output: Annotated[Path, typer.Option(help="Where index.html, tables/ and figures/ go.")] = Path("build/report"),
    benchmark: BenchmarkNames = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Write each figure as PDF too, which takes as long again.")
    ] = False,
    allow_bad: AllowBad = False,
) -> None:
    """Write everything as one page that opens from disk, with tables and figures also as files beside it."""
    names = _known(benchmark, BENCHMARKS, "benchmark")
    loaded = _load_runs(results, names, with_curves=True)
    from rich.console import Console

    from analysis.figures.bar import bar
    from analysis.render import terminal
    from analysis.report import print_summary, write_report

    with _writing(output), bar(Console(stderr=True)) as progress:
        written = write_report(loaded, results, output, names, pdf, progress)
    print_summary(written, terminal())
    _report_left_out(loaded, allow_bad=allow_bad)


@app.command()
def compare(
    results: ResultsFolder = Path("build/results/mini"),
    reference: Annotated[Path, typer.Option("--with", help="The folder to compare with.")] = Path("results/mini"),
) -> None:
    """Say how many runs of two folders have exactly the same metrics."""
    from analysis.comparison import compare

    first, second = _load(results), _load(reference)
    print(compare(first.records, second.records))
    _report_left_out(first, second)


def _load(folder: Path, with_curves: bool = False) -> "Results":
    from analysis.records import ResultsError, load

    gc.disable()  # what is read stays to the end: nobody looks through thousands of records for what to collect
    try:
        return load(folder, with_curves)
    except ResultsError as error:
        _refuse(str(error))
    finally:
        gc.freeze()
        gc.enable()


def _load_runs(folder: Path, names: Collection[str] = (), with_curves: bool = False) -> "Results":
    """Refused where they hold no run, or none of the named benchmarks, if any are named."""
    from analysis.records import PUBLISHED

    loaded = _load(folder, with_curves)
    if loaded.suite != PUBLISHED and not any(not names or run.benchmark in names for run in loaded.records):
        _report_left_out(loaded)
        _refuse(f"no records of {', '.join(names)} below {folder}. Run `make reproduce` first.")
    return loaded


def _known(texts: list[str] | None, known: Mapping[str, object], what: str) -> list[str]:
    """The names in an option that may be repeated and hold commas; refused with a similar name, or with all of them."""
    names = [part.strip() for text in texts or () for part in text.split(",")]
    for name in names:
        if name not in known:
            similar = near(name, known)
            _refuse(
                f"no {what} {name!r}; " + (f"did you mean {similar}?" if similar else f"known are {', '.join(known)}.")
            )
    return names


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Into the folder, which is made first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        _refuse(f"cannot write to {folder}: {error.strerror}. Name another folder with --output.")


def _report_left_out(*results: "Results", allow_bad: bool = False) -> None:
    """Name every file that no table holds, and every run that has the numbers of another and is counted all the same.

    Exit code 1 if there is one, as `python -m benchmarks validate` has it, unless that is allowed.
    """
    sys.stdout.flush()
    for loaded in results:
        if loaded.doubt:
            print(f"warning: {loaded.doubt}", file=sys.stderr)
    lines = [line for loaded in results for line in loaded.left_out]
    for line in lines:
        print(f"left out: {line}", file=sys.stderr)
    if not allow_bad and (lines or any(loaded.doubt for loaded in results)):
        raise typer.Exit(1)


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="python -m analysis")
