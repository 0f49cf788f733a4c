"""python -m benchmarks: list, run, suite, prepare, validate, schema."""

import difflib
import json
import pkgutil
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from benchmarks.errors import RunError
from benchmarks.pool import Failure, Job, default_workers, run_jobs
from benchmarks.progress import board
from benchmarks.record import Record, RecordError, Run, read_record, read_records
from benchmarks.registry import BENCHMARKS, PASSES, Benchmark, methods_of
from benchmarks.storage import check_folder
from benchmarks.suites import SUITES, expected_cost, runs_of

INTERRUPTED = 130
RUNS = "runs"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Fine-tune with every method, one JSON record per run. What has a record is done: the same command resumes.",
)

Results = Annotated[Path, typer.Option(help="Folder of the records.", file_okay=False)]


def say(text: str) -> None:
    """To stderr, as are bars: stdout carries answers only."""
    typer.echo(text, err=True)


# ------------------------------------------------------------------------------------------------------------- looking


@app.command("list")
def list_() -> None:
    """Benchmarks, methods and suites."""
    table("BENCHMARK", "METRIC", "DOMAINS", "STEPS", "TRAINS WITH", "", rows=[
        (name, row.metric, len(row.domains), row.recipe.steps, row.recipe.base_optimizer, row.title)
        for name, row in BENCHMARKS.items()
    ])  # fmt: skip
    table("METHOD", "FORWARD", "BACKWARD", rows=[(name, *passes) for name, passes in PASSES.items()])
    table("SUITE", "RUNS", "RUNS WITH --full", "", rows=[
        (name, len(runs_of(name, row.benchmarks, row.quick)), len(runs_of(name, row.benchmarks, row.full)), row.title)
        for name, row in SUITES.items()
    ])  # fmt: skip


def table(*header: str, rows: Iterable[tuple[object, ...]]) -> None:
    lines = [header, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    typer.echo()


@app.command()
def schema() -> None:
    """The JSON Schema of a record."""
    typer.echo(json.dumps(Record.model_json_schema(), indent=1))


@app.command()
def validate(results: Results = Path("results")) -> None:
    """Check every record below a folder; name each one that is not valid, and what to do."""
    if not results.is_dir():
        fail(f"{results}: no such folder; name the one with the records with --results")
    records, errors = read_records(results)
    for error in errors:
        say(str(error))
    typer.echo(f"{results}: {count(len(records), 'valid record')}, {len(errors)} not valid")
    raise typer.Exit(1 if errors else 0)


# ------------------------------------------------------------------------------------------------------------- running


@app.command()
def run(
    benchmark: Annotated[str, typer.Argument(help="A benchmark, or a family for all of its benchmarks.")],
    method: Annotated[str, typer.Argument(help="A method, as the tables name it.")],
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Order of the data, initial head, dropout and noise.")
    ],
    suite: Annotated[
        str | None, typer.Option(help="Folder of the record below the results; its suite if unsaid.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Train and score one method on one benchmark (or on each one of a family), here in this process."""
    rows = benchmarks_named(benchmark)
    check_method(method, rows)
    runs = [Run(suite_for(row, suite), row.name, method, seed) for row in rows]
    jobs = [replace(job_of(item, results), stage=str(item)) for item in runs]
    # torch takes seconds to load: not before the command line is known to make sense.
    execute = pkgutil.resolve_name("benchmarks.run:execute")
    try:
        with board(jobs, workers=1, console=Console(stderr=True)) as shown:
            for item, job in zip(runs, jobs, strict=True):
                shown.started(job)
                started = time.perf_counter()
                record = execute(item, results, partial(shown.progressed, job))
                shown.succeeded(job, time.perf_counter() - started)
                typer.echo(summary(record, results))
    except (RunError, RecordError) as error:
        fail(str(error), code=1)
    except KeyboardInterrupt:
        interrupted()


@app.command()
def suite(
    name: Annotated[str, typer.Argument(help="A suite.")],
    full: Annotated[bool, typer.Option("--full", help="Every method and seed instead of the quick selection.")] = False,
    results: Results = Path("results"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs side by side; as many as cores if unsaid.")] = None,
    seeds: Annotated[str | None, typer.Option(help="As 0:5 (0 to 4), 3, or 0,2,4.")] = None,
    benchmarks: Annotated[list[str] | None, typer.Option(help="Only these benchmarks or families; repeatable.")] = None,
    methods: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
) -> None:
    """Make all records of a suite that are not there yet, side by side. Interrupt at will: the same command resumes."""
    row = SUITES[known(name, SUITES, "suite")]
    chosen = row.full if full else row.quick
    if seeds is not None:
        chosen = replace(chosen, seeds=seeds_named(seeds))
    if methods:
        chosen = replace(chosen, methods=tuple(known(method, PASSES, "method") for method in listed(methods)))
    selected = [item.name for text in listed(benchmarks or []) for item in benchmarks_named(text)] or row.benchmarks
    if outside := [item for item in selected if item not in row.benchmarks]:
        fail(f"{outside[0]} is not in suite {name}: {', '.join(row.benchmarks)}")
    runs = runs_of(name, dict.fromkeys(selected), chosen)
    if not runs:
        fail(f"no benchmark of the selection has the methods {', '.join(chosen.methods)}")
    work(runs, results, jobs)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A benchmark, a family or a suite.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Side by side; as many as cores if unsaid.")] = None,
) -> None:
    """Make the data and the pre-trained models that runs start from, unless they are in the cache."""
    choices = [*SUITES, *BENCHMARKS, *families()]
    name = known(name, choices, "benchmark, family or suite")
    rows = [BENCHMARKS[item] for item in SUITES[name].benchmarks] if name in SUITES else benchmarks_named(name)
    failures = in_pool(list(preparations(rows).values()), jobs)
    finish(failures)


def work(runs: list[Run], results: Path, jobs: int | None) -> None:
    """Make the records of `runs` that are missing; ends the command."""
    pending, failures = [], []
    for item in runs:
        path = item.path(results)
        if not path.exists():
            pending.append(item)
            continue
        try:
            read_record(path)
        except RecordError as error:
            failures.append(Failure(job_of(item, results), str(error)))
    done_before = len(runs) - len(pending) - len(failures)
    for failure in failures:
        say(failure.message)
    if pending:
        try:
            check_folder(results / pending[0].suite)
        except RunError as error:
            fail(str(error), code=1)
        needed = preparations(BENCHMARKS[item.benchmark] for item in pending)
        say(f"{count(len(pending), 'run')} to do, {done_before} done before")
        failures += in_pool([*needed.values(), *(job_of(item, results, needed) for item in pending)], jobs)
    new = sum(item.path(results).exists() for item in pending)
    typer.echo(f"{results / runs[0].suite}: {count(len(runs), 'run')}, {new} new, {done_before} done before", err=False)
    finish(failures)


def in_pool(jobs: list[Job], workers: int | None) -> list[Failure]:
    workers = min(workers or default_workers(), len(jobs))
    console = Console(stderr=True)
    try:
        with board(jobs, workers, console) as shown:
            return run_jobs(jobs, workers, shown)
    except KeyboardInterrupt:
        interrupted()


def preparations(rows: Iterable[Benchmark]) -> dict[str, Job]:
    """One job for each distinct preparation, by its target."""
    return {
        row.prepare: Job(f"prepare {row.family}", row.prepare, (), stage=f"prepare {row.family}", kind=row.family)
        for row in rows
    }


def job_of(item: Run, results: Path, preparations: dict[str, Job] | None = None) -> Job:
    prepared = (preparations or {}).get(BENCHMARKS[item.benchmark].prepare)
    return Job(
        name=str(item),
        target="benchmarks.run:execute",
        args=(item, results),
        stage=RUNS,
        kind=item.benchmark,
        cost=expected_cost(item),
        needs=prepared.name if prepared else None,
    )


def finish(failures: list[Failure]) -> None:
    """Say again, at the end where it is seen, what failed and why; then exit with 1 if anything did."""
    if not failures:
        return
    for details in dict.fromkeys(failure.details for failure in failures if failure.details):
        say(f"\n{details.rstrip()}")
    say(f"\n{count(len(failures), 'job')} failed:")
    for failure in failures:
        say(f"  {failure.job.name}: {failure.message}")
    say("What is done is kept; the same command takes up the rest.")
    raise typer.Exit(1)


def summary(record: Record, results: Path) -> str:
    """Scores of a record in one line each, and where it is."""
    scores = [f"  {key} {value:.2f}" for key, value in record.metrics.items() if "/nll/" not in key]
    return "\n".join([f"{record.run}: {record.run.path(results)}", *scores])


# --------------------------------------------------------------------------------------------------------------- names


def fail(message: str, code: int = 2) -> NoReturn:
    say(f"Error: {message}")
    raise typer.Exit(code)


def interrupted() -> NoReturn:
    say("\nInterrupted. Every finished run is kept, and none is left half written: the same command resumes.")
    raise typer.Exit(INTERRUPTED)


def known(name: str, names: Iterable[str], kind: str) -> str:
    """`name` if it is one of `names`; else the command ends with the nearest of them, and exit code 2."""
    names = list(names)
    if name not in names:
        by_lower = {item.lower(): item for item in names}
        nearest = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)
        fail(f"no {kind} {name!r}; the nearest is {by_lower[nearest[0]]!r}. `python -m benchmarks list` shows all.")
    return name


def families() -> list[str]:
    return list(dict.fromkeys(row.family for row in BENCHMARKS.values()))


def benchmarks_named(name: str) -> list[Benchmark]:
    """The benchmark of that name, or all of the family of that name."""
    known(name, [*BENCHMARKS, *families()], "benchmark")
    return [row for row in BENCHMARKS.values() if name in (row.name, row.family)]


def check_method(method: str, rows: list[Benchmark]) -> None:
    known(method, PASSES, "method")
    for row in rows:
        if method not in methods_of(row):
            fail(f"{row.name} trains with {row.recipe.base_optimizer}: take that as its plain method, not {method}")


def suite_for(row: Benchmark, suite: str | None) -> str:
    """The named suite, else the first that has the benchmark."""
    if suite is not None:
        return known(suite, SUITES, "suite")
    return next(name for name, item in SUITES.items() if row.name in item.benchmarks)


def listed(texts: Iterable[str]) -> list[str]:
    """Of options that may be repeated, or given once with commas."""
    return [part.strip() for text in texts for part in text.split(",")]


def seeds_named(text: str) -> tuple[int, ...]:
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            seeds = tuple(range(first, last))
        else:
            seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        fail(f"--seeds {text}: give 0:5 for 0 to 4, one seed, or several as 0,2,4")
    return seeds


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(app())
