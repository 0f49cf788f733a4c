"""What a job does, for real but for Slurm: runs in processes, signals, checkpoints, requeues, ends of every kind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import psutil
import pytest

from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS
from slurm.child import Child
from slurm.code import ROOT, code_at
from slurm.job import Asked, Job
from slurm.launching import How, submissions
from slurm.ledger import Ledger, Note, checkpoint_step
from slurm.plan import arrays_of
from slurm.profile import profile_of
from slurm.state import overview
from slurm.work import Work
from tests.benchmarks import conftest as tiny
from tests.benchmarks import tiny_rows
from tests.slurm import fake_slurm as fakes
from tests.slurm.fake_slurm import FakeSlurm

fake_slurm = fakes.fake_slurm
python_with_tiny_rows = tiny.python_with_tiny_rows

LONG = Run("tiny", "tiny-long", "TRAM-x", 3)
POINTS = Run("tiny", "tiny-points", "TRAM-x", 3)
HOUR = 3600.0


@dataclass
class Desk:
    """One array of the fake cluster, and the jobs of it that a test starts."""

    ledger: Ledger
    slurm: FakeSlurm
    environment: dict[str, str]
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def submit(self, *runs: Run, pack: int = 1, **profile: Any) -> None:
        how = How("slurm", profile_of({"time": "01:00:00", **profile}, ""), pack)
        (made,) = submissions(
            self.ledger, arrays_of(runs, how.profile, pack=pack, max_array_size=9), how, code_at(ROOT)
        )
        self.path = self.ledger.add(made)
        self.ledger.set_job(made, "17")
        self.slurm.set("17_0", "RUNNING")

    def start(self, restarts: int = 0, **more: str) -> "subprocess.Popen[str]":
        """The job 17_0, which ends in an hour."""
        job = {
            "SLURM_ARRAY_JOB_ID": "17",
            "SLURM_ARRAY_TASK_ID": "0",
            "SLURM_JOB_ID": "18",
            "SLURM_RESTART_COUNT": str(restarts),
            "SLURM_JOB_END_TIME": str(time.time() + HOUR),
            "SLURMD_NODENAME": "n1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "slurm.work", str(self.path)],
            cwd=ROOT,
            env=self.environment | {"PATH": os.environ["PATH"]} | job | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def finish(self, process: "subprocess.Popen[str]", code: int = 0) -> str:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == code, said
        return said

    def note(self, run: Run) -> Note:
        note = self.ledger.note(run)
        assert note is not None
        return note

    def trains(self, run: Run, from_step: int = 15) -> None:
        """Wait until the run has got on that far."""
        self.wait(lambda: checkpoint_step(run, self.ledger.results) >= from_step, f"{run} at step {from_step}")

    @staticmethod
    def wait(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.05)

    def reach_limit(self, process: "subprocess.Popen[str]") -> None:
        """Move the job's end to this moment and warn it, as Slurm does."""
        self.slurm.set("17_0", "RUNNING", end=datetime.now().isoformat(timespec="seconds"))
        process.send_signal(signal.SIGUSR1)

    def requeues(self) -> list[list[str]]:
        return [words for words in self.slurm.calls("scontrol") if words[0] == "requeue"]

    def children(self, process: "subprocess.Popen[str]") -> list[psutil.Process]:
        """The processes that make runs; a job asks git for its code, too."""
        found = []
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):
                found += [child] if "slurm.one" in child.cmdline() else []
        return found

    def child(self, process: "subprocess.Popen[str]") -> psutil.Process:
        self.wait(lambda: bool(self.children(process)), "a run's process")
        return self.children(process)[0]


@pytest.fixture
def desk(
    tmp_path: Path,
    fake_slurm: FakeSlurm,
    python_with_tiny_rows: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:
    for row in tiny_rows.ROWS:
        monkeypatch.setitem(BENCHMARKS, row.name, row)
    environment = {name: value for name, value in python_with_tiny_rows.items() if not name.startswith("SLURM_")}
    desk = Desk(Ledger(tmp_path / "results", "tiny"), fake_slurm, environment | {"TINY_PAUSE": "0.02"})
    yield desk
    for process in desk.started:
        with suppress(psutil.NoSuchProcess):
            for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                child.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def numbers(run: Run, results: Path) -> dict[str, Any]:
    """What of a record does not depend on where and how long it was made."""
    found = json.loads(run.path(results).read_text())
    for name in ("environment", "seconds", "peak_memory_bytes"):
        del found[name]
    curve = run.path(results).with_name(f"seed-{run.seed}.metrics.jsonl").read_text()
    return found | {"curve": curve}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, str]], dict[str, Any]]:
    """LONG as `python -m benchmarks run` makes it."""
    results = tmp_path_factory.mktemp("uninterrupted")

    def made(environment: dict[str, str]) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks", "run", LONG.benchmark, LONG.method, "--seed", str(LONG.seed)]
        full = environment | {"OMP_NUM_THREADS": "1", "TINY_PAUSE": "0"}
        subprocess.run(
            [*command, "--suite", "tiny", "--results", str(results)],
            cwd=ROOT,
            env=full,
            check=True,
            capture_output=True,
        )
        return numbers(LONG, results)

    return made


# ------------------------------------------------------------------------------------------------------------ the ends


def test_limits_and_warnings_cost_nothing(
    desk: Desk, uninterrupted: Callable[[dict[str, str]], dict[str, Any]]
) -> None:
    """A run that reached its limit, was preempted, and was killed with its watcher equals one that was left alone."""
    desk.submit(LONG)
    job = desk.start()
    desk.trains(LONG)
    desk.reach_limit(job)
    desk.finish(job, 75)
    first = desk.note(LONG)
    assert (first.outcome, first.cause, first.timeouts, first.requeued) == ("stopped", "time limit", 1, True)
    assert desk.requeues() == [["requeue", "17_0"]]
    assert first.step is not None
    assert first.step >= 15

    desk.slurm.set("17_0", "RUNNING", end=datetime.fromtimestamp(time.time() + HOUR).isoformat(timespec="seconds"))
    job = desk.start(restarts=1)
    desk.trains(LONG, first.step + 15)
    job.send_signal(signal.SIGUSR1)
    desk.finish(job, 75)
    second = desk.note(LONG)
    assert (second.cause, second.timeouts, second.restarts) == ("preempted (SIGUSR1)", 1, 1)
    assert len(desk.requeues()) == 2

    job = desk.start(restarts=2)
    child = desk.child(job)
    desk.trains(LONG, (second.step or 0) + 15)
    job.kill()
    child.wait(10)
    assert desk.note(LONG).outcome == "running", "nobody could say otherwise"

    job = desk.start(restarts=3, TINY_PAUSE="0")
    desk.finish(job)
    assert desk.note(LONG).outcome == "done"
    assert numbers(LONG, desk.ledger.results) == uninterrupted(desk.environment)
    found = json.loads(LONG.path(desk.ledger.results).read_text())["environment"]
    assert (found["slurm_job_id"], found["slurm_array_job_id"], found["resumed"]) == ("18", "17", 3)
    assert (found["submitted_commit"], found["code_changed"]) == (code_at(ROOT).commit, False)


@pytest.mark.parametrize(
    ("state", "reason", "restarts", "requeued", "asked"),
    [
        ("COMPLETING", "None", "0", False, False),
        ("COMPLETING", "None", "1", True, False),
        ("COMPLETING", "TimeLimit", "0", True, True),
        ("RUNNING", "None", "0", True, True),
    ],
    ids=["cancelled", "gives way", "time limit", "a warning"],
)
def test_where_slurm_ends_a_job_slurm_decides(
    desk: Desk, state: str, reason: str, restarts: str, requeued: bool, asked: bool
) -> None:
    """After SIGTERM a cancelled job would come back if it asked for it; Slurm starts others again, or is asked to."""
    desk.submit(LONG)
    job = desk.start()
    desk.trains(LONG)
    desk.slurm.set("17_0", state, reason=reason, restarts=restarts)
    job.send_signal(signal.SIGTERM)
    desk.finish(job, 75)
    note = desk.note(LONG)
    cause = "ended by Slurm (SIGTERM)" if requeued else "cancelled or preempted (SIGTERM)"
    assert (note.outcome, note.cause, note.requeued) == ("stopped", cause, requeued)
    assert note.step == checkpoint_step(LONG, desk.ledger.results)
    assert desk.requeues() == ([["requeue", "17_0"]] if asked else [])


def test_a_requeue_waits_for_a_controller_that_is_away(desk: Desk) -> None:
    """Until the job's end, and it is called ending all the while, not requeued: nobody knows."""
    desk.submit(LONG)
    job = desk.start()
    desk.trains(LONG)
    desk.slurm.fault("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    job.send_signal(signal.SIGUSR1)
    desk.wait(lambda: not desk.children(job), "it has stopped")
    desk.wait(lambda: len(desk.slurm.calls("squeue")) > 6, "it asks again")
    (standing,) = overview(desk.ledger, [LONG]).standings
    assert (standing.state, standing.is_ending, standing.cause) == ("running", True, "preempted (SIGUSR1)")
    assert job.poll() is None
    desk.slurm.fault("squeue", None)
    desk.finish(job, 75)
    assert desk.note(LONG).requeued
    assert desk.requeues() == [["requeue", "17_0"]]


@pytest.mark.parametrize("heard_by", ["job", "run"])
def test_a_cancelled_run_says_that_it_was_cancelled(desk: Desk, heard_by: str) -> None:
    """Whoever of both hears it first."""
    desk.submit(LONG)
    job = desk.start()
    desk.trains(LONG)
    desk.ledger.set_cancelled(desk.ledger.submissions()[0])
    (job if heard_by == "job" else desk.child(job)).send_signal(signal.SIGUSR1)
    desk.finish(job, 75)
    assert (desk.note(LONG).outcome, desk.note(LONG).cause) == ("stopped", "cancelled")
    assert desk.requeues() == []


def test_a_requeue_that_slurm_refuses_is_left_to_retry(desk: Desk) -> None:
    desk.submit(LONG)
    job = desk.start()
    desk.trains(LONG)
    desk.slurm.fault("scontrol", "Requested operation is presently disabled")
    desk.reach_limit(job)
    desk.finish(job, 1)
    note = desk.note(LONG)
    assert (note.outcome, note.requeued) == ("stopped", False)
    assert note.cause == "time limit; not requeued: scontrol: Requested operation is presently disabled"


def test_limits_are_counted(desk: Desk) -> None:
    desk.submit(LONG, timeouts=0)
    job = desk.start()
    desk.trains(LONG)
    desk.reach_limit(job)
    desk.finish(job, 1)
    note = desk.note(LONG)
    assert (note.outcome, note.timeouts) == ("timed out", 1)
    assert str(note.cause).startswith("reached its time limit 1 times, at step ")
    assert desk.requeues() == []


def test_a_run_that_hangs_stops_as_failed_after_the_second_limit(desk: Desk) -> None:
    hangs = Run("tiny", "tiny-endless", "TRAM-x", 0)
    desk.submit(hangs)
    for restarts in (0, 1):
        sign = desk.ledger.results / f"began-{restarts}"
        job = desk.start(restarts, TINY_SIGN=str(sign))
        desk.wait(sign.exists, "it began")
        desk.reach_limit(job)
        desk.finish(job, 1 if restarts else 75)
    note = desk.note(hangs)
    assert note.outcome == "failed"
    assert "made no progress between two stops (time limit): its checkpoint was at step 0 both times" in str(note.cause)
    assert len(desk.requeues()) == 1


def test_a_failed_run_touches_no_other_of_its_job(desk: Desk) -> None:
    fails, dies = Run("tiny", "tiny-explodes", "TRAM-x", 0), Run("tiny", "tiny-dies", "TRAM-x", 0)
    desk.submit(fails, POINTS, dies, pack=3)
    said = desk.finish(desk.start(), 1)
    assert desk.note(POINTS).outcome == "done"
    assert POINTS.path(desk.ledger.results).exists()
    assert str(desk.note(fails).cause).startswith("the loss is nan at step 3.")
    assert "its process was killed by SIGKILL (signal 9): out of memory?" in str(desk.note(dies).cause)
    assert not any(run.path(desk.ledger.results).exists() for run in (fails, dies))
    assert said.count(": started, process") == 3
    log = desk.ledger.of(fails, ".log").read_text()
    assert "Error: tiny-explodes TRAM-x seed 0: the loss is nan" in log
    # A requeue, for whatever reason, tries neither again.
    said = desk.finish(desk.start(restarts=1))
    assert "started, process" not in said
    assert "failed before (the loss is nan" in said


# ----------------------------------------------------------------------------------------------------------- not twice


def test_a_run_with_its_record_is_left_alone(desk: Desk) -> None:
    desk.submit(POINTS)
    POINTS.path(desk.ledger.results).parent.mkdir(parents=True)
    POINTS.path(desk.ledger.results).write_text("{}")
    assert "its record is there" in desk.finish(desk.start())
    assert POINTS.path(desk.ledger.results).read_text() == "{}"


def test_a_run_that_another_job_holds_is_left_alone(desk: Desk) -> None:
    desk.submit(POINTS)
    lock = desk.ledger.claimed(POINTS)
    assert lock is not None
    assert "another job of this machine is at work on it" in desk.finish(desk.start())
    lock.release()


@pytest.mark.parametrize(("state", "alone"), [("RUNNING", True), ("PENDING", True), ("FAILED", False), (None, False)])
def test_a_run_that_a_job_elsewhere_makes_is_left_alone(desk: Desk, state: str | None, alone: bool) -> None:
    """Locks of one node are not seen on every other."""
    desk.submit(POINTS)
    other = Note("running", "0000-x", "9_4", "n7", 1, time.time(), time.time())
    desk.ledger.set_note(POINTS, other)
    if state is not None:
        desk.slurm.set("9_4", state)
    said = desk.finish(desk.start())
    assert ("job 9_4 is at work on it" in said) == alone
    assert POINTS.path(desk.ledger.results).exists() != alone


def test_without_an_answer_a_job_elsewhere_is_believed_for_a_while(desk: Desk) -> None:
    desk.submit(POINTS)
    other = Note("running", "0000-x", "9_4", "n7", 1, time.time(), time.time())
    desk.ledger.set_note(POINTS, other)
    desk.slurm.fault("squeue", "slurm_load_jobs error: no permission")
    assert "job 9_4 is at work on it" in desk.finish(desk.start())
    desk.ledger.set_note(POINTS, replace(other, told=time.time() - HOUR))
    assert "started" in desk.finish(desk.start())


def test_a_run_that_is_ended_by_hand_touches_no_other_of_its_job(desk: Desk) -> None:
    """The other makes its record; then the job starts again for the one that was stopped."""
    other = Run("tiny", "tiny-long", "SAM", 3)
    desk.submit(LONG, other, pack=2)
    job = desk.start()
    desk.trains(LONG)
    mine = next(child for child in desk.children(job) if child.cmdline()[-1] == "0")
    mine.send_signal(signal.SIGUSR1)
    desk.finish(job, 75)
    assert desk.note(other).outcome == "done"
    assert (desk.note(LONG).cause, desk.note(LONG).requeued) == ("a signal to the run itself", True)
    assert desk.requeues() == [["requeue", "17_0"]]


def test_asking_for_the_end_leaves_time_for_a_checkpoint(desk: Desk) -> None:
    """Of the four seconds before a limit of twenty, two, if nobody answers; then the end is as it was."""
    desk.submit(LONG, time="00:00:20")
    end = time.time() + 20
    work = Work(desk.ledger.submissions()[0], Job("17_0", 0, "n1", 0, end), cast("Asked", SimpleNamespace(by=None)))
    desk.slurm.silence("squeue")
    began = time.monotonic()
    assert work.end_now() == end
    assert 2 <= time.monotonic() - began < 8
    desk.slurm.silence()
    moved = datetime.now().replace(microsecond=0)
    desk.slurm.set("17_0", "RUNNING", end=moved.isoformat())
    assert work.end_now() == moved.timestamp()


def test_on_this_machine_nothing_starts_again_by_itself(desk: Desk) -> None:
    desk.submit(LONG)
    desk.ledger.of(LONG, ".log").parent.mkdir(parents=True)
    work = Work(
        desk.ledger.submissions()[0], Job("local-1", 0, "n1", 0, None), cast("Asked", SimpleNamespace(by="SIGTERM"))
    )
    process, lock = Mock(wait=Mock(return_value=75)), Mock()
    note = Note("running", "0001-x", "local-1", "n1", 1, time.time(), time.time())
    assert work.end(Child(LONG, lock, process, Mock(), 0, note, None)) == "stopped"
    assert (desk.note(LONG).outcome, desk.note(LONG).cause) == ("stopped", "ended by SIGTERM")
    assert work.waiting == []
    lock.release.assert_called_once()
    assert desk.slurm.calls("squeue") == []


@pytest.mark.parametrize(
    ("sent", "state", "cause", "code"),
    [
        (signal.SIGUSR1, "COMPLETING", "preempted (SIGUSR1)", 75),
        (signal.SIGTERM, "RUNNING", "ended by Slurm (SIGTERM); not requeued: scontrol: no", 1),
    ],
)
def test_why_a_job_does_not_start_again(desk: Desk, sent: signal.Signals, state: str, cause: str, code: int) -> None:
    """What is known is said: it gave way, or Slurm would not take it back."""
    desk.submit(LONG)
    job = desk.start()
    desk.trains(LONG)
    desk.slurm.set("17_0", state, reason="None", restarts="0")
    if code == 1:
        desk.slurm.fault("scontrol", "no")
    job.send_signal(sent)
    desk.finish(job, code)
    assert (desk.note(LONG).outcome, desk.note(LONG).requeued, desk.note(LONG).cause) == ("stopped", False, cause)
