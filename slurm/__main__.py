"""python -m slurm: launch, status, retry, cancel, clean."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from benchmarks.errors import RunError
from benchmarks.names import count, fail, known, runs_named, say
from benchmarks.planning import ASSUMPTION, gpu_hours
from benchmarks.record import Run
from benchmarks.stopping import STOPPED, StoppedError
from benchmarks.storage import check_folder
from benchmarks.suites import SUITES, runs_of
from slurm import debug, queue, removing, show
from slurm.launching import How, LimitError, Plan, plan, scripts, submit
from slurm.ledger import Cluster, Ledger, LedgerError, Submission
from slurm.profile import Profile, ProfileError, read_profile
from slurm.queue import NoAnswerError, QueueError
from slurm.state import ACTIVE, LAUNCHABLE, RETRIABLE, Overview, Standing, overview
from slurm.submit import SubmissionError, settle

INTERRUPTED = 130
WATCH_SECONDS = 5.0

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Make a suite's records on a cluster, or on this machine. Nothing is submitted twice, and nothing waits for "
    "this terminal.",
)

Name = Annotated[str, typer.Argument(help="A suite.", metavar="SUITE")]
Results = Annotated[Path, typer.Option(help="Folder of the records.", file_okay=False)]
Full = Annotated[bool, typer.Option("--full", help="Every method and seed instead of the quick selection.")]
Benchmarks = Annotated[list[str] | None, typer.Option(help="Only these benchmarks or families; repeatable.")]
Methods = Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")]
Seeds = Annotated[str | None, typer.Option(help="As 0:5 (0 to 4), 3, or 0,2,4.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


# ----------------------------------------------------------------------------------------------------------- commands


@app.command()
def launch(
    name: Name,
    full: Full = False,
    benchmarks: Benchmarks = None,
    methods: Methods = None,
    seeds: Seeds = None,
    profile: Annotated[str | None, typer.Option(help="A YAML file, or the name of one in slurm/profiles/.")] = None,
    results: Results = Path("results"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of prepared data and models, as for `benchmarks run`.", file_okay=False)
    ] = None,
    cluster: Annotated[Cluster, typer.Option(help="Slurm, processes of this machine, or this process.")] = "slurm",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the batch scripts and submit nothing.")] = False,
    max_parallel: Annotated[int | None, typer.Option(min=1, help="Jobs at once.")] = None,
    pack: Annotated[int, typer.Option(min=1, help="Runs of one process side by side in each job.")] = 1,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Run a copy of the code as it is now.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="With --cluster local: side by side; as many as cores if unsaid.")
    ] = None,
) -> None:
    """Submit all runs of a suite that have no record and are not at work, and come back at once.

    Runs that failed are left to `retry`.
    """
    if jobs is not None and cluster != "local":
        instead = f"on Slurm, --max-parallel {jobs}" if cluster == "slurm" else "debug makes one run after the other"
        fail(f"--jobs is for --cluster local; {instead}")
    how = How(
        cluster,
        profile_named(profile, cluster),
        pack,
        max_parallel,
        snapshot,
        str(data.absolute()) if data else None,
        jobs,
    )
    runs = runs_named(name, full, benchmarks, methods, seeds)
    ledger = Ledger(results, name)
    with answered(), changing(ledger, dry_run):
        found = looked_up(ledger, runs, needs_queue=cluster == "slurm" and not dry_run)
        show.stdout().print(show.grids(found, show.stdout().width))
        wanted = [item.run for item in found.having(LAUNCHABLE)]
        planned = plan(wanted, how, None if dry_run else found.entries)
        typer.echo(f"\n{show.sums(found)}")
        explain(planned, how)
        if again := found.having(("failed", "timed out")):
            failed = f"{count(len(again), 'run')} that failed or timed out"
            typer.echo(f"Left alone: {failed}; `{command_line('retry', name, results)}`")
        if dry_run:
            for script in scripts(ledger, planned.arrays, how) if cluster == "slurm" else []:
                typer.echo(f"\n{script.rstrip()}")
            typer.echo("\nNothing was submitted.")
            return
        made = submitted(ledger, planned, how)
    finish(ledger, made, results)


@app.command()
def status(
    name: Name,
    full: Full = False,
    results: Results = Path("results"),
    watch: Annotated[bool, typer.Option("--watch", help="Again every few seconds, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How every run stands: done, running (how far, until when, where), queued, stopped, failed (why)."""
    ledger = Ledger(results, known(name, SUITES, "suite"))
    console = show.stdout()
    with answered():
        if as_json:
            typer.echo(json.dumps(show.as_json(everything(ledger, full), ledger)))
            return
        if not watch:
            console.print(show.status(everything(ledger, full), ledger, console.width))
            return
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                live.update(show.status(everything(ledger, full), ledger, console.width), refresh=True)
                time.sleep(WATCH_SECONDS)


@app.command()
def retry(
    name: Name,
    match: Annotated[str | None, typer.Option(help="Only those whose reason has this text.")] = None,
    profile: Annotated[str | None, typer.Option(help="Instead of the one that they were submitted with.")] = None,
    results: Results = Path("results"),
    yes: Yes = False,
) -> None:
    """Submit again what failed, timed out or was stopped; each goes on from its last checkpoint."""
    made = []
    with suite_to_change(name, results) as (ledger, found):
        retriable = found.having(RETRIABLE)
        some_or_exit(retriable, "Nothing to retry", found)
        chosen = [item for item in retriable if item.has_reason(match or "")]
        if not chosen:
            typer.echo(f"Nothing to retry: {match!r} is in none of the reasons, which are")
            show.stdout().print(show.reasons(retriable))
            raise typer.Exit
        tell(chosen)
        confirm(f"Submit {count(len(chosen), 'run')} again?", yes)
        changed = read(profile) if profile else None
        typer.echo(f"\n{show.sums(found)}")
        for how, runs in as_before(chosen, changed):
            planned = plan(runs, how, found.entries if how.cluster == "slurm" else None)
            explain(planned, how)
            made += submitted(ledger, planned, how)
    finish(ledger, made, results)


@app.command()
def cancel(name: Name, results: Results = Path("results"), yes: Yes = False) -> None:
    """End this suite's jobs, and no others. What trains leaves a checkpoint; `launch` goes on from there."""
    with suite_to_change(name, results) as (ledger, found):
        active, running = found.having(ACTIVE), found.having(("running",))
        some_or_exit(active, "Nothing to cancel", found)
        confirm(f"Cancel {count(len(active), 'run')}, {len(running)} of them running?", yes)
        removing.cancel(ledger, active)
        typer.echo(f"{count(len(active), 'run')} cancelled.")


@app.command()
def clean(name: Name, results: Results = Path("results"), yes: Yes = False) -> None:
    """Delete checkpoints, logs and notes of runs that failed, timed out or were stopped: they begin anew.

    What is queued, running or done stays.
    """
    with suite_to_change(name, results) as (ledger, found):
        leftovers = found.having(RETRIABLE)
        some_or_exit(leftovers, "Nothing to clean", found)
        tell(leftovers)
        confirm(f"Delete the checkpoints, logs and notes of {count(len(leftovers), 'run')}?", yes)
        removing.clean(ledger, found, leftovers)
        typer.echo(f"{count(len(leftovers), 'run')} cleaned.")


# -------------------------------------------------------------------------------------------------------- what is meant


def known_runs(ledger: Ledger, full: bool = False) -> list[Run]:
    """Those of the suite, and all others that were ever submitted."""
    row = SUITES[ledger.suite]
    of_suite = runs_of(ledger.suite, row.full if full else row.quick)
    return list(dict.fromkeys([*of_suite, *(run for item in ledger.submissions() for run, _ in item.all_runs)]))


def everything(ledger: Ledger, full: bool) -> Overview:
    return overview(ledger, known_runs(ledger, full))


def on_slurm(ledger: Ledger) -> bool:
    return any(item.cluster == "slurm" for item in ledger.submissions())


def profile_named(name: str | None, cluster: Cluster) -> Profile:
    if name is not None:
        return read(name)
    if cluster == "slurm":
        fail("--profile: name a file, or one of slurm/profiles/; on this machine --cluster local needs none")
    return Profile()


def read(name: str) -> Profile:
    try:
        return read_profile(name)
    except ProfileError as error:
        fail(str(error))


def looked_up(ledger: Ledger, runs: Iterable[Run], needs_queue: bool) -> Overview:
    """How runs stand, where something is to be changed: then the queue has to answer."""
    if not needs_queue:
        return overview(ledger, runs)
    if not queue.is_there():
        fail("there is no sbatch here: log in where jobs are submitted, or --cluster local runs on this machine")
    try:
        entries = queue.queue()
    except NoAnswerError as error:
        raise QueueError(f"{error}. Nothing was changed; try again later") from error
    settle(ledger, entries)
    return replace(overview(ledger, runs, lambda: entries), entries=entries)


def as_before(chosen: list[Standing], profile: Profile | None) -> list[tuple[How, list[Run]]]:
    """The runs by how they were submitted the last time, with another profile if one is given."""
    groups: list[tuple[How, list[Run]]] = []
    for item in chosen:
        assert item.submission is not None
        how = How.of(item.submission)
        how = replace(how, profile=profile) if profile else how
        for other, runs in groups:
            if other == how:
                runs.append(item.run)
                break
        else:
            groups.append((how, [item.run]))
    return groups


# --------------------------------------------------------------------------------------------------------------- doing


@contextmanager
def answered() -> Iterator[None]:
    """What went wrong in one line, and exit code 1."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (LedgerError, QueueError, SubmissionError, LimitError, RunError, OSError) as error:
        fail(str(error), code=1)
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def changing(ledger: Ledger, dry_run: bool = False) -> Iterator[None]:
    """Nobody else changes the suite meanwhile, and its folder can be written; a dry run changes nothing."""
    if dry_run:
        yield
        return
    check_folder(ledger.folder)
    with ledger.locked(lambda: say("Another command is changing this suite; waiting for it.")):
        yield


@contextmanager
def suite_to_change(name: str, results: Path) -> Iterator[tuple[Ledger, Overview]]:
    """A suite that was submitted to, and how all its runs stand; nobody else changes it meanwhile."""
    ledger = Ledger(results, known(name, SUITES, "suite"))
    with answered(), changing(ledger):
        yield ledger, looked_up(ledger, known_runs(ledger), needs_queue=on_slurm(ledger))


def explain(planned: Plan, how: How) -> None:
    """What is about to be submitted."""
    runs = planned.runs
    for array in planned.arrays:
        show.stdout().print(f"  {show.described(array, how.cluster)}", markup=False)
    hours = sum(map(gpu_hours, runs))
    jobs = sum(len(array.tasks) for array in planned.arrays)
    sizes = f"{count(len(runs), 'run')} in {count(jobs, 'job')} of {count(len(planned.arrays), 'array')}"
    typer.echo(f"To submit: {sizes}, {hours:,.0f} GPU-hours" if runs else "To submit: nothing")
    if hours:
        typer.echo(f"({ASSUMPTION})")
    for limit, left_out in planned.left_out.items():
        typer.echo(
            f"{count(left_out, 'run')} left out: {limit.name} is {limit.most}. "
            "Launch again when jobs have ended, or --pack several runs into a job."
        )


def submitted(ledger: Ledger, planned: Plan, how: How) -> list[Submission]:
    def told(submission: Submission) -> None:
        if how.cluster == "slurm":
            say(f"submitted array {ledger.job(submission)}, {count(len(submission.tasks), 'job')}")

    return submit(ledger, planned.arrays, how, told) if planned.arrays else []


def finish(ledger: Ledger, made: list[Submission], results: Path) -> None:
    """Say how to look; with --cluster debug, make the runs first."""
    here = [item for item in made if item.cluster == "debug"]
    failures = 0
    try:
        with answered():
            for submission in here:
                failures += debug.make(ledger, submission, Console(stderr=True))
    except StoppedError as error:
        say(f"{error}.")
        raise typer.Exit(INTERRUPTED if "SIGINT" in str(error) else STOPPED) from error
    if made:
        typer.echo(f"How they stand: {command_line('status', ledger.suite, results)}")
    raise typer.Exit(1 if failures else 0)


def command_line(word: str, suite: str, results: Path) -> str:
    """To be typed next."""
    option = "" if results == Path("results") else f" --results {results}"
    return f"python -m slurm {word} {suite}{option}"


def some_or_exit(chosen: list[Standing], nothing: str, found: Overview) -> None:
    if not chosen:
        typer.echo(f"{nothing}: {show.sums(found)}")
        raise typer.Exit


def tell(chosen: list[Standing]) -> None:
    for item in chosen[: show.LISTED]:
        typer.echo(f"  {item.run}, {item.reason}")
    if len(chosen) > show.LISTED:
        typer.echo(f"  and {len(chosen) - show.LISTED} more")


def confirm(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
