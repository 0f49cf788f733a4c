"""How far work is, what is running now and what remains: bars on a terminal, a line now and then elsewhere."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmarks.pool import Failure, Job

DRAW_SECONDS = 0.25
LINE_SECONDS = 15.0


@dataclass(frozen=True)
class Row:
    """One line of what is shown: a stage, or a job that is running now."""

    name: str
    share: float
    status: str
    elapsed: float | None = None
    remaining: float | None = None
    is_job: bool = False

    @property
    def times(self) -> str:
        """Elapsed and remaining, as far as they are known."""
        parts = [spoken(self.elapsed)] if self.elapsed is not None else []
        parts += [f"about {spoken(self.remaining)} left"] if self.remaining else []
        return ", ".join(parts)


class View(Protocol):
    """Where rows are shown."""

    def draw(self, rows: list[Row]) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass
class _InFlight:
    since: float
    step: str = "starting"
    step_since: float = 0.0
    done: int = 0
    total: int = 0
    begun_at: int = 0
    """What was done before the step of the work was first heard of: by an earlier process, from whose checkpoint it
    goes on."""

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.step} {self.done:,}/{self.total:,}" if self.total else self.step


class Board:
    """The state of a list of jobs, and the seconds to expect of those to come.

    A job is expected to take its cost times the seconds per cost of the finished jobs of its kind, else of its stage.
    """

    def __init__(self, jobs: list[Job], workers: int, view: View, clock: Callable[[], float] = time.monotonic) -> None:
        self._stages: dict[str, list[Job]] = {}
        for job in jobs:
            self._stages.setdefault(job.stage, []).append(job)
        self._workers = workers
        self._view = view
        self._clock = clock
        self._drawn = -DRAW_SECONDS
        self._in_flight: dict[Job, _InFlight] = {}
        self._finished: set[Job] = set()
        self._stage_times: dict[str, list[float]] = {}
        self._measured: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])

    # -------------------------------------------------------------------------------------------------------- events

    def started(self, job: Job) -> None:
        now = self._clock()
        self._in_flight[job] = _InFlight(since=now, step_since=now)
        self._stage_times.setdefault(job.stage, [now, now])

    def progressed(self, job: Job, step: str, done: int, total: int) -> None:
        state = self._in_flight[job]
        if step != state.step:
            state.step, state.step_since = step, self._clock()
            state.begun_at = max(0, done - 1)
        state.done, state.total = done, total
        self.tick()

    def succeeded(self, job: Job, seconds: float) -> None:
        self._end(job)
        sums = self._measured[job.stage, job.kind]
        sums[0] += seconds
        sums[1] += job.cost

    def failed(self, failure: Failure) -> None:
        self._end(failure.job)
        self._view.note(f"{failure.job.name}: {failure.message}")

    def _end(self, job: Job) -> None:
        self._in_flight.pop(job, None)
        self._finished.add(job)
        self._stage_times.setdefault(job.stage, [self._clock()] * 2)[1] = self._clock()

    def tick(self) -> None:
        if self._clock() - self._drawn >= DRAW_SECONDS:
            self.draw()

    def draw(self) -> None:
        self._drawn = self._clock()
        self._view.draw(self.rows())

    # ----------------------------------------------------------------------------------------------------- estimates

    def expected_seconds(self, job: Job) -> float | None:
        """Of the whole job; None before anything of its stage was measured."""
        if (job.stage, job.kind) in self._measured:
            seconds, cost = self._measured[job.stage, job.kind]
        else:
            of_stage = [sums for (stage, _), sums in self._measured.items() if stage == job.stage]
            seconds, cost = sum(sums[0] for sums in of_stage), sum(sums[1] for sums in of_stage)
        return job.cost * seconds / cost if cost else None

    def packing_seconds(self, job: Job) -> float:
        """What jobs are ordered by: expected seconds, or the cost while nothing is measured."""
        expected = self.expected_seconds(job)
        return job.cost if expected is None else expected

    def remaining_seconds(self, stage: str) -> float | None:
        """Until the last job of the stage is done; None while nothing tells."""
        left = [self._left(job) for job in self._stages[stage] if job not in self._finished]
        known = [seconds for seconds in left if seconds is not None]
        if len(known) < len(left):
            return None
        return max(max(known), sum(known) / self._workers) if known else 0.0

    def _left(self, job: Job) -> float | None:
        state, now = self._in_flight.get(job), self._clock()
        expected = self.expected_seconds(job)
        if expected is not None:
            return max(0.0, expected - (now - state.since)) if state else expected
        # Nothing of its kind was ever finished: its own steps tell, as far as they go.
        if state is None or state.done <= state.begun_at:
            return None
        return (now - state.step_since) * (state.total - state.done) / (state.done - state.begun_at)

    # ---------------------------------------------------------------------------------------------------------- rows

    def rows(self) -> list[Row]:
        rows = []
        for stage, jobs in self._stages.items():
            rows.append(self._stage_row(stage, jobs))
            if len(jobs) > 1:
                running = [(job, self._in_flight[job]) for job in jobs if job in self._in_flight]
                rows += [Row(job.name, state.share, str(state), is_job=True) for job, state in running]
        return rows

    def _stage_row(self, stage: str, jobs: list[Job]) -> Row:
        if stage not in self._stage_times:
            return Row(stage, 0.0, f"0/{len(jobs)}" if len(jobs) > 1 else "waiting")
        begin, end = self._stage_times[stage]
        finished = sum(job in self._finished for job in jobs)
        if finished == len(jobs):
            return Row(stage, 1.0, f"{finished}/{len(jobs)}" if len(jobs) > 1 else "done", end - begin)
        times = (self._clock() - begin, self.remaining_seconds(stage))
        if len(jobs) == 1:
            state = self._in_flight[jobs[0]]
            return Row(stage, state.share, str(state), *times)
        share = sum(self._share(job) * job.cost for job in jobs) / sum(job.cost for job in jobs)
        return Row(stage, share, f"{finished}/{len(jobs)}", *times)

    def _share(self, job: Job) -> float:
        return 1.0 if job in self._finished else self._in_flight[job].share if job in self._in_flight else 0.0


class Bars:
    """A bar per row, redrawn in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def draw(self, rows: list[Row]) -> None:
        table = Table.grid(padding=(0, 2))
        for row in rows:
            table.add_row(
                Text(f"  {row.name}" if row.is_job else row.name, style="dim" if row.is_job else ""),
                ProgressBar(total=1.0, completed=row.share, width=24),
                row.status,
                row.times,
            )
        self._live.update(table, refresh=True)

    def note(self, text: str) -> None:
        self._live.console.print(Text(text, style="red"))


class Lines:
    """A line per stage that has moved, now and then."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._last = clock()
        self._said: dict[str, str] = {}

    def draw(self, rows: list[Row]) -> None:
        ended = any(row.share == 1.0 and not row.is_job and self._said.get(row.name) != row.status for row in rows)
        if not ended and self._clock() - self._last < LINE_SECONDS:
            return
        self._last = self._clock()
        now = ", ".join(f"{row.name} ({row.status})" for row in rows if row.is_job)
        for row in rows:
            if not row.is_job and self._said.get(row.name) != row.status and row.elapsed is not None:
                self._said[row.name] = row.status
                self.note(f"{row.name}: {row.status}, {row.times}" + (f"; now {now}" if now and row.share < 1 else ""))

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def board(jobs: list[Job], workers: int, console: Console) -> Iterator[Board]:
    """A board for these jobs, shown on `console` as long as the context lasts."""
    if not console.is_terminal:
        shown = Board(jobs, workers, Lines(console))
        yield shown
        shown.draw()
        return
    with Live(console=console, auto_refresh=False) as live:
        shown = Board(jobs, workers, Bars(live))
        try:
            yield shown
        finally:
            shown.draw()


def spoken(seconds: float) -> str:
    """As one would say it: 40 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
