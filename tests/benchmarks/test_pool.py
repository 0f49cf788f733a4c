"""The pool: every job once, none touched by another's end, nothing left over."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.pool import ENVIRONMENT, Failure, Job, changed_environment, default_workers, run_jobs, visible_gpus

TARGETS = "tests.benchmarks.pool_targets"


class Journal:
    """A display that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def started(self, job: Job) -> None:
        self.events.append(("started", job.name))

    def progressed(self, job: Job, step: str, done: int, total: int) -> None:
        self.events.append(("progressed", f"{job.name} {step} {done}/{total}"))

    def succeeded(self, job: Job, seconds: float) -> None:
        self.events.append(("succeeded", job.name))

    def failed(self, failure: Failure) -> None:
        self.events.append(("failed", failure.job.name))

    def tick(self) -> None:
        pass

    def packing_seconds(self, job: Job) -> float:
        return job.cost

    def names(self, kind: str) -> list[str]:
        return [name for found, name in self.events if found == kind]


def job(
    function: str, *args: object, name: str = "", stage: str = "runs", cost: float = 1.0, needs: str | None = None
) -> Job:
    return Job(name or function, f"{TARGETS}:{function}", args, stage, kind="k", cost=cost, needs=needs)


def notes(folder: Path) -> dict[str, tuple[int, int]]:
    """Of each job that left a note: its process and when it ran."""
    found = {path.name: tuple(int(part) for part in path.read_text().split()) for path in folder.iterdir()}
    return {name: (process, when) for name, (process, when) in sorted(found.items(), key=lambda item: item[1][1])}


def test_a_failing_or_killed_job_touches_no_other(tmp_path: Path) -> None:
    good = [job("note", tmp_path, f"n{index}", name=f"n{index}") for index in range(5)]
    bad = [job("refuse"), job("crash"), job("killed"), job("leave"), job("note", name="badly called")]
    journal = Journal()
    failures = run_jobs([*bad, *good], 2, journal)
    assert sorted(notes(tmp_path)) == [f"n{index}" for index in range(5)]
    assert sorted(journal.names("succeeded")) == sorted(notes(tmp_path))
    messages = {failure.job.name: failure for failure in failures}
    assert set(messages) == {item.name for item in bad} == set(journal.names("failed"))
    assert messages["refuse"].message == "the loss is nan at step 3"
    assert messages["refuse"].details == ""
    assert messages["crash"].message == "KeyError: 'a bug'"
    assert "in crash" in messages["crash"].details
    assert "SIGKILL" in messages["killed"].message
    assert messages["killed"].details == "about to die"
    assert messages["leave"].message == "SystemExit: 3"
    assert multiprocessing.active_children() == []


def test_workers_take_many_jobs(tmp_path: Path) -> None:
    run_jobs([job("note", tmp_path, f"n{index}", name=f"n{index}") for index in range(8)], 2, Journal())
    processes = {process for process, _ in notes(tmp_path).values()}
    assert len(processes) <= 2
    assert os.getpid() not in processes


def test_a_worker_killed_while_idle_loses_no_job(tmp_path: Path) -> None:
    after = [job("note", tmp_path, name, name=name, needs="pause") for name in ("x", "y")]
    assert run_jobs([job("die_when_idle"), job("pause"), *after], 2, Journal()) == []
    assert sorted(notes(tmp_path)) == ["x", "y"]


def test_stages_go_in_order_and_the_longest_first(tmp_path: Path) -> None:
    costs = {"a": 1.0, "b": 3.0, "c": 2.0}
    runs = [job("note", tmp_path, name, name=name, cost=cost) for name, cost in costs.items()]
    run_jobs([job("note", tmp_path, "first", name="first", stage="prepare", cost=0.1), *runs], 1, Journal())
    assert list(notes(tmp_path)) == ["first", "b", "c", "a"]


def test_what_needs_a_failed_job_is_not_started(tmp_path: Path) -> None:
    jobs = [
        job("crash", stage="prepare x"),
        job("note", tmp_path, "prepared", name="prepared", stage="prepare y"),
        job("note", tmp_path, "x", name="x", needs="crash"),
        job("note", tmp_path, "y", name="y", needs="prepared"),
    ]
    journal = Journal()
    failures = {failure.job.name: failure.message for failure in run_jobs(jobs, 2, journal)}
    assert list(notes(tmp_path)) == ["prepared", "y"]
    assert failures == {"crash": "KeyError: 'a bug'", "x": "not started, as crash failed"}
    assert "x" not in journal.names("started")


def test_the_environment_of_a_worker_is_set_before_it_starts(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert run_jobs([job("environment", tmp_path)], 1, Journal()) == []
    assert (tmp_path / "environment").read_text() == "1 passive 33554432 4294967296"
    assert dict(os.environ) == before


def test_a_changed_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with changed_environment(ENVIRONMENT):
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OMP_WAIT_POLICY" not in os.environ


def test_what_jobs_print_does_not_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    run_jobs([job("chatter")], 1, Journal())
    assert capfd.readouterr() == ("", "")


def test_progress_arrives(tmp_path: Path) -> None:
    journal = Journal()
    run_jobs([job("note", tmp_path, "n")], 1, journal)
    assert journal.events == [("started", "note"), ("progressed", "note work 1/1"), ("succeeded", "note")]


def test_workers_fit_the_cores() -> None:
    assert 1 <= default_workers() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    """Also when the parent is killed outright and cannot end them itself."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _TWO_ENDLESS_JOBS, str(tmp_path)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        workers = wait_for(lambda: [int(path.name) for path in tmp_path.iterdir()], count=2)
        parent.send_signal(number)
        sent = time.monotonic()
        _, errors = parent.communicate(timeout=10)
        assert time.monotonic() - sent < 2
        assert "KeyboardInterrupt" in errors or number == signal.SIGKILL
        wait_for(lambda: [worker for worker in workers if not alive(worker)], count=2, seconds=2)
    finally:
        parent.kill()


_TWO_ENDLESS_JOBS = """
import sys
from collections.abc import Callable
from pathlib import Path
from benchmarks.pool import run_jobs
from tests.benchmarks.test_pool import Journal, job
run_jobs([job("forever", Path(sys.argv[1]), name=name) for name in "ab"], 2, Journal())
"""


def alive(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def wait_for(find: Callable[[], list[int]], count: int, seconds: float = 30) -> list[int]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if len(found := find()) == count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")


def test_gpus_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7f")
    assert visible_gpus() == ["2", "GPU-7f"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_workers_take_turns_at_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three workers, two GPUs: each worker sees one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    jobs = [Job(f"job {number}", f"{TARGETS}:gpu", (tmp_path, number), "work", "any") for number in range(3)]
    assert run_jobs(jobs, 3, Journal()) == []
    seen = sorted((tmp_path / str(number)).read_text() for number in range(3))
    assert seen in (["4", "4", "6"], ["4", "6", "6"])
