"""How a run ended, from its exit code, its record, its checkpoint and its last words."""

import signal
from dataclasses import replace

from benchmarks.record import Run
from slurm.child import Child
from slurm.ledger import Ledger, Note, checkpoint_step

LIMIT = "time limit"
CANCELLED = "cancelled"


def judged(child: Child, code: int, cause: str | None, ledger: Ledger, timeouts: int) -> Note:
    """The note of a run whose process is over. `cause` is why it was asked to stop, None if it was not; it may reach
    its time limit so many `timeouts`. One that has stopped and may start again is `stopping`."""
    run, note = child.run, child.note
    if run.path(ledger.results).exists():
        return replace(note, outcome="done", cause=None)
    beat = ledger.beat(run)
    error = beat.error.removeprefix(f"{run}: ") if beat and beat.error and beat.told >= note.began else None
    if cause is None or error is not None:
        return replace(note, outcome="failed", cause=error or last_words(child, code, ledger))
    return _stopped(child, cause, ledger, timeouts)


def _stopped(child: Child, cause: str, ledger: Ledger, timeouts: int) -> Note:
    step = checkpoint_step(child.run, ledger.results)
    reached = child.note.timeouts + (cause == LIMIT)
    note = replace(child.note, outcome="stopping", step=step, cause=cause, timeouts=reached)
    if cause == CANCELLED:
        return replace(note, outcome="stopped")
    if is_stuck(child.run, child.last_step, step, child.note, cause, ledger):
        return replace(note, outcome="failed", cause=stuck(step, cause))
    if reached > timeouts:
        return replace(note, outcome="timed out", cause=f"reached its time limit {reached} times, at step {step:,}")
    return note


def is_stuck(run: Run, last_step: int | None, step: int, note: Note, cause: str | None, ledger: Ledger) -> bool:
    """Whether a start brought nothing; one that was interrupted before it began to train is not to blame."""
    if last_step is None or step > last_step:
        return False
    beat = ledger.beat(run)
    worked = beat is not None and beat.told >= note.began and beat.stage in ("train", "evaluate")
    return worked or cause == LIMIT


def stuck(step: int, cause: str) -> str:
    return (
        f"made no progress between two stops ({cause}): its checkpoint was at step {step:,} both times. "
        "It hangs, or the time limit is too short to get from one checkpoint to the next"
    )


def last_words(child: Child, code: int, ledger: Ledger) -> str:
    """Why a process is over that nobody asked to stop, in the words that people look for."""
    if code == -signal.SIGKILL:
        return "its process was killed by SIGKILL (signal 9): out of memory? `mem` in the profile gives more"
    text = ledger.of(child.run, ".log").read_bytes()[child.logged :].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"its process ended {how}" + (f": {lines[-1][:300]}" if lines else "")
