"""How runs stand, for people (grids and lists that fit the terminal) and for machines (JSON)."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.names import count
from benchmarks.progress import spoken
from slurm.ledger import Cluster, Ledger
from slurm.plan import Array
from slurm.state import STATES, Overview, Standing, State, expected_end, silent_for, step_of
from slurm.units import memory_text, time_text

LETTERS: dict[State, tuple[str, str]] = {
    "done": ("D", "green"),
    "running": ("R", "cyan"),
    "queued": ("Q", "blue"),
    "requeued": ("P", "magenta"),
    "not launched": ("-", "dim"),
    "stopped": ("S", "yellow"),
    "timed out": ("T", "red"),
    "failed": ("F", "bold red"),
}
LISTED = 20
"""Runs of a kind that are told one by one; --json has all."""
PIPED_WIDTH = 120
GAP = 3
QUIET_SECONDS = 300.0
"""Without a word from a running run before that is remarked upon."""


def grids(overview: Overview, width: int) -> RenderableType:
    """A grid of methods and seeds for each benchmark, one letter for each run; counts where seeds are too many."""
    by_benchmark: dict[str, list[Standing]] = {}
    for item in overview.standings:
        by_benchmark.setdefault(item.run.benchmark, []).append(item)
    blocks = [_grid(benchmark, found, width) for benchmark, found in by_benchmark.items()]
    there = [state for state in STATES if overview.counts[state]]
    legend = Text("  ").join(Text(f"{LETTERS[state][0]} {state}", style=LETTERS[state][1]) for state in there)
    return Group(*_side_by_side(blocks, width), legend)


def _side_by_side(blocks: list[list[Text]], width: int) -> list[RenderableType]:
    """The blocks in rows, as many beside each other as fit."""
    rows: list[RenderableType] = []
    while blocks:
        used, taken = 0, 0
        for block in blocks:
            used += max(line.cell_len for line in block) + (GAP if taken else 0)
            if taken and used > width:
                break
            taken += 1
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_row(*(Group(*block) for block in blocks[:taken]))
        rows += [table, Text()]
        blocks = blocks[taken:]
    return rows


def _grid(benchmark: str, standings: list[Standing], width: int) -> list[Text]:
    """The lines of one benchmark's grid."""
    seeds = sorted({item.run.seed for item in standings})
    cell = max(len(str(seed)) for seed in seeds) + 1
    first = max(len(item.run.method) for item in standings) + 2
    by_method: dict[str, dict[int, State]] = {}
    for item in standings:
        by_method.setdefault(item.run.method, {})[item.run.seed] = item.state
    lines = [Text(benchmark, style="bold")]
    each = first + cell * len(seeds) <= width
    lines.append(Text(" " * first + ("".join(str(seed).rjust(cell) for seed in seeds) if each else ""), style="dim"))
    if not each:
        lines = [Text.assemble((benchmark, "bold"), (f"  {count(len(seeds), 'seed')}", "dim"))]
    for method, states in by_method.items():
        found = Counter(states.values())
        cells = [states.get(seed) for seed in seeds] if each else [state for state in STATES if found[state]]
        line = Text(f"  {method}".ljust(first))
        for state in cells:
            letter, style = LETTERS[state] if state else (" ", "")
            line.append(letter.rjust(cell) if each or state is None else f" {found[state]}{letter}", style)
        lines.append(line)
    return lines


def status(overview: Overview, ledger: Ledger, width: int) -> RenderableType:
    """Sums, and a line or two for every run that somebody may want to know about."""
    parts: list[RenderableType] = [grids(overview, width), Text(), sums(overview)]
    if overview.warning:
        parts += [Text(), Text(f"Warning: {overview.warning}", style="yellow")]
    running = overview.having(("running",))
    if running:
        parts += [Text(), _running(running[:LISTED], ledger, width), *_more(running)]
    for state in ("requeued", "stopped", "timed out", "failed"):
        found = overview.having((state,))
        if found:
            parts += [Text(), Text(f"{state} ({len(found)})", style=LETTERS[state][1])]
            parts += [_reason(item, ledger) for item in found[:LISTED]]
            parts += _more(found)
    waiting = Counter(item.cause or "no reason known" for item in overview.having(("queued",)))
    if waiting:
        reasons = ", ".join(f"{cause} ({number})" for cause, number in waiting.most_common(5))
        parts += [Text(), Text(f"queued: {reasons}")]
    changed = [item for item in overview.standings if item.code_changed]
    if changed:
        parts += [Text(), Text(f"{count(len(changed), 'run')} with other code than was submitted:", style="yellow")]
        parts += [_code(item) for item in changed[:3]]
        parts += _more(changed, 3)
    return Group(*parts)


def sums(overview: Overview) -> Text:
    found = [f"{overview.counts[state]} {state}" for state in STATES if overview.counts[state]]
    return Text(f"{count(len(overview.standings), 'run')}: {', '.join(found) or 'none'}")


def reasons(standings: list[Standing]) -> Group:
    """Why runs stopped or failed, each reason once with the number of its runs, the most frequent first."""
    found = Counter(item.reason for item in standings).most_common()
    lines = [Text(f"{count(number, 'run')} {reason}") for reason, number in found[:LISTED]]
    more = [Text(f"and {len(found) - LISTED} more", style="dim")] if len(found) > LISTED else []
    return Group(*map(_indented, lines + more))


def described(array: Array, cluster: Cluster) -> str:
    """What an array asks for, in one line."""
    need = array.need
    runs = Counter(run.benchmark for run in array.runs)
    asked = [
        count(need.gpus, "GPU") if need.gpus else "no GPU",
        *([f"{need.processes} processes"] if need.processes > 1 else []),
        *([f"{need.nodes} nodes"] if need.nodes > 1 else []),
        f"{count(need.cpus, 'core')}{' each' if need.processes > 1 else ''}",
        *([memory_text(need.memory), time_text(need.seconds)] if cluster == "slurm" else []),
    ]
    made = ", ".join(f"{number} x {benchmark}" for benchmark, number in runs.items())
    return f"{count(len(array.tasks), 'job')} of {', '.join(asked)}: {made}"


def _running(standings: list[Standing], ledger: Ledger, width: int) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("running", "at", "rate", "ends", "node", "job"):
        # A line that does not fit loses the end of the run's name, and never its numbers.
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=None, min_width=4)
    for item in standings:
        quiet = silent_for(item) or 0.0
        at, rate, ends = _progress(item)
        ends = f"no word for {spoken(quiet)}" if quiet > QUIET_SECONDS else ends
        table.add_row(str(item.run), at, rate, ends, item.node or "", item.job or "")
    return table


def _progress(item: Standing) -> tuple[str, str, str]:
    """Where a run is, its rate, and when it ends."""
    beat, end = item.beat, expected_end(item)
    if item.is_ending:
        return f"ending: {item.cause}", "", ""
    if beat is None:
        return "starting", "", ""
    rate = f"{beat.steps_per_second:.3g}/s" if beat.stage == "train" and beat.steps_per_second else ""
    at = f"{beat.stage} {beat.step:,}/{beat.steps:,}" if beat.steps > 1 else beat.stage
    return at, rate, _clock(end) if end else ""


def _clock(moment: float) -> str:
    """A time of today as 14:05, of another day with its date."""
    then = time.localtime(moment)
    return time.strftime("%H:%M" if then[:3] == time.localtime()[:3] else "%b %d %H:%M", then)


def _reason(item: Standing, ledger: Ledger) -> RenderableType:
    step = step_of(item, ledger)
    where = f" at step {step:,}" if step else ""
    times = [
        count(number, noun)
        for number, noun in ((item.note.restarts, "restart"), (item.note.timeouts, "time limit"))
        if number
    ] if item.note else []  # fmt: skip
    history = f", after {' and '.join(times)}" if times else ""
    line = Text(f"{item.run}{where}{history}: {item.cause or 'no reason known'}")
    if item.log is not None and item.state in ("failed", "timed out"):
        line.append(f"\n  {shortened(item.log)}", "dim")
    return _indented(line)


def _indented(line: Text) -> RenderableType:
    """By two columns, also where it goes on below."""
    return Padding(line, (0, 0, 0, 2), expand=False)


def shortened(path: Path) -> str:
    """Relative to the present folder where it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _code(item: Standing) -> Text:
    assert item.note is not None
    assert item.submission is not None
    return Text(f"  {item.run}: submitted {item.submission.code}, ran {item.note.code}")


def _more(standings: list[Standing], shown: int = LISTED) -> list[RenderableType]:
    more = len(standings) - shown
    return [Text(f"  and {more} more; --json has all", style="dim")] if more > 0 else []


# ------------------------------------------------------------------------------------------------------------ machines


def as_json(overview: Overview, ledger: Ledger) -> dict[str, Any]:
    return {
        "suite": ledger.suite,
        "warning": overview.warning,
        "counts": dict(overview.counts),
        "runs": [_row(item, ledger) for item in overview.standings],
    }


def _row(item: Standing, ledger: Ledger) -> dict[str, Any]:
    """Everything that is known; what is not is left out."""
    beat, note, submission = item.beat, item.note, item.submission
    known: dict[str, Any] = {
        "cluster": submission.cluster if submission else None,
        "submission": submission.id if submission else None,
        "job": item.job,
        "node": item.node,
        "stage": beat.stage if beat else None,
        "ending": item.is_ending or None,
        "step": step_of(item, ledger),
        "steps": beat.steps if beat and beat.stage == "train" else None,
        "steps_per_second": beat.steps_per_second if beat and beat.stage == "train" else None,
        "expected_end": expected_end(item),
        "silent_seconds": silent_for(item),
        "restarts": note.restarts if note else None,
        "timeouts": note.timeouts if note else None,
        "cause": item.cause,
        "log": str(item.log) if item.log else None,
        "submitted_commit": submission.code.commit if submission else None,
        "code_changed": item.code_changed if note else None,
    }
    run = {"benchmark": item.run.benchmark, "method": item.run.method, "seed": item.run.seed, "state": item.state}
    return run | {name: value for name, value in known.items() if value is not None}


def stdout() -> Console:
    """As wide as the terminal; piped, as wide as most are, unless COLUMNS says so."""
    console = Console(highlight=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=PIPED_WIDTH)
