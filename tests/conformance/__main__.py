"""The conformance matrix: `python -m tests.conformance run | table`."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.conformance.cells import CELLS
from tests.conformance.origin import ROOT, fingerprint, origin
from tests.conformance.record import STORED, read, record, write
from tests.conformance.rules import FAILED
from tests.conformance.run import Verdicts, run
from tests.conformance.table import PAGES, rendered, totals

app = typer.Typer(add_completion=False, no_args_is_help=True)
CONSOLE = Console(stderr=True)


@app.command("run")
def run_all(
    only: Annotated[
        list[str] | None, typer.Option(help="Cells with this in their name; given several times, with all of them.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes for cells of one process.")] = 2,
) -> None:
    """Check every cell, or some, and write results/conformance.json if it was every one.

    Stop it whenever you like: the same command goes on where it was, as long as nothing has changed.
    """
    numbers = [number for number, cell in enumerate(CELLS) if all(part in str(cell) for part in only or [])]
    if not numbers:
        _refuse(f"no cell's name contains all of: {', '.join(only or [])}")
    here = origin()
    kept = ROOT / "build" / "conformance" / f"{here['fingerprint']}.jsonl"
    try:
        verdicts = _with_progress(numbers, workers, kept)
    except KeyboardInterrupt:
        CONSOLE.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    failed = [number for number in numbers if verdicts[number].outcome == FAILED]
    for number in failed[:20]:
        CONSOLE.print(f"[red]{CELLS[number]}[/red]\n{verdicts[number].why}", markup=True, highlight=False)
    counts = Counter(verdict.outcome for verdict in verdicts.values())
    print(", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()))
    if fingerprint() != here["fingerprint"]:
        _refuse("the sources changed while cells were checked, and nobody knows with which: run the command again")
    if len(numbers) == len(CELLS):
        write(STORED, record(verdicts, here))
        print(f"wrote {STORED.relative_to(ROOT)}; python -m tests.conformance table shows it")
    raise typer.Exit(1 if failed else 0)


def _refuse(why: str) -> NoReturn:
    CONSOLE.print(why, soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(2)


def _with_progress(numbers: list[int], workers: int, kept: Path) -> Verdicts:
    left = TimeRemainingColumn(elapsed_when_finished=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), left)
    with Progress(*columns, console=CONSOLE, speed_estimate_period=300) as progress:
        task = progress.add_task("cells", total=len(numbers))
        wanted = set(numbers)

        def report(verdicts: Verdicts) -> None:
            done = wanted & verdicts.keys()
            failed = sum(verdicts[number].outcome == FAILED for number in done)
            progress.update(task, completed=len(done), description=f"cells, {failed} failed" if failed else "cells")

        return run(numbers, workers, kept, report)


@app.command()
def table() -> None:
    """Write the tables of README.md and docs/conformance.md anew from results/conformance.json."""
    if not STORED.is_file():
        _refuse(f"there is no {STORED.name}: python -m tests.conformance run writes it")
    content = read(STORED)
    for page in PAGES:
        text = rendered(page, content)
        (ROOT / page).write_text(text, encoding="utf-8")
    print(totals(content))
    if fingerprint() != content["fingerprint"]:
        print("The sources or the libraries have changed since: make conformance checks them anew.")


if __name__ == "__main__":
    sys.exit(app())
