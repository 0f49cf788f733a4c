"""python -m benchmarks: list, run, suite, probe, prepare, calibrate, performance, validate, migrate, schema."""

import json
import os
import pkgutil
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from benchmarks.contradiction import contradiction
from benchmarks.errors import DataError, RunError
from benchmarks.execution import Execution
from benchmarks.migration import Outcome, migrate
from benchmarks.names import (
    benchmarks_named,
    check_method,
    count,
    fail,
    families,
    known,
    listed,
    runs_named,
    say,
    suite_for,
)
from benchmarks.planning import ASSUMPTION, expected_cost, gpu_hours
from benchmarks.pool import Failure, Job, default_workers, run_jobs, visible_gpus
from benchmarks.probes.parts import Part, part_named
from benchmarks.probes.record import PROBES, probe_path
from benchmarks.probes.selection import PROBED, Wanted, is_probed, wanted
from benchmarks.processes import Parallel, processes
from benchmarks.progress import board
from benchmarks.record import SCHEMA_VERSION, Record, RecordError, Run, read_record
from benchmarks.registry import BENCHMARKS, PASSES, PLAIN, ZERO_SHOT
from benchmarks.row import Benchmark, Precision
from benchmarks.sources import M2D2Source
from benchmarks.stopping import STOPPED, StoppedError
from benchmarks.storage import check_folder
from benchmarks.suites import SUITES, Suite, runs_of
from benchmarks.tree import read_tree
from benchmarks.variants import SETTINGS

INTERRUPTED = 130
RUNS = "runs"
PROBED_RUNS = "probed runs"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Fine-tune with every method, one JSON record per run. What has a record is done: the same command resumes.",
)

Results = Annotated[Path, typer.Option(help="Folder of the records.", file_okay=False)]
RecordsFolder = Annotated[Path, typer.Argument(help="Folder of the records, or a folder in it.", file_okay=False)]

Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder of prepared data and models; TRAM_DATA, else the user's cache, if unsaid.", file_okay=False
    ),
]
MicroBatches = Annotated[int | None, typer.Option(min=1, help="Parts that a batch is computed in, to fit the memory.")]
PrecisionOption = Annotated[Precision | None, typer.Option(help="Of autocast on a GPU; the recipe's if unsaid.")]
Loaders = Annotated[int | None, typer.Option(min=0, help="Processes that load examples.")]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep the trained weights in the user's cache, for `probe`.")
]
Device = Annotated[str | None, typer.Option(help="cuda or cpu; what the benchmark needs if unsaid.")]


# ------------------------------------------------------------------------------------------------------------- looking


@app.command("list")
def list_() -> None:
    """Benchmarks, methods and suites, with what they take."""
    scored_untrained = [name for name, row in BENCHMARKS.items() if row.zero_shot_name]
    table("BENCHMARK", "DOMAINS", "STEPS", "TRAINS WITH", "GPUS", "GPU-HOURS*", "DOWNLOAD", "DISK", "", rows=[
        (name, len(row.domains), f"{row.recipe.steps * (1 + len(row.sequence)):,}", row.recipe.base_optimizer,
         *needs_of(row), row.title)
        for name, row in BENCHMARKS.items()
    ])  # fmt: skip
    table("METHOD", "FORWARD", "BACKWARD", rows=[(name, *passes) for name, passes in PASSES.items()])
    typer.echo(f"{ZERO_SHOT}: the model before training, a run of no steps; for {', '.join(scored_untrained)}.")
    typer.echo("A method with settings: TRAM-x@std=0.03, TRAM-prev@decay=0.99@maximum=0.5. There are")
    typer.echo(f"{', '.join(SETTINGS)}.\n")
    table("SUITE", "RUNS", "WITH --full", "GPU-HOURS", "WITH --full", "", rows=[
        (name, *suite_sizes(row), row.title) for name, row in SUITES.items()
    ])  # fmt: skip
    typer.echo(f"* Of a run of {' or '.join(PLAIN)}; a method takes as many times that as its passes say.")
    typer.echo(f"{ASSUMPTION}.")


def needs_of(row: Benchmark) -> tuple[object, ...]:
    """GPUs, GPU-hours of a plain run, gigabytes to download and to hold; nothing to speak of on a laptop."""
    if row.needs is None:
        return ("-",) * 4
    hours = gpu_hours(Run("", row.name, row.recipe.base_optimizer, 0))
    sizes = (f"{size / 1e9:.1f} GB" for size in (row.needs.data_bytes, row.needs.disk_bytes))
    return row.needs.gpus, f"{hours:,.1f}", *sizes


def suite_sizes(row: Suite) -> tuple[str, str, str, str]:
    """Runs and GPU-hours, quick and full."""
    quick, full = runs_of(row.name, row.quick), runs_of(row.name, row.full)
    hours = [f"{sum(map(gpu_hours, runs)):,.0f}" if any(map(gpu_hours, runs)) else "-" for runs in (quick, full)]
    return str(len(quick)), str(len(full)), *hours  # type: ignore[return-value]


def table(*header: str, rows: Iterable[tuple[object, ...]]) -> None:
    lines = [header, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    typer.echo()


@app.command()
def schema() -> None:
    """The JSON Schema of a record."""
    typer.echo(json.dumps(Record.model_json_schema(mode="serialization"), indent=1))


@app.command()
def validate(folder: RecordsFolder = Path("results")) -> None:
    """Check every record below a folder, those of probes too; name each one that is not valid, and what to do."""
    _check_is_folder(folder)
    # A method's fields are the library's, which takes seconds to load.
    tree = read_tree(folder, pkgutil.resolve_name("benchmarks.run:contradiction_of"))
    if not (tree.records or tree.probes or tree.problems):
        _no_records(folder)
    for problem in (*tree.problems, *tree.doubts):
        say(problem)
    valid = count(len(tree.records), "valid record") + (f", {len(tree.probes)} of probes" if tree.probes else "")
    doubts = f", {len(tree.doubts)} with the numbers of another run" if tree.doubts else ""
    typer.echo(f"{folder}: {valid}, {len(tree.problems)} not valid{doubts}")
    raise typer.Exit(1 if tree.problems or tree.doubts else 0)


@app.command("migrate")
def migrate_(
    folder: RecordsFolder = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
) -> None:
    """Lift the records of older schemas below a folder to the present one; no number changes.

    One file after the other, each whole or not at all: interrupted, the same command takes up the rest.
    """
    _check_is_folder(folder)
    outcomes: Counter[Outcome] = Counter()
    try:
        for migration in migrate(folder, dry_run):
            outcomes[migration.outcome] += 1
            if migration.outcome == "refused":
                say(migration.why)
    except KeyboardInterrupt:
        interrupted()
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}. What is lifted stays so; the same command takes up the rest.", 1)
    if not outcomes:
        _no_records(folder)
    typer.echo(
        f"{folder}: {count(outcomes['lifted'], 'record')} {'would be ' if dry_run else ''}lifted to version "
        f"{SCHEMA_VERSION}, {outcomes['current']} of that version before, {outcomes['refused']} refused"
    )
    raise typer.Exit(1 if outcomes["refused"] else 0)


def _no_records(folder: Path) -> NoReturn:
    fail(f"no records below {folder}. Run `make reproduce` first, or name another folder.", 1)


def _check_is_folder(folder: Path) -> None:
    if not folder.is_dir():
        fail(f"{folder}: no such folder; name the one with the records")


# ------------------------------------------------------------------------------------------------------------- running


@app.command()
def run(
    benchmark: Annotated[str, typer.Argument(help="A benchmark, or a family for all of its benchmarks.")],
    method: Annotated[str, typer.Argument(help="A method as the tables name it, with settings after @.")],
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Order of the data, initial head, dropout and noise.")
    ],
    suite: Annotated[
        str | None, typer.Option(help="Folder of the record below the results; its suite if unsaid.")
    ] = None,
    results: Results = Path("results"),
    data: Data = None,
    device: Device = None,
    parallel: Annotated[Parallel, typer.Option(help="How the processes of torchrun or srun share the run.")] = "ddp",
    micro_batches: MicroBatches = None,
    precision: PrecisionOption = None,
    loaders: Loaders = None,
    keep_reference: Annotated[
        bool, typer.Option("--keep-reference", help="TRAM-pre: compute the first weights' logits once per example.")
    ] = False,
    keep_weights: KeepWeights = False,
) -> None:
    """Train and score one method on one benchmark (or on each one of a family), here in this process.

    Interrupt at will: the same command goes on from the last checkpoint. Under torchrun or srun, the processes of one
    run share it.
    """
    rows = benchmarks_named(benchmark)
    check_method(method, rows)
    use(data, device)
    these = processes(parallel)
    execution = Execution(device, these, micro_batches, precision, loaders, keep_reference, keep_weights)
    runs = [Run(suite_for(row, suite), row.name, method, seed) for row in rows]
    jobs = [replace(job_of(item, results), stage=str(item)) for item in runs]
    console = Console(stderr=True, quiet=not these.is_first)
    try:
        # torch takes seconds to load: not before the command line is known to make sense.
        execute = pkgutil.resolve_name("benchmarks.run:execute")
        with board(jobs, workers=1, console=console) as shown:
            for item, job in zip(runs, jobs, strict=True):
                shown.started(job)
                started = time.perf_counter()
                record = execute(item, results, execution, partial(shown.progressed, job))
                shown.succeeded(job, time.perf_counter() - started)
                if these.is_first:
                    typer.echo(summary(record, results))
    except StoppedError as error:
        say(f"{runs[0].benchmark} {method} seed {seed}: {error}.")
        raise typer.Exit(INTERRUPTED if error.by == "SIGINT" else STOPPED) from error
    except (RunError, RecordError) as error:
        fail(str(error), code=2 if isinstance(error, DataError) else 1)
    except KeyboardInterrupt:
        interrupted()


@app.command()
def suite(
    name: Annotated[str, typer.Argument(help="A suite.")],
    full: Annotated[bool, typer.Option("--full", help="Every method and seed instead of the quick selection.")] = False,
    results: Results = Path("results"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side; as many as cores, or one on each GPU, if unsaid.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="As 0:5 (0 to 4), 3, or 0,2,4.")] = None,
    benchmarks: Annotated[list[str] | None, typer.Option(help="Only these benchmarks or families; repeatable.")] = None,
    methods: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
    data: Data = None,
    device: Device = None,
    micro_batches: MicroBatches = None,
    precision: PrecisionOption = None,
    loaders: Loaders = None,
    keep_weights: KeepWeights = False,
) -> None:
    """Make all records of a suite that are not there yet, side by side. Interrupt at will: the same command resumes."""
    runs = runs_named(name, full, benchmarks, methods, seeds)
    use(data, device)
    refuse_many("suite")
    execution = Execution(
        device, micro_batches=micro_batches, precision=precision, loaders=loaders, keep_weights=keep_weights
    )
    needs_gpu = device != "cpu" and any(BENCHMARKS[item.benchmark].needs for item in runs)
    work(runs, results, jobs or (max(1, len(visible_gpus())) if needs_gpu else None), execution)


@app.command()
def probe(
    suite: Annotated[str, typer.Argument(help="The suite whose finished runs to probe.")],
    results: Results = Path("results"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs side by side; as many as cores if unsaid.")] = None,
    seeds: Annotated[str | None, typer.Option(help="As 0:5 (0 to 4), 3, or 0,2,4; all if unsaid.")] = None,
    benchmarks: Annotated[list[str] | None, typer.Option(help="Only these benchmarks or families; repeatable.")] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help=f"Only these methods; repeatable. {', '.join(PROBED)} if unsaid.")
    ] = None,
    probes: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(PROBES)}; repeatable.")] = None,
    part: Annotated[
        str | None, typer.Option(help="I/N: only this part of every surface; that of a Slurm array if unsaid.")
    ] = None,
    data: Data = None,
    device: Device = None,
    micro_batches: MicroBatches = None,
    precision: PrecisionOption = None,
    loaders: Loaders = None,
) -> None:
    """Measure finished runs: sharpness, representations, forgetting, curvature, loss surfaces; one record per probe.

    Weights come from the cache, else the run is trained again and has to score what its record says. Interrupt at will:
    the same command resumes, a surface point by point.
    """
    runs = runs_named(suite, True, benchmarks, methods, seeds)
    names = tuple(known(name, PROBES, "probe") for name in listed(probes)) if probes else None
    use(data, device)
    refuse_many("probe")
    try:
        share = part_named(part)
    except ValueError as error:
        fail(str(error))
    execution = Execution(device, micro_batches=micro_batches, precision=precision, loaders=loaders)
    asked = wanted([item for item in runs if methods or is_probed(item.method)], names)
    if not asked:
        fail(f"none of these probes applies to any of these runs: {', '.join(names or ())}")
    probe_work(asked, results, jobs, execution, share)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A benchmark, a family or a suite.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Side by side; as many as cores if unsaid.")] = None,
    data: Data = None,
) -> None:
    """Make the data and the pre-trained models that runs start from, unless they are there.

    Downloads are resumed and checked, and what is whole is kept: the same command goes on where it was. Afterwards runs
    need no network.
    """
    choices = [*SUITES, *BENCHMARKS, *families()]
    name = known(name, choices, "benchmark, family or suite")
    rows = [BENCHMARKS[item] for item in SUITES[name].benchmarks] if name in SUITES else benchmarks_named(name)
    use(data, None)
    finish(in_pool(list(preparations(rows).values()), jobs))
    for row in rows:
        typer.echo(f"{row.name}: ready")
        if isinstance(row.source, M2D2Source):
            sizes = pkgutil.resolve_name("benchmarks.m2d2:sizes")(row)
            table("SPLIT", "LINES", "TOKENS", "BLOCKS", "PAPER'S TOKENS", "RATIO", rows=[
                (size.name, f"{size.lines:,}", f"{size.tokens:,}", f"{size.blocks:,}",
                 f"{size.published_tokens:,.0f}" if size.published_tokens else "-",
                 f"{size.ratio:.3f}" if size.ratio else "-")
                for size in sizes
            ])  # fmt: skip


@app.command()
def calibrate(
    name: Annotated[str, typer.Argument(help="A benchmark of M2D2.")],
    data: Data = None,
    device: Device = None,
) -> None:
    """Score the untrained model under every joiner of lines beside the paper, which does not say what it used."""
    row = BENCHMARKS[known(name, [item for item in BENCHMARKS if has_joiner(item)], "benchmark of M2D2")]
    use(data, device)
    refuse_many("calibrate")
    calibration, on_machine = pkgutil.resolve_name("benchmarks.calibration"), pkgutil.resolve_name("benchmarks.machine")
    job = Job(f"calibrate {name}", "", (), stage=f"calibrate {name}", kind=name)
    try:
        with board([job], workers=1, console=Console(stderr=True)) as shown:
            shown.started(job)
            here = on_machine.machine(on_machine.device_for(row, Execution(device)), name)
            found = calibration.calibrate(row, partial(shown.progressed, job), here.device)
            shown.succeeded(job, 0.0)
    except RunError as error:
        fail(str(error), code=2 if isinstance(error, DataError) else 1)
    except KeyboardInterrupt:
        interrupted()
    joiners = list(dict.fromkeys(one.joiner for one in found))
    perplexity = {(one.domain, one.joiner): one.perplexity for one in found}
    published = {one.domain: one.published for one in found}
    table("DOMAIN", "PAPER", *(joiner.upper() for joiner in joiners), rows=[
        (domain, published[domain] or "-", *(f"{perplexity[domain, joiner]:.1f}" for joiner in joiners))
        for domain in row.domains
    ])  # fmt: skip
    nearest_joiner = calibration.nearest(found)
    typer.echo(f"Nearest to the paper, by the mean of |ln(ours / paper's)|: {nearest_joiner}.")


@app.command()
def performance(
    sizes: Annotated[str, typer.Option(help="cpu, gpu (the paper's own sizes), or tiny, to try the command.")] = "cpu",
    output: Annotated[Path, typer.Option(help="Folder of the machines' records.", file_okay=False)] = Path(
        "results/performance"
    ),
    only: Annotated[
        list[str] | None, typer.Option(help="Only parts with this in their name, as GPT-2; repeatable.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what the record holds.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Measure a few steps, and compare their ratios with the record's.")
    ] = False,
) -> None:
    """Time every method's step beside the sum of its passes, plain Adam and other implementations, on this machine."""
    if sizes not in ("cpu", "gpu", "tiny"):
        fail(f"--sizes {sizes}: cpu, gpu or tiny")
    refuse_many("performance")
    try:
        if check:
            slower = pkgutil.resolve_name("benchmarks.performance.check:slower")(sizes, output)
            for line in slower or ["Nothing has become slower than the record says."]:
                say(line)
            raise typer.Exit(1 if slower else 0)
        typer.echo(pkgutil.resolve_name("benchmarks.performance.command:measure")(sizes, output, only or (), again))
    except RunError as error:
        fail(str(error), code=2)
    except KeyboardInterrupt:
        interrupted()


def has_joiner(name: str) -> bool:
    return isinstance(BENCHMARKS[name].source, M2D2Source)


def refuse_many(command: str) -> None:
    """Started as several processes, each would do all of it."""
    if processes().are_many:
        fail(f"`{command}` is one process; torchrun and srun start several of `run`, which share one run")


def use(data: Path | None, device: str | None) -> None:
    """Options that hold for this process and for those that it starts."""
    if device not in (None, "cpu", "cuda"):
        fail(f"--device {device}: cuda or cpu")
    if data is not None:
        os.environ["TRAM_DATA"] = str(data.absolute())


def work(runs: list[Run], results: Path, jobs: int | None, execution: Execution) -> None:
    """Make the records of `runs` that are missing; ends the command."""
    pending, failures = [], []
    for item in runs:
        path = item.path(results)
        if not path.exists():
            pending.append(item)
            continue
        try:
            problem = contradiction(read_record(path))
            if problem is not None:
                raise RecordError(f"{path}: {problem}. Move or delete it, and run it again.")
        except RecordError as error:
            failures.append(Failure(job_of(item, results), str(error)))
    done_before = len(runs) - len(pending) - len(failures)
    if pending:
        try:
            check_folder(results / pending[0].suite)
        except RunError as error:
            fail(str(error), code=1)
        needed = preparations(BENCHMARKS[item.benchmark] for item in pending)
        say(f"{count(len(pending), 'run')} to do, {done_before} done before")
        failures += in_pool([*needed.values(), *(job_of(item, results, execution, needed) for item in pending)], jobs)
    new = sum(item.path(results).exists() for item in pending)
    typer.echo(f"{results / runs[0].suite}: {count(len(runs), 'run')}, {new} new, {done_before} done before", err=False)
    finish(failures)


def probe_work(asked: list[Wanted], results: Path, jobs: int | None, execution: Execution, part: Part) -> None:
    """Make the records of probes that are missing, of the runs that have a record; ends the command."""
    there = [item for item in asked if item.run.path(results).exists()]
    if not there:
        fail(f"{results}: none of these runs has a record; python -m benchmarks suite {asked[0].run.suite} makes them")
    if len(there) < len(asked):
        say(f"{count(len(asked) - len(there), 'run')} without a record left out")
    paths = [probe_path(item.run, name, results) for item in there for name in item.probes]
    pending = [path for path in paths if not path.exists()]
    say(f"{count(len(pending), 'record')} to make, {len(paths) - len(pending)} made before")
    needed = preparations(BENCHMARKS[item.run.benchmark] for item in there if item.pending(results))
    failures = [
        Failure(probe_job(item, results, execution, part, needed), str(problem))
        for item in there
        for problem in item.problems(results)
    ]
    todo = [probe_job(item, results, execution, part, needed) for item in there if item.pending(results)]
    if todo:
        failures += in_pool([*needed.values(), *todo], jobs)
    new = sum(path.exists() for path in pending)
    typer.echo(
        f"{results}: {count(len(paths), 'record')} of probes, {new} new, {len(paths) - len(pending)} made before"
    )
    if part.count > 1 and new < len(pending) and not failures:
        say(f"Part {part.number} of {part.count} of the surfaces is done; the part that ends last writes the records.")
    finish(failures)


def probe_job(item: Wanted, results: Path, execution: Execution, part: Part, preparations: dict[str, Job]) -> Job:
    prepared = preparations.get(preparation(BENCHMARKS[item.run.benchmark]))
    return Job(
        name=str(item.run),
        target="benchmarks.probes.execute:execute",
        args=(item.run, item.probes, results, execution, part),
        stage=PROBED_RUNS,
        kind=item.run.benchmark,
        cost=len(item.pending(results)),
        needs=prepared.name if prepared else None,
    )


def in_pool(jobs: list[Job], workers: int | None) -> list[Failure]:
    workers = min(workers or default_workers(), len(jobs))
    console = Console(stderr=True)
    try:
        with board(jobs, workers, console) as shown:
            return run_jobs(jobs, workers, shown)
    except KeyboardInterrupt:
        interrupted()


def preparations(rows: Iterable[Benchmark]) -> dict[str, Job]:
    """One job for each distinct preparation, by its name."""
    return {
        preparation(row): Job(preparation(row), row.prepare, (row,), stage=preparation(row), kind=row.family)
        for row in rows
    }


def preparation(row: Benchmark) -> str:
    """What is prepared for the row: the family's data where packages supply them, else the row's own."""
    return f"prepare {row.family if row.source is None else row.name}"


def job_of(
    item: Run, results: Path, execution: Execution = Execution(), preparations: dict[str, Job] | None = None
) -> Job:
    prepared = (preparations or {}).get(preparation(BENCHMARKS[item.benchmark]))
    return Job(
        name=str(item),
        target="benchmarks.run:execute",
        args=(item, results, execution),
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
    say("What is done is kept. When the cause is mended, the same command takes up the rest.")
    raise typer.Exit(2 if all(failure.is_data for failure in failures) else 1)


def summary(record: Record, results: Path) -> str:
    """Scores of a record in one line each, and where it is."""
    scores = [f"  {key} {value:.2f}" for key, value in record.metrics.items() if "/nll/" not in key]
    return "\n".join([f"{record.run}: {record.run.path(results)}", *scores])


def interrupted() -> NoReturn:
    say("\nInterrupted. Every finished run is kept, and none is left half written: the same command resumes.")
    raise typer.Exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(app())
