"""What becomes of a run whose process is over: in every case, without a process."""

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from benchmarks.record import Run
from benchmarks.stopping import STOPPED
from slurm.child import Child
from slurm.ends import CANCELLED, LIMIT, judged
from slurm.ledger import Beat, Ledger, Note, Outcome

RUN = Run("mini", "mini-m2d2", "SAM", 3)
EARLIER = "--- header\nof an earlier start\n"
LOG = f"{EARLIER}--- header\nTraceback\n  ValueError: no\n\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path, "mini")
    found.of(RUN, ".log").parent.mkdir(parents=True)
    found.of(RUN, ".log").write_text(LOG)
    return found


def child(last_step: int | None = None, timeouts: int = 0) -> Child:
    note = Note("running", "0001-x", "17_0", "n1", 1, began=time.time(), told=time.time(), timeouts=timeouts)
    return Child(RUN, Mock(), Mock(), Mock(), len(EARLIER), note, last_step)


def beat(ledger: Ledger, began: float, stage: str = "train", error: str | None = None) -> None:
    ledger.set_beat(RUN, Beat(stage, 5, 100, began, 0, began + 1, error))


def checkpoint(ledger: Ledger, step: int) -> None:
    (RUN.checkpoints(ledger.results) / f"step-{step:08d}").mkdir(parents=True)


def test_a_record_is_the_end_of_it_whatever_the_exit_code(ledger: Ledger) -> None:
    RUN.path(ledger.results).parent.mkdir(parents=True)
    RUN.path(ledger.results).write_text("{}")
    for code, cause in ((0, None), (1, None), (STOPPED, LIMIT)):
        found = judged(child(), code, cause, ledger, timeouts=8)
        assert (found.outcome, found.cause) == ("done", None)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, "its process ended with exit code 1: ValueError: no"),
        (0, "its process ended with exit code 0: ValueError: no"),
        (-signal.SIGSEGV, "its process ended by SIGSEGV: ValueError: no"),
        (
            -signal.SIGKILL,
            "its process was killed by SIGKILL (signal 9): out of memory? `mem` in the profile gives more",
        ),
    ],
)
def test_what_nobody_asked_to_stop_has_failed(ledger: Ledger, code: int, cause: str) -> None:
    found = judged(child(), code, None, ledger, timeouts=8)
    assert (found.outcome, found.cause) == ("failed", cause)


def test_the_words_of_an_earlier_start_are_not_its_own(ledger: Ledger) -> None:
    ledger.of(RUN, ".log").write_text(f"{EARLIER}--- header\n")
    assert judged(child(), 1, None, ledger, timeouts=8).cause == "its process ended with exit code 1"


@pytest.mark.parametrize("asked", [None, LIMIT, CANCELLED])
def test_its_own_error_is_why_it_failed_also_if_it_was_asked_to_stop(ledger: Ledger, asked: str | None) -> None:
    mine = child()
    beat(ledger, mine.note.began, error=f"{RUN}: the loss is nan")
    found = judged(mine, 1, asked, ledger, timeouts=8)
    assert (found.outcome, found.cause) == ("failed", "the loss is nan")
    beat(ledger, mine.note.began - 10, error=f"{RUN}: the loss was nan in an earlier start")
    assert "earlier start" not in str(judged(mine, 1, asked, ledger, timeouts=8).cause)


@pytest.mark.parametrize(
    ("cause", "before", "allowed", "outcome", "after"),
    [
        (LIMIT, 0, 8, "stopping", 1),
        (LIMIT, 7, 8, "stopping", 8),
        (LIMIT, 8, 8, "timed out", 9),
        (LIMIT, 0, 0, "timed out", 1),
        ("preempted (SIGUSR1)", 8, 8, "stopping", 8),
        (CANCELLED, 8, 8, "stopped", 8),
    ],
)
def test_time_limits_are_counted_and_nothing_else(
    ledger: Ledger, cause: str, before: int, allowed: int, outcome: Outcome, after: int
) -> None:
    checkpoint(ledger, 40)
    found = judged(child(timeouts=before), STOPPED, cause, ledger, allowed)
    assert (found.outcome, found.timeouts, found.step) == (outcome, after, 40)
    assert found.cause == (f"reached its time limit {after} times, at step 40" if outcome == "timed out" else cause)


def test_the_first_stop_may_come_before_the_first_checkpoint(ledger: Ledger) -> None:
    mine = child()
    beat(ledger, mine.note.began)
    found = judged(mine, STOPPED, LIMIT, ledger, timeouts=8)
    assert (found.outcome, found.step) == ("stopping", 0)


@pytest.mark.parametrize(
    ("last_step", "stage", "cause", "outcome"),
    [
        (None, "train", "preempted (SIGUSR1)", "stopping"),
        (39, "train", "preempted (SIGUSR1)", "stopping"),
        (40, "train", "preempted (SIGUSR1)", "failed"),
        (40, "evaluate", "preempted (SIGUSR1)", "failed"),
        (40, "load", "preempted (SIGUSR1)", "stopping"),
        (40, "load", LIMIT, "failed"),
        (40, "train", CANCELLED, "stopped"),
    ],
)
@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_start_that_brought_nothing(
    ledger: Ledger, last_step: int | None, stage: str, cause: str, outcome: Outcome, is_fresh: bool
) -> None:
    """Two stops at one checkpoint: it hangs, unless it was interrupted before it trained. Old beats are no sign."""
    checkpoint(ledger, 40)
    mine = child(last_step)
    beat(ledger, mine.note.began if is_fresh else mine.note.began - 10, stage)
    if not is_fresh and cause != LIMIT and outcome == "failed":
        outcome = cast("Outcome", "stopping")
    found = judged(mine, STOPPED, cause, ledger, timeouts=8)
    assert found.outcome == outcome
    if outcome == "failed":
        assert f"made no progress between two stops ({cause}): its checkpoint was at step 40 both times" in str(
            found.cause
        )
    assert replace(found, outcome="running", cause=None, step=None, timeouts=0) == mine.note
