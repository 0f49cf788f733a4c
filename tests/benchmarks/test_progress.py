"""What is shown of a pool's work, with a clock set by hand."""

import io

import pytest
from rich.console import Console

from benchmarks.pool import Failure, Job
from benchmarks.progress import Board, Lines, Row, board, spoken


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """A view that remembers."""

    def __init__(self) -> None:
        self.drawn: list[list[Row]] = []
        self.notes: list[str] = []

    def draw(self, rows: list[Row]) -> None:
        self.drawn.append(rows)

    def note(self, text: str) -> None:
        self.notes.append(text)


def job(name: str, kind: str = "a", cost: float = 1.0, stage: str = "runs") -> Job:
    return Job(name, "module:function", (), stage, kind, cost)


def test_times_are_expected_by_cost_from_what_was_measured() -> None:
    cheap, dear, other = job("cheap", cost=2), job("dear", cost=6), job("other", kind="b", cost=5)
    found = Board([cheap, dear, other], 1, Shown(), Clock())
    assert found.expected_seconds(dear) is None
    assert found.packing_seconds(dear) == 6
    found.started(cheap)
    found.succeeded(cheap, seconds=10)
    assert found.expected_seconds(dear) == 30
    assert found.expected_seconds(other) == 25
    found.started(other)
    found.succeeded(other, seconds=100)
    assert found.expected_seconds(other) == 100
    assert found.packing_seconds(dear) == 30


def test_what_remains_is_shared_among_the_workers_but_no_job_is_split() -> None:
    clock = Clock()
    jobs = [job("first", cost=1), job("running", cost=4), job("long", cost=9), job("short", cost=1)]
    found = Board(jobs, 2, Shown(), clock)
    assert found.remaining_seconds("runs") is None
    found.started(jobs[0])
    found.succeeded(jobs[0], seconds=10)
    found.started(jobs[1])
    clock.now += 30
    # 10 s of the running job, 90 and 10 to come: 55 s by two workers, yet 90 for the longest.
    assert found.remaining_seconds("runs") == 90
    found.started(jobs[2])
    found.succeeded(jobs[2], seconds=90)
    assert found.remaining_seconds("runs") == pytest.approx((10 + 10) / 2)
    found.started(jobs[3])
    found.succeeded(jobs[3], seconds=10)
    clock.now += 1000
    assert found.remaining_seconds("runs") == 0


def test_a_job_without_precedent_is_judged_by_its_own_steps() -> None:
    clock = Clock()
    prepare = job("prepare x", stage="prepare x")
    found = Board([prepare], 1, Shown(), clock)
    found.started(prepare)
    clock.now += 7
    found.progressed(prepare, "pre-train", 0, 100)
    clock.now += 10
    found.progressed(prepare, "pre-train", 25, 100)
    assert found.remaining_seconds("prepare x") == pytest.approx(30)
    assert found.rows() == [Row("prepare x", 0.25, "pre-train 25/100", 17, pytest.approx(30))]


def test_rows_are_stages_and_what_runs_now() -> None:
    clock = Clock()
    jobs = [job("prepare x", stage="prepare x"), job("r1", cost=3), job("r2", cost=1)]
    found = Board(jobs, 2, Shown(), clock)
    assert [row.status for row in found.rows()] == ["waiting", "0/2"]
    found.started(jobs[0])
    clock.now += 5
    found.succeeded(jobs[0], 5)
    found.started(jobs[1])
    found.progressed(jobs[1], "train", 1, 80)
    found.progressed(jobs[1], "train", 40, 80)
    clock.now += 5
    found.started(jobs[2])
    found.failed(Failure(jobs[2], "no"))
    assert found.rows() == [
        Row("prepare x", 1.0, "done", 5),
        Row("runs", (1.5 + 1) / 4, "1/2", 5, pytest.approx(5)),
        Row("r1", 0.5, "train 40/80", is_job=True),
    ]
    found.succeeded(jobs[1], 6)
    assert found.rows()[1:] == [Row("runs", 1.0, "2/2", 5)]


def test_drawing_is_seldom_and_failures_are_told_at_once() -> None:
    clock, shown = Clock(), Shown()
    item = job("one")
    found = Board([item], 1, shown, clock)
    for _ in range(100):
        clock.now += 0.01
        found.tick()
    assert 3 <= len(shown.drawn) <= 5
    found.failed(Failure(item, "not started, as prepare x failed"))
    assert shown.notes == ["one: not started, as prepare x failed"]


def test_lines_come_now_and_then_and_at_the_end() -> None:
    clock, out = Clock(), io.StringIO()
    lines = Lines(Console(file=out, width=40), clock)
    lines.draw([Row("runs", 0.1, "1/9", 2.0, 20.0), Row("r1", 0.5, "train 1/2", is_job=True)])
    assert out.getvalue() == ""
    clock.now += 15
    lines.draw([Row("runs", 0.2, "2/9", 17.0, 65.0), Row("r1", 0.5, "train 1/2", is_job=True)])
    assert out.getvalue() == "runs: 2/9, 17 s, about 1 min 5 s left; now r1 (train 1/2)\n"
    lines.draw([Row("runs", 0.3, "3/9", 18.0, 64.0)])
    clock.now += 1
    lines.draw([Row("runs", 1.0, "9/9", 19.0)])
    lines.draw([Row("runs", 1.0, "9/9", 19.0)])
    assert out.getvalue().splitlines()[1:] == ["runs: 9/9, 19 s"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_board_is_shown_on_terminals_and_elsewhere(terminal: bool) -> None:
    out = io.StringIO()
    jobs = [job("[bold] is no markup"), job("r2")]
    with board(jobs, 1, Console(file=out, force_terminal=terminal, width=100)) as shown:
        for item in jobs:
            shown.started(item)
            shown.progressed(item, "train", 1, 2)
            shown.draw()
            shown.succeeded(item, 1.0)
        shown.failed(Failure(job("lost"), "why [red] it failed"))
    text = out.getvalue()
    assert "2/2" in text
    assert "lost: why [red] it failed" in text
    assert ("train 1/2" in text) == terminal
    assert ("[bold] is no markup" in text) == terminal


def test_times_are_spoken() -> None:
    assert [spoken(seconds) for seconds in (0.4, 59.4, 59.6, 200, 3599, 7500)] == [
        "0 s", "59 s", "1 min 0 s", "3 min 20 s", "59 min 59 s", "2 h 5 min"
    ]  # fmt: skip


def test_a_run_that_goes_on_from_a_checkpoint_is_timed_by_its_own_steps() -> None:
    """From step 900 of 1,000: ten steps in 20 seconds leave 90, which take 180."""
    clock, run = Clock(), job("run")
    found = Board([run], 1, Shown(), clock)
    found.started(run)
    found.progressed(run, "train", 901, 1000)
    clock.now += 20
    found.progressed(run, "train", 910, 1000)
    assert found.remaining_seconds("runs") == pytest.approx(180)
