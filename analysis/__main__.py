"""python -m analysis: tables and figures from stored records."""

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from benchmarks.record import write_atomically
from benchmarks.registry import BENCHMARKS

if TYPE_CHECKING:
    from analysis.aggregate import BenchmarkResult
    from analysis.records import Results

app = typer.Typer(
    help="Turn stored records into tables and figures.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ResultsFolder = Annotated[Path, typer.Option("--results", help="The folder of one suite's records.")]
BenchmarkNames = Annotated[
    list[str] | None, typer.Option("--benchmarks", help="Only these benchmarks; repeatable, or with commas.")
]

# pandas, scipy and matplotlib take seconds to import: the commands do it, so that help and errors are immediate.


@app.command()
def tables(
    results: ResultsFolder = Path("results/mini"),
    output: Annotated[Path, typer.Option(help="Where the Markdown and CSV files go.")] = Path("build/tables"),
    benchmark: BenchmarkNames = None,
) -> None:
    """Print each benchmark beside the paper, and write every table as Markdown and CSV."""
    loaded, aggregated = _load_and_aggregate(results, benchmark)
    _make_folder(output)
    from analysis import render
    from analysis.cost import cost_table
    from analysis.forgetting import forgetting_tables
    from analysis.tables import all_tables, conclusions, overview_table

    for table in all_tables(loaded, aggregated):
        write_atomically(output / f"{table.name}.md", render.markdown(table).encode())
        write_atomically(output / f"{table.name}.csv", render.comma_separated(table).encode())
    console = render.terminal()
    for result in aggregated:
        render.print_table(overview_table(result), console)
    for table in forgetting_tables(loaded.records, aggregated):
        render.print_table(table, console)
    render.print_table(cost_table(loaded.records, aggregated), console)
    for line in conclusions(aggregated):
        console.print(line, markup=False)
    console.print(f"\nEvery table with every domain, as Markdown and CSV: {output}", markup=False, soft_wrap=True)
    _report_left_out(loaded)


@app.command()
def figures(
    results: ResultsFolder = Path("results/mini"),
    output: Annotated[Path, typer.Option(help="Where the PNG and PDF files go.")] = Path("build/figures"),
    benchmark: BenchmarkNames = None,
) -> None:
    """Draw the differences to the baseline, overall and by domain, as PNG and PDF."""
    loaded, aggregated = _load_and_aggregate(results, benchmark)
    _make_folder(output)
    from analysis.figures import FIGURES, encode

    for name, draw in FIGURES.items():
        figure = draw(aggregated)
        for kind in ("png", "pdf"):
            path = output / f"{loaded.suite}_{name}.{kind}"
            write_atomically(path, encode(figure, kind))
            print(path)
    _report_left_out(loaded)


@app.command()
def readme(
    results: ResultsFolder = Path("results/mini"),
    readme: Annotated[Path, typer.Option(help="The file whose table is written anew.")] = Path("README.md"),
) -> None:
    """Write the table between the README's markers and its figure anew."""
    loaded, aggregated = _load_and_aggregate(results, None)
    from analysis.figures import draw_overview, encode
    from analysis.readme import update

    figure = readme.parent / "docs" / "figures" / f"{loaded.suite}_overview.png"
    try:
        changed = update(readme, aggregated)
        write_atomically(figure, encode(draw_overview(aggregated), "png"))
    except (OSError, ValueError) as error:
        _refuse(f"{readme}: {error}")
    print(f"{readme}: {'written' if changed else 'already current'}\n{figure}: written")
    _report_left_out(loaded)


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


def _load(folder: Path) -> "Results":
    from analysis.records import ResultsError, load

    try:
        return load(folder)
    except ResultsError as error:
        _refuse(str(error))


def _load_and_aggregate(folder: Path, names: list[str] | None) -> "tuple[Results, list[BenchmarkResult]]":
    names = [part.strip() for text in names or () for part in text.split(",")]
    for name in names:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name, BENCHMARKS, n=1, cutoff=0.0)
            _refuse(f"no benchmark {name!r}; did you mean {near[0]}?")
    loaded = _load(folder)
    from analysis.aggregate import aggregate

    aggregated = aggregate(loaded, names)
    if not aggregated:
        _report_left_out(loaded)
        _refuse(f"no records of {', '.join(names)} below {folder}. Run `make reproduce` first.")
    return loaded, aggregated


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(f"cannot write to {folder}: {error.strerror}. Name another folder with --output.")


def _report_left_out(*results: "Results") -> None:
    """Name every file that no table holds; exit code 1 if there is one."""
    lines = [line for loaded in results for line in loaded.left_out]
    if lines:
        sys.stdout.flush()
        for line in lines:
            print(f"left out: {line}", file=sys.stderr)
        raise typer.Exit(1)


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="python -m analysis")
