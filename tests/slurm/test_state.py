"""How a run stands, in every case: what its job told, what the queue says, whether there is a record."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.record import Run
from slurm.code import Code
from slurm.launching import How, submissions
from slurm.ledger import Ledger, Note, Outcome, Submission
from slurm.plan import arrays_of
from slurm.profile import Profile
from slurm.queue import Entry, QueueError, entries
from slurm.state import ACTIVE, LAUNCHABLE, RETRIABLE, STATES, Overview, State, overview
from slurm.submit import process_name

RUN = Run("mini", "mini-m2d2", "SAM", 3)
JOB = "17_0"
CODE = Code("c0ffee", False, "digest")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "mini")


def submitted(ledger: Ledger, how: How, job: str | None = "17") -> Submission:
    (submission,) = submissions(ledger, arrays_of([RUN], how.profile, max_array_size=9), how, CODE)
    ledger.add(submission)
    if job is not None:
        ledger.set_job(submission, job)
    return submission


@pytest.fixture
def submission(ledger: Ledger) -> Submission:
    return submitted(ledger, How("slurm", Profile()))


def note(submission: Submission, outcome: Outcome, **more: object) -> Note:
    found = Note(outcome, submission.id, JOB, "n1", os.getpid(), time.time(), time.time())
    return replace(found, **more)  # type: ignore[arg-type]


def looked(ledger: Ledger, state: str | None) -> Overview:
    """With the job in that state in the queue, or not in it."""
    found = {JOB: Entry(JOB, state, "Priority", "n1", "")} if state else {}
    return overview(ledger, [RUN], lambda: found)


@pytest.mark.parametrize(
    ("outcome", "more", "entry", "state"),
    [
        (None, {}, "PENDING", "queued"),
        (None, {}, "CONFIGURING", "queued"),
        (None, {}, "RUNNING", "running"),
        (None, {}, "CANCELLED", "stopped"),
        (None, {}, "NODE_FAIL", "failed"),
        (None, {}, None, "stopped"),
        ("running", {}, "RUNNING", "running"),
        ("running", {}, "COMPLETING", "running"),
        ("running", {}, "SUSPENDED", "running"),
        ("running", {}, "PENDING", "requeued"),
        ("running", {}, "REQUEUED", "requeued"),
        ("running", {}, "FAILED", "failed"),
        ("running", {}, "OUT_OF_MEMORY", "failed"),
        ("running", {}, "NODE_FAIL", "failed"),
        ("running", {}, "TIMEOUT", "timed out"),
        ("running", {}, "CANCELLED", "stopped"),
        ("running", {}, None, "failed"),
        ("stopped", {"cause": "time limit", "requeued": True}, "PENDING", "requeued"),
        ("stopped", {"cause": "time limit", "requeued": True}, "COMPLETING", "requeued"),
        ("stopped", {"cause": "time limit", "requeued": True}, "RUNNING", "requeued"),
        ("stopped", {"cause": "time limit"}, None, "timed out"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)"}, "PENDING", "requeued"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)"}, "COMPLETING", "stopped"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)", "requeued": True}, "COMPLETING", "requeued"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)"}, "CANCELLED", "stopped"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)"}, None, "stopped"),
        ("stopped", {"cause": "time limit", "requeued": True}, "CANCELLED", "stopped"),
        ("stopped", {"cause": "time limit; not requeued: scontrol: no"}, None, "stopped"),
        ("stopping", {"cause": "time limit"}, "RUNNING", "running"),
        ("stopping", {"cause": "time limit"}, "COMPLETING", "running"),
        ("stopping", {"cause": "time limit"}, "PENDING", "requeued"),
        ("stopping", {"cause": "time limit"}, "TIMEOUT", "timed out"),
        ("stopping", {"cause": "preempted (SIGUSR1)"}, None, "stopped"),
        ("failed", {"cause": "NaN"}, "RUNNING", "failed"),
        ("failed", {"cause": "NaN"}, None, "failed"),
        ("timed out", {"cause": "too often"}, None, "timed out"),
        ("done", {}, "COMPLETED", "not launched"),
        ("forgotten", {}, "RUNNING", "not launched"),
    ],
)
def test_what_a_job_told_and_what_the_queue_says(
    ledger: Ledger, submission: Submission, outcome: Outcome | None, more: dict[str, object], entry: str, state: State
) -> None:
    if outcome is not None:
        ledger.set_note(RUN, note(submission, outcome, **more))
    assert looked(ledger, entry).standings[0].state == state


@pytest.mark.parametrize("entry", ["PENDING", "RUNNING", "FAILED", None])
@pytest.mark.parametrize("outcome", ["running", "stopped", "failed", None])
def test_a_run_with_a_record_is_done_whatever_else_is_said(
    ledger: Ledger, submission: Submission, outcome: Outcome | None, entry: str | None
) -> None:
    if outcome is not None:
        ledger.set_note(RUN, note(submission, outcome))
    RUN.path(ledger.results).parent.mkdir(parents=True)
    RUN.path(ledger.results).write_text("{}")
    assert looked(ledger, entry).standings[0].state == "done"


def test_what_was_never_submitted(ledger: Ledger) -> None:
    assert looked(ledger, None).standings[0].state == "not launched"


def test_an_array_on_its_way_to_sbatch_is_queued(ledger: Ledger) -> None:
    submitted(ledger, How("slurm", Profile()), job=None)
    assert looked(ledger, None).standings[0].state == "queued"


def test_the_last_submission_counts(ledger: Ledger, submission: Submission) -> None:
    ledger.set_note(RUN, note(submission, "failed", cause="NaN"))
    again = submitted(ledger, How("slurm", Profile()), job="18")
    assert again.id > submission.id
    found = overview(ledger, [RUN], lambda: {"18_0": Entry("18_0", "PENDING", "Priority", "", "")})
    assert (found.standings[0].state, found.standings[0].cause) == ("queued", "Priority")


def test_a_cancelled_array_is_stopped_once_it_is_gone(ledger: Ledger, submission: Submission) -> None:
    ledger.set_note(RUN, note(submission, "running"))
    ledger.set_cancelled(submission)
    assert looked(ledger, "RUNNING").standings[0].state == "running"
    assert looked(ledger, None).standings[0].state == "stopped"


@pytest.mark.parametrize(
    ("outcome", "more", "state", "cancelled"),
    [
        (None, {}, "queued", "stopped"),
        ("running", {}, "running", "running"),
        ("stopping", {"cause": "time limit"}, "running", "running"),
        ("stopped", {"cause": "time limit", "requeued": True}, "requeued", "stopped"),
        ("stopped", {"cause": "time limit; not requeued: scontrol: no"}, "stopped", "stopped"),
        ("stopped", {"cause": "preempted (SIGUSR1)", "requeued": True}, "requeued", "stopped"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)", "requeued": True}, "requeued", "stopped"),
        ("stopped", {"cause": "ended by Slurm (SIGTERM)"}, "stopped", "stopped"),
        ("stopped", {"cause": "cancelled"}, "stopped", "stopped"),
        ("failed", {"cause": "NaN"}, "failed", "failed"),
        ("timed out", {"cause": "too often"}, "timed out", "timed out"),
    ],
)
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_without_an_answer_from_the_queue_nothing_is_called_lost(
    ledger: Ledger,
    submission: Submission,
    outcome: Outcome | None,
    more: dict[str, object],
    state: State,
    cancelled: State,
    is_cancelled: bool,
) -> None:
    """What waits to start again is called so, unless it was cancelled."""
    if outcome is not None:
        ledger.set_note(RUN, note(submission, outcome, **more))
    ledger.set_cancelled(submission, is_cancelled)

    def silent() -> dict[str, Entry]:
        raise QueueError("squeue: no answer")

    found = overview(ledger, [RUN], silent)
    assert found.standings[0].state == (cancelled if is_cancelled else state)
    assert "no answer" in str(found.warning)


def test_a_job_that_begins_while_status_looks_is_running(ledger: Ledger, submission: Submission) -> None:
    """The queue had it waiting a moment before; it has not come back, it has begun."""

    def begins() -> dict[str, Entry]:
        ledger.set_note(RUN, note(submission, "running"))
        return {JOB: Entry(JOB, "PENDING", "Priority", "", "")}

    (standing,) = overview(ledger, [RUN], begins).standings
    assert (standing.state, standing.node) == ("running", "n1")


def test_a_run_of_this_machine_lives_as_long_as_its_process(ledger: Ledger) -> None:
    submission = submitted(ledger, How("local", Profile()), job=process_name(os.getpid()))
    assert looked(ledger, None).standings[0].state == "queued"
    here = note(submission, "running", job=f"local-{os.getpid()}", host=os.uname().nodename)
    ledger.set_note(RUN, here)
    assert looked(ledger, None).standings[0].state == "running"
    ledger.set_note(RUN, replace(here, outcome="stopping"))
    assert looked(ledger, None).standings[0].state == "running"
    ledger.set_note(RUN, replace(here, began=0.0))
    assert looked(ledger, None).standings[0].state == "failed", "the process of that id began later"
    ledger.set_note(RUN, replace(here, pid=2**22 - 1))
    assert looked(ledger, None).standings[0].state == "failed"


def test_every_state_is_waited_for_launched_or_retried() -> None:
    assert {*ACTIVE, *LAUNCHABLE, *RETRIABLE, "done"} == set(STATES)
    assert not set(ACTIVE) & {*LAUNCHABLE, *RETRIABLE}


def test_lines_of_the_queue() -> None:
    text = "7_3|PENDING|Nodes required for job are DOWN|  |lab|big|name\n8|RUNNING|None|n1|||a|b\nnonsense\n"
    assert [(entry.id, entry.state, entry.account, entry.qos, entry.name) for entry in entries(text)] == [
        ("7_3", "PENDING", "lab", "big", "name"),
        ("8", "RUNNING", "", "", "a|b"),
    ]
